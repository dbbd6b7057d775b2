// Cells in rows and columns, thousands of them: to pan, zoom, point at, choose, and walk through by keyboard.
//
// One pixel per cell is kept and stretched onto the screen, so moving about costs one picture and no cell is
// coloured twice. What a grid shows is its spec:
//   label; columns(), rows(), rowName(m); foot: px below the cells, below(pen, shape) paints them;
//   key() and fill(pixels, from, to): 32-bit pixels row by row, 0 where nothing was captured;
//   text(column, row) and widest (px of a cell), or none; cursor(): {column, row}, -1 for none; hover(cell or null), pick(cell).

import { inkOn } from "./colours.js";
import { KEYS, h } from "./elements.js";
import { canvasPen } from "./pen.js";

export const GUTTER = 56; // px for the rows' names
const WIDTHS = [1, 2, 3, 4, 6, 9, 14, 20, 28]; // px of a cell, from an overview to where numbers can be read
const NARROW = 2; // px of a cell before anybody zooms, between these
const WIDE = 20;
const HEIGHT = 288; // px for all rows, as far as that leaves each between these
const FLAT = 5;
const TALL = 20;
const READABLE = [14, 13]; // px that a number needs
const DRAG = 4; // px that a pointer moves before it is no click

export function createGrid(view, spec) {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const sizer = h("div", { class: "tv-sizer" }, canvas);
  const frame = h("div", {
    class: "tv-map", tabindex: "0", role: "group", "aria-label": spec.label, ...KEYS,
    onscroll: () => view.schedule(), onkeydown,
  }, sizer);
  const button = (text, label, act) =>
    h("button", { type: "button", class: "tv-button", "aria-label": label, title: label, onclick: act, ...KEYS }, text);
  const zoom = h("div", { class: "tv-buttons", role: "group", "aria-label": "Size of the cells" },
    button("−", "Smaller cells", () => step(-1)), button("+", "Larger cells", () => step(1)),
    button("all", "All columns at once", () => resize("all")));
  const cells = document.createElement("canvas");
  let shape = null;
  let size = null; // px of a cell, "all", or null while nobody has zoomed
  let anchor = null; // {column, x}: what stays in place while the size changes
  let drawn = "";
  let drag = null;

  const fitting = () => (frame.clientWidth - GUTTER) / Math.max(spec.columns(), 1);

  function widthNow() {
    const widest = spec.widest ?? WIDE;
    if (size === "all") return Math.min(fitting(), widest);
    return size ?? Math.min(Math.max(Math.floor(fitting()), NARROW), widest);
  }

  function resize(next, x = (frame.clientWidth - GUTTER) / 2) {
    anchor = { column: (frame.scrollLeft + x) / widthNow(), x };
    size = next;
    view.schedule();
  }

  function step(direction, x) {
    const now = widthNow();
    const next = direction > 0 ? WIDTHS.find((width) => width > now + 0.01)
      : WIDTHS.findLast((width) => width < now - 0.01 && width > fitting()) ?? "all";
    if (next !== undefined) resize(next, x);
  }

  function cellAt(event) {
    if (!shape) return null;
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left - GUTTER;
    const column = Math.floor((x + frame.scrollLeft) / shape.width);
    const row = Math.floor((event.clientY - box.top) / shape.height);
    const inside = x >= 0 && column >= 0 && column < spec.columns() && row >= 0;
    return inside && (row < spec.rows() || spec.foot > 40) ? { column, row: Math.min(row, spec.rows()) } : null;
  }

  canvas.addEventListener("pointermove", (event) => {
    if (drag && Math.abs(event.clientX - drag.x) > DRAG) drag.moved = true;
    if (drag?.moved) frame.scrollLeft = drag.from - (event.clientX - drag.x);
    else if (event.pointerType !== "touch") spec.hover(cellAt(event));
  });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button === 0) drag = { x: event.clientX, from: frame.scrollLeft };
  });
  canvas.addEventListener("pointerleave", () => { drag = null; spec.hover(null); });
  canvas.addEventListener("click", (event) => {
    const cell = drag?.moved ? null : cellAt(event);
    drag = null;
    if (cell) spec.pick(cell);
  });
  frame.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    step(event.deltaY < 0 ? 1 : -1, event.clientX - canvas.getBoundingClientRect().left - GUTTER);
  }, { passive: false });

  function onkeydown(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !shape) return;
    const { column, row } = spec.cursor();
    const last = [spec.columns() - 1, spec.rows() - 1];
    // to the side no row need be chosen; up and down choose one
    const to = (c, r) => spec.pick({ column: Math.min(Math.max(c, 0), last[0]), row: Math.min(r, last[1]) });
    const moves = {
      ArrowRight: () => to(column + 1, row), ArrowLeft: () => to(column - 1, row),
      ArrowDown: () => to(column, row + 1), ArrowUp: () => to(column, Math.max(row - 1, 0)),
      Home: () => to(0, row), End: () => to(last[0], row),
      "+": () => step(1), "=": () => step(1), "-": () => step(-1), 0: () => resize("all"),
    };
    if (!moves[event.key]) return;
    moves[event.key]();
    event.preventDefault();
    event.stopPropagation();
  }

  /** Columns as pixels, kept while nothing about them changes. */
  function coloured(from, to) {
    const key = [spec.key(), from, to, view.theme()].join("|");
    if (key !== drawn) {
      const image = new ImageData(Math.max(to - from, 1), Math.max(spec.rows(), 1));
      spec.fill(new Uint32Array(image.data.buffer), from, to);
      [cells.width, cells.height] = [image.width, image.height];
      cells.getContext("2d").putImageData(image, 0, 0);
      shape.pixels = image.data;
      shape.drawnFrom = from;
    }
    drawn = key;
  }

  function paint(pen, now) {
    const { width, height, from, to, offset, across, down } = now;
    const inks = view.inks();
    pen.clip(GUTTER, 0, across - GUTTER, down + spec.foot);
    const left = GUTTER - offset;
    const x = (column) => left + column * width;
    // hatching lies under everything: a cell that was not captured leaves it bare
    pen.hatch(x(from), 0, (to - from) * width, down, inks.hatch);
    pen.picture(cells, x(from), 0, (to - from) * width, down, width < 1);
    for (let m = 1; m < spec.rows() && height >= 8; m++) {
      pen.rect(x(from), m * height - 1, (to - from) * width, 1, inks.surface);
    }
    for (let i = from; i <= to && width >= 5; i++) pen.rect(x(i) - 1, 0, 1, down, inks.surface);
    if (spec.text && width >= READABLE[0] && height >= READABLE[1]) numbers(pen, now, x);
    const { column, row } = spec.cursor();
    if (column >= 0) pen.frame(x(column) - 1.5, 0, width + 2, down, inks.accent, 2);
    if (column >= 0 && row >= 0 && width >= 5) {
      pen.frame(x(column) - 0.5, row * height - 0.5, width, height, inks.ink, 2);
    }
    spec.below?.(pen, { ...now, x, gutter: GUTTER, top: down, inks });
    pen.unclip();
    sides(pen, now, inks);
  }

  function numbers(pen, { width, height, from, to }, x) {
    const { pixels, drawnFrom } = shape;
    const across = cells.width;
    for (let m = 0; m < spec.rows(); m++) {
      for (let i = from; i < to; i++) {
        const at = 4 * (m * across + i - drawnFrom);
        if (!pixels[at + 3]) continue;
        const ink = inkOn([pixels[at], pixels[at + 1], pixels[at + 2]]);
        const style = { fill: ink, size: Math.min(11, height - 4), align: "center" };
        pen.text(spec.text(i, m), x(i) + width / 2 - 0.5, m * height + height / 2, style);
      }
    }
  }

  function sides(pen, { height }, inks) {
    const every = Math.ceil(13 / height);
    const { row } = spec.cursor();
    for (let m = 0; m < spec.rows(); m++) {
      const near = row >= 0 && m !== row && Math.abs(m - row) < every;
      if ((m % every && m !== row) || near) continue;
      const name = every > 1 && m && m !== row ? spec.rowName(m).split(" ").pop() : spec.rowName(m);
      const style = { fill: m === row ? inks.accent : inks.soft, align: "right" };
      pen.text(name, GUTTER - 7, Math.max(m * height + height / 2, 6), style);
      if (m === row) pen.rect(GUTTER - 4, m * height, 3, height - 1, inks.accent);
    }
  }

  function draw() {
    const rows = spec.rows();
    const across = frame.clientWidth;
    const height = Math.min(Math.max(Math.floor(HEIGHT / Math.max(rows, 1)), FLAT), TALL);
    const width = widthNow();
    const down = rows * height;
    const total = GUTTER + spec.columns() * width;
    const atEnd = frame.scrollLeft + across >= sizer.offsetWidth - 2 * width;
    sizer.style.inlineSize = `${Math.max(total, across)}px`;
    sizer.style.blockSize = `${down + spec.foot}px`;
    if (spec.follows?.() && atEnd && !anchor) frame.scrollLeft = total;
    if (anchor) frame.scrollLeft = anchor.column * width - anchor.x;
    anchor = null;
    const offset = frame.scrollLeft;
    const from = Math.max(0, Math.floor(offset / width));
    const to = Math.min(spec.columns(), Math.ceil((offset + across - GUTTER) / width));
    shape = { ...shape, width, height, from, to, offset, across, down };
    coloured(from, to);
    const scale = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(across * scale), Math.round((down + spec.foot) * scale)];
    if (canvas.width !== wide || canvas.height !== high) {
      [canvas.width, canvas.height] = [wide, high];
      canvas.style.inlineSize = `${across}px`;
      canvas.style.blockSize = `${down + spec.foot}px`;
    }
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, across, down + spec.foot);
    paint(canvasPen(context), shape);
  }

  /** The whole grid, not only what can be seen of it. */
  function drawing() {
    const { height, down } = shape;
    const columns = spec.columns();
    const width = Math.max(widthNow(), 1);
    const whole = { width, height, down, from: 0, to: columns, offset: 0, across: GUTTER + columns * width };
    return {
      width: whole.across, height: down + spec.foot,
      paint(pen) {
        coloured(0, columns);
        paint(pen, whole);
        view.schedule();
      },
    };
  }

  /** Scroll to a column chosen elsewhere. */
  function reveal(column) {
    if (!shape || column < 0) return;
    const room = shape.across - GUTTER;
    const x = column * shape.width - frame.scrollLeft;
    if (x < 0 || x + shape.width > room) frame.scrollLeft = column * shape.width - room / 2;
  }

  return { element: frame, zoom, draw, drawing, reveal };
}
