// Messages made by hand, for the tests of what reads them.

export const base64 = (Type, values) => Buffer.from(new Type(values).buffer).toString("base64");

export const LAYERS = [1, 3];

export const reset = (run = "a", started = 0, more = {}) => ({
  op: "reset", run, started, layers: LAYERS, experts: 8, rank: 1, roles: ["system", "user"], images: [],
  attention: { layers: [3, 7], heads: 4, default: 7 }, ...more,
});

/** Tokens [from, to): token i went to expert (i + layer) mod 8, except those not known yet. */
export function append(from, to, { run = "a", settled = to, unknown = [], texts, expert, margin } = {}) {
  const tokens = Array.from({ length: to - from }, (_, i) => from + i);
  const chosen = expert ?? ((i, m) => (i + m) % 8);
  const routed = tokens.flatMap((i) => LAYERS.map((_, m) => (unknown.includes(i) ? -1 : chosen(i, m))));
  return {
    op: "append", run, from, settled,
    text: texts ?? tokens.map((i) => `w${i}`),
    flags: base64(Uint8Array, tokens.map((i) => (i >= 4 ? 4 : 0))),
    role: base64(Int8Array, tokens.map(() => 1)),
    turn: base64(Int16Array, tokens.map(() => 0)),
    image: base64(Int16Array, tokens.map(() => -1)),
    logprob: base64(Float32Array, tokens.map(() => -0.5)),
    experts: base64(Int16Array, routed),
    gates: base64(Uint16Array, routed.map((one) => (one < 0 ? 0 : 6554 * (one + 1)))),
    ...(margin ? { margin: base64(Uint16Array, tokens.flatMap((i) => LAYERS.map((_, m) => upper(margin(i, m))))) } : {}),
  };
}

/** The upper half of a float32. */
const upper = (value) => new Uint32Array(Float32Array.of(value).buffer)[0] >>> 16;

/** One picture of 2 x 2 patches, tokens 0 to 3. */
export const picture = {
  label: "image 1", src: "", width: 20, height: 20, token: base64(Int32Array, [0, 1, 2, 3]),
  box: base64(Float32Array, [0, 0, 10, 10, 10, 0, 20, 10, 0, 10, 10, 20, 10, 10, 20, 20]),
  thumbnail: base64(Uint8Array, [0, 0, 0, 0]),
};

/** The map of one word in one head: shares in 255ths of `peak`. */
export const map = (token, head, values, peak = 0.5, run = "a") => ({
  op: "attn", run, token, layer: 7, head, peak, values: [base64(Uint8Array, values)],
  images: [{ tiles: 0.4, thumbnail: 0 }], rest: 0.6,
});
