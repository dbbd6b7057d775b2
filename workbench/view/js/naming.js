// Words and numbers as a person would say them.

import { MODALITY, NOT_CAPTURED } from "./store.js";

export const percent = (share) => {
  const value = 100 * share;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  return `${value >= 9.95 || value === 0 ? Math.round(value) : value.toFixed(1)} %`;
};
export const isControl = (text) => /^<\|[^]*\|>$/.test(text);
export const imageName = (store, index) => store.images[index]?.label ?? `image ${index + 1}`;

/** A token as a person would name it. */
export function nameOf(store, i) {
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

/** "Expert 5, gate 0.71" for one token in one layer; no gate where none was told. */
export function routingOf(store, i, layer) {
  const parts = [];
  for (let k = 0; k < store.rank; k++) {
    const expert = store.expert(i, layer, k);
    const gate = store.gated ? `, gate ${store.gate(i, layer, k).toFixed(2)}` : "";
    if (expert !== NOT_CAPTURED) parts.push(`Expert ${expert}${gate}`);
  }
  return parts.join("; ") || "not captured";
}
