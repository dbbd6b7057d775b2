// The view in Jupyter, through anywidget.

import { TraceStore } from "./store.js";
import { createReceiver } from "./receiver.js";
import { createTraceView } from "./view.js";

/** Jupyter, through anywidget: one store per widget, shared by all its views. */
export default function widget() {
  const store = new TraceStore();
  const traits = ["selected", "selected_layer", "attention_layer", "attention_head"];
  let receive = null;
  return {
    initialize({ model }) {
      let answer = null;
      receive = createReceiver(store, (question) => new Promise((resolve) => {
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
    },
    render({ model, el }) {
      const view = createTraceView(el, {
        store,
        requestAttention: (question) => new Promise((resolve) => {
          const key = `${question.token}:${question.layer}:${question.head}`;
          const stop = store.subscribe(() => { if (store.maps.has(key)) { stop(); resolve(); } });
          model.send({ type: "attention", ...question });
        }),
        onChange(change) {
          for (const name of traits) model.set(name, change[name]);
          model.save_changes();
        },
      });
      const follow = () => view.set(Object.fromEntries(traits.map((name) => [name, model.get(name)])));
      follow();
      for (const name of traits) model.on(`change:${name}`, follow);
      return () => {
        for (const name of traits) model.off(`change:${name}`, follow);
        view.destroy();
      };
    },
  };
}
