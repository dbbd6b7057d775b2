// The linked view: words, pictures, experts and the map of one store.

import { NOT_CAPTURED, TraceStore } from "./store.js";
import { overdue } from "./receiver.js";
import { imageName, isControl, nameOf, percent, routingOf } from "./naming.js";
import { h } from "./elements.js";
import { MANY_EXPERTS } from "./colours.js";
import { createWords } from "./words.js";
import { createExperts } from "./experts.js";
import { createMap } from "./map.js";
import { createPictures } from "./pictures.js";

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
