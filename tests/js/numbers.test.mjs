// What the view works out by itself: margins, means of heads, who looked where, chance, differences, letters, CSV.

import assert from "node:assert/strict";
import { test } from "node:test";

import { binomialRange, loadOf } from "../../workbench/view/js/chance.js";
import { joinBytes } from "../../workbench/view/js/characters.js";
import { summaryOf } from "../../workbench/view/js/compare.js";
import { createDifferences } from "../../workbench/view/js/differences.js";
import { squaresOf } from "../../workbench/view/js/experts.js";
import { csvOf } from "../../workbench/view/js/figure.js";
import { looksOf, looksQuestion } from "../../workbench/view/js/looks.js";
import { neighbour, patchAt } from "../../workbench/view/js/patches.js";
import { createAsker } from "../../workbench/view/js/receiver.js";
import { TraceStore } from "../../workbench/view/js/store.js";
import { LAYERS, append, base64, map, picture, reset } from "./messages.mjs";

function storeWith(...messages) {
  const store = new TraceStore();
  for (const message of messages) store.apply(message);
  return store;
}

test("margins arrive, and an unknown one never replaces a number", () => {
  const margin = (i, m) => i + m / 2;
  const store = storeWith(reset("a", 0, { margin: true }), append(0, 3, { margin }));
  assert.equal(store.margin(2, 1), 2.5);
  store.apply(append(2, 4, { margin: (i, m) => (i === 2 ? NaN : margin(i, m)) }));
  assert.equal(store.margin(2, 1), 2.5);
  assert.equal(store.margin(3, 0), 3);
  assert.ok(Number.isNaN(storeWith(reset(), append(0, 1)).margin(0, 0)));
});

test("the mean of some heads is made of their maps, and only if all are there", () => {
  const store = storeWith(reset("a", 0, { images: [picture] }), append(0, 6), map(5, 0, [255, 0, 0, 0], 0.5));
  assert.equal(store.attention(5, 7, [0, 2]), undefined);
  store.apply(map(5, 2, [0, 255, 0, 0], 0.1));
  const mean = store.attention(5, 7, [0, 2]);
  assert.ok(Math.abs(mean.peak - 0.25) < 1e-9);
  assert.deepEqual([...mean.decoded[0]], [255, 51, 0, 0]);
  assert.equal(mean.images[0].tiles, 0.4);
});

const place = { image: 0, patch: 1, layer: 7, head: -1 };

test("without a host the maps that are there tell which words looked at a patch", () => {
  const store = storeWith(reset("a", 0, { images: [picture] }), append(0, 6),
    map(4, -1, [0, 255, 0, 0], 0.3), map(5, -1, [0, 51, 0, 0], 0.5));
  const share = looksOf(store, place);
  assert.deepEqual([...share.keys()], [4, 5]);
  assert.ok(Math.abs(share.get(5) - 0.1) < 1e-9);
  assert.equal(looksOf(store, { ...place, patch: -1 }).get(4), 0.4);
});

test("a host is asked only for words that it has not told of", () => {
  const store = storeWith(reset("a", 0, { images: [picture] }), append(0, 6));
  assert.equal(looksQuestion(store, place).from, 0);
  const told = (from, until, token, share) => ({
    op: "looks", run: "a", ...place, from, until, token: base64(Int32Array, token), share: base64(Float32Array, share),
  });
  store.apply(told(0, 6, [4, 5], [0.5, 0.25]));
  assert.equal(looksQuestion(store, place), null);
  store.apply(append(6, 7));
  assert.deepEqual(looksQuestion(store, place), { run: "a", want: "looks", ...place, from: 6 });
  store.apply(told(6, 7, [6], [0.75]));
  assert.deepEqual([...looksOf(store, place)], [[4, 0.5], [5, 0.25], [6, 0.75]]);
});

test("what got no answer is not asked again, another question is", async () => {
  const store = storeWith(reset(), append(0, 6));
  const asked = [];
  const ask = createAsker(store, async (question) => { asked.push(question.token); return null; }, () => {});
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  ask({ run: "a", token: 4, layer: 7, head: -1 });
  ask({ run: "a", token: 5, layer: 7, head: -1 }); // one at a time
  await settle();
  ask({ run: "a", token: 4, layer: 7, head: -1 });
  await settle();
  ask({ run: "a", token: 5, layer: 7, head: -1 });
  await settle();
  assert.deepEqual(asked, [4, 5]);
});

test("the band of chance holds 95 of 100 draws of a binomial", () => {
  // numpy: scipy.stats.binom(100, 1/8).ppf([0.025, 0.975]) and binom(20, 1/128)
  assert.deepEqual(binomialRange(100, 1 / 8), [6, 19]);
  assert.deepEqual(binomialRange(20, 1 / 128), [0, 1]);
  assert.deepEqual(binomialRange(0, 0.5), [0, 0]);
  assert.deepEqual(binomialRange(5, 1), [5, 5]);
});

test("the load counts the tokens that are wanted and were captured", () => {
  const store = storeWith(reset(), append(0, 8, { unknown: [7] }));
  const { counts, tokens } = loadOf(store, 1, (i) => i >= 4);
  assert.equal(tokens, 3);
  assert.deepEqual([...counts], [0, 0, 0, 0, 0, 1, 1, 1]);
});

test("a picture's squares are counted for every expert that they went to, as lots are drawn", () => {
  // each token went to two experts: the one of its place, and always expert 7
  const experts = [0, 1, 2, 3].flatMap((i) => LAYERS.flatMap(() => [i < 3 ? 0 : 1, i === 2 ? -1 : 7]));
  const two = {
    ...append(0, 4), flags: base64(Uint8Array, [1, 1, 1, 0]),
    experts: base64(Int16Array, experts),
    gates: base64(Uint16Array, experts.map((one) => (one === 7 ? 13107 : 39321))),
  };
  const store = storeWith(reset("a", 0, { images: [picture], rank: 2 }), two);
  const { most, total, mean } = squaresOf(store, { first: 0, last: 3 }, 1);
  assert.deepEqual(most, [[0, 3], [7, 2]]);
  assert.equal(total, 5);
  assert.ok(Math.abs(mean - (3 * 0.6 + 2 * 0.2) / 5) < 1e-9);
});

test("letters whose bytes lie in several tokens are shown in the first of them", () => {
  assert.deepEqual(joinBytes([" ก<0xE0><0xB8>", "<0x87>", "x"]), [" กง", "", "x"]);
  assert.deepEqual(joinBytes(["<0xF0><0x9F>", "<0x98>", "<0x80>!"]), ["😀", "", "!"]);
  assert.deepEqual(joinBytes(["<0xE0><0xB8>", "a"]), ["<0xE0><0xB8>", "a"]);
  assert.deepEqual(joinBytes(["<0xFF>", "<0x87>"]), ["<0xFF>", "<0x87>"]);
});

test("arrow keys find the neighbouring patch and stay inside", () => {
  const [image] = storeWith(reset("a", 0, { images: [picture] })).images;
  assert.equal(patchAt(image, "tiles", 12, 3), 1);
  assert.equal(patchAt(image, "tiles", 25, 3), -1);
  assert.equal(neighbour(image, "tiles", 0, 1, 0), 1);
  assert.equal(neighbour(image, "tiles", 1, 0, 1), 3);
  assert.equal(neighbour(image, "tiles", 3, 1, 0), 3);
});

test("routing is compared for shared tokens, and words place by place behind them", () => {
  const left = storeWith(reset("left"), append(0, 7, { run: "left" }));
  const right = storeWith(reset("right"), append(0, 6, {
    run: "right", texts: ["w0", "w1", "w2", "w3", "w4", "other"], expert: (i, m) => (i === 2 && m === 1 ? 0 : (i + m) % 8),
  }));
  const differences = createDifferences(left, right, 5);
  assert.equal(differences.same(2, 0), true);
  assert.equal(differences.same(2, 1), false);
  assert.equal(differences.same(6, 0), null);
  assert.deepEqual(differences.count(), {
    choices: 10, flips: 1, layers: [{ choices: 5, flips: 0 }, { choices: 5, flips: 1 }] });
  assert.equal(differences.parting(), 5);
  assert.deepEqual([differences.partner(5), differences.partner(6), differences.origin(5)], [5, -1, 5]);
  const [words, routing] = summaryOf(left, right, ["BF16", "FP8"], differences);
  assert.equal(words, "The same words up to token 5; there BF16 has “w5”, FP8 “other”.");
  assert.equal(routing, "Of 10 choices of experts for these words 1 differ, 10 %, most in layer 3 (20 %).");
});

test("prompts of different length are aligned where the answers begin", () => {
  const left = storeWith(reset("left"), append(0, 7, { run: "left" }));
  const longer = append(0, 9, { run: "right" });
  const flags = base64(Uint8Array, [0, 0, 0, 0, 0, 0, 4, 4, 4]);
  const right = storeWith(reset("right"), { ...longer, flags });
  const differences = createDifferences(left, right, 2);
  assert.deepEqual([0, 1, 2, 4, 6].map(differences.partner), [0, 1, -1, 6, 8]);
});

test("a CSV quotes what needs it and runs no formula", () => {
  const text = csvOf({ columns: ["token", "text"], rows: [[0, 'say "a, b"'], [1, "=SUM(A1)"], [-1.5, null], [NaN, "\n"]] });
  assert.equal(text, 'token,text\r\n0,"say ""a, b"""\r\n1,\'=SUM(A1)\r\n-1.5,\r\n,"\n"\r\n');
});
