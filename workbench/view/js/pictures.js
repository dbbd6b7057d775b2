// The pictures, with what the chosen word looked at.

import { imageName, nameOf, percent } from "./naming.js";
import { css } from "./colours.js";
import { KEYS, choices, dropdown, h } from "./elements.js";
import { cellsOf, kindOf } from "./patches.js";

export function createPictures(view) {
  const { store } = view;
  const heading = h("h2", {}, "Pictures");
  const lead = h("p", { class: "tv-lead" });
  const grid = h("div", { class: "tv-pictures" });
  const note = h("p", { class: "tv-note" });
  const layer = dropdown("Layer of the attention", (key) => view.set({ attentionLayer: key }, "pictures"));
  const head = dropdown("Head of the attention", (key) => view.set({ attentionHead: key }, "pictures"));
  const paint = choices("Which cut of the pictures is painted",
    [["tiles", "tiles"], ["thumbnail", "thumbnail"], ["both", "both"]], "thumbnail",
    (key) => view.set({ paint: key }, "pictures"));
  const strength = h("input", {
    type: "range", min: "0", max: "100", value: "65", "aria-label": "Strength of the overlay", ...KEYS,
    oninput: () => view.set({ strength: Number(strength.value) / 100 }, "pictures"),
  });
  const strongest = h("span");
  const legend = h("p", { class: "tv-legend" },
    h("span", {}, "0 %", h("span", { class: "tv-ramp tv-veil" }), strongest),
    h("span", {}, "bright: looked at, dark: not"),
    h("span", {}, h("span", { class: "tv-swatch tv-outlined" }), "at least half of the strongest"));
  const tools = h("div", { class: "tv-tools" },
    h("label", {}, h("span", {}, "layer"), layer.select), h("label", {}, h("span", {}, "head"), head.select),
    paint.row, h("label", {}, h("span", {}, "overlay"), strength));
  let figures = [];
  let run = null;
  let rest = "";

  function build() {
    figures = store.images.map((image, index) => {
      const canvas = h("canvas", { "aria-hidden": "true" });
      const picture = h("img", { src: image.src, alt: imageName(store, index), draggable: "false" });
      const frame = h("div", { class: "tv-frame" }, picture, canvas);
      frame.style.aspectRatio = `${image.width} / ${image.height}`;
      const share = h("span", { class: "tv-share" });
      const fill = h("span", { class: "tv-fill" });
      const meter = h("span", { class: "tv-bar", "aria-hidden": "true" }, fill);
      frame.addEventListener("pointermove", (event) => tell(event, index));
      frame.addEventListener("pointerleave", () => { note.textContent = rest; });
      frame.addEventListener("click", (event) => {
        const p = patchAt(event, index);
        if (p >= 0) view.select(image.token[p], "pictures");
      });
      const figure = h("figure", { "data-image": index }, frame,
        h("figcaption", {}, h("span", { class: "tv-name" }, imageName(store, index)), share, meter));
      figure.style.setProperty("--tv-aspect", image.width / image.height);
      return { figure, frame, canvas, share, meter, fill };
    });
    grid.replaceChildren(...figures.map(({ figure }) => figure));
    grid.style.setProperty("--tv-height", figures.length > 2 ? "150px" : "260px");
  }

  function patchAt(event, index) {
    const image = store.images[index];
    const box = figures[index].frame.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * image.width;
    const y = ((event.clientY - box.top) / box.height) * image.height;
    const wanted = kindOf(image, view.paint());
    return image.token.findIndex((_, p) => image.thumbnail[p] === wanted && x >= image.box[4 * p]
      && y >= image.box[4 * p + 1] && x < image.box[4 * p + 2] && y < image.box[4 * p + 3]);
  }

  function tell(event, index) {
    const p = patchAt(event, index);
    if (p < 0) return void (note.textContent = rest);
    const image = store.images[index];
    const map = view.attention();
    const [x0, y0, x1, y1] = [...image.box.subarray(4 * p, 4 * p + 4)].map(Math.round);
    const share = map?.decoded ? `: ${percent((map.decoded[index][p] / 255) * map.peak)} of the attention` : "";
    const cut = image.thumbnail[p] ? "thumbnail" : "tile";
    note.textContent = `${imageName(store, index)}, ${cut} square ${x0}–${x1} × ${y0}–${y1} px${share}`;
  }

  function controls() {
    const info = store.attentionInfo;
    const kinds = new Set(store.images.flatMap((image) => [...image.thumbnail]));
    tools.hidden = !info;
    paint.row.hidden = kinds.size < 2;
    paint.set(view.paint());
    if (!info) return;
    const layers = info.layers.map((l) => [l, l === info.default ? `${l} (default)` : String(l)]);
    layer.set(layers, view.attentionLayer());
    const heads = [...Array(info.heads).keys()].map((k) => [k, String(k)]);
    head.set([[-1, `mean of ${info.heads}`], ...heads], view.state.attentionHead);
    strength.value = Math.round(100 * view.state.strength);
  }

  /** Cells of all pictures; kept with the map, because a word is often looked at twice. */
  function shapesOf(map, how) {
    map.shapes ??= {};
    map.shapes[how] ??= store.images.map((image, index) => cellsOf(image, map.decoded[index], how));
    return map.shapes[how];
  }

  /** One sentence when there is nothing to paint. */
  function obstacle(token, map) {
    if (!store.attentionInfo) return store.done ? "No attention was captured in this trace." : "";
    if (token < 0) return "";
    if (!store.generated(token)) {
      return "Only generated words have captured attention: choose one with a thick underline.";
    }
    if (map) return map.missing ?? "";
    return view.asks ? "…" : "The map of this single head is not kept in this page: choose the mean.";
  }

  /** While words still come, the newest one whose map is there: nobody sees pictures that flicker. */
  function painted(token) {
    const { selected, hover, attentionHead } = view.state;
    const follows = !store.done && selected < 0 && hover < 0;
    for (let i = token; follows && i > 0 && store.generated(i); i--) {
      if (store.attention(i, view.attentionLayer(), attentionHead)?.values) return i;
    }
    return token;
  }

  function draw(newest) {
    section.hidden = !store.images.length;
    if (section.hidden) return;
    if (run !== store.run) build();
    run = store.run;
    controls();
    const token = painted(newest);
    const map = store.attention(token, view.attentionLayer(), view.state.attentionHead);
    const live = map?.decoded ? map : null;
    const why = obstacle(token, map);
    heading.textContent = live ? `Where it looked when writing ${nameOf(store, token)}` : "Pictures";
    lead.textContent = why;
    lead.hidden = !why;
    legend.hidden = !live;
    const shapes = live ? shapesOf(live, view.paint()) : [];
    const peak = Math.max(0, ...shapes.map((shape) => shape.peak));
    store.images.forEach((image, index) => {
      const { canvas, share, meter, fill } = figures[index];
      const seen = live?.images[index];
      share.textContent = seen ? `${percent(seen.tiles + seen.thumbnail)} of attention` : "";
      share.title = seen ? `tiles ${percent(seen.tiles)}, thumbnail ${percent(seen.thumbnail)}` : "";
      fill.style.inlineSize = seen ? `${100 * (seen.tiles + seen.thumbnail)}%` : "0";
      meter.style.visibility = seen ? "visible" : "hidden"; // the place stays, so that nothing jumps
      veil(canvas, image, shapes[index], peak);
      outline(canvas, image, store.patchOf.get(token), index);
    });
    const before = rest;
    rest = live ? `The rest, ${percent(live.rest)}, went to words and markers.` : "";
    if (note.textContent === before) note.textContent = rest;
    if (live) {
      strongest.textContent = view.paint() === "both" ? "most" : percent((peak / 255) * live.peak);
    }
    const { attentionHead: which } = view.state;
    view.root.dataset.attention = live ? `${token}:${view.attentionLayer()}:${which}:${view.paint()}` : "";
  }

  function veil(canvas, image, shape, peak) {
    const scale = window.devicePixelRatio || 1;
    const across = canvas.clientWidth * scale;
    const down = canvas.clientHeight * scale;
    canvas.width = Math.round(across);
    canvas.height = Math.round(down);
    if (!shape || !peak) return;
    const context = canvas.getContext("2d");
    const night = [10, 16, 48]; // one hue: less of it means more attention, on any picture and in print
    const px = shape.xs.map((x) => Math.round((x / image.width) * across));
    const py = shape.ys.map((y) => Math.round((y / image.height) * down));
    const strong = new Path2D();
    const level = (x, y) =>
      x >= 0 && y >= 0 && x < shape.across && y < py.length - 1 ? shape.grid[y * shape.across + x] / peak : 0;
    for (let y = 0; y < py.length - 1; y++) {
      for (let x = 0; x < shape.across; x++) {
        const value = level(x, y);
        context.fillStyle = css(night, view.state.strength * (1 - value));
        context.fillRect(px[x], py[y], px[x + 1] - px[x], py[y + 1] - py[y]);
        if (value < 0.5) continue;
        const line = (x0, y0, x1, y1) => { strong.moveTo(x0, y0); strong.lineTo(x1, y1); };
        if (level(x - 1, y) < 0.5) line(px[x], py[y], px[x], py[y + 1]);
        if (level(x + 1, y) < 0.5) line(px[x + 1], py[y], px[x + 1], py[y + 1]);
        if (level(x, y - 1) < 0.5) line(px[x], py[y], px[x + 1], py[y]);
        if (level(x, y + 1) < 0.5) line(px[x], py[y + 1], px[x + 1], py[y + 1]);
      }
    }
    if (!view.state.strength) return;
    context.lineCap = "square";
    context.lineWidth = 4 * scale;
    context.strokeStyle = "rgb(10 16 48 / 0.85)";
    context.stroke(strong);
    context.lineWidth = 2 * scale;
    context.strokeStyle = "#fff";
    context.stroke(strong);
  }

  function outline(canvas, image, patch, index) {
    if (!patch || patch[0] !== index) return;
    const [x0, y0, x1, y1] = image.box.subarray(4 * patch[1], 4 * patch[1] + 4);
    if (Number.isNaN(x0)) return;
    const sx = canvas.width / image.width;
    const sy = canvas.height / image.height;
    const context = canvas.getContext("2d");
    const accent = getComputedStyle(view.root).getPropertyValue("--tv-accent");
    for (const [line, colour] of [[6, "#fff"], [3, accent]]) {
      context.lineWidth = line;
      context.strokeStyle = colour;
      context.strokeRect(x0 * sx, y0 * sy, (x1 - x0) * sx, (y1 - y0) * sy);
    }
  }

  const section = h("section", { "aria-label": "Pictures" }, heading, lead, grid, note, legend, tools);
  return { element: section, draw, watch: grid };
}
