// Which words looked at one place: a picture, or one patch of it. No DOM.

import { looksKey } from "./store.js";

/** Shares by word, from what a host answered, else from the maps of single words that are there. */
export function looksOf(store, place) {
  const answered = store.looks.get(looksKey(place));
  if (answered) return answered.share;
  const share = new Map();
  const patch = place.patch < 0 ? -1 : store.patchOf.get(place.patch)?.[1];
  for (let token = 0; token < store.n; token++) {
    if (!store.generated(token)) continue;
    const map = store.attention(token, place.layer, place.head);
    if (!map?.decoded) continue;
    const seen = map.images[place.image];
    share.set(token, patch < 0 ? seen.tiles + seen.thumbnail : (map.decoded[place.image][patch] / 255) * map.peak);
  }
  return share;
}

/** What to ask a host for, or null if it has told of every word. */
export function looksQuestion(store, place) {
  const until = store.looks.get(looksKey(place))?.until ?? 0;
  return until < store.n ? { run: store.run, want: "looks", ...place, from: until } : null;
}
