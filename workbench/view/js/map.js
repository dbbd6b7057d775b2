// Layers down, words across: what every layer did with every word.

import { ASIDE, EXPERT_PIXELS, MANY_EXPERTS, NO, PALETTE, YES, amount, amountPixel, css, gradient } from "./colours.js";
import { dropdown, h } from "./elements.js";
import { createFigureMenu } from "./figure.js";
import { createGrid } from "./grid.js";
import { imageName, nameOf, routingOf } from "./naming.js";
import { MODALITY, NOT_CAPTURED } from "./store.js";

const AXIS = 24; // px below the cells
const HINT = "Each column is a word, each row a layer. Point at a cell to read it, click to keep it; "
  + "plus and minus change the size, a drag moves along.";

/** What the map can show of a store, as [key, name]; the first is shown first. */
export function modesOf(store) {
  return [
    ...(store.experts <= MANY_EXPERTS ? [["expert", "expert"]] : []),
    ["same", "same expert as the chosen word"],
    ["before", "same expert as the word before"],
    ["one", "one expert"],
    ...(store.gated ? [["gate", "gate weight"]] : []),
    ...(store.margins ? [["margin", "margin of the choice"]] : []),
  ];
}

/** Pixel of one cell, 0 where nothing was captured; made anew when mode, choice or theme change. */
export function painterOf(view) {
  const { store, state } = view;
  const theme = view.theme();
  const yes = amountPixel(YES, theme);
  const no = amountPixel(NO, theme);
  const compared = (same) => (same === null ? 0 : same ? yes : no);
  const captured = (i, m) => store.expert(i, m) !== NOT_CAPTURED;
  const chosen = view.current();
  const { layer: one, expert } = view.oneExpert();
  const most = view.highestMargin();
  return {
    expert: (i, m) => (captured(i, m) ? EXPERT_PIXELS[store.expert(i, m)] : 0),
    gate: (i, m) => (captured(i, m) ? amountPixel(store.gate(i, m), theme) : 0),
    margin: (i, m) => {
      const margin = store.margin(i, m);
      return Number.isNaN(margin) ? 0 : amountPixel(margin / most, theme);
    },
    same: (i, m) => (chosen < 0 ? 0 : compared(store.agree(i, chosen, m))),
    before: (i, m) => (i ? compared(store.agree(i, i - 1, m)) : 0),
    one: (i, m) => {
      if (!captured(i, m)) return 0;
      if (!store.went(i, one, expert)) return no;
      return m === one ? yes : amountPixel(ASIDE, theme);
    },
  }[state.mode];
}

/** What the colours mean, for a legend. */
export function legendOf(view, names) {
  const { store, state } = view;
  const theme = view.theme();
  const swatch = (rgb, text) => {
    const box = h("span", { class: "tv-swatch" });
    box.style.background = css(rgb);
    return h("span", {}, box, text);
  };
  const ramp = (low, high) => {
    const box = h("span", { class: "tv-ramp" });
    box.style.background = gradient(theme);
    return h("span", {}, low, box, high);
  };
  const yes = (text) => swatch(amount(YES, theme), text);
  const no = (text) => swatch(amount(NO, theme), text);
  const { layer, expert } = view.oneExpert();
  switch (state.mode) {
    case "gate": return [ramp("gate 0", "1")];
    case "margin": return [ramp("margin 0", view.highestMargin().toFixed(1)), "logits to the best expert not chosen"];
    case "same": return [yes(`the same expert as ${nameOf(store, view.current())}`), no("another")];
    case "before": return [yes("the same expert as the word before"), no("another")];
    case "one": return [
      yes(`went to expert ${expert} of layer ${store.layers[layer]}`),
      swatch(amount(ASIDE, theme), "the same words in other layers"), no("other words")];
    default: return ["expert", ...names.map((name, index) => swatch(PALETTE[index], name))];
  }
}

export function createMap(view) {
  const { store, state } = view;
  const readout = h("p", { class: "tv-note" }, HINT);
  const legend = h("p", { class: "tv-legend" });
  const mode = dropdown("What the overview shows", (key) => view.set({ mode: key }, "map"), String);
  const place = ({ column, row }) => ({ token: column, m: row });

  const grid = createGrid(view, {
    label: "Overview of experts, layers down and words across; arrow keys choose a word and a layer",
    columns: () => store.n,
    rows: () => store.layers.length,
    rowName: (m) => `layer ${store.layers[m]}`,
    foot: AXIS,
    // what is known of the last word may still change, so the count of settled ones belongs to the key
    key: () => [store.run, store.n, store.settled, state.mode,
      state.mode === "same" ? view.current() : "", Object.values(view.oneExpert())].join(),
    fill(pixels, from, to) {
      const paint = painterOf(view);
      let at = 0;
      for (let m = 0; m < store.layers.length; m++) for (let i = from; i < to; i++) pixels[at++] = paint(i, m);
    },
    text: (i, m) => String(store.expert(i, m)),
    cursor: () => ({ column: view.current(), row: store.layers.indexOf(state.layer) }),
    follows: () => state.selected < 0 && !store.done,
    hover(cell) {
      view.hover(cell ? cell.column : -1);
      readout.textContent = cell ? told(place(cell)) : HINT;
    },
    pick: ({ column, row }) => view.select(column, "map", store.layers[row] ?? state.layer),
    below: ground,
  });

  function told({ token, m }) {
    const margin = store.margin(token, m);
    const sure = Number.isNaN(margin) ? "" : `; margin ${margin.toFixed(2)}`;
    return `layer ${store.layers[m]}, ${nameOf(store, token)} (token ${token}): ${routingOf(store, token, m)}${sure}`;
  }

  /** Under the map: which columns are a picture, which the prompt, which the answer. */
  function ground(pen, { width, from, to, x, top, inks }) {
    const kind = (i) =>
      store.generated(i) ? "answer" : store.modality(i) !== MODALITY.text && store.image.data[i] >= 0
        ? imageName(store, store.image.data[i]) : "prompt";
    for (let start = from; start < to;) {
      let stop = start + 1;
      while (stop < to && kind(stop) === kind(start)) stop++;
      const name = kind(start);
      const answer = name === "answer";
      const colour = answer ? inks.accent : name === "prompt" ? inks.line : inks.soft;
      pen.rect(x(start), top + 3, (stop - start) * width - Math.min(1, width / 2), answer ? 4 : 3, colour);
      const size = pen.measure(name);
      if (answer || (name !== "prompt" && size < (stop - start) * width)) {
        pen.text(name, Math.min(x(start), x(to) - size), top + 9, { fill: inks.soft, baseline: "top" });
      }
      start = stop;
    }
  }

  function table() {
    const ranks = [...Array(store.rank).keys()];
    const rows = [];
    for (let i = 0; i < store.n; i++) {
      store.layers.forEach((layer, m) => ranks.forEach((k) => {
        const expert = store.expert(i, m, k);
        if (expert !== NOT_CAPTURED) {
          rows.push([i, store.text[i], layer, k, expert, store.gate(i, m, k), store.margin(i, m)]);
        }
      }));
    }
    return { columns: ["token", "text", "layer", "rank", "expert", "gate", "margin"], rows };
  }
  const menu = createFigureMenu(view, "Experts of every word", { table, drawing: grid.drawing });

  function draw() {
    mode.set(modesOf(store), state.mode);
    grid.draw();
    const experts = [...Array(Math.min(store.experts, MANY_EXPERTS)).keys()].map(String);
    legend.replaceChildren(...legendOf(view, experts),
      h("span", {}, h("span", { class: "tv-swatch tv-hatched" }), "not captured"));
    menu.draw(`${store.run} ${store.n} ${store.settled}`);
  }

  const tools = h("div", { class: "tv-tools" }, h("label", {}, h("span", {}, "shows"), mode.select), grid.zoom);
  const element = h("div", {}, tools, grid.element, readout, legend, menu.element);
  return { element, draw, reveal: grid.reveal, watch: grid.element };
}
