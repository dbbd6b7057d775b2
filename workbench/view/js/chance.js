// What a router that draws lots would do: the level to compare a load with. No DOM.

const TAIL = 0.025;

/** The counts between which 95 of 100 draws of a binomial lie: [low, high] of `trials`, each with chance `p`. */
export function binomialRange(trials, p) {
  if (!trials || p <= 0 || p >= 1) return [trials * Math.min(Math.max(p, 0), 1), trials * Math.min(Math.max(p, 0), 1)];
  let log = trials * Math.log1p(-p); // of the probability of exactly `count`
  let below = 0;
  let low = null;
  for (let count = 0; count <= trials; count++) {
    below += Math.exp(log);
    if (low === null && below > TAIL) low = count;
    if (below >= 1 - TAIL) return [low, count];
    log += Math.log((trials - count) / (count + 1)) + Math.log(p) - Math.log1p(-p);
  }
  return [low ?? 0, trials];
}

/** How many of some tokens each expert took in a layer: {counts, tokens}; a token counts once for each expert. */
export function loadOf(store, m, wanted) {
  const counts = new Uint32Array(store.experts);
  let tokens = 0;
  for (let i = 0; i < store.n; i++) {
    if (store.expert(i, m) < 0 || !wanted(i)) continue;
    tokens += 1;
    for (let k = 0; k < store.rank; k++) {
      const expert = store.expert(i, m, k);
      if (expert >= 0) counts[expert] += 1;
    }
  }
  return { counts, tokens };
}
