// The part of the view that needs no page: messages in, numbers out, gaps asked for.

import assert from "node:assert/strict";
import { test } from "node:test";

import { TraceStore, createReceiver } from "../../workbench/view/js/index.js";
import { modesOf } from "../../workbench/view/js/map.js";
import { routingOf } from "../../workbench/view/js/naming.js";
import { shadesOf } from "../../workbench/view/js/shade.js";
import { append, reset } from "./messages.mjs";

const end = (n, run = "a") => ({ op: "end", run, n });

function storeWith(...messages) {
  const store = new TraceStore();
  for (const message of messages) store.apply(message);
  return store;
}

test("numbers arrive as they were sent", () => {
  const store = storeWith(reset(), append(0, 6));
  assert.equal(store.n, 6);
  assert.deepEqual(store.text, ["w0", "w1", "w2", "w3", "w4", "w5"]);
  assert.equal(store.expert(5, 1), 6);
  assert.ok(Math.abs(store.gate(5, 1) - 0.7) < 1e-4);
  assert.equal(store.generated(3), false);
  assert.equal(store.generated(4), true);
});

test("gates that nobody told are not zero", () => {
  const store = storeWith(reset("a", 0, { gated: false, no_attention: "vLLM tells none" }), append(0, 6));
  assert.equal(store.expert(5, 1), 6);
  assert.ok(Number.isNaN(store.gate(5, 1)));
  assert.equal(routingOf(store, 5, 1), "Expert 6");
  assert.equal(routingOf(storeWith(reset(), append(0, 6)), 5, 1), "Expert 6, gate 0.70");
  assert.ok(![...modesOf(store), ...shadesOf(store)].some(([key]) => key === "gate"));
  assert.equal(store.noAttention, "vLLM tells none");
});

test("bytes of a DataView read like base64", () => {
  const message = append(0, 3);
  const bytes = Buffer.from(message.experts, "base64");
  const shifted = new Uint8Array([9, ...bytes]); // a view need not start where its buffer does
  const store = storeWith(reset(), { ...message, experts: new DataView(shifted.buffer, 1) });
  assert.equal(store.expert(2, 0), 2);
});

test("columns grow with thousands of tokens", () => {
  const store = storeWith(reset(), append(0, 300), append(300, 5000));
  assert.equal(store.n, 5000);
  assert.equal(store.expert(4999, 1), 5000 % 8);
  assert.equal(store.expert(299, 0), 299 % 8);
});

test("a doubled message changes nothing", () => {
  const store = storeWith(reset(), append(0, 4));
  assert.equal(store.apply(append(0, 4)), "dup");
  assert.equal(store.apply(reset()), "same");
  assert.equal(store.n, 4);
});

test("a message beyond the end is a gap and is not taken", () => {
  const store = storeWith(reset(), append(0, 4));
  assert.equal(store.apply(append(6, 8)), "gap");
  assert.equal(store.n, 4);
});

test("the last token's experts arrive with the next message", () => {
  const store = storeWith(reset(), append(0, 5, { settled: 4, unknown: [4] }));
  assert.equal(store.expert(4, 0), -1);
  store.apply(append(4, 6, { settled: 5, unknown: [5] }));
  assert.equal(store.expert(4, 0), 4);
  assert.equal(store.expert(5, 0), -1);
});

test("an overtaken message does not take back what is known", () => {
  const store = storeWith(reset(), append(0, 5));
  store.apply(append(4, 5, { settled: 4, unknown: [4] }));
  assert.equal(store.expert(4, 0), 4);
  assert.equal(store.settled, 5);
});

test("tokens whose experts were told in a lost message are a gap", () => {
  const store = storeWith(reset(), append(0, 5, { settled: 4, unknown: [4] }));
  // lost: append(4, 6), which told the experts of token 4
  assert.equal(store.apply(append(5, 7, { settled: 6 })), "gap");
});

test("an older run does not replace a newer one", () => {
  const store = storeWith(reset("new", 2), append(0, 4, { run: "new" }));
  assert.equal(store.apply(reset("old", 1)), "stale");
  assert.equal(store.run, "new");
  assert.equal(store.n, 4);
});

test("a new run starts empty", () => {
  const store = storeWith(reset("a", 1), append(0, 4), end(4), reset("b", 2));
  assert.deepEqual([store.run, store.n, store.done], ["b", 0, false]);
});

test("the end is reached only when every token is settled", () => {
  const store = storeWith(reset(), append(0, 4));
  assert.equal(store.apply(end(6)), "gap");
  assert.equal(store.done, false);
  store.apply(append(4, 6));
  assert.equal(store.done, true);
});

test("what is no message is ignored", () => {
  const store = storeWith(reset());
  for (const odd of [null, undefined, {}, { op: "shout" }, "text"]) assert.equal(store.apply(odd), "ignored");
});

test("attention of another run is not taken", () => {
  const store = storeWith(reset());
  assert.equal(store.apply({ op: "attn", run: "z", token: 1, layer: 3, head: -1, values: [] }), "stale");
  assert.equal(store.attention(1, 3, -1), undefined);
});

/** A server with all tokens, that can be made to answer later. */
function server(tokens, run = "a") {
  const asked = [];
  const waiting = [];
  const pull = (question) => {
    asked.push(question);
    return new Promise((resolve) => waiting.push(() => resolve({
      op: "batch", run,
      items: [...(question.from ? [] : [reset(run, 1)]), append(question.from, tokens(), { run })],
    })));
  };
  const answer = async () => {
    waiting.shift()();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { asked, pull, answer };
}

test("a gap is asked for, from the first token missing", async () => {
  const store = storeWith(reset("a", 1), append(0, 4));
  const { asked, pull, answer } = server(() => 8);
  createReceiver(store, pull)(append(6, 8));
  assert.deepEqual(asked, [{ run: "a", from: 4 }]);
  await answer();
  assert.equal(store.n, 8);
  assert.equal(asked.length, 1);
});

test("repair chases the newest target while an answer is on its way", async () => {
  const store = storeWith(reset("a", 1), append(0, 4));
  let known = 7;
  const { asked, pull, answer } = server(() => known);
  const receive = createReceiver(store, pull);
  receive(append(6, 7));
  receive(append(11, 12)); // still away from what the first answer brings
  await answer();
  assert.equal(store.n, 7);
  assert.deepEqual(asked.at(-1), { run: "a", from: 7 });
  known = 12;
  await answer();
  assert.equal(store.n, 12);
});

test("a page that opens in the middle of a run asks for all of it", async () => {
  const store = new TraceStore();
  const { asked, pull, answer } = server(() => 6);
  createReceiver(store, pull)(append(5, 6));
  assert.deepEqual(asked, [{ run: "a", from: 0 }]);
  await answer();
  assert.deepEqual([store.run, store.n], ["a", 6]);
});

test("a lost tail is found by the end message", async () => {
  const store = storeWith(reset("a", 1), append(0, 4));
  const { pull, answer } = server(() => 6);
  createReceiver(store, pull)(end(6));
  await answer();
  assert.deepEqual([store.n, store.done], [6, true]);
});

test("an empty answer ends the asking, and the next message starts it again", async () => {
  const store = storeWith(reset("a", 1), append(0, 4));
  let asked = 0;
  const receive = createReceiver(store, async () => { asked += 1; return null; });
  receive(append(6, 7));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(asked, 1);
  receive(append(7, 8));
  assert.equal(asked, 2);
});

test("a question that stays unanswered is asked again", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const store = storeWith(reset("a", 1), append(0, 4));
  const asked = [];
  createReceiver(store, (question) => { asked.push(question); return new Promise(() => {}); })(append(6, 7));
  assert.equal(asked.length, 1);
  context.mock.timers.tick(5000);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(asked.length, 2);
});
