// A bench for one expert in a notebook, through anywidget: choose it, what happens to it, and the question; run.

import { choices, h, KEYS } from "./elements.js";
import { createField, Draft } from "./message.js";
import { followTheme } from "./theme.js";
import { createTray } from "./tray.js";

const FACTORS = { min: -3, max: 3, step: 0.25 }; // powers of two: as far down as up

/** "1.5", "12": as many digits as say something. */
export const short = (value) => String(Number(value.toPrecision(3)));

/** How many of the last question's tokens went to an expert, as a sentence; nothing before the first run. */
export function loadOf(loads, layers, layer, expert) {
  const row = loads[layers.indexOf(layer)];
  if (!row) return "";
  const all = row.reduce((a, b) => a + b, 0);
  const rank = 1 + row.filter((load) => load > row[expert]).length;
  return `As it is, ${row[expert]} of ${all} places of the last question went to it (number ${rank} of ${row.length}).`;
}

/** A slider that says its value; `told` turns what it stands for into text. */
function slider(name, { min, max, step }, told, onpick) {
  const shown = h("span", { class: "tvp-value", "aria-hidden": "true" }); // aria-valuetext tells it
  const input = h("input", {
    type: "range", min, max, step, ...KEYS,
    oninput: () => { tell(); onpick(Number(input.value)); },
  });
  const tell = () => {
    shown.textContent = told(Number(input.value));
    input.setAttribute("aria-valuetext", shown.textContent);
  };
  const set = (value) => { input.value = value; tell(); };
  return { row: h("label", { class: "tvp-slider" }, h("span", {}, name), input, shown), set };
}

// what an experiment is run with
const SETTINGS = ["action", "layer", "expert", "tokens", "instead", "gate_from", "gate", "factor"];

/** Traits of the widget, as controls that change them and follow them. */
function createSettings(model) {
  const { layers, experts } = model.get("_model");
  const followers = [];
  const pick = (name) => (value) => { model.set(name, value); model.save_changes(); };
  const follow = (name, set) => {
    const draw = () => set(model.get(name));
    model.on(`change:${name}`, draw);
    followers.push([name, draw]);
    draw();
  };
  const oneOf = (name, label, options) => {
    const made = choices(label, options, model.get(name), pick(name));
    follow(name, made.set);
    return made.row;
  };

  const place = slider("Layer", { min: 0, max: layers.length - 1, step: 1 },
    (index) => String(layers[index]), (index) => pick("layer")(layers[index]));
  follow("layer", (layer) => place.set(layers.indexOf(layer)));
  const which = slider("Expert", { min: 0, max: experts - 1, step: 1 }, String, pick("expert"));
  follow("expert", which.set);
  const factor = slider("Factor", FACTORS, (power) => `× ${short(2 ** power)}`, (power) => pick("factor")(2 ** power));
  follow("factor", (value) => factor.set(Math.log2(value)));
  const gate = slider("Gate", { min: 0.05, max: 1, step: 0.05 }, short, pick("gate"));
  follow("gate", gate.set);
  const gates = oneOf("gate_from", "With which gate", [
    ["own", "the gate its router gives it"], ["replaced", "the gate of the one that gives way"],
    ["fixed", "a gate of"],
  ]);
  const details = {
    silence: [oneOf("instead", "Who answers instead", [["nothing", "nobody instead"], ["next", "the next choice instead"]])],
    force: [gates, gate.row],
    scale: [factor.row],
  };
  const load = h("p", { class: "tvp-quiet" });
  const say = () => {
    load.textContent = loadOf(model.get("_loads"), layers, model.get("layer"), model.get("expert"));
  };
  for (const name of ["_loads", "layer", "expert"]) follow(name, say);
  const show = () => {
    for (const [action, rows] of Object.entries(details)) {
      for (const row of rows) row.hidden = action !== model.get("action");
    }
    gate.row.hidden ||= model.get("gate_from") !== "fixed";
  };
  for (const name of ["action", "gate_from"]) follow(name, show);

  const what = oneOf("action", "What happens to the expert",
    [["silence", "silence it"], ["force", "force it"], ["scale", "re-weigh it"]]);
  const where = oneOf("tokens", "For which tokens",
    [["all", "all tokens"], ["prompt", "the prompt"], ["generated", "the answer"], ["answering", "what predicts the answer"]]);
  const row = (...parts) => h("div", { class: "tvp-row" }, ...parts);
  const fieldset = h("fieldset", {}, h("legend", {}, "B differs from A in one expert"),
    row(place.row, which.row), load, row(what, ...Object.values(details).flat()), row(where));
  return { fieldset, destroy: () => followers.forEach(([name, draw]) => model.off(`change:${name}`, draw)) };
}

function render({ model, el }, draft) {
  const root = h("div", { class: "tv tvp tvp-lab" });
  const settings = createSettings(model);
  const tray = createTray(model, root);
  const run = () => {
    if (model.get("_busy")) return;
    // what was set a moment ago may still wait in the browser, and messages overtake it
    const chosen = Object.fromEntries(SETTINGS.map((name) => [name, model.get(name)]));
    model.send({ type: "run", text: draft.text, settings: chosen });
  };
  const message = createField(draft, "Question", "A question; drop or paste pictures here", run);
  const button = (name, type, onclick) => h("button", { type: "button", class: type, onclick, ...KEYS }, name);
  const start = button("Run A and B", "tvp-first", run);
  const stop = button("Stop", "tvp-first", () => model.send({ type: "stop" }));
  const progress = h("progress", { "aria-label": "Progress", max: "1", value: "0" });
  const notice = h("p", { class: "tvp-notice", role: "alert" });
  const status = h("p", { class: "tvp-quiet", role: "status" });
  root.append(settings.fieldset, tray.list, message.field,
    h("div", { class: "tvp-row" }, tray.button, tray.picker, h("span", { class: "tvp-gap" }), progress, stop, start),
    notice, status);
  el.append(root);

  function state() {
    const busy = model.get("_busy");
    const focused = [start, stop].includes(document.activeElement);
    start.hidden = busy;
    stop.hidden = progress.hidden = !busy;
    if (focused) (busy ? stop : start).focus(); // the place stays, the word on it changes
    progress.value = model.get("_progress");
    notice.textContent = model.get("_notice");
    notice.hidden = !notice.textContent;
    status.textContent = model.get("_status");
  }
  const told = ["_busy", "_progress", "_notice", "_status"].map((name) => `change:${name}`);
  for (const name of told) model.on(name, state);
  state();
  const unfollow = followTheme(root);
  return () => {
    unfollow();
    for (const name of told) model.off(name, state);
    settings.destroy();
    message.destroy();
    tray.destroy();
  };
}

/** One question per widget, shared by all its views; Python may set it as well. */
export default function lab() {
  const draft = new Draft();
  return {
    initialize({ model }) {
      const follow = () => draft.set(model.get("question"));
      follow();
      model.on("change:question", follow);
      return () => model.off("change:question", follow);
    },
    render: (place) => render(place, draft),
  };
}
