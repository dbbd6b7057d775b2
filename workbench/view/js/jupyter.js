// The view in Jupyter, through anywidget: one store per widget, shared by all its views.
//
// A widget with the trait `_compare` shows two traces beside each other, any other one its `_snapshot`.

import { createCompareView, readComparison } from "./compare.js";
import { createReceiver } from "./receiver.js";
import { TraceStore } from "./store.js";
import { createTraceView } from "./view.js";

const TRAITS = ["selected", "selected_layer", "selected_expert", "attention_layer", "attention_head"];

/** A question as a custom message; what answers it comes with the other messages, into the store. */
const asking = (model, storeOf) => (question) => new Promise((resolve) => {
  const store = storeOf(question);
  const stop = store.subscribe(() => { if (store.answers(question)) { stop(); resolve(); } });
  model.send({ type: "attention", ...question });
});

/** Traits that the model has follow the view, and the view follows them. */
function linked(model, show) {
  const traits = TRAITS.filter((name) => model.get(name) !== undefined);
  const view = show((change) => {
    for (const name of traits) model.set(name, change[name]);
    model.save_changes();
  });
  const follow = () => view.set(Object.fromEntries(traits.map((name) => [name, model.get(name)])));
  follow();
  for (const name of traits) model.on(`change:${name}`, follow);
  return () => {
    for (const name of traits) model.off(`change:${name}`, follow);
    view.destroy();
  };
}

export default function widget() {
  const store = new TraceStore();
  let comparison = null;

  function receiveComparison(model) {
    const take = () => { comparison = readComparison(model.get("_compare")); };
    const onMessage = ({ message }) => {
      for (const side of [comparison.left, comparison.right]) side.apply(message);
    };
    take();
    model.on("msg:custom", onMessage);
    model.on("change:_compare", take);
    return () => {
      model.off("msg:custom", onMessage);
      model.off("change:_compare", take);
    };
  }

  function receiveTrace(model) {
    let answer = null;
    const receive = createReceiver(store, (question) => new Promise((resolve) => {
      answer = resolve;
      model.send({ type: "pull", ...question });
    }));
    const onMessage = ({ pulled, message }) => (pulled ? answer?.(message) : receive(message));
    const onSnapshot = () => receive(model.get("_snapshot"));
    model.on("msg:custom", onMessage);
    model.on("change:_snapshot", onSnapshot);
    onSnapshot();
    return () => {
      model.off("msg:custom", onMessage);
      model.off("change:_snapshot", onSnapshot);
    };
  }

  return {
    initialize: ({ model }) => (model.get("_compare") ? receiveComparison(model) : receiveTrace(model)),
    render: ({ model, el }) => linked(model, (onChange) => {
      if (!comparison) {
        return createTraceView(el, { store, onChange, requestAttention: asking(model, () => store) });
      }
      const sideOf = ({ run }) => (run === comparison.right.run ? comparison.right : comparison.left);
      return createCompareView(el, { ...comparison, onChange, requestAttention: asking(model, sideOf) });
    }),
  };
}
