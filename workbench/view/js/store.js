// What is known of one trace so far, from messages that may be lost, doubled or late. No DOM: it runs in Node too.

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

export const NOT_CAPTURED = -1;
export const MODALITY = { text: 0, patch: 1 }; // 2: the markers around and between tiles
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
