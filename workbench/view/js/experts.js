// The experts of one word, layer by layer, as a table.

import { MANY_EXPERTS, PALETTE, css, inkOn } from "./colours.js";
import { KEYS, h } from "./elements.js";
import { createFigureMenu } from "./figure.js";
import { MODALITY, NOT_CAPTURED } from "./store.js";

const LINE = 20; // px of a row in a drawing

/** The squares of a picture by expert, at any rank, most first, and their mean gate. No DOM. */
export function squaresOf(store, { first, last }, m) {
  const counts = new Map();
  let total = 0;
  let sum = 0;
  for (let i = first; i <= last; i++) {
    if (store.modality(i) !== MODALITY.patch) continue;
    for (let k = 0; k < store.rank; k++) {
      const chosen = store.expert(i, m, k);
      if (chosen === NOT_CAPTURED) continue;
      counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
      sum += store.gate(i, m, k);
      total += 1;
    }
  }
  return { most: [...counts].sort((a, b) => b[1] - a[1]), total, mean: sum / total };
}

export function createExperts(view) {
  const { store } = view;
  const heading = h("h2", {}, "Experts");
  const lead = h("p", { class: "tv-lead" });
  const body = h("tbody");
  const lines = h("table", {},
    h("thead", {}, h("tr", {}, ...["Layer", "Expert", "Gate"].map((name) => h("th", { scope: "col" }, name)))),
    body);
  const frame = h("div", {
    class: "tv-table", tabindex: "0", role: "group", ...KEYS,
    "aria-label": "Experts by layer; arrow up and down choose a layer, Enter its expert",
    onkeydown(event) {
      const m = store.layers.indexOf(view.state.layer);
      if (event.key === "Enter" && m >= 0 && view.current() >= 0) {
        const expert = store.expert(view.current(), m);
        if (expert !== NOT_CAPTURED) view.set({ expert }, "experts");
        event.preventDefault();
        return;
      }
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step || !rows.length) return;
      const now = store.layers.indexOf(view.state.layer);
      const next = now < 0 ? 0 : Math.min(Math.max(now + step, 0), rows.length - 1);
      view.set({ layer: store.layers[next] }, "experts");
      rows[next].row.scrollIntoView({ block: "nearest" });
      event.preventDefault();
      event.stopPropagation();
    },
  }, lines);
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

  /** An expert's number; a click chooses the expert. By keyboard, Enter in the table does. */
  function badge(expert, m) {
    const element = h("button", {
      type: "button", class: "tv-badge", tabindex: "-1", title: `choose expert ${expert} of layer ${store.layers[m]}`,
      onclick(event) {
        event.stopPropagation();
        view.set({ layer: store.layers[m], expert }, "experts");
      },
    }, String(expert));
    if (store.experts > MANY_EXPERTS) return element;
    element.style.background = css(PALETTE[expert]);
    element.style.color = inkOn(PALETTE[expert]);
    return element;
  }

  function bar(gate) {
    if (Number.isNaN(gate)) return h("span", { class: "tv-missing" }, "not told");
    const fill = h("span", { class: "tv-fill" });
    fill.style.inlineSize = `${100 * gate}%`;
    return h("span", { class: "tv-gate" }, h("span", { class: "tv-bar", "aria-hidden": "true" }, fill),
      h("span", {}, gate.toFixed(2)));
  }

  const missing = () => h("span", { class: "tv-missing" }, store.done ? "not captured" : "not captured yet");

  function one(token, m, { expert, gate }) {
    const ranks = [...Array(store.rank).keys()].filter((k) => store.expert(token, m, k) !== NOT_CAPTURED);
    if (!ranks.length) return void (expert.replaceChildren(missing()), gate.replaceChildren());
    expert.replaceChildren(...ranks.map((k) => h("div", {}, badge(store.expert(token, m, k), m),
      ` Expert ${store.expert(token, m, k)}`)));
    gate.replaceChildren(...ranks.map((k) => bar(store.gate(token, m, k))));
  }

  /** A whole picture: how many of its patches each expert took. */
  function many(whole, m, { expert, gate }) {
    const { most, total, mean } = squaresOf(store, whole, m);
    if (!total) return void (expert.replaceChildren(missing()), gate.replaceChildren());
    expert.replaceChildren(h("div", { class: "tv-counts" },
      ...most.slice(0, 4).map(([e, count]) => h("span", {}, badge(e, m), ` ${count} times`)),
      most.length > 4 ? h("span", {}, `and ${most.length - 4} more`) : null));
    gate.replaceChildren(bar(mean));
  }

  /** How many squares of a picture an expert would get if lots were drawn, on the whole. */
  function lots({ first, last }) {
    let squares = 0;
    for (let i = first; i <= last; i++) if (store.modality(i) === MODALITY.patch) squares += 1;
    const each = (squares * store.rank) / store.experts;
    return `about ${each < 10 ? each.toFixed(1) : Math.round(each)}`;
  }

  /** What the table says now, as [layer, expert, count of squares or rank, gate]. */
  function table() {
    const token = view.current();
    const whole = view.words.wholePicture(token);
    const rows = store.layers.flatMap((layer, m) => {
      if (whole) return squaresOf(store, whole, m).most.map(([expert, count]) => [layer, expert, count, null]);
      return [...Array(store.rank).keys()].filter((k) => token >= 0 && store.expert(token, m, k) !== NOT_CAPTURED)
        .map((k) => [layer, store.expert(token, m, k), k, store.gate(token, m, k)]);
    });
    return { columns: ["layer", "expert", whole ? "squares" : "rank", "gate"], rows };
  }

  function drawing() {
    const { rows } = table();
    const most = Math.max(1, ...rows.map(([, , count, gate]) => (gate === null ? count : 0)));
    const inks = view.inks();
    const title = heading.textContent;
    return {
      width: 420, height: LINE * (rows.length + 2),
      paint(pen) {
        pen.text(title, 8, LINE / 2, { fill: inks.ink, size: 13, weight: 600 });
        rows.forEach(([layer, expert, count, gate], index) => {
          const y = LINE * (index + 1.5);
          const share = gate === null ? count / most : gate;
          pen.text(`layer ${layer}`, 8, y, { fill: inks.soft });
          pen.text(`expert ${expert}`, 80, y, { fill: inks.ink });
          if (Number.isNaN(share)) return;
          pen.rect(160, y - 4, 200, 8, inks.raised);
          pen.rect(160, y - 4, 200 * share, 8, inks.accent);
          pen.text(gate === null ? `${count} times` : gate.toFixed(2), 368, y, { fill: inks.ink });
        });
      },
    };
  }
  const menu = createFigureMenu(view, "Experts of a word", { table, drawing });

  function draw(token) {
    const layers = store.layers.join();
    if (built !== `${store.run} ${layers}`) build();
    built = `${store.run} ${layers}`;
    if (!rows.length) return void (lead.textContent = "This model has no expert layers in the trace.");
    const whole = view.words.wholePicture(token);
    heading.textContent = token < 0 ? "Experts" : `Experts for ${view.titleOf(token)}`;
    lead.textContent = whole
      ? `Squares of the picture per expert${store.gated ? ", and their mean gate" : ""}; lots would give each expert `
        + `${lots(whole)}. `
        + "Click a square of the picture for itself alone."
      : `Each of these layers sends a word to ${store.rank} of ${store.experts} experts. `
        + (store.gated ? "The gate, 0 to 1, says how strongly." : "How strongly was not told.");
    rows.forEach((cells, m) => {
      cells.row.toggleAttribute("data-chosen", store.layers[m] === view.state.layer);
      if (token < 0) return;
      if (whole) many(whole, m, cells);
      else one(token, m, cells);
    });
    menu.draw(`${store.run} ${token} ${store.settled}`);
  }
  return { element: h("section", { "aria-label": "Experts" }, heading, lead, frame, menu.element), draw };
}
