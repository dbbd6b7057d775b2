// The scene maker: shapes that are placed, dragged and resized in an SVG, and lines drawn freehand. Knows Gradio's
// HTML component alone: `element` is its root, `trigger("made", ...)` sends what was placed, `palette` says what
// can be drawn. A line is a thing as a shape is, with a middle and a radius, but has its own points (-1 to 1).

const SVG = "http://www.w3.org/2000/svg";

const things = [];
let chosen = -1;
let colour = "red";
let held = null;
let freehand = false;
let line = null; // the points of a line that is being drawn

const DRAWN = ["svg", "polygon", "polyline", "rect"];
const make = (name, attributes = {}, parent = null, text = "") => {
  const node = DRAWN.includes(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text) node.textContent = text;
  parent?.append(node);
  return node;
};

const host = element.querySelector(".maker");
const bar = make("div", { class: "maker-shapes", role: "group", "aria-label": "Add a shape" }, host);
const inks = make("div", { class: "maker-colours", role: "group", "aria-label": "Colour" }, host);
const stage = make("svg", {
  class: "maker-stage", viewBox: `0 0 ${palette.width} ${palette.height}`, role: "group",
  "aria-label": "The picture: drag shapes, or move them with the arrow keys",
}, host);
const tools = make("div", { class: "maker-tools" }, host);
const said = make("p", { class: "maker-said", role: "status" }, host);

const outline = (thing) => (thing.line ?? palette.shapes[thing.shape])
  .map(([x, y]) => [thing.x + x * thing.radius, thing.y + y * thing.radius]);
const written = (points) => points.map((point) => point.map((value) => value.toFixed(1)).join(",")).join(" ");
const extent = (points) => [0, 1].map((axis) => points.map((point) => point[axis]))
  .map((values) => [Math.min(...values), Math.max(...values)]);
const within = (value, low, high) => Math.min(Math.max(value, low), high);
const inside = ([x, y]) => [within(x, 0, palette.width), within(y, 0, palette.height)];
const say = (words) => { said.textContent = words; };
const nodes = () => [...stage.querySelectorAll("[tabindex]")];

function inked(points, hue, attributes = {}) {
  // a line of one point is a dot: round ends show it only if it goes somewhere
  const visible = points.length > 1 ? points : [...points, points[0].map((value) => value + 0.1)];
  return make("polyline", {
    points: written(visible), fill: "none", stroke: palette.colours[hue], "stroke-width": palette.pen,
    "stroke-linecap": "round", "stroke-linejoin": "round", ...attributes,
  }, stage);
}

function frame(thing) {
  const [[left, right], [top, bottom]] = extent(outline(thing));
  const gap = 3 + (thing.line ? palette.pen / 2 : 1);
  make("rect", {
    class: "maker-frame", x: left - gap, y: top - gap, width: right - left + 2 * gap, height: bottom - top + 2 * gap,
  }, stage);
}

function draw() {
  const focused = stage.contains(document.activeElement);
  stage.replaceChildren();
  make("rect", { width: palette.width, height: palette.height, fill: palette.ground }, stage);
  things.forEach((thing, number) => {
    const at = `${Math.round(thing.x)}, ${Math.round(thing.y)}`;
    const told = {
      tabindex: 0, role: "button", "aria-label": `${thing.colour} ${thing.shape} at ${at}`,
      "aria-pressed": number === chosen,
    };
    const node = thing.line ? inked(outline(thing), thing.colour, told)
      : make("polygon", { points: written(outline(thing)), fill: palette.colours[thing.colour], ...told }, stage);
    node.addEventListener("focus", () => { if (chosen !== number) { chosen = number; draw(); } });
    if (number === chosen && focused) node.focus();
  });
  if (chosen >= 0) frame(things[chosen]);
  stage.toggleAttribute("data-freehand", freehand);
  pen.setAttribute("aria-pressed", freehand);
  for (const button of inks.children) button.setAttribute("aria-pressed", button.title === colour);
  for (const button of tools.querySelectorAll("[data-one]")) button.disabled = chosen < 0;
  for (const button of tools.querySelectorAll("[data-any]")) button.disabled = !things.length;
}

function full() {
  if (things.length < palette.most) return false;
  say(`A picture holds at most ${palette.most} shapes and lines.`);
  return true;
}

function add(shape, byKeyboard) {
  if (full()) return;
  const at = things.length;
  things.push({
    shape, colour, x: 60 + ((at * 95) % 240), y: 70 + 100 * (Math.floor(at / 3) % 2), radius: 36,
  });
  chosen = at;
  freehand = false;
  say("Drag it, or use the keyboard: arrow keys move it, + and − change its size, Delete removes it.");
  draw();
  if (byKeyboard) nodes()[chosen].focus();
}

function endLine() {
  const [[left, right], [top, bottom]] = extent(line);
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  const radius = Math.max(palette.smallest, (right - left) / 2, (bottom - top) / 2);
  const unit = line.map((point) => [point[0] - x, point[1] - y].map((value) => Number((value / radius).toFixed(4))));
  things.push({ shape: palette.drawing, colour, x, y, radius, line: unit });
  chosen = things.length - 1;
  line = null;
  say(palette.unseen);
  draw();
}

function change(move) {
  if (chosen < 0) return;
  const thing = things[chosen];
  move(thing);
  thing.radius = within(thing.radius, palette.smallest, palette.largest);
  thing.x = within(thing.x, 0, palette.width);
  thing.y = within(thing.y, 0, palette.height);
  draw();
}

function remove() {
  if (chosen < 0) return;
  things.splice(chosen, 1);
  chosen = things.length - 1;
  draw();
  // what was focused is gone or disabled
  if (!things.length) bar.firstChild.focus();
}

function clear() {
  things.length = 0;
  chosen = -1;
  say("");
  draw();
  bar.firstChild.focus();
}

const place = (event) => {
  const box = stage.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * palette.width,
    ((event.clientY - box.top) / box.height) * palette.height];
};

stage.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return;
  held = null;
  if (freehand) {
    if (full()) return;
    line = [inside(place(event))];
    stage.setPointerCapture(event.pointerId);
    inked(line, colour, { class: "maker-wet" });
    return;
  }
  const number = nodes().indexOf(event.target);
  chosen = number;
  if (number >= 0) {
    const [x, y] = place(event);
    held = [things[number].x - x, things[number].y - y];
    stage.setPointerCapture(event.pointerId);
    colour = things[number].colour;
  }
  draw();
});
stage.addEventListener("pointermove", (event) => {
  if (held) {
    const [x, y] = place(event);
    change((thing) => { thing.x = x + held[0]; thing.y = y + held[1]; });
  }
  if (!line || line.length >= palette.longest) return;
  const [last, next] = [line.at(-1), inside(place(event))];
  if (Math.hypot(next[0] - last[0], next[1] - last[1]) < 2) return;
  line.push(next);
  stage.querySelector(".maker-wet").setAttribute("points", written(line));
});
for (const end of ["pointerup", "pointercancel"]) {
  stage.addEventListener(end, () => {
    held = null;
    if (line) endLine();
  });
}
stage.addEventListener("keydown", (event) => {
  const step = event.shiftKey ? 20 : 5;
  const keys = {
    ArrowLeft: (thing) => { thing.x -= step; }, ArrowRight: (thing) => { thing.x += step; },
    ArrowUp: (thing) => { thing.y -= step; }, ArrowDown: (thing) => { thing.y += step; },
    "+": (thing) => { thing.radius += step; }, "-": (thing) => { thing.radius -= step; },
  };
  if (keys[event.key]) change(keys[event.key]);
  else if (event.key === "Delete" || event.key === "Backspace") remove();
  else if (event.key !== "Enter" && event.key !== " ") return; // what has the focus is chosen already
  event.preventDefault();
});

for (const shape of Object.keys(palette.shapes)) {
  const button = make("button", { type: "button", "aria-label": `Add a ${shape}`, title: shape }, bar);
  const icon = make("svg", { viewBox: "-1.1 -1.1 2.2 2.2", "aria-hidden": "true" }, button);
  make("polygon", { points: palette.shapes[shape].map((point) => point.join(",")).join(" ") }, icon);
  button.addEventListener("click", (event) => add(shape, event.detail === 0));
}
const pen = make("button", { type: "button", class: "maker-pen" }, bar, "Draw freehand");
pen.addEventListener("click", () => {
  freehand = !freehand;
  chosen = -1;
  say(freehand ? `Draw in the picture. ${palette.unseen}` : "");
  draw();
});
for (const [name, value] of Object.entries(palette.colours)) {
  const button = make("button", { type: "button", title: name, "aria-label": name }, inks);
  button.style.background = value;
  button.addEventListener("click", () => {
    colour = name;
    if (chosen >= 0 && !freehand) things[chosen].colour = name; // the pen's next line, not its last
    draw();
  });
}
for (const [label, act, needs] of [
  ["Larger", () => change((thing) => { thing.radius += 8; }), "one"],
  ["Smaller", () => change((thing) => { thing.radius -= 8; }), "one"],
  ["Remove", remove, "one"],
  ["Clear", clear, "any"],
  ["Put it into the message", () => { trigger("made", { things }); say("It stands in the message."); }, "any"],
]) {
  const button = make("button", { type: "button", [`data-${needs}`]: "" }, tools, label);
  button.addEventListener("click", act);
}
draw();
