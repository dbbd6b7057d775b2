// What the words are shaded by: a number for every word, and what it means.

import { MANY_EXPERTS, NO, PALETTE, TINTED, amount } from "./colours.js";
import { looksOf } from "./looks.js";
import { imageName, percent } from "./naming.js";
import { NOT_CAPTURED } from "./store.js";

const tint = (share, theme) => amount(TINTED * Math.min(share, 1), theme);
const TALLEST = 10; // nats of surprise that get the full colour: a probability of 1 in 20,000

/** The quantities a store has, as [key, name]. */
export function shadesOf(store) {
  if (!store.n) return [["none", "nothing"]];
  return [
    ["none", "nothing"],
    ...(store.layers.length ? [["expert", "expert"]] : []),
    ...(store.layers.length && store.gated ? [["gate", "gate"]] : []),
    ...(store.margins ? [["margin", "margin of the choice"]] : []),
    ["surprise", "surprise"],
    ...(store.attentionInfo
      ? store.images.map((_, index) => [`image ${index}`, `attention to ${imageName(store, index)}`]) : []),
  ];
}

/** The place whose words are wanted: a chosen patch comes before a picture; null for none. */
export function placeOf(view) {
  const { store, state } = view;
  if (!store.attentionInfo) return null;
  const at = { layer: view.attentionLayer(), head: state.attentionHead };
  const patch = store.patchOf.get(state.selected);
  if (patch && !view.words.wholePicture(state.selected)) return { image: patch[0], patch: state.selected, ...at };
  return state.shade.startsWith("image ") ? { image: Number(state.shade.slice(6)), patch: -1, ...at } : null;
}

function ofPlace(view, place) {
  const { store } = view;
  const share = looksOf(store, place);
  const there = view.stores.filter((one) => (place.patch < 0 ? one.images[place.image] : one.patchOf.get(place.patch)));
  const most = Math.max(1e-9, ...there.flatMap((one) => [...looksOf(one, place).values()]));
  const what = place.patch < 0 ? imageName(store, place.image) : "the chosen square";
  return {
    key: `${Object.values(place).join()} ${share.size} ${most}`,
    value: (i) => share.get(i) ?? null,
    colour: (i) => (share.has(i) ? tint(share.get(i) / most, view.theme()) : null),
    says: percent, low: "0 %", high: percent(most),
    name: `attention to ${what}, layer ${place.layer}`,
  };
}

function surpriseOf(store, i) {
  const logprob = store.logprob.data[i];
  return Number.isFinite(logprob) && store.generated(i) ? -logprob : null;
}

const graded = (view, value, most, more) => ({
  value,
  colour: (i) => (value(i) === null ? null : tint(value(i) / most, view.theme())),
  ...more,
});

/**
 * How to shade words now, or null: {key, name, value(i), says(value), colour(i)}, and low and high for a ramp or
 * swatches [[colour, text]]. value and colour are null where a word has none.
 */
export function shadeOf(view) {
  const { store, state } = view;
  const place = placeOf(view);
  if (place) return ofPlace(view, place);
  const m = view.layerPlace();
  const layer = store.layers[m];
  const routed = (number) => (i) => (store.expert(i, m) === NOT_CAPTURED ? null : number(i));
  switch (state.shade) {
    case "expert": return byExpert(view, m);
    case "gate": return graded(view, routed((i) => store.gate(i, m)), 1, {
      key: `${m}`, name: `gate in layer ${layer}`, says: (v) => v.toFixed(2), low: "0", high: "1" });
    case "margin": {
      const most = view.highestMargin();
      const value = (i) => { const v = store.margin(i, m); return Number.isNaN(v) ? null : v; };
      return graded(view, value, most, {
        key: `${m} ${most}`, name: `margin in layer ${layer}, logits`, says: (v) => v.toFixed(2),
        low: "0", high: most.toFixed(1) });
    }
    case "surprise": {
      let most = 0.01;
      for (const one of view.stores) {
        for (let i = 0; i < one.n; i++) most = Math.max(most, Math.min(surpriseOf(one, i) ?? 0, TALLEST));
      }
      return graded(view, (i) => surpriseOf(store, i), most, {
        key: `${most}`, name: "surprise, -log p in nats", says: (v) => v.toFixed(2), low: "0", high: most.toFixed(1) });
    }
    default: return null;
  }
}

/** One colour for each expert while they can be told apart; else the chosen word's expert against all others. */
function byExpert(view, m) {
  const { store } = view;
  const value = (i) => (store.expert(i, m) === NOT_CAPTURED ? null : store.expert(i, m));
  const base = { value, says: (v) => `expert ${v}`, name: `expert in layer ${store.layers[m]}` };
  const { layer, expert } = view.oneExpert();
  if (view.state.expert < 0 && store.experts <= MANY_EXPERTS) {
    const swatches = [...Array(store.experts).keys()].map((e) => [PALETTE[e], String(e)]);
    return { ...base, key: `${m}`, colour: (i) => (value(i) === null ? null : PALETTE[value(i)]), swatches };
  }
  const [yes, no] = [tint(1, view.theme()), tint(0, view.theme())];
  const mine = layer === m ? expert : NOT_CAPTURED;
  return {
    ...base, key: `${m} ${mine}`,
    colour: (i) => (value(i) === null ? null : store.went(i, m, mine) ? yes : no),
    swatches: [[yes, `expert ${mine} of layer ${store.layers[m]}`], [no, "another"]],
  };
}
