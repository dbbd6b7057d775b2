// Which attention is looked at: a layer, and its mean over heads, one head, or some of them.

import { KEYS, dropdown, h } from "./elements.js";

export function createHeads(view) {
  const { store, state } = view;
  const layer = dropdown("Layer of the attention", (key) => view.set({ attentionLayer: key }, "pictures"));
  const head = dropdown("Head of the attention",
    (key) => view.set({ attentionHead: key === "some" ? [store.attentionInfo.heads[0]] : Number(key) }, "pictures"), String);
  const some = h("div", { class: "tv-heads", role: "group", "aria-label": "Heads that are averaged", hidden: true });
  let boxes = [];

  function pick() {
    const heads = boxes.flatMap((box, k) => (box.checked ? [store.attentionInfo.heads[k]] : []));
    if (heads.length) view.set({ attentionHead: heads }, "pictures");
    else view.schedule(); // none is no choice: the last one stays
  }

  function draw() {
    const info = store.attentionInfo;
    if (!info) return;
    layer.set(info.layers.map((l) => [l, l === info.default ? `${l} (default)` : String(l)]), view.attentionLayer());
    const each = info.heads.map((k) => [k, String(k)]);
    const several = Array.isArray(state.attentionHead);
    head.set([[-1, `mean of ${info.heads.length}`], ...each, ["some", "mean of some …"]], several ? "some" : state.attentionHead);
    some.hidden = !several;
    if (String(boxes.map((box) => box.value)) !== String(info.heads)) {
      boxes = each.map(([, name]) =>
        h("input", { type: "checkbox", value: name, "aria-label": `head ${name}`, onchange: pick, ...KEYS }));
      some.replaceChildren(...boxes.map((box) => h("label", {}, box, box.value)));
    }
    if (several) boxes.forEach((box, k) => { box.checked = state.attentionHead.includes(info.heads[k]); });
  }

  const element = h("div", { class: "tv-tools" },
    h("label", {}, h("span", {}, "layer"), layer.select), h("label", {}, h("span", {}, "head"), head.select), some);
  return { element, draw };
}

/** Heads in words. */
export const headsName = (head) =>
  (Array.isArray(head) ? `mean of heads ${head.join(", ")}` : head < 0 ? "mean of all heads" : `head ${head}`);
