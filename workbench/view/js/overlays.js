// What is painted over a picture: where a word looked, or which expert took each square.

import { MANY_EXPERTS, NO, PALETTE, YES, amount, css, inkOn } from "./colours.js";
import { cellsOf, patchesOf } from "./patches.js";
import { NOT_CAPTURED } from "./store.js";

const NIGHT = [10, 16, 48]; // one hue: less of it means more attention, on any picture and in print
const HALF = 0.5; // of the strongest: what is above it gets an outline
const ROOMY = 15; // px a square needs for a number

/** A fresh context in the size of the canvas on the screen; null while it has none. */
function contextOf(canvas) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * scale);
  canvas.height = Math.round(canvas.clientHeight * scale);
  return canvas.width && canvas.height ? canvas.getContext("2d") : null;
}

/** Darken a picture where a word did not look, and outline where it looked most. */
export function paintAttention(canvas, image, shape, peak, strength) {
  const context = contextOf(canvas);
  if (!context || !shape || !peak) return;
  const px = shape.xs.map((x) => Math.round((x / image.width) * canvas.width));
  const py = shape.ys.map((y) => Math.round((y / image.height) * canvas.height));
  const strong = new Path2D();
  const level = (x, y) =>
    x >= 0 && y >= 0 && x < shape.across && y < py.length - 1 ? shape.grid[y * shape.across + x] / peak : 0;
  const line = (x0, y0, x1, y1) => { strong.moveTo(x0, y0); strong.lineTo(x1, y1); };
  for (let y = 0; y < py.length - 1; y++) {
    for (let x = 0; x < shape.across; x++) {
      const value = level(x, y);
      context.fillStyle = css(NIGHT, strength * (1 - value));
      context.fillRect(px[x], py[y], px[x + 1] - px[x], py[y + 1] - py[y]);
      if (value < HALF) continue;
      if (level(x - 1, y) < HALF) line(px[x], py[y], px[x], py[y + 1]);
      if (level(x + 1, y) < HALF) line(px[x + 1], py[y], px[x + 1], py[y + 1]);
      if (level(x, y - 1) < HALF) line(px[x], py[y], px[x + 1], py[y]);
      if (level(x, y + 1) < HALF) line(px[x], py[y + 1], px[x + 1], py[y + 1]);
    }
  }
  if (!strength) return;
  const scale = window.devicePixelRatio || 1;
  context.lineCap = "square";
  for (const [width, colour] of [[4, css(NIGHT, 0.85)], [2, "#fff"]]) {
    context.lineWidth = width * scale;
    context.strokeStyle = colour;
    context.stroke(strong);
  }
}

/** The colour of a token's square in layer place m: its expert's, or whether it is the one looked for. */
export function squareColour(view, token, m) {
  const { store } = view;
  if (store.expert(token, m) === NOT_CAPTURED) return null;
  if (view.state.expert < 0 && store.experts <= MANY_EXPERTS) return PALETTE[store.expert(token, m)];
  return amount(store.went(token, m, view.oneExpert().expert) ? YES : NO, view.theme());
}

/** Paint the expert of every square, with its number where that can be read. */
export function paintExperts(canvas, image, view) {
  const context = contextOf(canvas);
  if (!context) return;
  const m = view.layerPlace();
  const { store, state } = view;
  const across = canvas.width / image.width;
  const down = canvas.height / image.height;
  const scale = window.devicePixelRatio || 1;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const { token, box } of patchesOf(image, view.paint())) {
    const colour = squareColour(view, token, m);
    if (!colour) continue;
    const [x0, y0, x1, y1] = [box[0] * across, box[1] * down, box[2] * across, box[3] * down].map(Math.round);
    context.fillStyle = css(colour, state.strength);
    context.fillRect(x0, y0, x1 - x0 - scale, y1 - y0 - scale);
    if (Math.min(x1 - x0, y1 - y0) < ROOMY * scale || state.strength < 0.3) continue;
    context.font = `600 ${11 * scale}px system-ui, sans-serif`;
    context.fillStyle = inkOn(colour);
    context.fillText(String(store.expert(token, m)), (x0 + x1) / 2, (y0 + y1) / 2);
  }
}

/** Frame one patch of a picture. */
export function outline(canvas, image, p, accent) {
  const [x0, y0, x1, y1] = image.box.subarray(4 * p, 4 * p + 4);
  if (Number.isNaN(x0) || !canvas.width) return;
  const across = canvas.width / image.width;
  const down = canvas.height / image.height;
  const context = canvas.getContext("2d");
  for (const [line, colour] of [[6, "#fff"], [3, accent]]) {
    context.lineWidth = line;
    context.strokeStyle = colour;
    context.strokeRect(x0 * across, y0 * down, (x1 - x0) * across, (y1 - y0) * down);
  }
}

/** Cells of all pictures for one map; kept with it, because a word is often looked at twice. */
export function shapesOf(store, map, paint) {
  map.shapes ??= {};
  map.shapes[paint] ??= store.images.map((image, index) => cellsOf(image, map.decoded[index], paint));
  return map.shapes[paint];
}
