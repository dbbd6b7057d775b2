// The view in Gradio's HTML component.

import { TraceStore } from "./store.js";
import { createReceiver } from "./receiver.js";
import { createTraceView } from "./view.js";

/** Gradio's HTML component: value = the latest message, server.pull and server.attention answer questions. */
export function mountGradio({ element, trigger, props, server, watch, css: style }) {
  const store = new TraceStore();
  const host = element.querySelector(".tv-host") ?? element;
  const receive = createReceiver(store, (question) => server.pull(question));
  const view = createTraceView(host, {
    store, css: style,
    requestAttention: (question) => server.attention(question),
    onChange: ({ run, selected, selected_layer: layer, expert, source }) =>
      trigger("token_select", { run, token: selected, layer, expert, source }),
  });
  watch("value", () => receive(props.value));
  receive(props.value); // a value set before the module was there is not told again
  return view;
}
