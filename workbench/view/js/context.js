// What all parts of a view share: the store, what is chosen, and what follows from it.

import { imageName, isControl, nameOf } from "./naming.js";
import { shadeOf } from "./shade.js";
import { NOT_CAPTURED } from "./store.js";
import { themeOf } from "./theme.js";

const INKS = ["surface", "raised", "ink", "soft", "line", "accent", "hatch"];

/** The view that parts are given. `schedule` asks for a frame, `report(source)` tells the host what was chosen. */
export function createContext(store, root, { schedule, report, asks, differs, name, beside }) {
  const state = {
    hover: -1, selected: -1, layer: -1, expert: -1, attentionLayer: -1, attentionHead: -1, paint: null, strength: 0.65,
    overlay: "gaze", overview: "words", counted: "all", mode: null, shade: "none",
  };
  let newestOf = { run: null, n: -1, token: -1 };
  const margins = new Map(); // of each store: the largest so far, and of how many words
  let theme = "light";
  let inks = null;
  let shade; // of this frame; undefined until somebody asks

  /** With nothing chosen: the last written word that has a letter or digit, so a stop marker is not shown off. */
  function newest() {
    if (newestOf.n === store.n && newestOf.run === store.run) return newestOf.token;
    let found = -1;
    for (let i = store.n - 1; i >= 0 && store.generated(i); i--) {
      if (found < 0) found = i;
      if (!isControl(store.text[i]) && /[\p{L}\p{N}]/u.test(store.text[i])) { found = i; break; }
    }
    newestOf = { run: store.run, n: store.n, token: found < 0 ? store.n - 1 : found };
    return newestOf.token;
  }

  function largestMargin(one) {
    let found = margins.get(one);
    if (found?.run !== one.run) margins.set(one, found = { run: one.run, n: 0, most: 0 });
    for (let i = Math.max(found.n - 1, 0); i < one.n; i++) {
      for (let m = 0; m < one.layers.length; m++) {
        const margin = one.margin(i, m);
        if (margin > found.most) found.most = margin;
      }
    }
    found.n = one.n;
    return found.most;
  }

  const view = {
    store, root, state, asks, differs, schedule,
    /** What is shaded on one scale: this trace, and the one beside it. */
    stores: beside ? [store, beside] : [store],
    id: `tv-${Math.random().toString(36).slice(2)}`,
    /** What a part is called: of two views on one page each says whose it is. */
    label: (text) => (name ? `${text} of ${name}` : text),

    /** The word that everything is about: pointed at, chosen, or the newest. */
    current: () => (state.hover >= 0 ? state.hover : state.selected >= 0 ? state.selected : newest()),
    attentionLayer: () => (store.attentionInfo?.layers.includes(state.attentionLayer)
      ? state.attentionLayer : store.attentionInfo?.default ?? -1),
    paint: () => state.paint ?? (store.images.some(({ thumbnail }) => thumbnail.includes(1)) ? "thumbnail" : "tiles"),
    attention: () => store.attention(view.current(), view.attentionLayer(), state.attentionHead),

    /** Place of the chosen layer in `store.layers`, of the first one if none is chosen; -1 without layers. */
    layerPlace: () => Math.min(Math.max(store.layers.indexOf(state.layer), 0), store.layers.length - 1),

    /** The expert that is singled out, with the place of its layer: the chosen one, else the current word's. */
    oneExpert() {
      const layer = view.layerPlace();
      const token = view.current();
      const own = layer >= 0 && token >= 0 ? store.expert(token, layer) : NOT_CAPTURED;
      return { layer, expert: state.expert >= 0 ? state.expert : Math.max(own, 0) };
    },

    /** The largest margin so far: where the ramp for margins ends. */
    highestMargin: () => Math.max(...view.stores.map(largestMargin)) || 1,

    titleOf(token) {
      const whole = view.words.wholePicture(token);
      return whole ? imageName(store, whole.image) : nameOf(store, token);
    },
    theme: () => theme,
    inks() {
      if (!inks) {
        const style = getComputedStyle(root);
        inks = Object.fromEntries(INKS.map((name) => [name, style.getPropertyValue(`--tv-${name}`).trim()]));
      }
      return inks;
    },
    shade() {
      shade = shade === undefined ? shadeOf(view) : shade;
      return shade;
    },

    /** Before a frame is drawn: forget what followed from an older state. */
    refresh(styleChanged) {
      theme = themeOf(root);
      if (root.dataset.theme !== theme || styleChanged) inks = null;
      root.dataset.theme = theme;
      shade = undefined;
    },
    hover(token) {
      if (token === state.hover) return;
      state.hover = token;
      schedule();
    },
    set(change, source) {
      // an expert is one of its layer: with another layer it is another one
      const other = "layer" in change && change.layer !== state.layer && !("expert" in change);
      Object.assign(state, change, other ? { expert: -1 } : {});
      schedule();
      if (source) report(source);
    },
    select(token, source, layer = state.layer) {
      state.hover = -1;
      view.set({ selected: token, layer, ...(token < 0 ? { expert: -1 } : {}) }, source);
      if (source !== "words") view.words.reveal();
      else requestAnimationFrame(() => view.words.reveal());
      if (source !== "map") view.overview?.reveal(token);
    },
  };
  return view;
}
