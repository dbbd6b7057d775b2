// Layers down, experts across: how many words each expert took, beside what lots would give.

import { amountPixel, css, amount, gradient } from "./colours.js";
import { binomialRange, loadOf } from "./chance.js";
import { dropdown, h } from "./elements.js";
import { createFigureMenu } from "./figure.js";
import { createGrid } from "./grid.js";
import { percent } from "./naming.js";
import { MODALITY } from "./store.js";

const BARS = 118; // px for the bars of one layer, with the experts' numbers
const ROOM = 84; // px of the highest bar
const KINDS = [["all", "all tokens"], ["patch", "picture squares"], ["prompt", "words given"], ["answer", "words written"]];

export function createLoad(view) {
  const { store, state } = view;
  const readout = h("p", { class: "tv-note" });
  const legend = h("p", { class: "tv-legend" });
  const kind = dropdown("Which tokens are counted", (key) => view.set({ counted: key }, "load"), String);
  let loads = [];
  let counted = "";
  let most = 1;
  let pointed = null;

  const wanted = (i) => {
    const patch = store.modality(i) === MODALITY.patch;
    return { all: true, patch, prompt: !patch && !store.generated(i), answer: store.generated(i) }[state.counted];
  };
  const chance = () => store.rank / Math.max(store.experts, 1);
  const share = (m, expert) => loads[m].counts[expert] / Math.max(loads[m].tokens, 1);
  const bandOf = (m) => binomialRange(loads[m].tokens, chance());

  function count() {
    const key = [store.run, store.n, store.settled, state.counted].join();
    if (key === counted) return;
    counted = key;
    loads = store.layers.map((_, m) => loadOf(store, m, wanted));
    most = Math.max(chance(), ...store.layers.map((_, m) => Math.max(...loads[m].counts) / Math.max(loads[m].tokens, 1)));
  }

  const grid = createGrid(view, {
    label: "Load of the experts, layers down and experts across; arrow keys choose a layer and an expert",
    columns: () => store.experts,
    rows: () => store.layers.length,
    rowName: (m) => `layer ${store.layers[m]}`,
    foot: BARS,
    widest: 48,
    key: () => counted,
    fill(pixels, from, to) {
      let at = 0;
      for (let m = 0; m < store.layers.length; m++) {
        for (let expert = from; expert < to; expert++) {
          pixels[at++] = loads[m].tokens ? amountPixel(share(m, expert) / most, view.theme()) : 0;
        }
      }
    },
    cursor: () => ({ column: view.oneExpert().expert, row: view.oneExpert().layer }),
    hover: (cell) => { pointed = cell; readout.textContent = told(pointed); },
    pick: ({ column, row }) => {
      const m = row < store.layers.length ? row : view.oneExpert().layer;
      view.set({ layer: store.layers[m], expert: column }, "load");
    },
    below: bars,
  });

  /** One sentence about a cell, or about the chosen expert. */
  function told(cell) {
    const chosen = view.oneExpert();
    const expert = cell?.column ?? chosen.expert;
    const m = cell && cell.row < store.layers.length ? cell.row : chosen.layer;
    if (!loads[m]?.tokens) return "No token of this kind was captured.";
    const [low, high] = bandOf(m);
    const took = loads[m].counts[expert];
    const verdict = took > high ? "more than lots would give" : took < low ? "fewer than lots would give"
      : "as lots might give";
    return `Expert ${expert} of layer ${store.layers[m]} took ${took} of ${loads[m].tokens} tokens, `
      + `${percent(share(m, expert))}: ${verdict} (${low} to ${high}).`;
  }

  /** Below the cells: the chosen layer as bars, with the level and the band of chance. */
  function bars(pen, { width, from, to, x, top, inks }) {
    const { layer: m, expert: chosen } = view.oneExpert();
    const { tokens } = loads[m] ?? {};
    if (!tokens) return;
    const ground = top + 18 + ROOM;
    const [low, high] = bandOf(m).map((number) => number / tokens);
    const highest = Math.max(high, Math.max(...loads[m].counts) / tokens);
    const y = (value) => ground - (value / highest) * ROOM;
    const [left, right] = [x(from), x(to)];
    pen.text(`layer ${store.layers[m]}, highest ${percent(highest)}`, left, top + 9, { fill: inks.soft });
    pen.rect(left, y(high), right - left, y(low) - y(high), inks.raised);
    for (let expert = from; expert < to; expert++) {
      const value = share(m, expert);
      const fill = expert === chosen ? inks.accent : css(amount(0.55, view.theme()));
      const gap = width > 4 ? 1 : 0;
      pen.rect(x(expert) + gap, y(value), Math.max(width - 2 * gap, 1), ground - y(value), fill);
    }
    pen.line(left, y(chance()), right, y(chance()), inks.ink, 1, [4, 3]);
    pen.line(left, ground + 0.5, right, ground + 0.5, inks.line);
    const every = Math.max(1, Math.ceil(26 / width));
    for (let expert = from; expert < to; expert++) {
      if (expert % every && expert !== chosen) continue;
      if (expert !== chosen && Math.abs(expert - chosen) * width < 18 && width < 18) continue;
      const style = { fill: expert === chosen ? inks.accent : inks.soft, align: "center" };
      pen.text(String(expert), x(expert) + width / 2, ground + 9, style);
    }
  }

  function table() {
    const rows = store.layers.flatMap((layer, m) => {
      const [low, high] = bandOf(m);
      return Array.from(loads[m].counts, (took, expert) => [
        layer, expert, took, loads[m].tokens, share(m, expert), chance(), low, high]);
    });
    return { columns: ["layer", "expert", "tokens", "of", "share", "chance", "chance low", "chance high"], rows };
  }
  const menu = createFigureMenu(view, "Load of the experts", { table, drawing: grid.drawing });

  function explain() {
    const ramp = h("span", { class: "tv-ramp" }, h("span", { class: "tv-tick" }));
    ramp.style.background = gradient(view.theme());
    ramp.firstChild.style.insetInlineStart = `${100 * Math.min(chance() / most, 1)}%`;
    legend.replaceChildren(
      h("span", {}, "0 %", ramp, percent(most)),
      h("span", {}, h("span", { class: "tv-key tv-key-chance" }), `chance, ${percent(chance())}`),
      h("span", {}, h("span", { class: "tv-swatch tv-band" }), "where lots would put an expert in 95 of 100 runs; "
        + `about ${(0.05 * store.experts).toFixed(1)} of ${store.experts} lie outside by luck`));
  }

  function draw() {
    count();
    kind.set(KINDS, state.counted);
    grid.draw();
    explain();
    readout.textContent = told(pointed);
    menu.draw(counted);
  }

  const tools = h("div", { class: "tv-tools" }, h("label", {}, h("span", {}, "counts"), kind.select), grid.zoom);
  return { element: h("div", {}, tools, grid.element, readout, legend, menu.element), draw, watch: grid.element };
}
