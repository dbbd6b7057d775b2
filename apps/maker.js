// The scene maker: shapes that are placed, dragged and resized in an SVG. Knows Gradio's HTML component alone:
// `element` is its root, `trigger("made", ...)` sends what was placed, `palette` says what can be drawn.

const SVG = "http://www.w3.org/2000/svg";

const things = [];
let chosen = -1;
let colour = "red";
let held = null;

const make = (name, attributes = {}, parent = null, text = "") => {
  const node = name === "svg" || name === "polygon" || name === "rect"
    ? document.createElementNS(SVG, name) : document.createElement(name);
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

const points = (thing) => palette.shapes[thing.shape]
  .map(([x, y]) => `${(thing.x + x * thing.radius).toFixed(1)},${(thing.y + y * thing.radius).toFixed(1)}`)
  .join(" ");
const within = (value, low, high) => Math.min(Math.max(value, low), high);

function draw() {
  const focused = stage.contains(document.activeElement);
  stage.replaceChildren();
  make("rect", { width: palette.width, height: palette.height, fill: palette.ground }, stage);
  things.forEach((thing, number) => {
    const node = make("polygon", {
      points: points(thing), fill: palette.colours[thing.colour], tabindex: 0, role: "button",
      "aria-label": `${thing.colour} ${thing.shape}`, "aria-pressed": number === chosen,
    }, stage);
    node.addEventListener("focus", () => { if (chosen !== number) { chosen = number; draw(); } });
    if (number === chosen && focused) node.focus();
  });
  for (const button of inks.children) button.setAttribute("aria-pressed", button.title === colour);
  for (const button of tools.querySelectorAll("[data-one]")) button.disabled = chosen < 0;
  tools.querySelector("[data-all]").disabled = !things.length;
}

function add(shape) {
  if (things.length >= palette.most) {
    said.textContent = `A picture shows at most ${palette.most} shapes.`;
    return;
  }
  const at = things.length;
  things.push({ shape, colour, x: 60 + ((at * 95) % 240), y: 70 + 100 * (Math.floor(at / 3) % 2), radius: 36 });
  chosen = at;
  said.textContent = "";
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
}

const place = (event) => {
  const box = stage.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * palette.width,
    ((event.clientY - box.top) / box.height) * palette.height];
};

stage.addEventListener("pointerdown", (event) => {
  const number = [...stage.querySelectorAll("polygon")].indexOf(event.target);
  chosen = number;
  held = null;
  if (number >= 0) {
    const [x, y] = place(event);
    held = [things[number].x - x, things[number].y - y];
    stage.setPointerCapture(event.pointerId);
    colour = things[number].colour;
  }
  draw();
});
stage.addEventListener("pointermove", (event) => {
  if (!held) return;
  const [x, y] = place(event);
  change((thing) => { thing.x = x + held[0]; thing.y = y + held[1]; });
});
for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { held = null; });
stage.addEventListener("keydown", (event) => {
  const step = event.shiftKey ? 20 : 5;
  const keys = {
    ArrowLeft: (thing) => { thing.x -= step; }, ArrowRight: (thing) => { thing.x += step; },
    ArrowUp: (thing) => { thing.y -= step; }, ArrowDown: (thing) => { thing.y += step; },
    "+": (thing) => { thing.radius += step; }, "-": (thing) => { thing.radius -= step; },
  };
  if (keys[event.key]) change(keys[event.key]);
  else if (event.key === "Delete" || event.key === "Backspace") remove();
  else return;
  event.preventDefault();
});

for (const shape of Object.keys(palette.shapes)) {
  const button = make("button", { type: "button", "aria-label": `Add a ${shape}`, title: shape }, bar);
  const icon = make("svg", { viewBox: "-1.1 -1.1 2.2 2.2", "aria-hidden": "true" }, button);
  make("polygon", { points: palette.shapes[shape].map((point) => point.join(",")).join(" ") }, icon);
  button.addEventListener("click", () => add(shape));
}
for (const [name, value] of Object.entries(palette.colours)) {
  const button = make("button", { type: "button", title: name, "aria-label": name }, inks);
  button.style.background = value;
  button.addEventListener("click", () => {
    colour = name;
    if (chosen >= 0) things[chosen].colour = name;
    draw();
  });
}
for (const [label, act, needs] of [
  ["Larger", () => change((thing) => { thing.radius += 8; }), "one"],
  ["Smaller", () => change((thing) => { thing.radius -= 8; }), "one"],
  ["Remove", remove, "one"],
  ["Put it into the message", () => trigger("made", { things }), "all"],
]) {
  const button = make("button", { type: "button", [`data-${needs}`]: "" }, tools, label);
  button.addEventListener("click", act);
}
draw();
