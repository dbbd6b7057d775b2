// What is typed and added beside the view, as far as it needs no page: keys, drafts, files in parts, sentences.

import assert from "node:assert/strict";
import { test } from "node:test";

import { loadOf, short } from "../../workbench/view/js/lab.js";
import { Draft, sends } from "../../workbench/view/js/message.js";
import { partsOf } from "../../workbench/view/js/tray.js";

const PART = 3 * 2 ** 17;

async function told(file, largest = 1e9) {
  const messages = [];
  for await (const message of partsOf(file, "x", largest)) messages.push(message);
  return messages;
}

test("Enter sends; with Shift it begins a line, and while a word is being composed it ends the word", () => {
  assert.ok(sends({ key: "Enter" }));
  assert.ok(!sends({ key: "Enter", shiftKey: true }));
  assert.ok(!sends({ key: "Enter", isComposing: true }));
  assert.ok(!sends({ key: "a" }));
});

test("one draft is shown by all views until they go", () => {
  const draft = new Draft();
  const seen = [];
  const view = () => seen.push(draft.text);
  draft.views.add(view);
  draft.set("hello");
  draft.views.delete(view);
  draft.set("");
  assert.deepEqual(seen, ["hello"]);
});

test("a file in parts is the file again when their texts are joined", async () => {
  const bytes = Uint8Array.from({ length: 2 * PART + 1 }, (_, i) => (7 * i) % 251);
  const messages = await told(new File([bytes], "a.png"));
  assert.deepEqual(messages.map(({ part, parts }) => [part, parts]), [[0, 3], [1, 3], [2, 3]]);
  assert.ok(messages.every(({ type, id, name }) => type === "picture" && id === "x" && name === "a.png"));
  const joined = Buffer.from(messages.map(({ data }) => data).join(""), "base64");
  assert.ok(joined.equals(Buffer.from(bytes)));
});

test("an empty file is told, so that it can be refused with its name", async () => {
  const [message, ...more] = await told(new File([], "empty.png"));
  assert.deepEqual([message.parts, message.data, more.length], [1, "", 0]);
});

test("a file that is too large is not read", async () => {
  const file = { name: "huge.tif", size: 2e9, arrayBuffer: () => assert.fail("it was read") };
  assert.deepEqual(await told(file), [{ type: "large", name: "huge.tif" }]);
});

test("the load of an expert is told with its rank, and only when it is known", () => {
  assert.equal(loadOf([], [1, 3], 3, 2), "");
  const loads = [[9, 9, 9], [1, 5, 2]];
  assert.equal(
    loadOf(loads, [1, 3], 3, 2), "As it is, 2 of 8 places of the last question went to it (number 2 of 3).");
});

test("factors are told with three digits at most", () => {
  assert.deepEqual([1.189207, 2, 0.125, 11.3137].map(short), ["1.19", "2", "0.125", "11.3"]);
});
