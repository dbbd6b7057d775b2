// What hosts are given: the view, the comparison, their stores, and how Gradio and Jupyter mount them.
//
// Every file has one idea and imports the others by name, so that Node reads them as they are; module.py joins
// them into the one module that a page loads. Nothing is imported from elsewhere and nothing is fetched. What a
// model or a person wrote reaches a page through textContent only.

export { TraceStore } from "./store.js";
export { createReceiver } from "./receiver.js";
export { createTraceView } from "./view.js";
export { createCompareView, readComparison } from "./compare.js";
export { mountGradio } from "./gradio.js";
export { default } from "./jupyter.js";
