// The words of the conversation, as a listbox; pictures are folded into chips.

import { LONGEST, hasBytes, joinBytes } from "./characters.js";
import { TINTED, css, gradient, inkOn } from "./colours.js";
import { KEYS, dropdown, h } from "./elements.js";
import { createFigureMenu } from "./figure.js";
import { imageName, isControl } from "./naming.js";
import { shadeOf, shadesOf } from "./shade.js";
import { MODALITY } from "./store.js";
import { stripDrawing } from "./strip.js";

export function createWords(view) {
  const { store, id } = view;
  const scale = h("span", { class: "tv-scale", hidden: true });
  const legend = h("p", { class: "tv-legend" },
    h("span", {}, h("span", { class: "tv-key tv-key-generated" }), "written by the model"),
    h("span", {}, h("span", { class: "tv-key tv-key-prompt" }), "given to it"),
    h("span", {}, "Point at a word, or use the arrow keys. A click keeps it, Escape lets go."));
  const shading = dropdown("What the words are shaded by", (key) => view.set({ shade: key }, "words"), String);
  const list = h("div", {
    class: "tv-words", role: "listbox", tabindex: "0", "aria-label": view.label("Words of the conversation"), ...KEYS,
    onpointerover: (event) => { if (event.pointerType !== "touch") view.hover(tokenAt(event.target)); },
    onpointerleave: () => view.hover(-1),
    onclick: (event) => { const token = tokenAt(event.target); if (token >= 0) view.select(token, "words"); },
    onkeydown,
  });
  let options = []; // { element, first, last, image }: one per word, one per picture
  let owner = []; // per token the number of its option
  let group = null;
  let block = null;
  let run = null;
  let active = null;
  let shaded = { key: "", settled: 0 }; // how words are shaded, and up to which nothing changes any more

  const tokenAt = (target) => Number(target.closest?.("[data-token]")?.dataset.token ?? -1);

  const optionOf = (token) => owner[token] ?? -1;

  /** The option one line further up or down, nearest in x. */
  function vertical(index, step) {
    const here = options[index].element.getBoundingClientRect();
    const x = (here.left + here.right) / 2;
    let best = index;
    let line = null;
    let nearest = Infinity;
    for (let i = index + step; i >= 0 && i < options.length; i += step) {
      const box = options[i].element.getBoundingClientRect();
      const middle = (box.top + box.bottom) / 2;
      if (middle > here.top && middle < here.bottom) continue;
      if (line !== null && (middle < line.top || middle > line.bottom)) break;
      line ??= box;
      const distance = Math.abs((box.left + box.right) / 2 - x);
      if (distance < nearest) [best, nearest] = [i, distance];
    }
    return best;
  }

  function onkeydown(event) {
    if (!options.length || event.altKey || event.ctrlKey || event.metaKey) return;
    const now = optionOf(view.current());
    const at = now < 0 ? options.length - 1 : now;
    const moves = {
      ArrowRight: () => Math.min(at + 1, options.length - 1), ArrowLeft: () => Math.max(at - 1, 0),
      ArrowDown: () => vertical(at, 1), ArrowUp: () => vertical(at, -1),
      Home: () => 0, End: () => options.length - 1, Enter: () => at, " ": () => at,
    };
    if (event.key === "Escape") view.select(-1, "words");
    else if (moves[event.key]) view.select(options[moves[event.key]()].first, "words");
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function startGroup(i) {
    block = h("div", { class: "tv-text", dir: "auto" });
    // the very first token stands before any turn: it joins the turn that follows it
    if (group && group.turn < 0) {
      group.turn = store.turn.data[i];
      block = group.body.lastChild;
    } else {
      const label = h("span", { class: "tv-role", "aria-hidden": "true" });
      const body = h("div", { class: "tv-body", role: "presentation" }, block);
      const element = h("div", { class: "tv-turn", role: "group" }, label, body);
      group = { turn: store.turn.data[i], element, label, body, named: false };
      list.append(element);
    }
  }

  function add(i) {
    if (!group || store.turn.data[i] !== group.turn) startGroup(i);
    const role = store.roles[store.role.data[i]];
    if (role && !group.named) {
      group.named = true;
      group.label.textContent = role;
      group.element.setAttribute("aria-label", role);
      group.element.dataset.role = role;
    }
    const image = store.modality(i) === MODALITY.text ? -1 : store.image.data[i];
    const previous = options[options.length - 1];
    const joins = image >= 0 && previous?.image === image;
    owner[i] = joins ? options.length - 1 : options.length;
    if (joins) {
      previous.last = i;
      previous.element.querySelector(".tv-count").textContent = `${i - previous.first + 1} tokens`;
      return;
    }
    const element = image >= 0 ? chip(image) : word(i);
    element.id = `${id}-${i}`;
    element.dataset.token = i;
    options.push({ element, first: i, last: i, image });
    // long texts are cut into blocks at a line's end, so that off-screen ones cost no layout
    if (block.childElementCount > 200 && store.text[i - 1]?.endsWith("\n")) {
      block = h("div", { class: "tv-text", dir: "auto" });
      group.body.append(block);
    }
    block.append(element);
    if (image < 0 && hasBytes(store.text[i])) mend(i);
  }

  /** Letters whose bytes lie in several tokens, now that one more of them is here. */
  function mend(i) {
    let first = i;
    while (first > 0 && i - first < LONGEST - 1 && hasBytes(store.text[first - 1])) first--;
    joinBytes(store.text.slice(first, i + 1)).forEach((text, index) => {
      const { element } = options[owner[first + index]];
      element.textContent = text;
      if (!text) element.setAttribute("aria-label", "rest of the character before");
    });
  }

  function chip(image) {
    return h("span", { class: "tv-chip", role: "option", "aria-selected": "false", dir: "ltr" },
      h("img", { src: store.images[image].src, alt: "" }),
      h("span", {}, imageName(store, image)), " ", h("span", { class: "tv-count" }, "1 token"));
  }

  function word(i) {
    const text = store.text[i];
    // markers and the role between them are isolated: they do not decide which way the text runs
    const marker = isControl(text) || store.text[i - 1] === "<|header_start|>";
    const lines = text.split("\n").length - 1;
    const blank = !text.trim();
    const element = h("span", {
      class: "tv-token", role: "option", "aria-selected": "false", dir: marker ? "ltr" : undefined,
      "data-generated": store.generated(i), "data-control": isControl(text), "data-differs": view.differs?.(i),
      "data-mark": lines ? "↵".repeat(Math.min(lines, 3)) : text ? undefined : "∅",
      "aria-label": lines && blank ? "line break" : blank ? (text ? "space" : "nothing") : undefined,
    });
    // the mark tells how many breaks there are; one is enough to read, and none after a turn's header
    element.textContent = text.replace(/\n+/g, store.text[i - 1] === "<|header_end|>" ? "" : "\n");
    return element;
  }

  function draw() {
    if (run !== store.run) {
      list.replaceChildren();
      [options, owner, group, block, active, run] = [[], [], null, null, null, store.run];
      shaded = { key: "", settled: 0 };
    }
    const atEnd = list.scrollTop + list.clientHeight > list.scrollHeight - 8;
    const grows = owner.length < store.n;
    while (owner.length < store.n) add(owner.length);
    list.toggleAttribute("data-long", options.length > 1000);
    if (grows && atEnd && view.state.selected < 0) list.scrollTop = list.scrollHeight;
    const now = options[optionOf(view.current())]?.element ?? null;
    if (now !== active) {
      active?.removeAttribute("data-active");
      now?.setAttribute("data-active", "");
      active = now;
    }
    const kept = options[optionOf(view.state.selected)]?.element ?? null;
    const marked = list.querySelector('[aria-selected="true"]');
    if (kept !== marked) {
      marked?.setAttribute("aria-selected", "false");
      kept?.setAttribute("aria-selected", "true");
    }
    const pointed = kept ?? active;
    if (pointed) list.setAttribute("aria-activedescendant", pointed.id);
    else list.removeAttribute("aria-activedescendant");
    shading.set(shadesOf(store), view.state.shade);
    shade(view.shade());
    menu.draw(`${store.run} ${store.n} ${store.settled} ${view.shade()?.name}`);
  }

  /** Shade the words, those that have changed at least. */
  function shade(quantity) {
    const key = quantity ? [quantity.name, quantity.key, view.theme()].join() : "";
    const all = key !== shaded.key;
    for (const { element, first, image } of options.slice(all ? 0 : owner[shaded.settled] ?? options.length)) {
      const colour = image < 0 ? quantity?.colour(first) : null;
      element.toggleAttribute("data-shaded", Boolean(colour));
      if (!colour) continue;
      element.style.setProperty("--tv-shade", css(colour));
      element.style.setProperty("--tv-shade-ink", inkOn(colour));
    }
    if (all) explain(quantity);
    shaded = { key, settled: store.done ? store.n : store.settled };
  }

  function explain(quantity) {
    scale.hidden = !quantity;
    if (!quantity) return;
    const box = (background, kind) => {
      const element = h("span", { class: kind });
      element.style.background = background;
      return element;
    };
    const parts = quantity.swatches
      ? quantity.swatches.map(([colour, text]) => h("span", {}, box(css(colour), "tv-swatch"), text))
      : [h("span", {}, quantity.low, box(gradient(view.theme(), TINTED), "tv-ramp"), quantity.high)];
    scale.replaceChildren(h("span", {}, quantity.name), ...parts);
  }

  function table() {
    const quantity = shadeOf(view);
    const rows = [...Array(store.n).keys()].map((i) => [
      i, store.text[i], store.roles[store.role.data[i]] ?? "", store.generated(i) ? "generated" : "prompt",
      store.modality(i) === MODALITY.text ? "" : imageName(store, store.image.data[i]),
      Number.isFinite(store.logprob.data[i]) ? store.logprob.data[i] : null,
      ...(quantity ? [quantity.value(i)] : []),
    ]);
    const columns = ["token", "text", "role", "phase", "picture", "log-probability", ...(quantity ? [quantity.name] : [])];
    return { columns, rows };
  }
  const menu = createFigureMenu(view, view.label("Words"), { table, drawing: () => stripDrawing(view, list) });

  /** Bring the kept word into the strip's own window without moving the page. */
  function reveal() {
    const element = options[optionOf(view.state.selected)]?.element;
    if (!element) return;
    const box = element.getBoundingClientRect();
    const frame = list.getBoundingClientRect();
    if (box.top < frame.top) list.scrollTop -= frame.top - box.top + 8;
    else if (box.bottom > frame.bottom) list.scrollTop += box.bottom - frame.bottom + 8;
  }

  /** The picture that a token stands for as a whole, as { first, last, image }; null for any other token. */
  function wholePicture(token) {
    const option = options[optionOf(token)];
    return option && option.image >= 0 && option.first === token ? option : null;
  }
  // of two views beside each other their page chooses the shading
  const tools = h("div", { class: "tv-tools" },
    view.stores.length > 1 ? null : h("label", {}, h("span", {}, "shaded by"), shading.select), scale);
  const element = h("section", { "aria-label": view.label("Words") },
    h("div", { class: "tv-head" }, h("h2", {}, "Words"), tools), list, legend, menu.element);
  return { element, draw, reveal, wholePicture };
}
