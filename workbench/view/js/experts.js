// The experts of one word, layer by layer, as a table.

import { MODALITY, NOT_CAPTURED } from "./store.js";
import { css, expertColour, inkOn } from "./colours.js";
import { KEYS, h } from "./elements.js";

export function createExperts(view) {
  const { store } = view;
  const heading = h("h2", {}, "Experts");
  const lead = h("p", { class: "tv-lead" });
  const body = h("tbody");
  const table = h("table", {},
    h("thead", {}, h("tr", {}, ...["Layer", "Expert", "Gate"].map((name) => h("th", { scope: "col" }, name)))),
    body);
  const frame = h("div", {
    class: "tv-table", tabindex: "0", role: "group", ...KEYS,
    "aria-label": "Experts by layer; arrow up and down choose a layer",
    onkeydown(event) {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step || !rows.length) return;
      const now = store.layers.indexOf(view.state.layer);
      const next = now < 0 ? 0 : Math.min(Math.max(now + step, 0), rows.length - 1);
      view.set({ layer: store.layers[next] }, "experts");
      rows[next].row.scrollIntoView({ block: "nearest" });
      event.preventDefault();
      event.stopPropagation();
    },
  }, table);
  let rows = [];
  let built = "";

  function build() {
    rows = store.layers.map((layer) => {
      const expert = h("td");
      const gate = h("td");
      const row = h("tr", { "data-layer": layer, onclick: () => view.set({ layer }, "experts") },
        h("th", { scope: "row" }, String(layer)), expert, gate);
      return { row, expert, gate };
    });
    body.replaceChildren(...rows.map(({ row }) => row));
  }

  function badge(expert) {
    const colour = expertColour(expert, store.experts);
    const element = h("span", { class: "tv-badge", title: `expert ${expert}` }, String(expert));
    element.style.background = css(colour);
    element.style.color = inkOn(colour);
    return element;
  }

  function bar(gate) {
    const fill = h("span", { class: "tv-fill" });
    fill.style.inlineSize = `${100 * gate}%`;
    return h("span", { class: "tv-gate" }, h("span", { class: "tv-bar", "aria-hidden": "true" }, fill),
      h("span", {}, gate.toFixed(2)));
  }

  const missing = () => h("span", { class: "tv-missing" }, store.done ? "not captured" : "not captured yet");

  function one(token, m, { expert, gate }) {
    const ranks = [...Array(store.rank).keys()].filter((k) => store.expert(token, m, k) !== NOT_CAPTURED);
    if (!ranks.length) return void (expert.replaceChildren(missing()), gate.replaceChildren());
    expert.replaceChildren(...ranks.map((k) => h("div", {}, badge(store.expert(token, m, k)),
      ` Expert ${store.expert(token, m, k)}`)));
    gate.replaceChildren(...ranks.map((k) => bar(store.gate(token, m, k))));
  }

  /** A whole picture: how many of its patches each expert took. */
  function many({ first, last }, m, { expert, gate }) {
    const counts = new Map();
    let total = 0;
    let sum = 0;
    for (let i = first; i <= last; i++) {
      const chosen = store.expert(i, m);
      if (store.modality(i) !== MODALITY.patch || chosen === NOT_CAPTURED) continue;
      counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
      sum += store.gate(i, m);
      total += 1;
    }
    if (!total) return void (expert.replaceChildren(missing()), gate.replaceChildren());
    const most = [...counts].sort((a, b) => b[1] - a[1]);
    expert.replaceChildren(h("div", { class: "tv-counts" },
      ...most.slice(0, 4).map(([e, count]) => h("span", {}, badge(e), ` ${count} times`)),
      most.length > 4 ? h("span", {}, `and ${most.length - 4} more`) : null));
    gate.replaceChildren(bar(sum / total));
  }

  function draw(token) {
    const layers = store.layers.join();
    if (built !== `${store.run} ${layers}`) build();
    built = `${store.run} ${layers}`;
    if (!rows.length) return void (lead.textContent = "This model has no expert layers in the trace.");
    const whole = view.words.wholePicture(token);
    heading.textContent = token < 0 ? "Experts" : `Experts for ${view.titleOf(token)}`;
    lead.textContent = whole
      ? "Squares of the picture per expert, and their mean gate. Click a square of the picture for itself alone."
      : `Each of these layers sends a word to ${store.rank} of ${store.experts} experts. `
        + "The gate, 0 to 1, says how strongly.";
    rows.forEach((cells, m) => {
      cells.row.toggleAttribute("data-chosen", store.layers[m] === view.state.layer);
      if (token < 0) return;
      if (whole) many(whole, m, cells);
      else one(token, m, cells);
    });
  }
  return { element: h("section", { "aria-label": "Experts" }, heading, lead, frame), draw };
}
