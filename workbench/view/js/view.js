// The linked view of one trace: words, pictures, experts and the overview, drawn once a frame.

import { createContext } from "./context.js";
import { h } from "./elements.js";
import { createExperts } from "./experts.js";
import { looksQuestion } from "./looks.js";
import { modesOf } from "./map.js";
import { imageName, percent, routingOf } from "./naming.js";
import { createOverview } from "./overview.js";
import { createPictures } from "./pictures.js";
import { createAsker } from "./receiver.js";
import { placeOf } from "./shade.js";
import { NOT_CAPTURED, TraceStore } from "./store.js";
import { watchTheme } from "./theme.js";
import { createWords } from "./words.js";

const HIDDEN_PATIENCE = 300; // ms until a hidden view looks whether it is shown
const FEW = 8; // layers that are read out one by one

/** What hosts call what a person chose, and what it is called here. */
const NAMES = {
  selected: "selected", selected_layer: "layer", selected_expert: "expert",
  attention_layer: "attentionLayer", attention_head: "attentionHead", shade: "shade",
};
const oneHead = (head) => (Array.isArray(head) ? -1 : head); // hosts know one head, or the mean

/**
 * Show a store in an element.
 *
 * options.store: a TraceStore (a new one otherwise); options.css: style text put beside the view;
 * options.onChange({run, selected, selected_layer, selected_expert, attention_layer, attention_head,
 * attention_heads, expert, source}): a choice; `expert` is the chosen one, else the chosen word's in the chosen layer;
 * options.requestAttention(question): promise of the `attn` or `looks` message that the question {run, token, layer,
 * head} or {run, want: "looks", image, patch, layer, head, from} asks for, or of nothing if it comes later;
 * options.overview: false leaves the overview out; options.experts: false the table of experts;
 * options.differs(token): a word to mark it with, or undefined; options.name: whose view it is, beside another one;
 * options.beside: the store of that one, whose words are shaded on the same scale.
 * Returns {root, store, set, destroy}; set takes the same names as onChange gives, and `shade`, and calls nobody back.
 */
export function createTraceView(element, options = {}) {
  const store = options.store ?? new TraceStore();
  const root = h("div", { class: "tv", "data-n": "0", "data-done": "false" });
  let frame = 0;
  let later = 0;
  let run = null;
  let announced = "";
  let reported = "";
  let restyled = false;

  const schedule = () => { frame ||= requestAnimationFrame(draw); };
  const asks = Boolean(options.requestAttention);
  const { differs, name, beside } = options;
  const view = createContext(store, root, { schedule, report, asks, differs, name, beside });
  const { state } = view;
  const request = (question) => options.requestAttention(question);
  const askMap = createAsker(store, request, schedule);
  const askLooks = createAsker(store, request, schedule);

  const readout = h("p", { class: "tv-readout" });
  const live = h("p", { class: "tv-live", role: "status", "aria-live": "polite" });
  const empty = h("p", { class: "tv-empty" },
    "Nothing to show yet: the words of the next answer appear here as they are written.");
  view.words = createWords(view);
  view.pictures = createPictures(view);
  view.experts = options.experts === false ? null : createExperts(view);
  view.overview = options.overview === false ? null : createOverview(view);
  const full = h("div", { class: "tv-full" }, view.words.element, readout, live,
    h("div", { class: "tv-columns" }, view.pictures.element, view.experts?.element), view.overview?.element);
  root.append(empty, full);
  if (options.css) root.prepend(Object.assign(h("style"), { textContent: options.css }));

  /** Tell the host what a person chose, if it is a choice and not a matter of looks. */
  function report(source) {
    const m = store.layers.indexOf(state.layer);
    const own = state.selected >= 0 && m >= 0 ? store.expert(state.selected, m) : NOT_CAPTURED;
    const chosen = {
      run: store.run,
      selected: state.selected,
      selected_layer: state.layer,
      selected_expert: state.expert,
      attention_layer: view.attentionLayer(),
      attention_head: oneHead(state.attentionHead),
      attention_heads: [state.attentionHead].flat(),
      expert: state.expert >= 0 ? state.expert : own,
    };
    const told = JSON.stringify(chosen);
    if (told !== reported) options.onChange?.({ ...chosen, source });
    reported = told;
  }

  /** Ask for the map of the word looked at, and for the words that looked at the chosen place. */
  function fetchAttention(token) {
    if (!asks || !store.images.length || view.attentionLayer() < 0) return;
    const at = { layer: view.attentionLayer(), head: state.attentionHead };
    if (token >= 0 && store.generated(token) && !view.attention()) askMap({ run: store.run, token, ...at });
    const place = placeOf(view);
    if (place) askLooks(looksQuestion(store, place));
  }

  function describe(token) {
    const whole = view.words.wholePicture(token);
    const facts = [whole ? `tokens ${whole.first} to ${whole.last}` : `token ${token}`,
      store.generated(token) ? "generated" : "prompt"];
    const logprob = store.logprob.data[token];
    if (Number.isFinite(logprob)) facts.push(`probability ${Math.exp(logprob).toFixed(2)}`);
    const shade = view.shade();
    const value = shade?.value(token) ?? null;
    if (value !== null && !whole) facts.push(`${shade.name}: ${shade.says(value)}`);
    return facts.join(" · ");
  }

  function sentenceOf(token) {
    const layers = [...store.layers.entries()].filter(([, layer]) => store.layers.length <= FEW || layer === state.layer);
    if (view.words.wholePicture(token)) layers.length = 0; // its squares went to many experts: see the table
    const routing = layers.map(([m, layer]) => `layer ${layer}: ${routingOf(store, token, m)}`);
    const map = store.attention(token, view.attentionLayer(), state.attentionHead);
    const looked = (map?.decoded ? map.images : []).map((share, i) =>
      `${imageName(store, i)} ${percent(share.tiles + share.thumbnail)} of attention`);
    return [`Chosen: ${view.titleOf(token)}, ${describe(token)}`, ...routing, ...looked];
  }

  function speak() {
    const token = state.selected;
    const parts = token < 0 || token >= store.n ? [] : sentenceOf(token);
    if (state.expert >= 0) parts.push(`Chosen: expert ${state.expert} of layer ${store.layers[view.layerPlace()]}`);
    const sentence = parts.length ? `${parts.join(". ")}.` : "";
    if (sentence !== announced) live.textContent = sentence;
    announced = sentence;
  }

  function draw() {
    frame = 0;
    // hidden, for a moment or in another tab: nothing can be measured, and no observer is sure to tell the end of it
    if (!root.clientWidth) return void (later = setTimeout(schedule, HIDDEN_PATIENCE));
    if (run !== store.run) {
      if (run !== null) Object.assign(state, { hover: -1, selected: -1, expert: -1, shade: "none" }); // of another answer
      run = store.run;
    }
    const modes = modesOf(store).map(([mode]) => mode);
    if (store.run !== null && !modes.includes(state.mode)) [state.mode] = modes;
    view.refresh(restyled);
    restyled = false;
    empty.hidden = store.n > 0;
    full.hidden = store.n === 0;
    const token = view.current();
    view.words.draw();
    if (store.n) {
      readout.replaceChildren(h("strong", { dir: "auto" }, view.titleOf(token)), h("span", {}, describe(token)));
      view.pictures.draw(token);
      view.experts?.draw(token);
      view.overview?.draw();
      fetchAttention(token);
      speak();
    }
    Object.assign(root.dataset, { n: store.n, done: store.done, run: store.run ?? "", token });
  }

  element.append(root);
  const restyle = () => { restyled = true; schedule(); };
  const stops = [...view.stores.map((one) => one.subscribe(schedule)), watchTheme(restyle)];
  const sizes = new ResizeObserver(schedule);
  for (const part of [view.overview?.watch, view.pictures.watch]) if (part) sizes.observe(part);
  schedule();

  return {
    root, store,
    set(change) {
      const known = Object.entries(change).filter(([name, value]) => NAMES[name] && value !== undefined
        // some heads were told as their mean: that is no new choice
        && !(name === "attention_head" && value === oneHead(state.attentionHead)));
      view.set(Object.fromEntries(known.map(([name, value]) => [NAMES[name], value])));
      if ("selected" in change) {
        requestAnimationFrame(() => { view.words.reveal(); view.overview?.reveal(change.selected); });
      }
    },
    destroy() {
      cancelAnimationFrame(frame);
      clearTimeout(later);
      for (const stop of stops) stop();
      sizes.disconnect();
      root.remove();
    },
  };
}
