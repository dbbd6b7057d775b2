// The pictures, at their true aspect: where the chosen word looked, or which expert took each square.

import { MANY_EXPERTS, PALETTE, css } from "./colours.js";
import { KEYS, choices, h } from "./elements.js";
import { createFigureMenu } from "./figure.js";
import { createHeads, headsName } from "./heads.js";
import { looksOf } from "./looks.js";
import { imageName, nameOf, percent, routingOf } from "./naming.js";
import { outline, paintAttention, paintExperts, shapesOf } from "./overlays.js";
import { neighbour, patchAt, patchesOf } from "./patches.js";
import { placeOf } from "./shade.js";
import { NOT_CAPTURED } from "./store.js";

const TOLD = 5; // words that looked at a square most
const MARGIN = 12; // px between pictures in a drawing
const CAPTION = 150; // px that a caption needs there

export function createPictures(view) {
  const { store, state } = view;
  const heading = h("h2", {}, "Pictures");
  const lead = h("p", { class: "tv-lead" });
  const grid = h("div", { class: "tv-pictures" });
  const note = h("p", { class: "tv-note" });
  const overlay = choices("What is painted on the pictures", [["gaze", "attention"], ["experts", "experts"]], "gaze",
    (key) => view.set({ overlay: key }, "pictures"));
  const paint = choices("Which cut of the pictures is painted",
    [["tiles", "tiles"], ["thumbnail", "thumbnail"], ["both", "both"]], "thumbnail",
    (key) => view.set({ paint: key }, "pictures"));
  const strength = h("input", {
    type: "range", min: "0", max: "100", value: "65", "aria-label": "Strength of the overlay", ...KEYS,
    oninput: () => view.set({ strength: Number(strength.value) / 100 }, "pictures"),
  });
  const heads = createHeads(view);
  const legend = h("p", { class: "tv-legend" });
  const tools = h("div", { class: "tv-tools" },
    overlay.row, paint.row, h("label", {}, h("span", {}, "overlay"), strength));
  let figures = [];
  let run = null;
  let rest = "";

  function build() {
    figures = store.images.map((image, index) => {
      const canvas = h("canvas", { "aria-hidden": "true" });
      const picture = h("img", { src: image.src, alt: "", draggable: "false" });
      const frame = h("div", {
        class: "tv-frame", tabindex: "0", role: "group", ...KEYS,
        "aria-label": `${imageName(store, index)}; arrow keys choose a square of it`,
        onkeydown: (event) => walk(event, index),
        onpointermove: (event) => tell(squareAt(event, index), index),
        onpointerleave: () => { note.textContent = rest; },
        onclick(event) {
          const p = squareAt(event, index);
          if (p >= 0) view.select(image.token[p], "pictures");
        },
      }, picture, canvas);
      frame.style.aspectRatio = `${image.width} / ${image.height}`;
      const share = h("span", { class: "tv-share" });
      const fill = h("span", { class: "tv-fill" });
      const meter = h("span", { class: "tv-bar", "aria-hidden": "true" }, fill);
      const figure = h("figure", { "data-image": index }, frame,
        h("figcaption", {}, h("span", { class: "tv-name" }, imageName(store, index)), share, meter));
      figure.style.setProperty("--tv-aspect", image.width / image.height);
      return { figure, frame, picture, canvas, share, meter, fill };
    });
    grid.replaceChildren(...figures.map(({ figure }) => figure));
    grid.style.setProperty("--tv-height", figures.length > 2 ? "150px" : "260px");
  }

  function squareAt(event, index) {
    const image = store.images[index];
    const box = figures[index].frame.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * image.width;
    const y = ((event.clientY - box.top) / box.height) * image.height;
    return patchAt(image, view.paint(), x, y);
  }

  /** Arrow keys go from square to square, from the first one if none of this picture is chosen. */
  function walk(event, index) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    const image = store.images[index];
    const at = store.patchOf.get(state.selected);
    const p = at?.[0] === index ? neighbour(image, view.paint(), at[1], ...step)
      : patchesOf(image, view.paint())[0]?.p ?? -1;
    if (p >= 0) view.select(image.token[p], "pictures");
    event.preventDefault();
    event.stopPropagation();
  }

  function tell(p, index) {
    if (p < 0) return void (note.textContent = rest);
    const image = store.images[index];
    const map = view.attention();
    const [x0, y0, x1, y1] = [...image.box.subarray(4 * p, 4 * p + 4)].map(Math.round);
    const m = view.layerPlace();
    const share = state.overlay === "experts" ? `: layer ${store.layers[m]}, ${routingOf(store, image.token[p], m)}`
      : map?.decoded ? `: ${percent((map.decoded[index][p] / 255) * map.peak)} of the attention` : "";
    const cut = image.thumbnail[p] ? "thumbnail" : "tile";
    note.textContent = `${imageName(store, index)}, ${cut} square ${x0}–${x1} × ${y0}–${y1} px${share}`;
  }

  function controls() {
    const kinds = new Set(store.images.flatMap((image) => [...image.thumbnail]));
    overlay.row.hidden = !store.attentionInfo || !store.layers.length;
    overlay.set(state.overlay);
    paint.row.hidden = kinds.size < 2;
    paint.set(view.paint());
    heads.element.hidden = !store.attentionInfo || state.overlay === "experts";
    heads.draw();
    strength.value = Math.round(100 * state.strength);
  }

  /** One sentence when there is nothing to paint. */
  function obstacle(token, map) {
    const why = store.noAttention ? `No attention: ${store.noAttention}.` : "No attention was captured in this trace.";
    if (!store.attentionInfo) return store.done ? why : "";
    if (token < 0) return "";
    if (!store.generated(token)) {
      return lookers() ?? "Only generated words have captured attention: choose one with a thick underline.";
    }
    if (map) return map.missing ?? "";
    return view.asks ? "…" : "To stay small this page keeps no map of this layer and head: choose the default layer "
      + "and the mean.";
  }

  /** Which words looked at the chosen square most; null if none is chosen. */
  function lookers() {
    const place = placeOf(view);
    if (!place || place.patch < 0) return null;
    const most = [...looksOf(store, place)].sort((a, b) => b[1] - a[1]).slice(0, TOLD);
    if (!most.length) return view.asks ? "…" : null;
    const words = most.map(([token, share]) => `${nameOf(store, token)} ${percent(share)}`);
    return `Looked at this square most: ${words.join(", ")}; the words above are shaded by it.`;
  }

  /** While words still come, the newest one whose map is there: nobody sees pictures that flicker. */
  function painted(token) {
    const { selected, hover, attentionHead } = state;
    const follows = !store.done && selected < 0 && hover < 0;
    for (let i = token; follows && i > 0 && store.generated(i); i--) {
      if (store.attention(i, view.attentionLayer(), attentionHead)?.decoded) return i;
    }
    return token;
  }

  function drawGaze(token) {
    const map = store.attention(token, view.attentionLayer(), state.attentionHead);
    const live = map?.decoded ? map : null;
    const shapes = live ? shapesOf(store, live, view.paint()) : [];
    const peak = Math.max(0, ...shapes.map((shape) => shape.peak));
    store.images.forEach((image, index) => {
      const { canvas, share, meter, fill } = figures[index];
      const seen = live?.images[index];
      share.textContent = seen ? `${percent(seen.tiles + seen.thumbnail)} of attention` : "";
      share.title = seen ? `tiles ${percent(seen.tiles)}, thumbnail ${percent(seen.thumbnail)}` : "";
      fill.style.inlineSize = seen ? `${100 * (seen.tiles + seen.thumbnail)}%` : "0";
      meter.style.visibility = seen ? "visible" : "hidden"; // the place stays, so that nothing jumps
      paintAttention(canvas, image, shapes[index], peak, state.strength);
    });
    heading.textContent = live ? `Where it looked when writing ${nameOf(store, token)}` : "Pictures";
    lead.textContent = obstacle(token, map);
    rest = live ? `The rest, ${percent(live.rest)}, went to words and markers.` : "";
    if (live) {
      const strongest = view.paint() === "both" ? "most" : percent((peak / 255) * live.peak);
      legend.replaceChildren(
        h("span", {}, "0 %", h("span", { class: "tv-ramp tv-veil" }), strongest),
        h("span", {}, "bright: looked at, dark: not"),
        h("span", {}, h("span", { class: "tv-swatch tv-outlined" }), "at least half of the strongest"));
    }
    legend.hidden = !live;
    view.root.dataset.attention = live ? `${token}:${view.attentionLayer()}:${state.attentionHead}:${view.paint()}` : "";
  }

  function drawExperts() {
    const m = view.layerPlace();
    const layer = store.layers[m];
    store.images.forEach((image, index) => {
      const { canvas, share, meter } = figures[index];
      const tokens = patchesOf(image, view.paint()).map(({ token }) => store.expert(token, m)).filter((e) => e >= 0);
      share.textContent = tokens.length ? `${new Set(tokens).size} experts for ${tokens.length} squares` : "";
      share.title = "";
      meter.style.visibility = "hidden";
      paintExperts(canvas, image, view);
    });
    heading.textContent = `Experts of every square in layer ${layer}`;
    const { expert } = view.oneExpert();
    const many = store.experts > MANY_EXPERTS || state.expert >= 0;
    lead.textContent = many ? `Dark or bright against the others: squares of expert ${expert}. Choose a layer or an expert `
      + "in the table, or a square." : "Choose a layer in the table of experts, or point at a square.";
    rest = lookers() ?? "";
    legend.hidden = many;
    legend.replaceChildren("expert", ...PALETTE.slice(0, many ? 0 : store.experts).map((rgb, index) => {
      const box = h("span", { class: "tv-swatch" });
      box.style.background = css(rgb);
      return h("span", {}, box, String(index));
    }));
    view.root.dataset.attention = "";
  }

  function table() {
    const m = view.layerPlace();
    const token = painted(view.current());
    const map = store.attention(token, view.attentionLayer(), state.attentionHead);
    const rows = store.images.flatMap((image, index) => [...image.token].map((square, p) => [
      imageName(store, index), image.thumbnail[p] ? "thumbnail" : "tile",
      ...[...image.box.subarray(4 * p, 4 * p + 4)].map((v) => Math.round(10 * v) / 10),
      map?.decoded ? (map.decoded[index][p] / 255) * map.peak : null,
      m >= 0 && store.expert(square, m) !== NOT_CAPTURED ? store.expert(square, m) : null,
    ]));
    const gaze = `attention of token ${token}, layer ${view.attentionLayer()}, ${headsName(state.attentionHead)}`;
    return { columns: ["picture", "cut", "x0", "y0", "x1", "y1", gaze, `expert in layer ${store.layers[m] ?? "-"}`], rows };
  }

  /** Pictures and overlays as they stand on the page, in one row. */
  function drawing() {
    const sizes = figures.map(({ frame }) => [frame.clientWidth, frame.clientHeight]);
    const room = (width) => Math.max(width, CAPTION) + MARGIN;
    const inks = view.inks();
    const title = heading.textContent;
    return {
      width: sizes.reduce((sum, [width]) => sum + room(width), MARGIN),
      height: Math.max(...sizes.map(([, height]) => height)) + 60,
      paint(pen) {
        pen.text(title, MARGIN, 16, { fill: inks.ink, size: 13, weight: 600 });
        let x = MARGIN;
        figures.forEach(({ picture, canvas, share }, index) => {
          const [width, height] = sizes[index];
          pen.picture(picture, x, 32, width, height);
          if (canvas.width) pen.picture(canvas, x, 32, width, height);
          pen.text(`${imageName(store, index)}  ${share.textContent}`, x, height + 46, { fill: inks.soft });
          x += room(width);
        });
      },
    };
  }
  const menu = createFigureMenu(view, view.label("Pictures"), { table, drawing });

  function draw(newest) {
    section.hidden = !store.images.length;
    if (section.hidden) return;
    if (run !== store.run) build();
    run = store.run;
    controls();
    const before = rest;
    if (state.overlay === "experts" && store.layers.length) drawExperts();
    else drawGaze(painted(newest));
    const at = store.patchOf.get(newest);
    if (at) outline(figures[at[0]].canvas, store.images[at[0]], at[1], view.inks().accent);
    if (note.textContent === before) note.textContent = rest;
    lead.hidden = !lead.textContent;
    menu.draw([store.run, newest, view.attentionLayer(), state.attentionHead, view.layerPlace(), rest].join());
  }

  const section = h("section", { "aria-label": view.label("Pictures") },
    heading, lead, grid, note, legend, tools, heads.element, menu.element);
  return { element: section, draw, watch: grid };
}
