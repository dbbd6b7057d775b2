// Every figure as a table, as CSV, PNG and SVG.
//
// A figure says its name and gives table() -> {columns, rows} and drawing() -> {width, height, paint(pen)}, both
// made when somebody asks for them and not before.

import { KEYS, h } from "./elements.js";
import { canvasPen, svgPen } from "./pen.js";

const SHOWN = 500; // rows of a table on the page; the CSV has all of them
const SCALE = 2; // pixels of a PNG for one of the page
const LARGEST = 16000; // pixels of a canvas' side that browsers allow, with some room

/** Rows as CSV (RFC 4180). A cell that a spreadsheet would run as a formula is quoted with an apostrophe. */
export function csvOf({ columns, rows }) {
  const cell = (value) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "";
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function png({ width, height, paint }, ground) {
  const canvas = document.createElement("canvas");
  const scale = Math.min(SCALE, LARGEST / width, LARGEST / height);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const pen = canvasPen(context);
  pen.rect(0, 0, width, height, ground);
  paint(pen);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function svg({ width, height, paint }, ground) {
  const pen = svgPen(width, height);
  pen.rect(0, 0, width, height, ground);
  paint(pen);
  return new Blob([pen.document()], { type: "image/svg+xml" });
}

const shown = (value) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  return typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(3) : String(value);
};

function tableOf({ columns, rows }, caption) {
  const head = h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)));
  const lines = rows.slice(0, SHOWN).map((row) => h("tr", {}, ...row.map((value, index) => (index
    ? h("td", { dir: "auto" }, shown(value)) : h("th", { scope: "row" }, shown(value))))));
  const more = rows.length > SHOWN ? `: the first ${SHOWN} of ${rows.length} rows, the CSV has all` : "";
  return h("table", {}, h("caption", {}, `${caption}${more}`), h("thead", {}, head), h("tbody", {}, ...lines));
}

/** The buttons below a figure. Returns {element, draw}: a table that stands open follows the figure. */
export function createFigureMenu(view, name, { table, drawing }) {
  const file = name.toLowerCase().replace(/\W+/g, "-");
  const ground = () => getComputedStyle(view.root).backgroundColor;
  const place = h("div", {
    class: "tv-datatable", tabindex: "0", role: "group", "aria-label": `${name} as a table`, hidden: true, ...KEYS,
  });
  const button = (text, label, onclick) =>
    h("button", { type: "button", class: "tv-button", "aria-label": label, onclick, ...KEYS }, text);
  const toggle = button("Table", `${name} as a table`, () => {
    place.hidden = !place.hidden;
    toggle.setAttribute("aria-expanded", String(!place.hidden));
    draw();
  });
  toggle.setAttribute("aria-expanded", "false");
  const element = h("div", { class: "tv-data" },
    h("div", { class: "tv-buttons", role: "group", "aria-label": `${name}: table and downloads` }, toggle,
      button("CSV", `${name} as CSV`, () => save(new Blob([csvOf(table())], { type: "text/csv" }), `${file}.csv`)),
      button("PNG", `${name} as PNG`, async () => save(await png(drawing(), ground()), `${file}.png`)),
      button("SVG", `${name} as SVG`, () => save(svg(drawing(), ground()), `${file}.svg`))),
    place);

  let drawn = null;

  /** Make an open table anew, unless it would say the same. */
  function draw(key = null) {
    if (place.hidden || (key !== null && key === drawn)) return;
    drawn = key;
    place.replaceChildren(tableOf(table(), name));
  }
  return { element, draw };
}
