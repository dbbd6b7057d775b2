// One way to draw for the screen, for a PNG and for an SVG: rectangles, text, lines, pictures.
//
// A figure is painted through a pen and does not know which one it has. Text goes in as text.

const FONT = "system-ui, sans-serif";
const BASELINES = { top: "text-before-edge", middle: "central", bottom: "text-after-edge", alphabetic: "alphabetic" };
const ANCHORS = { left: "start", center: "middle", right: "end" };
const HATCH = 6; // px between two lines of the hatching
const NOT_XML = /[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g; // a file with one of these cannot be opened

/** Draws on a canvas. */
export function canvasPen(context) {
  return {
    rect(x, y, width, height, fill) {
      context.fillStyle = fill;
      context.fillRect(x, y, width, height);
    },
    frame(x, y, width, height, stroke, line = 1) {
      context.strokeStyle = stroke;
      context.lineWidth = line;
      context.strokeRect(x, y, width, height);
    },
    line(x0, y0, x1, y1, stroke, line = 1, dash = []) {
      context.strokeStyle = stroke;
      context.lineWidth = line;
      context.setLineDash(dash);
      context.beginPath();
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
      context.stroke();
      context.setLineDash([]);
    },
    text(string, x, y, { fill, size = 11, align = "left", baseline = "middle", weight = 400, rtl = false }) {
      context.direction = rtl ? "rtl" : "ltr";
      context.font = `${weight} ${size}px ${FONT}`;
      context.textAlign = align;
      context.textBaseline = baseline;
      context.fillStyle = fill;
      context.fillText(string, x, y);
    },
    picture(source, x, y, width, height, smooth = true) {
      context.imageSmoothingEnabled = smooth;
      context.drawImage(source, x, y, width, height);
    },
    hatch(x, y, width, height, colour) {
      context.fillStyle = context.createPattern(hatching(colour), "repeat");
      context.fillRect(x, y, width, height);
    },
    clip(x, y, width, height) {
      context.save();
      context.beginPath();
      context.rect(x, y, width, height);
      context.clip();
    },
    unclip() { context.restore(); },
    measure(string, size = 11) {
      context.font = `400 ${size}px ${FONT}`;
      return context.measureText(string).width;
    },
  };
}

const tiles = new Map(); // one small canvas for each colour of hatching

function hatching(colour) {
  if (!tiles.has(colour)) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = HATCH;
    const context = tile.getContext("2d");
    context.strokeStyle = colour;
    context.beginPath();
    for (const shift of [-HATCH, 0, HATCH]) { context.moveTo(shift, HATCH); context.lineTo(shift + HATCH, 0); }
    context.stroke();
    tiles.set(colour, tile);
  }
  return tiles.get(colour);
}

/** Draws into an SVG document; `document()` gives it as a string. */
export function svgPen(width, height) {
  const space = "http://www.w3.org/2000/svg";
  const make = (tag, attributes, text) => {
    const node = document.createElementNS(space, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const root = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": FONT });
  let group = root;
  let count = 0;
  const add = (...node) => group.append(make(...node));
  const ruler = canvasPen(document.createElement("canvas").getContext("2d"));
  return {
    rect: (x, y, w, h, fill) => add("rect", { x, y, width: Math.max(w, 0), height: Math.max(h, 0), fill }),
    frame: (x, y, w, h, stroke, line = 1) =>
      add("rect", { x, y, width: w, height: h, fill: "none", stroke, "stroke-width": line }),
    line: (x1, y1, x2, y2, stroke, line = 1, dash = []) =>
      add("line", { x1, y1, x2, y2, stroke, "stroke-width": line, "stroke-dasharray": dash.join(" ") || "none" }),
    text(string, x, y, { fill, size = 11, align = "left", baseline = "middle", weight = 400, rtl = false }) {
      // in a right-to-left text "start" is its right end
      const anchor = rtl ? { left: "end", center: "middle", right: "start" }[align] : ANCHORS[align];
      add("text", {
        x, y, fill, "font-size": size, "font-weight": weight, "text-anchor": anchor, "xml:space": "preserve",
        "dominant-baseline": BASELINES[baseline], direction: rtl ? "rtl" : "ltr",
      }, string.replace(NOT_XML, "\ufffd"));
    },
    picture(source, x, y, w, h, smooth = true) {
      const href = source instanceof HTMLCanvasElement ? source.toDataURL() : source.src;
      add("image", {
        href, x, y, width: w, height: h, preserveAspectRatio: "none",
        style: smooth ? "" : "image-rendering: pixelated",
      });
    },
    hatch(x, y, w, h, colour) {
      const id = `hatch-${count++}`;
      const pattern = make("pattern", { id, width: HATCH, height: HATCH, patternUnits: "userSpaceOnUse" });
      pattern.append(make("path", { d: `M0 ${HATCH}L${HATCH} 0`, stroke: colour, "stroke-width": 1 }));
      group.append(pattern);
      add("rect", { x, y, width: w, height: h, fill: `url(#${id})` });
    },
    clip(x, y, w, h) {
      const id = `clip-${count++}`;
      const clip = make("clipPath", { id });
      clip.append(make("rect", { x, y, width: w, height: h }));
      const inner = make("g", { "clip-path": `url(#${id})` });
      group.append(clip, inner);
      group = inner;
    },
    unclip() { group = group.parentNode; },
    measure: ruler.measure,
    document: () => new XMLSerializer().serializeToString(root),
  };
}
