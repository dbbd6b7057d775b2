// What an SVG is made of, as far as it needs no page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { svgPen } from "../../workbench/view/js/pen.js";

/** As much of a document as the pen needs. */
class Node {
  children = [];
  textContent = "";
  setAttribute() {}
  append(...nodes) { this.children.push(...nodes); }
  getContext() { return {}; }
  get text() { return this.textContent + this.children.map((child) => child.text).join(""); }
}
globalThis.document = { createElementNS: () => new Node(), createElement: () => new Node() };
globalThis.XMLSerializer = class { serializeToString(root) { return root.text; } };

test("a word with characters that XML does not know leaves an SVG that can be opened", () => {
  const pen = svgPen(10, 10);
  pen.text("a\x00b\x1b[0m\ufffe\uffff", 0, 0, { fill: "red" });
  pen.text("tab\t line\n letter é 😀", 0, 0, { fill: "red" });
  assert.equal(pen.document(), "a\ufffdb\ufffd[0m\ufffd\ufffdtab\t line\n letter é 😀");
});
