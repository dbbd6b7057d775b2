// One linked view of a trace: the words, the experts every layer asked, the pictures and where it looked on them.
//
// Three hosts share this module: Jupyter (the default export, for anywidget), Gradio (`mountGradio`) and a plain
// page (`createTraceView`). It imports nothing and fetches nothing. Messages carry absolute offsets, so lost,
// doubled and late ones repair themselves; `payload.py` describes them. What a model or a person wrote reaches
// the page through textContent only.

// ---- Messages to arrays

const bytesOf = (value) =>
  typeof value === "string"
    ? Uint8Array.from(atob(value), (character) => character.charCodeAt(0))
    : new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice();

/** Little-endian array from base64 text or a DataView. */
const decode = (Type, value) => new Type(bytesOf(value).buffer);

/** A growable table: `width` numbers per token. */
class Column {
  constructor(Type, width = 1) {
    this.width = width;
    this.data = new Type(256 * width);
  }
  reserve(tokens) {
    if (tokens * this.width <= this.data.length) return;
    const grown = new this.data.constructor(2 * tokens * this.width);
    grown.set(this.data);
    this.data = grown;
  }
  write(from, values) {
    this.reserve(from + values.length / this.width);
    this.data.set(values, from * this.width);
  }
}

const NOT_CAPTURED = -1;
const MODALITY = { text: 0, patch: 1 }; // 2: the markers around and between tiles
const GENERATED = 4;

/** What is known of one trace so far. No DOM: it runs in Node too. */
export class TraceStore {
  constructor() {
    this.listeners = new Set();
    this.clear({ run: null, started: -1, layers: [], experts: 0, rank: 1, roles: [], images: [] });
  }

  clear(head) {
    const cells = head.layers.length * head.rank;
    Object.assign(this, {
      run: head.run, started: head.started ?? 0,
      layers: head.layers, experts: head.experts, rank: head.rank, roles: head.roles,
      attentionInfo: head.attention ?? null, n: 0, settled: 0, done: false, endAt: null,
      text: [], flags: new Column(Uint8Array), role: new Column(Int8Array), turn: new Column(Int16Array),
      image: new Column(Int16Array), logprob: new Column(Float32Array),
      chosen: new Column(Int16Array, cells), gates: new Column(Uint16Array, cells),
      images: head.images.map((image) => ({
        ...image,
        token: decode(Int32Array, image.token), box: decode(Float32Array, image.box),
        thumbnail: decode(Uint8Array, image.thumbnail),
      })),
      maps: new Map(), patchOf: new Map(),
    });
    this.images.forEach(({ token }, index) => token.forEach((t, p) => this.patchOf.set(t, [index, p])));
  }

  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Take in one message: ok, same or dup (nothing new), gap or unknown (ask for the rest), stale or ignored. */
  apply(message) {
    const status = this.take(message);
    if (["same", "stale", "ignored"].includes(status)) return status;
    for (const listener of this.listeners) listener();
    return status;
  }

  take(message) {
    switch (message?.op) {
      case "batch": {
        const order = ["unknown", "gap", "ok", "dup", "same", "stale", "ignored"];
        const seen = new Set(message.items.map((item) => this.take(item)));
        return order.find((status) => seen.has(status)) ?? "ignored";
      }
      case "reset":
        if (message.run === this.run) return "same";
        if ((message.started ?? 0) < this.started) return "stale";
        this.clear(message);
        return "ok";
      case "append": return this.append(message);
      case "attn":
        if (message.run !== this.run) return "stale";
        this.maps.set(`${message.token}:${message.layer}:${message.head}`, message);
        return "ok";
      case "end":
        if (message.run !== this.run) return "unknown";
        this.endAt = message.n;
        this.done = this.settled >= this.endAt;
        return this.done ? "ok" : "gap";
      default: return "ignored";
    }
  }

  append(message) {
    if (message.run !== this.run) return "unknown";
    const { from } = message;
    const count = message.text.length;
    if (from > this.n) return "gap";
    for (let i = 0; i < count; i++) this.text[from + i] = message.text[i];
    this.flags.write(from, decode(Uint8Array, message.flags));
    this.role.write(from, decode(Int8Array, message.role));
    this.turn.write(from, decode(Int16Array, message.turn));
    this.image.write(from, decode(Int16Array, message.image));
    this.logprob.write(from, decode(Float32Array, message.logprob));
    const chosen = decode(Int16Array, message.experts);
    const gates = decode(Uint16Array, message.gates);
    // an overtaken message may not know yet what a later one told: "not captured" never replaces a number
    const known = Math.min(this.n - from, count) * this.chosen.width;
    for (let c = 0; c < known; c++) {
      if (chosen[c] !== NOT_CAPTURED) continue;
      chosen[c] = this.chosen.data[from * this.chosen.width + c];
      gates[c] = this.gates.data[from * this.gates.width + c];
    }
    this.chosen.write(from, chosen);
    this.gates.write(from, gates);
    if (message.attention) this.attentionInfo = message.attention;
    const grew = from + count > this.n;
    this.n = Math.max(this.n, from + count);
    if (grew) for (const [key, map] of this.maps) if (map.missing) this.maps.delete(key);
    if (from > this.settled) return "gap"; // a lost message told the experts of those between
    const settled = message.settled > this.settled;
    this.settled = Math.max(this.settled, message.settled);
    if (this.endAt !== null && this.settled >= this.endAt) this.done = true;
    return grew || settled ? "ok" : "dup";
  }

  modality(i) { return this.flags.data[i] & 3; }
  generated(i) { return (this.flags.data[i] & GENERATED) !== 0; }
  expert(i, layer, k = 0) { return this.chosen.data[i * this.chosen.width + layer * this.rank + k]; }
  gate(i, layer, k = 0) { return this.gates.data[i * this.gates.width + layer * this.rank + k] / 65535; }

  /** The attention of one generated word, or undefined while it has not been sent. */
  attention(token, layer, head) {
    const map = this.maps.get(`${token}:${layer}:${head}`);
    if (map && !map.missing && !map.decoded) map.decoded = map.values.map((values) => decode(Uint8Array, values));
    return map;
  }
}

const ANSWER_PATIENCE = 5000; // ms until an unanswered question is asked again

/** Resolves to undefined when an answer is overdue. */
const overdue = () => new Promise((resolve) => setTimeout(resolve, ANSWER_PATIENCE).unref?.());

/** Takes messages for a store and asks for what is missing; always chases the newest target. */
export function createReceiver(store, pull) {
  let target = null;
  let asking = false;
  const behind = () => target && (store.run !== target.run || store.settled < target.n);

  async function repair() {
    asking = true;
    try {
      while (behind()) {
        const { run } = target;
        const before = store.run === run ? store.settled : -1;
        const answer = await Promise.race([pull({ run, from: Math.max(before, 0) }), overdue()]);
        if (target.run !== run || answer === undefined) continue; // overtaken by a newer run, or overdue
        if (answer?.run === run) store.apply(answer);
        const after = store.run === run ? store.settled : -1;
        if (after <= before) return; // nothing came: the next message tries again
      }
    } catch (error) {
      console.warn("trace view: could not fetch the missing part", error);
    } finally {
      asking = false;
    }
  }

  return (message) => {
    if (!message) return;
    const status = store.apply(message);
    if (status !== "gap" && status !== "unknown") return;
    const last = message.op === "batch" ? message.items[message.items.length - 1] : message;
    const n = last.op === "end" ? last.n : last.settled;
    target = target?.run === last.run ? { run: last.run, n: Math.max(n, target.n) } : { run: last.run, n };
    if (!asking) repair();
  };
}

// ---- Words and numbers

const percent = (share) => {
  const value = 100 * share;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  return `${value >= 9.95 || value === 0 ? Math.round(value) : value.toFixed(1)} %`;
};
const isControl = (text) => /^<\|[^]*\|>$/.test(text);
const imageName = (store, index) => store.images[index]?.label ?? `image ${index + 1}`;

/** A token as a person would name it. */
function nameOf(store, i) {
  const text = store.text[i];
  if (store.modality(i) === MODALITY.patch) {
    const patch = store.patchOf.get(i);
    const part = patch && store.images[patch[0]].thumbnail[patch[1]] ? "thumbnail" : "tile";
    return `a square of ${imageName(store, store.image.data[i])} (${part})`;
  }
  if (isControl(text)) return text;
  const shown = text.replace(/\n/g, "↵").trim();
  return `“${shown || (text.length ? "space" : "nothing")}”`;
}

/** "Expert 5, gate 0.71" for one token in one layer. */
function routingOf(store, i, layer) {
  const parts = [];
  for (let k = 0; k < store.rank; k++) {
    const expert = store.expert(i, layer, k);
    if (expert !== NOT_CAPTURED) parts.push(`Expert ${expert}, gate ${store.gate(i, layer, k).toFixed(2)}`);
  }
  return parts.join("; ") || "not captured";
}

// ---- Elements

/** An element. Text goes in as text: there is no way to pass markup. */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// JupyterLab's command keys ("b", "d d") fire inside outputs; the attribute counts on the focused element only
const KEYS = { "data-lm-suppress-shortcuts": "true" };

/** A row of native radio buttons, so that arrow keys and screen readers work as everywhere. */
function choices(label, options, value, onpick) {
  const name = `tv-${Math.random().toString(36).slice(2)}`;
  const inputs = new Map();
  const row = h("div", { class: "tv-choices", role: "radiogroup", "aria-label": label });
  for (const [key, text] of options) {
    const input = h("input", { type: "radio", name, value: key, onchange: () => onpick(key), ...KEYS });
    inputs.set(key, input);
    row.append(h("label", {}, input, h("span", {}, text)));
  }
  const set = (key) => { if (inputs.has(key)) inputs.get(key).checked = true; };
  set(value);
  return { row, set };
}

function dropdown(label, onpick) {
  const select = h("select", { "aria-label": label, onchange: () => onpick(Number(select.value)), ...KEYS });
  let shown = "";
  const set = (options, value) => {
    const wanted = JSON.stringify(options);
    if (wanted !== shown) {
      select.replaceChildren(...options.map(([key, text]) => h("option", { value: key }, text)));
    }
    shown = wanted;
    select.value = String(value);
  };
  return { select, set };
}

// ---- Colour

/** OKLCH to sRGB bytes: equal steps look equal, so a ramp stays ordered in black and white. */
function oklch(lightness, chroma, hue) {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return linear.map((v) => {
    const clipped = Math.min(Math.max(v, 0), 1);
    return Math.round(255 * (clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055));
  });
}
const css = ([red, green, blue], alpha = 1) => `rgb(${red} ${green} ${blue} / ${alpha})`;
const MANY_EXPERTS = 16;

/** Neighbouring experts differ in lightness too: hue is never the only difference, nor the only carrier. */
function expertColour(expert, experts) {
  const hue = experts <= MANY_EXPERTS ? (expert * 360) / Math.max(experts, 1) + 25 : expert * 137.508;
  return oklch([0.58, 0.72, 0.86][expert % 3], 0.12, hue);
}
const [SAME, OTHER] = [0.85, 0.08]; // places on the gate's ramp for "the same expert" and "another"
const inkOn = (rgb) => (0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 140 ? "#111" : "#fff");
const gateColour = (gate, dark) =>
  dark ? oklch(0.3 + 0.6 * gate, 0.03 + 0.09 * gate, 265) : oklch(0.95 - 0.6 * gate, 0.02 + 0.12 * gate, 265);

// ---- The words

function createWords(view) {
  const { store, id } = view;
  const legend = h("p", { class: "tv-legend" },
    h("span", {}, h("span", { class: "tv-key tv-key-generated" }), "written by the model"),
    h("span", {}, h("span", { class: "tv-key tv-key-prompt" }), "given to it"),
    h("span", {}, "Point at a word, or use the arrow keys. A click keeps it, Escape lets go."));
  const list = h("div", {
    class: "tv-words", role: "listbox", tabindex: "0", "aria-label": "Words of the conversation", ...KEYS,
    onpointerover: (event) => { if (event.pointerType !== "touch") view.hover(tokenAt(event.target)); },
    onpointerleave: () => view.hover(-1),
    onclick: (event) => { const token = tokenAt(event.target); if (token >= 0) view.select(token, "words"); },
    onkeydown,
  });
  let options = []; // { element, first, last, image }: one per word, one per picture
  let owner = []; // per token the number of its option
  let group = null;
  let block = null;
  let run = null;
  let active = null;

  const tokenAt = (target) => Number(target.closest?.("[data-token]")?.dataset.token ?? -1);

  const optionOf = (token) => owner[token] ?? -1;

  /** The option one line further up or down, nearest in x. */
  function vertical(index, step) {
    const here = options[index].element.getBoundingClientRect();
    const x = (here.left + here.right) / 2;
    let best = index;
    let line = null;
    let nearest = Infinity;
    for (let i = index + step; i >= 0 && i < options.length; i += step) {
      const box = options[i].element.getBoundingClientRect();
      const middle = (box.top + box.bottom) / 2;
      if (middle > here.top && middle < here.bottom) continue;
      if (line !== null && (middle < line.top || middle > line.bottom)) break;
      line ??= box;
      const distance = Math.abs((box.left + box.right) / 2 - x);
      if (distance < nearest) [best, nearest] = [i, distance];
    }
    return best;
  }

  function onkeydown(event) {
    if (!options.length || event.altKey || event.ctrlKey || event.metaKey) return;
    const now = optionOf(view.current());
    const at = now < 0 ? options.length - 1 : now;
    const moves = {
      ArrowRight: () => Math.min(at + 1, options.length - 1), ArrowLeft: () => Math.max(at - 1, 0),
      ArrowDown: () => vertical(at, 1), ArrowUp: () => vertical(at, -1),
      Home: () => 0, End: () => options.length - 1, Enter: () => at, " ": () => at,
    };
    if (event.key === "Escape") view.select(-1, "words");
    else if (moves[event.key]) view.select(options[moves[event.key]()].first, "words");
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function startGroup(i) {
    block = h("div", { class: "tv-text", dir: "auto" });
    // the very first token stands before any turn: it joins the turn that follows it
    if (group && group.turn < 0) {
      group.turn = store.turn.data[i];
      block = group.body.lastChild;
    } else {
      const label = h("span", { class: "tv-role", "aria-hidden": "true" });
      const body = h("div", { class: "tv-body", role: "presentation" }, block);
      const element = h("div", { class: "tv-turn", role: "group" }, label, body);
      group = { turn: store.turn.data[i], element, label, body, named: false };
      list.append(element);
    }
  }

  function add(i) {
    if (!group || store.turn.data[i] !== group.turn) startGroup(i);
    const role = store.roles[store.role.data[i]];
    if (role && !group.named) {
      group.named = true;
      group.label.textContent = role;
      group.element.setAttribute("aria-label", role);
      group.element.dataset.role = role;
    }
    const image = store.modality(i) === MODALITY.text ? -1 : store.image.data[i];
    const previous = options[options.length - 1];
    const joins = image >= 0 && previous?.image === image;
    owner[i] = joins ? options.length - 1 : options.length;
    if (joins) {
      previous.last = i;
      previous.element.querySelector(".tv-count").textContent = `${i - previous.first + 1} tokens`;
      return;
    }
    const element = image >= 0 ? chip(image) : word(i);
    element.id = `${id}-${i}`;
    element.dataset.token = i;
    options.push({ element, first: i, last: i, image });
    // long texts are cut into blocks at a line's end, so that off-screen ones cost no layout
    if (block.childElementCount > 200 && store.text[i - 1]?.endsWith("\n")) {
      block = h("div", { class: "tv-text", dir: "auto" });
      group.body.append(block);
    }
    block.append(element);
  }

  function chip(image) {
    return h("span", { class: "tv-chip", role: "option", "aria-selected": "false", dir: "ltr" },
      h("img", { src: store.images[image].src, alt: "" }),
      h("span", {}, imageName(store, image)), " ", h("span", { class: "tv-count" }, "1 token"));
  }

  function word(i) {
    const text = store.text[i];
    const lines = text.split("\n").length - 1;
    const blank = !text.trim();
    const element = h("span", {
      class: "tv-token", role: "option", "aria-selected": "false",
      "data-generated": store.generated(i), "data-control": isControl(text),
      "data-mark": lines ? "↵".repeat(Math.min(lines, 3)) : text ? undefined : "∅",
      "aria-label": lines && blank ? "line break" : blank ? (text ? "space" : "nothing") : undefined,
    });
    // the mark tells how many breaks there are; one is enough to read, and none after a turn's header
    element.textContent = text.replace(/\n+/g, store.text[i - 1] === "<|header_end|>" ? "" : "\n");
    return element;
  }

  function draw() {
    if (run !== store.run) {
      list.replaceChildren();
      [options, owner, group, block, active, run] = [[], [], null, null, null, store.run];
    }
    const atEnd = list.scrollTop + list.clientHeight > list.scrollHeight - 8;
    const grows = owner.length < store.n;
    while (owner.length < store.n) add(owner.length);
    list.toggleAttribute("data-long", options.length > 1000);
    if (grows && atEnd && view.state.selected < 0) list.scrollTop = list.scrollHeight;
    const now = options[optionOf(view.current())]?.element ?? null;
    if (now !== active) {
      active?.removeAttribute("data-active");
      now?.setAttribute("data-active", "");
      active = now;
    }
    const kept = options[optionOf(view.state.selected)]?.element ?? null;
    const marked = list.querySelector('[aria-selected="true"]');
    if (kept !== marked) {
      marked?.setAttribute("aria-selected", "false");
      kept?.setAttribute("aria-selected", "true");
    }
    const pointed = kept ?? active;
    if (pointed) list.setAttribute("aria-activedescendant", pointed.id);
    else list.removeAttribute("aria-activedescendant");
  }

  /** Bring the kept word into the strip's own window without moving the page. */
  function reveal() {
    const element = options[optionOf(view.state.selected)]?.element;
    if (!element) return;
    const box = element.getBoundingClientRect();
    const frame = list.getBoundingClientRect();
    if (box.top < frame.top) list.scrollTop -= frame.top - box.top + 8;
    else if (box.bottom > frame.bottom) list.scrollTop += box.bottom - frame.bottom + 8;
  }

  /** The picture that a token stands for as a whole, as { first, last, image }; null for any other token. */
  function wholePicture(token) {
    const option = options[optionOf(token)];
    return option && option.image >= 0 && option.first === token ? option : null;
  }
  const element = h("section", { "aria-label": "Words" }, h("h2", {}, "Words"), list, legend);
  return { element, draw, reveal, wholePicture };
}

// ---- The experts of one word

function createExperts(view) {
  const { store } = view;
  const heading = h("h2", {}, "Experts");
  const lead = h("p", { class: "tv-lead" });
  const body = h("tbody");
  const table = h("table", {},
    h("thead", {}, h("tr", {}, ...["Layer", "Expert", "Gate"].map((name) => h("th", { scope: "col" }, name)))),
    body);
  const frame = h("div", {
    class: "tv-table", tabindex: "0", role: "group", ...KEYS,
    "aria-label": "Experts by layer; arrow up and down choose a layer",
    onkeydown(event) {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step || !rows.length) return;
      const now = store.layers.indexOf(view.state.layer);
      const next = now < 0 ? 0 : Math.min(Math.max(now + step, 0), rows.length - 1);
      view.set({ layer: store.layers[next] }, "experts");
      rows[next].row.scrollIntoView({ block: "nearest" });
      event.preventDefault();
      event.stopPropagation();
    },
  }, table);
  let rows = [];
  let built = "";

  function build() {
    rows = store.layers.map((layer) => {
      const expert = h("td");
      const gate = h("td");
      const row = h("tr", { "data-layer": layer, onclick: () => view.set({ layer }, "experts") },
        h("th", { scope: "row" }, String(layer)), expert, gate);
      return { row, expert, gate };
    });
    body.replaceChildren(...rows.map(({ row }) => row));
  }

  function badge(expert) {
    const colour = expertColour(expert, store.experts);
    const element = h("span", { class: "tv-badge", title: `expert ${expert}` }, String(expert));
    element.style.background = css(colour);
    element.style.color = inkOn(colour);
    return element;
  }

  function bar(gate) {
    const fill = h("span", { class: "tv-fill" });
    fill.style.inlineSize = `${100 * gate}%`;
    return h("span", { class: "tv-gate" }, h("span", { class: "tv-bar", "aria-hidden": "true" }, fill),
      h("span", {}, gate.toFixed(2)));
  }

  const missing = () => h("span", { class: "tv-missing" }, store.done ? "not captured" : "not captured yet");

  function one(token, m, { expert, gate }) {
    const ranks = [...Array(store.rank).keys()].filter((k) => store.expert(token, m, k) !== NOT_CAPTURED);
    if (!ranks.length) return void (expert.replaceChildren(missing()), gate.replaceChildren());
    expert.replaceChildren(...ranks.map((k) => h("div", {}, badge(store.expert(token, m, k)),
      ` Expert ${store.expert(token, m, k)}`)));
    gate.replaceChildren(...ranks.map((k) => bar(store.gate(token, m, k))));
  }

  /** A whole picture: how many of its patches each expert took. */
  function many({ first, last }, m, { expert, gate }) {
    const counts = new Map();
    let total = 0;
    let sum = 0;
    for (let i = first; i <= last; i++) {
      const chosen = store.expert(i, m);
      if (store.modality(i) !== MODALITY.patch || chosen === NOT_CAPTURED) continue;
      counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
      sum += store.gate(i, m);
      total += 1;
    }
    if (!total) return void (expert.replaceChildren(missing()), gate.replaceChildren());
    const most = [...counts].sort((a, b) => b[1] - a[1]);
    expert.replaceChildren(h("div", { class: "tv-counts" },
      ...most.slice(0, 4).map(([e, count]) => h("span", {}, badge(e), ` ${count} times`)),
      most.length > 4 ? h("span", {}, `and ${most.length - 4} more`) : null));
    gate.replaceChildren(bar(sum / total));
  }

  function draw(token) {
    const layers = store.layers.join();
    if (built !== `${store.run} ${layers}`) build();
    built = `${store.run} ${layers}`;
    if (!rows.length) return void (lead.textContent = "This model has no expert layers in the trace.");
    const whole = view.words.wholePicture(token);
    heading.textContent = token < 0 ? "Experts" : `Experts for ${view.titleOf(token)}`;
    lead.textContent = whole
      ? "Squares of the picture per expert, and their mean gate. Click a square of the picture for itself alone."
      : `Each of these layers sends a word to ${store.rank} of ${store.experts} experts. `
        + "The gate, 0 to 1, says how strongly.";
    rows.forEach((cells, m) => {
      cells.row.toggleAttribute("data-chosen", store.layers[m] === view.state.layer);
      if (token < 0) return;
      if (whole) many(whole, m, cells);
      else one(token, m, cells);
    });
  }
  return { element: h("section", { "aria-label": "Experts" }, heading, lead, frame), draw };
}

// ---- The map: layers down, words across

function createMap(view) {
  const { store } = view;
  const canvas = h("canvas", { "aria-hidden": "true" });
  const sizer = h("div", { class: "tv-sizer" }, canvas);
  const frame = h("div", {
    class: "tv-map", tabindex: "0", role: "group", ...KEYS,
    "aria-label": "Overview of experts, layers down and words across; the words above give the same in text",
    onscroll: () => view.schedule(),
  }, sizer);
  const hint = "Each column is a word, each row a layer. Point at a cell to read it, click to keep it.";
  const readout = h("p", { class: "tv-note" }, hint);
  const legend = h("p", { class: "tv-legend" });
  const cells = document.createElement("canvas");
  let shape = null;

  const mode = choices("What the overview shows",
    [["expert", "expert"], ["gate", "gate weight"], ["same", "same expert as chosen"]], "expert",
    (key) => view.set({ mode: key }, "map"));
  const zoom = choices("Size of the overview", [["fit", "fit"], ["wide", "numbers"]], "fit",
    (key) => view.set({ zoom: key }, "map"));

  function cellAt(event) {
    if (!shape) return null;
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left - shape.gutter;
    const token = Math.floor((x + frame.scrollLeft) / shape.width);
    const m = Math.floor((event.clientY - box.top) / shape.height);
    return x >= 0 && token >= 0 && token < store.n && m >= 0 && m < store.layers.length ? { token, m } : null;
  }
  canvas.addEventListener("pointermove", (event) => {
    const cell = cellAt(event);
    view.hover(cell && event.pointerType !== "touch" ? cell.token : -1);
    const of = cell && `${nameOf(store, cell.token)} (token ${cell.token})`;
    readout.textContent = cell
      ? `layer ${store.layers[cell.m]}, ${of}: ${routingOf(store, cell.token, cell.m)}` : hint;
  });
  canvas.addEventListener("pointerleave", () => { view.hover(-1); readout.textContent = hint; });
  canvas.addEventListener("click", (event) => {
    const cell = cellAt(event);
    if (cell) view.select(cell.token, "map", store.layers[cell.m]);
  });

  function colourOf(i, m, chosen, how, dark) {
    const expert = store.expert(i, m);
    if (expert === NOT_CAPTURED) return null;
    if (how === "gate") return gateColour(store.gate(i, m), dark);
    if (how === "expert") return expertColour(expert, store.experts);
    for (let k = 0; k < store.rank; k++) {
      for (let j = 0; chosen >= 0 && j < store.rank; j++) {
        const wanted = store.expert(chosen, m, j);
        if (wanted !== NOT_CAPTURED && store.expert(i, m, k) === wanted) return gateColour(SAME, dark);
      }
    }
    return gateColour(OTHER, dark);
  }

  function hatch(context, colour) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6;
    const pen = tile.getContext("2d");
    pen.strokeStyle = colour;
    pen.beginPath();
    for (const shift of [-6, 0, 6]) { pen.moveTo(shift, 6); pen.lineTo(shift + 6, 0); }
    pen.stroke();
    return context.createPattern(tile, "repeat");
  }

  function paint(chosen) {
    const style = getComputedStyle(view.root);
    const pick = (name) => style.getPropertyValue(name).trim();
    const dark = view.root.dataset.theme === "dark";
    const { gutter, width, height, from, to, offset, across, down, axis } = shape;
    const scale = window.devicePixelRatio || 1;
    const columns = to - from;
    const rows = store.layers.length;
    canvas.width = Math.round(across * scale);
    canvas.height = Math.round((down + axis) * scale);
    canvas.style.inlineSize = `${across}px`;
    canvas.style.blockSize = `${down + axis}px`;
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    context.save();
    context.beginPath();
    context.rect(gutter, 0, across - gutter, down + axis);
    context.clip();
    context.translate(gutter - offset, 0);
    // hatching lies under everything: a cell that was not captured leaves it bare
    context.fillStyle = hatch(context, pick("--tv-hatch"));
    context.fillRect(from * width, 0, columns * width, down);
    const image = new ImageData(columns, rows);
    for (let m = 0; m < rows; m++) {
      for (let i = from; i < to; i++) {
        const rgb = colourOf(i, m, chosen, view.state.mode, dark);
        if (rgb) image.data.set([...rgb, 255], 4 * (m * columns + i - from));
      }
    }
    cells.width = columns;
    cells.height = rows;
    cells.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(cells, from * width, 0, columns * width, down);
    context.fillStyle = pick("--tv-surface");
    for (let m = 1; m < rows && height >= 8; m++) {
      context.fillRect(from * width, m * height - 1, columns * width, 1);
    }
    for (let i = from; i <= to && width >= 5; i++) context.fillRect(i * width - 1, 0, 1, down);
    if (width >= 14 && height >= 13) numbers(context, dark);
    ground(context, pick);
    if (chosen >= 0) {
      context.strokeStyle = pick("--tv-accent");
      context.lineWidth = 2;
      context.strokeRect(chosen * width - 1.5, 0, width + 2, down);
    }
    context.restore();
    sides(context, pick);
  }

  function numbers(context, dark) {
    const { width, height, from, to } = shape;
    context.font = `${Math.min(11, height - 4)}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    store.layers.forEach((_, m) => {
      for (let i = from; i < to; i++) {
        const rgb = colourOf(i, m, view.current(), view.state.mode, dark);
        if (!rgb) continue;
        context.fillStyle = inkOn(rgb);
        context.fillText(String(store.expert(i, m)), i * width + width / 2 - 0.5, m * height + height / 2);
      }
    });
  }

  /** Under the map: which columns are a picture, which the prompt, which the answer. */
  function ground(context, pick) {
    const { width, from, to, down } = shape;
    const kind = (i) =>
      store.generated(i) ? "answer" : store.modality(i) !== MODALITY.text && store.image.data[i] >= 0
        ? imageName(store, store.image.data[i]) : "prompt";
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "left";
    context.textBaseline = "top";
    for (let start = from; start < to;) {
      let stop = start + 1;
      while (stop < to && kind(stop) === kind(start)) stop++;
      const name = kind(start);
      const answer = name === "answer";
      context.fillStyle = pick(answer ? "--tv-accent" : name === "prompt" ? "--tv-line" : "--tv-soft");
      context.fillRect(start * width, down + 3, (stop - start) * width - 1, answer ? 4 : 3);
      context.fillStyle = pick("--tv-soft");
      const size = context.measureText(name).width;
      if (answer || (name !== "prompt" && size < (stop - start) * width)) {
        context.fillText(name, Math.min(start * width, to * width - size), down + 9);
      }
      start = stop;
    }
  }

  function sides(context, pick) {
    const { gutter, height, down } = shape;
    const every = Math.ceil(13 / height);
    const picked = store.layers.indexOf(view.state.layer);
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "middle";
    store.layers.forEach((layer, m) => {
      const near = picked >= 0 && m !== picked && Math.abs(m - picked) < every;
      if ((m % every && m !== picked) || near) return;
      const name = every > 1 && m && m !== picked ? String(layer) : `layer ${layer}`;
      context.fillStyle = pick(m === picked ? "--tv-accent" : "--tv-soft");
      context.fillText(name, gutter - 7, Math.max(m * height + height / 2, 6));
      if (m === picked) context.fillRect(gutter - 4, m * height, 3, height - 1);
    });
    context.fillStyle = pick("--tv-soft");
    context.fillText("words", gutter - 7, down + 8);
  }

  function explain(chosen, dark) {
    const swatch = (rgb, text) => {
      const box = h("span", { class: "tv-swatch" });
      box.style.background = css(rgb);
      return h("span", {}, box, text);
    };
    const parts = [];
    if (view.state.mode === "gate") {
      const ramp = h("span", { class: "tv-ramp" });
      const stops = [0, 0.25, 0.5, 0.75, 1].map((gate) => css(gateColour(gate, dark)));
      ramp.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
      parts.push(h("span", {}, "gate 0", ramp, "1"));
    } else if (view.state.mode === "same") {
      parts.push(swatch(gateColour(SAME, dark), `the same expert as ${nameOf(store, chosen)}`));
      parts.push(swatch(gateColour(OTHER, dark), "another"));
    } else if (store.experts <= MANY_EXPERTS) {
      const all = [...Array(store.experts).keys()];
      parts.push("expert", ...all.map((expert) => swatch(expertColour(expert, store.experts), String(expert))));
    } else {
      parts.push(`One colour per expert, ${store.experts} experts: point at a cell for its number.`);
    }
    legend.replaceChildren(...parts, h("span", {}, h("span", { class: "tv-swatch tv-hatched" }), "not captured"));
  }

  function draw(chosen) {
    const rows = store.layers.length;
    section.hidden = !rows || !store.n;
    if (section.hidden) return;
    mode.set(view.state.mode);
    zoom.set(view.state.zoom);
    const across = frame.clientWidth;
    const gutter = 56;
    const height = Math.min(Math.max(Math.floor(288 / rows), 5), 20);
    const fit = Math.floor((across - gutter) / store.n);
    const width = view.state.zoom === "wide" ? 20 : Math.min(Math.max(fit, 2), 20);
    const axis = 24;
    const down = rows * height;
    const total = gutter + store.n * width;
    const atEnd = frame.scrollLeft + across >= sizer.offsetWidth - 2 * width;
    sizer.style.inlineSize = `${Math.max(total, across)}px`;
    sizer.style.blockSize = `${down + axis}px`;
    if (view.state.selected < 0 && !store.done && atEnd) frame.scrollLeft = total;
    const offset = frame.scrollLeft;
    const from = Math.max(0, Math.floor(offset / width));
    const to = Math.min(store.n, Math.ceil((offset + across - gutter) / width));
    shape = { gutter, width, height, from, to, offset, across, down, axis };
    paint(chosen);
    explain(chosen, view.root.dataset.theme === "dark");
  }

  /** Scroll the map to a word chosen elsewhere. */
  function reveal(token) {
    if (!shape || token < 0) return;
    const { width, gutter, across } = shape;
    const x = token * width - frame.scrollLeft;
    if (x < 0 || x + width > across - gutter) frame.scrollLeft = token * width - (across - gutter) / 2;
  }

  const section = h("section", { "aria-label": "Overview of experts" },
    h("div", { class: "tv-head" }, h("h2", {}, "Every word in every layer"), mode.row, zoom.row),
    frame, readout, legend);
  return { element: section, draw, reveal, watch: frame };
}

// ---- The pictures

/** The cut to paint: a picture of a single tile has no thumbnail. 0: tiles, 1: thumbnail. */
const kindOf = (image, paint) => {
  const wanted = paint === "thumbnail" ? 1 : 0;
  return image.thumbnail.includes(wanted) ? wanted : 1 - wanted;
};

/** Patches to cells: every edge of every painted patch cuts, so tiles and thumbnail can lie over each other. */
function cellsOf(image, values, paint) {
  const picked = [];
  const wanted = kindOf(image, paint);
  const full = [0, 0]; // the largest patch of each kind: one cut off at the border weighs no more per pixel
  const edge = (v) => Math.round(v * 16) / 16; // float32 edges of neighbours may differ in the last bit
  image.token.forEach((_, p) => {
    const box = [...image.box.subarray(4 * p, 4 * p + 4)].map(edge);
    const kind = image.thumbnail[p];
    if (Number.isNaN(box[0])) return; // padding only: nothing of the picture to paint
    full[kind] = Math.max(full[kind], (box[2] - box[0]) * (box[3] - box[1]));
    if (paint === "both" || kind === wanted) picked.push([box, kind, values[p]]);
  });
  const sorted = (numbers) => [...new Set(numbers)].sort((a, b) => a - b);
  const xs = sorted(picked.flatMap(([box]) => [box[0], box[2]]));
  const ys = sorted(picked.flatMap(([box]) => [box[1], box[3]]));
  const column = new Map(xs.map((x, index) => [x, index]));
  const row = new Map(ys.map((y, index) => [y, index]));
  const across = Math.max(xs.length - 1, 0);
  const grid = new Float64Array(across * Math.max(ys.length - 1, 0));
  for (const [box, kind, value] of picked) {
    const weight = paint === "both" ? value / full[kind] : value;
    for (let y = row.get(box[1]); y < row.get(box[3]); y++) {
      for (let x = column.get(box[0]); x < column.get(box[2]); x++) grid[y * across + x] += weight;
    }
  }
  return { xs, ys, across, grid, peak: grid.reduce((a, b) => Math.max(a, b), 0) };
}

function createPictures(view) {
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

// ---- The view

/** Dark or light, as the page has it: a class, Jupyter's attribute, or the system. */
function themeOf(root) {
  if (root.closest(".dark")) return "dark";
  const jupyter = document.body.dataset.jpThemeLight;
  if (jupyter) return jupyter === "false" ? "dark" : "light";
  if (window.gradio_config) return "light"; // Gradio says dark with the class
  return window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

const HIDDEN_PATIENCE = 300; // ms until a hidden view looks whether it is shown

/**
 * Show a store in an element.
 *
 * options.store: a TraceStore (a new one otherwise); options.css: style text put beside the view;
 * options.onChange({run, selected, selected_layer, attention_layer, attention_head, expert, source}): a choice;
 * options.requestAttention({run, token, layer, head}): promise of an `attn` message, or of nothing if it comes later.
 * Returns {root, store, set, destroy}; set takes the same names as onChange gives and calls nobody back.
 */
export function createTraceView(element, options = {}) {
  const store = options.store ?? new TraceStore();
  const root = h("div", { class: "tv", "data-n": "0", "data-done": "false" });
  const state = {
    hover: -1, selected: -1, layer: -1, attentionLayer: -1, attentionHead: -1, paint: null, strength: 0.65,
    mode: null, zoom: "fit",
  };
  let frame = 0;
  let later = 0;
  let run = null;
  let asked = null;
  let refused = null;
  let announced = "";
  let reported = "";
  let newestOf = [-1, -1];

  const view = {
    store, root, state, id: `tv-${Math.random().toString(36).slice(2)}`,
    asks: Boolean(options.requestAttention),
    schedule() { frame ||= requestAnimationFrame(draw); },
    current: () => (state.hover >= 0 ? state.hover : state.selected >= 0 ? state.selected : newest()),
    attentionLayer: () => (store.attentionInfo?.layers.includes(state.attentionLayer)
      ? state.attentionLayer : store.attentionInfo?.default ?? -1),
    paint: () => state.paint ?? (store.images.some(({ thumbnail }) => thumbnail.includes(1)) ? "thumbnail" : "tiles"),
    attention: () => store.attention(view.current(), view.attentionLayer(), state.attentionHead),
    titleOf(token) {
      const whole = view.words.wholePicture(token);
      return whole ? imageName(store, whole.image) : nameOf(store, token);
    },
    hover(token) {
      if (token === state.hover) return;
      state.hover = token;
      view.schedule();
    },
    set(change, source) {
      Object.assign(state, change);
      view.schedule();
      if (source) report(source);
    },
    select(token, source, layer = state.layer) {
      state.hover = -1;
      view.set({ selected: token, layer }, source);
      if (source !== "words") view.words.reveal();
      else requestAnimationFrame(() => view.words.reveal());
      if (source !== "map") view.map.reveal(token);
    },
  };

  /** With nothing chosen: the last written word that has a letter or digit, so a stop marker is not shown off. */
  function newest() {
    if (newestOf[0] === store.n && newestOf[2] === store.run) return newestOf[1];
    let found = -1;
    for (let i = store.n - 1; i >= 0 && store.generated(i); i--) {
      if (found < 0) found = i;
      if (!isControl(store.text[i]) && /[\p{L}\p{N}]/u.test(store.text[i])) { found = i; break; }
    }
    newestOf = [store.n, found < 0 ? store.n - 1 : found, store.run];
    return newestOf[1];
  }

  /** Tell the host what a person chose, if it is a choice and not a matter of looks. */
  function report(source) {
    const m = store.layers.indexOf(state.layer);
    const chosen = {
      run: store.run,
      selected: state.selected,
      selected_layer: state.layer,
      attention_layer: view.attentionLayer(),
      attention_head: state.attentionHead,
      expert: state.selected >= 0 && m >= 0 ? store.expert(state.selected, m) : NOT_CAPTURED,
    };
    const told = JSON.stringify(chosen);
    if (told !== reported) options.onChange?.({ ...chosen, source });
    reported = told;
  }

  const readout = h("p", { class: "tv-readout" });
  const live = h("p", { class: "tv-live", role: "status", "aria-live": "polite" });
  const empty = h("p", { class: "tv-empty" },
    "Nothing to show yet: the words of the next answer appear here as they are written.");
  view.words = createWords(view);
  view.experts = createExperts(view);
  view.map = createMap(view);
  view.pictures = createPictures(view);
  const full = h("div", { class: "tv-full" }, view.words.element, readout, live,
    h("div", { class: "tv-columns" }, view.pictures.element, view.experts.element), view.map.element);
  root.append(empty, full);
  if (options.css) root.prepend(Object.assign(h("style"), { textContent: options.css }));

  /** Ask for the map of the word looked at; one question at a time, and the next is about the newest wish. */
  function fetchAttention(token) {
    const layer = view.attentionLayer();
    const key = `${store.run}:${token}:${layer}:${state.attentionHead}`;
    const answerable = view.asks && store.images.length && layer >= 0 && token >= 0 && store.generated(token);
    if (!answerable || view.attention() || asked || refused === key) return;
    asked = key;
    refused = null;
    const question = { run: store.run, token, layer, head: state.attentionHead };
    Promise.race([options.requestAttention(question), overdue()])
      .then((answer) => { if (answer) store.apply(answer); })
      .catch((error) => console.warn("trace view: could not fetch the attention", error))
      .finally(() => {
        asked = null;
        if (!store.attention(token, layer, question.head)) refused = key;
        view.schedule();
      });
  }

  function describe(token) {
    const whole = view.words.wholePicture(token);
    const facts = [whole ? `tokens ${whole.first} to ${whole.last}` : `token ${token}`, store.generated(token) ? "generated" : "prompt"];
    const logprob = store.logprob.data[token];
    if (Number.isFinite(logprob)) facts.push(`probability ${Math.exp(logprob).toFixed(2)}`);
    return facts.join(" · ");
  }

  function speak() {
    const token = state.selected;
    if (token < 0 || token >= store.n) return void (announced = live.textContent = "");
    const few = store.layers.length <= 8;
    const layers = [...store.layers.entries()].filter(([, layer]) => few || layer === state.layer);
    if (view.words.wholePicture(token)) layers.length = 0; // its squares went to many experts: see the table
    const routing = layers.map(([m, layer]) => `layer ${layer}: ${routingOf(store, token, m)}`);
    const map = store.attention(token, view.attentionLayer(), state.attentionHead);
    const seen = map?.decoded ? map.images : [];
    const looked = seen.map((share, i) =>
      `${imageName(store, i)} ${percent(share.tiles + share.thumbnail)} of attention`);
    const word = `Chosen: ${view.titleOf(token)}, ${describe(token)}`;
    const sentence = `${[word, ...routing, ...looked].join(". ")}.`;
    if (sentence !== announced) live.textContent = sentence;
    announced = sentence;
  }

  function draw() {
    frame = 0;
    // hidden, for a moment or in another tab: nothing can be measured, and no observer is sure to tell the end of it
    if (!root.clientWidth) return void (later = setTimeout(view.schedule, HIDDEN_PATIENCE));
    if (run !== store.run) {
      if (run !== null) Object.assign(state, { hover: -1, selected: -1 }); // chosen in another answer
      run = store.run;
    }
    state.mode ??= store.run === null ? null : store.experts <= MANY_EXPERTS ? "expert" : "same";
    root.dataset.theme = themeOf(root);
    empty.hidden = store.n > 0;
    full.hidden = store.n === 0;
    const token = view.current();
    view.words.draw();
    if (store.n) {
      readout.replaceChildren(h("strong", { dir: "auto" }, view.titleOf(token)), h("span", {}, describe(token)));
      view.pictures.draw(token);
      view.experts.draw(token);
      view.map.draw(token);
      fetchAttention(token);
      speak();
    }
    Object.assign(root.dataset, { n: store.n, done: store.done, run: store.run ?? "", token });
  }

  element.append(root);
  const stop = store.subscribe(() => view.schedule());
  const sizes = new ResizeObserver(() => view.schedule());
  for (const part of [view.map.watch, view.pictures.watch]) sizes.observe(part);
  const themes = new MutationObserver(() => view.schedule());
  for (const node of [document.documentElement, document.body]) {
    themes.observe(node, { attributes: true, attributeFilter: ["class", "data-jp-theme-light"] });
  }
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", view.schedule);
  view.schedule();

  const names = {
    selected: "selected", selected_layer: "layer",
    attention_layer: "attentionLayer", attention_head: "attentionHead",
  };
  return {
    root, store,
    set(change) {
      const known = Object.entries(change).filter(([name]) => names[name]);
      view.set(Object.fromEntries(known.map(([name, value]) => [names[name], value])));
      if ("selected" in change) {
        requestAnimationFrame(() => { view.words.reveal(); view.map.reveal(change.selected); });
      }
    },
    destroy() {
      cancelAnimationFrame(frame);
      clearTimeout(later);
      stop();
      sizes.disconnect();
      themes.disconnect();
      system.removeEventListener("change", view.schedule);
      root.remove();
    },
  };
}

// ---- Hosts

/** Gradio's HTML component: value = the latest message, server.pull and server.attention answer questions. */
export function mountGradio({ element, trigger, props, server, watch, css: style }) {
  const store = new TraceStore();
  const host = element.querySelector(".tv-host") ?? element;
  const receive = createReceiver(store, (question) => server.pull(question));
  const view = createTraceView(host, {
    store, css: style,
    requestAttention: (question) => server.attention(question),
    onChange: ({ run, selected, selected_layer: layer, expert, source }) =>
      trigger("token_select", { run, token: selected, layer, expert, source }),
  });
  watch("value", () => receive(props.value));
  receive(props.value); // a value set before the module was there is not told again
  return view;
}

/** Jupyter, through anywidget: one store per widget, shared by all its views. */
export default function widget() {
  const store = new TraceStore();
  const traits = ["selected", "selected_layer", "attention_layer", "attention_head"];
  let receive = null;
  return {
    initialize({ model }) {
      let answer = null;
      receive = createReceiver(store, (question) => new Promise((resolve) => {
        answer = resolve;
        model.send({ type: "pull", ...question });
      }));
      const onMessage = ({ pulled, message }) => (pulled ? answer?.(message) : receive(message));
      const onSnapshot = () => receive(model.get("_snapshot"));
      model.on("msg:custom", onMessage);
      model.on("change:_snapshot", onSnapshot);
      onSnapshot();
      return () => {
        model.off("msg:custom", onMessage);
        model.off("change:_snapshot", onSnapshot);
      };
    },
    render({ model, el }) {
      const view = createTraceView(el, {
        store,
        requestAttention: (question) => new Promise((resolve) => {
          const key = `${question.token}:${question.layer}:${question.head}`;
          const stop = store.subscribe(() => { if (store.maps.has(key)) { stop(); resolve(); } });
          model.send({ type: "attention", ...question });
        }),
        onChange(change) {
          for (const name of traits) model.set(name, change[name]);
          model.save_changes();
        },
      });
      const follow = () => view.set(Object.fromEntries(traits.map((name) => [name, model.get(name)])));
      follow();
      for (const name of traits) model.on(`change:${name}`, follow);
      return () => {
        for (const name of traits) model.off(`change:${name}`, follow);
        view.destroy();
      };
    },
  };
}
