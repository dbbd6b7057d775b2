// All experts at once: layers by words, or layers by experts.

import { choices, h } from "./elements.js";
import { createLoad } from "./load.js";
import { createMap } from "./map.js";

const TITLES = { words: "Every word in every layer", load: "How many words each expert took" };

export function createOverview(view) {
  const { store, state } = view;
  const parts = { words: createMap(view), load: createLoad(view) };
  const title = h("h2");
  const which = choices("The overview goes by", [["words", "by word"], ["load", "by expert"]], "words",
    (key) => view.set({ overview: key }, "map"));
  const body = h("div", {}, ...Object.values(parts).map((part) => part.element));
  const element = h("section", { "aria-label": "Overview of experts" },
    h("div", { class: "tv-head" }, title, which.row), body);

  function draw() {
    element.hidden = !store.layers.length || !store.n;
    if (element.hidden) return;
    which.set(state.overview);
    title.textContent = TITLES[state.overview];
    for (const [key, part] of Object.entries(parts)) part.element.hidden = key !== state.overview;
    parts[state.overview].draw();
  }
  const reveal = (token) => { if (state.overview === "words") parts.words.reveal(token); };
  return { element, draw, reveal, watch: body };
}
