// Two traces of one question beside each other, with what differs marked: words, routing, attention.

import { ASIDE, NO, YES, amount, amountPixel, css } from "./colours.js";
import { createContext } from "./context.js";
import { createDifferences } from "./differences.js";
import { dropdown, h } from "./elements.js";
import { createFigureMenu } from "./figure.js";
import { createGrid } from "./grid.js";
import { nameOf, percent, routingOf } from "./naming.js";
import { shadesOf } from "./shade.js";
import { NOT_CAPTURED, TraceStore } from "./store.js";
import { watchTheme } from "./theme.js";
import { createTraceView } from "./view.js";

const READING_HINT = "Each column is a word, each row a layer. Point at a cell to read both, click to keep it.";

/** Stores of a `compare` message, as payload_compare.py describes it. */
export function readComparison(message) {
  const [left, right] = [new TraceStore(), new TraceStore()];
  left.apply(message.left);
  right.apply(message.right);
  return { left, right, names: message.names, shared: message.shared };
}

/** Where the two answers part, and how much of the routing of the same words differs. */
export function summaryOf(left, right, names, differences) {
  const at = differences.parting();
  const word = (store, i) => (i < store.n ? nameOf(store, i) : "nothing more");
  const parts = [at < 0 ? "Both traces have the same words."
    : `The same words up to token ${at}; there ${names[0]} has ${word(left, at)}, ${names[1]} ${word(right, at)}.`];
  const { choices, flips, layers } = differences.count();
  if (choices) {
    const share = layers.map((layer) => layer.flips / Math.max(layer.choices, 1));
    const most = share.indexOf(Math.max(...share));
    const where = flips ? `, most in layer ${left.layers[most]} (${percent(share[most])})` : "";
    parts.push(`Of ${choices} choices of experts for these words ${flips} differ, ${percent(flips / choices)}${where}.`);
  }
  return parts;
}

/**
 * Show two stores beside each other.
 *
 * options: left and right (TraceStore), names, shared (tokens from the first on that are the same), and css,
 * onChange, requestAttention as for createTraceView; numbers of tokens are those of the left trace, questions carry
 * the run of their side. Returns {root, set, destroy}.
 */
export function createCompareView(element, { left, right, names, shared, css: style, ...options }) {
  const differences = createDifferences(left, right, shared);
  const root = h("div", { class: "tv tv-compare", "data-done": "false" });
  let frame = 0;
  const schedule = () => { frame ||= requestAnimationFrame(draw); };
  const view = createContext(left, root, { schedule, report: () => {}, asks: false });
  const { state } = view;
  view.words = { wholePicture: () => null, reveal() {} };
  if (style) root.append(Object.assign(h("style"), { textContent: style }));

  const differs = (store, other, find) => (token) => {
    const at = find(token);
    if (token < shared || !store.generated(token)) return undefined;
    return at >= 0 && store.text[token] === other.text[at] ? "later" : "word";
  };
  const side = (store, other, find, toLeft) => {
    const name = names[store === left ? 0 : 1];
    const place = h("div", { class: "tv-side" }, h("h2", {}, name));
    const shown = createTraceView(place, {
      store, name, beside: other, experts: false, overview: false, differs: differs(store, other, find),
      requestAttention: options.requestAttention,
      onChange: (change) => follow(change, toLeft(change.selected), store),
    });
    return { place, shown };
  };

  /** A choice on one side is a choice on both. */
  function follow(change, token, from) {
    const { selected_layer: layer, attention_layer: attentionLayer, attention_head: attentionHead } = change;
    Object.assign(state, { selected: token, layer, attentionLayer, attentionHead });
    const chosen = { selected_layer: layer, attention_layer: attentionLayer, attention_head: attentionHead };
    if (from !== left) a.shown.set({ ...chosen, selected: token });
    if (from !== right) b.shown.set({ ...chosen, selected: differences.partner(token) });
    grid.reveal(token);
    schedule();
    if (!from) return;
    options.onChange?.({ ...change, run: left.run, selected: token });
  }

  const a = side(left, right, differences.partner, (token) => token);
  const b = side(right, left, differences.origin, differences.origin);
  const shading = dropdown("What the words of both are shaded by", (shade) => {
    state.shade = shade;
    for (const { shown } of [a, b]) shown.set({ shade });
  }, String);
  const summary = h("div", { class: "tv-summary" });
  const readout = h("p", { class: "tv-note" }, READING_HINT);
  const legend = h("p", { class: "tv-legend" });
  const head = h("tr", {}, ...["Layer", ...names].map((name) => h("th", { scope: "col" }, name)));
  const body = h("tbody");
  const title = h("h2");
  const live = h("p", { class: "tv-live", role: "status", "aria-live": "polite" });

  const grid = createGrid(view, {
    label: "Differences in routing, layers down and words across; arrow keys choose a word and a layer",
    columns: () => left.n,
    rows: () => left.layers.length,
    rowName: (m) => `layer ${left.layers[m]}`,
    foot: 24,
    key: () => [left.n, right.n].join(),
    fill(pixels, from, to) {
      const colour = (share) => amountPixel(share, view.theme());
      const [yes, no, aside] = [colour(YES), colour(NO), colour(ASIDE)];
      let at = 0;
      for (let m = 0; m < left.layers.length; m++) {
        for (let i = from; i < to; i++) {
          const agreed = differences.same(i, m);
          pixels[at++] = agreed === null ? 0 : i >= shared ? aside : agreed ? no : yes;
        }
      }
    },
    text: (i, m) => String(right.expert(differences.partner(i), m)),
    cursor: () => ({ column: token(), row: left.layers.indexOf(state.layer) }),
    hover: (cell) => { readout.textContent = cell ? told(cell.column, cell.row) : READING_HINT; },
    pick: ({ column, row }) => choose(column, left.layers[row] ?? state.layer),
    below(pen, { x, top, inks }) {
      const at = differences.parting();
      if (at < 0) return;
      pen.rect(x(at) - 1, 0, 2, top + 8, inks.accent);
      pen.text("part here", Math.max(x(at) - 24, 60), top + 15, { fill: inks.soft });
    },
  });

  /** The token of the left trace that everything is about. */
  const token = () => {
    const at = differences.parting();
    return state.selected >= 0 ? state.selected : Math.min(at < 0 ? left.n : at, left.n - 1);
  };

  function choose(selected, layer) {
    const change = {
      selected_layer: layer, attention_layer: state.attentionLayer, attention_head: state.attentionHead,
    };
    follow(change, selected, null);
    options.onChange?.({ ...change, run: left.run, selected, source: "differences" });
  }

  function told(i, m) {
    const j = differences.partner(i);
    const there = j < 0 ? "no such word" : routingOf(right, j, m);
    return `layer ${left.layers[m]}, ${nameOf(left, i)} (token ${i}): ${names[0]} ${routingOf(left, i, m)}; `
      + `${names[1]} ${there}${i >= shared ? "; the words before differ" : ""}`;
  }

  function table() {
    const rows = [];
    for (let i = 0; i < left.n; i++) {
      const j = differences.partner(i);
      left.layers.forEach((layer, m) => {
        const agreed = differences.same(i, m);
        if (agreed === null) return;
        rows.push([i, left.text[i], right.text[j], i < shared ? "same" : "different", layer, left.expert(i, m),
          right.expert(j, m), left.gate(i, m), right.gate(j, m), agreed ? "same" : "differ"]);
      });
    }
    const pair = (what) => names.map((name) => `${what} ${name}`);
    return {
      columns: ["token", ...pair("text"), "words before", "layer", ...pair("expert"), ...pair("gate"), "experts"], rows,
    };
  }
  const menu = createFigureMenu(view, "Differences in routing", { table, drawing: grid.drawing });

  function drawTable() {
    const i = token();
    const j = differences.partner(i);
    const other = j >= 0 && right.text[j] !== left.text[i] ? ` and ${nameOf(right, j)}` : "";
    title.textContent = `Experts for ${nameOf(left, i)}${other}`;
    const cell = (store, at, m) => h("td", {}, at < 0 || store.expert(at, m) === NOT_CAPTURED
      ? h("span", { class: "tv-missing" }, "not captured") : routingOf(store, at, m));
    body.replaceChildren(...left.layers.map((layer, m) => h("tr", {
      "data-layer": layer, "data-chosen": layer === state.layer, "data-differs": i < shared && differences.same(i, m) === false,
      onclick: () => choose(i, layer),
    }, h("th", { scope: "row" }, String(layer)), cell(left, i, m), cell(right, j, m))));
  }

  function explain() {
    const swatch = (share, text) => {
      const box = h("span", { class: "tv-swatch" });
      box.style.background = css(amount(share, view.theme()));
      return h("span", {}, box, text);
    };
    legend.replaceChildren(swatch(NO, "same experts"), swatch(YES, "other experts"),
      swatch(ASIDE, "after the words part: not compared"),
      h("span", {}, h("span", { class: "tv-swatch tv-hatched" }), "not captured in both"));
  }

  const empty = () => !left.n || !right.n;
  const routing = h("section", { "aria-label": "Differences in routing" },
    h("div", { class: "tv-head" }, h("h2", {}, "Every word in every layer"), grid.zoom),
    grid.element, readout, legend, menu.element);
  const experts = h("section", { "aria-label": "Experts of both" }, title,
    h("div", { class: "tv-table", tabindex: "0", role: "group", "aria-label": "Experts of both by layer" },
      h("table", {}, h("thead", {}, head), body)));
  const tools = h("div", { class: "tv-tools" }, h("label", {}, h("span", {}, "words shaded by"), shading.select));
  root.append(summary, live, tools, h("div", { class: "tv-sides" }, a.place, b.place), routing, experts);

  function draw() {
    frame = 0;
    if (!root.clientWidth || empty()) return;
    view.refresh(true);
    summary.replaceChildren(...summaryOf(left, right, names, differences).map((text) => h("p", {}, text)));
    const others = shadesOf(right).map(([key]) => key);
    shading.set(shadesOf(left).filter(([key]) => others.includes(key)), state.shade);
    routing.hidden = experts.hidden = !left.layers.length;
    if (left.layers.length) {
      grid.draw();
      explain();
      drawTable();
      menu.draw(`${left.n} ${right.n}`);
    }
    if (state.selected >= 0) live.textContent = told(state.selected, Math.max(left.layers.indexOf(state.layer), 0));
    Object.assign(root.dataset, { done: left.done && right.done, token: token() });
  }

  element.append(root);
  const stops = [left.subscribe(schedule), right.subscribe(schedule), watchTheme(schedule)];
  const sizes = new ResizeObserver(schedule);
  sizes.observe(grid.element);
  schedule();
  return {
    root,
    set(change) {
      const now = {
        selected: state.selected, selected_layer: state.layer,
        attention_layer: state.attentionLayer, attention_head: state.attentionHead,
      };
      follow({ ...now, ...change }, change.selected ?? state.selected, null);
    },
    destroy() {
      cancelAnimationFrame(frame);
      for (const stop of stops) stop();
      sizes.disconnect();
      a.shown.destroy();
      b.shown.destroy();
      root.remove();
    },
  };
}
