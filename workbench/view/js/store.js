// What is known of one trace so far, from messages that may be lost, doubled or late. No DOM: it runs in Node too.

const bytesOf = (value) =>
  typeof value === "string"
    ? Uint8Array.from(atob(value), (character) => character.charCodeAt(0))
    : new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice();

/** Little-endian array from base64 text or a DataView. */
const decode = (Type, value) => new Type(bytesOf(value).buffer);

/** float32 from its upper halves, as 16-bit numbers. */
const widen = (halves) => new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);

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

const mapKey = ({ token, layer, head }) => `${token}:${layer}:${head}`;
export const looksKey = ({ image, patch, layer, head }) => `${image}:${patch}:${layer}:${head}`;

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
      attentionInfo: head.attention ?? null, noAttention: head.no_attention ?? "", gated: head.gated !== false,
      n: 0, settled: 0, done: false, endAt: null,
      text: [], flags: new Column(Uint8Array), role: new Column(Int8Array), turn: new Column(Int16Array),
      image: new Column(Int16Array), logprob: new Column(Float32Array),
      margins: head.margin ? new Column(Float32Array, head.layers.length) : null,
      chosen: new Column(Int16Array, cells), gates: new Column(Uint16Array, cells),
      images: head.images.map((image) => ({
        ...image,
        token: decode(Int32Array, image.token), box: decode(Float32Array, image.box),
        thumbnail: decode(Uint8Array, image.thumbnail),
      })),
      maps: new Map(), looks: new Map(), patchOf: new Map(),
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
        this.maps.set(mapKey(message), message);
        return "ok";
      case "looks":
        if (message.run !== this.run) return "stale";
        this.look(message);
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
    if (this.margins && message.margin) this.writeMargins(from, widen(decode(Uint16Array, message.margin)));
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

  writeMargins(from, margins) {
    const { width, data } = this.margins;
    const known = Math.min((this.n - from) * width, margins.length);
    for (let c = 0; c < known; c++) if (Number.isNaN(margins[c])) margins[c] = data[from * width + c];
    this.margins.write(from, margins);
  }

  /** Which words looked at one place: new words are added to those known. */
  look(message) {
    const key = looksKey(message);
    const known = this.looks.get(key) ?? { share: new Map(), until: 0 };
    const shares = decode(Float32Array, message.share);
    decode(Int32Array, message.token).forEach((token, index) => known.share.set(token, shares[index]));
    this.looks.set(key, { share: known.share, until: Math.max(known.until, message.until) });
  }

  modality(i) { return this.flags.data[i] & 3; }
  generated(i) { return (this.flags.data[i] & GENERATED) !== 0; }
  expert(i, layer, k = 0) { return this.chosen.data[i * this.chosen.width + layer * this.rank + k]; }
  gate(i, layer, k = 0) {
    return this.gated ? this.gates.data[i * this.gates.width + layer * this.rank + k] / 65535 : NaN;
  }
  margin(i, layer) { return this.margins ? this.margins.data[i * this.margins.width + layer] : NaN; }

  /** Whether token i was routed to that expert in that layer (a place in `layers`), at any rank. */
  went(i, layer, expert) {
    const start = i * this.chosen.width + layer * this.rank;
    for (let k = 0; k < this.rank; k++) if (this.chosen.data[start + k] === expert) return true;
    return false;
  }

  /** Whether tokens i and j share an expert in that layer; null if one of them was not captured. */
  agree(i, j, layer) {
    if (this.expert(i, layer) === NOT_CAPTURED || this.expert(j, layer) === NOT_CAPTURED) return null;
    for (let k = 0; k < this.rank; k++) {
      const expert = this.expert(j, layer, k);
      if (expert !== NOT_CAPTURED && this.went(i, layer, expert)) return true;
    }
    return false;
  }

  /** The attention of one generated word, or undefined while it has not been sent. */
  attention(token, layer, head) {
    const key = mapKey({ token, layer, head });
    if (!this.maps.has(key) && Array.isArray(head)) this.combine(key, token, layer, head);
    const map = this.maps.get(key);
    if (map && !map.missing && !map.decoded) map.decoded = map.values.map((values) => decode(Uint8Array, values));
    return map;
  }

  /** The mean map of several heads, if each one's is there. */
  combine(key, token, layer, heads) {
    const maps = heads.map((head) => this.attention(token, layer, head));
    if (!maps.length || !maps.every((map) => map?.decoded)) return;
    const mean = (numberOf) => maps.reduce((sum, map) => sum + numberOf(map), 0) / maps.length;
    const values = this.images.map(({ token: patches }, i) =>
      Float64Array.from(patches, (_, p) => mean((map) => map.decoded[i][p] * map.peak)));
    const peak = Math.max(1e-9, ...values.map((row) => row.reduce((a, b) => Math.max(a, b), 0))) / 255;
    this.maps.set(key, {
      peak, rest: mean((map) => map.rest),
      decoded: values.map((row) => Uint8Array.from(row, (value) => Math.round(value / peak))),
      values: [], images: this.images.map((_, i) => ({
        tiles: mean((map) => map.images[i].tiles), thumbnail: mean((map) => map.images[i].thumbnail),
      })),
    });
  }

  /** Whether what a question asks for is there. */
  answers(question) {
    if (question.want !== "looks") return this.maps.has(mapKey(question));
    return (this.looks.get(looksKey(question))?.until ?? 0) > question.from;
  }
}
