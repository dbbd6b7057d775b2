// What differs between two traces of one question. No DOM.
//
// The first `shared` tokens are the same in both, so what a layer did with one of them was about the same words.
// Behind that each answer goes its own way: places are still compared side by side, but they are about different
// words, and are never counted.

import { NOT_CAPTURED } from "./store.js";

const firstGenerated = (store) => {
  for (let i = 0; i < store.n; i++) if (store.generated(i)) return i;
  return store.n;
};

export function createDifferences(left, right, shared) {
  const shift = () => firstGenerated(right) - firstGenerated(left);

  /** The token of B that stands where token i of A stands, -1 for none. */
  function partner(i) {
    if (i < 0 || i >= left.n) return -1;
    const j = left.generated(i) ? i + shift() : i;
    return j < right.n && (i < shared || left.generated(i)) ? j : -1;
  }

  /** The token of A that stands where token j of B stands, -1 for none. */
  function origin(j) {
    if (j < 0 || j >= right.n) return -1;
    const i = right.generated(j) ? j - shift() : j;
    return partner(i) === j ? i : -1;
  }

  /** Whether both were routed to the same experts in layer place m; null where that is not known. */
  function same(i, m) {
    const j = partner(i);
    if (j < 0 || left.expert(i, m) === NOT_CAPTURED || right.expert(j, m) === NOT_CAPTURED) return null;
    for (let k = 0; k < left.rank; k++) {
      const expert = left.expert(i, m, k);
      if (expert !== NOT_CAPTURED && !right.went(j, m, expert)) return false;
    }
    return true;
  }

  /** Counts over the shared tokens: {choices, flips, layers: [{choices, flips}]}. */
  function count() {
    const layers = left.layers.map((_, m) => {
      let choices = 0;
      let flips = 0;
      for (let i = 0; i < Math.min(shared, left.n, right.n); i++) {
        const agreed = same(i, m);
        if (agreed === null) continue;
        choices += 1;
        if (!agreed) flips += 1;
      }
      return { choices, flips };
    });
    const sum = (name) => layers.reduce((total, layer) => total + layer[name], 0);
    return { choices: sum("choices"), flips: sum("flips"), layers };
  }

  /** The first place where the two differ, or -1 if they are the same to the end. */
  const parting = () => (shared < Math.max(left.n, right.n) ? shared : -1);

  return { partner, origin, same, count, parting, shared };
}
