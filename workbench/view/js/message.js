// A text that is typed: one draft for all views of a widget, Enter sends it, Shift and Enter begin a new line.

import { h, KEYS } from "./elements.js";

/** Whether a key means "send"; Enter that ends the writing of an Indic or Chinese word does not. */
export const sends = (event) => event.key === "Enter" && !event.shiftKey && !event.altKey && !event.isComposing;

/** A draft that several views show. */
export class Draft {
  constructor() {
    this.text = "";
    this.views = new Set();
  }
  set(text) {
    this.text = text;
    for (const view of this.views) view();
  }
}

/** A text field for a draft. */
export function createField(draft, label, hint, onsend) {
  const field = h("textarea", {
    rows: "2", "aria-label": label, placeholder: hint, dir: "auto", spellcheck: "true", ...KEYS,
    oninput: () => { draft.set(field.value); },
    onkeydown(event) {
      event.stopPropagation();
      if (!sends(event)) return;
      event.preventDefault();
      onsend();
    },
  });
  const draw = () => {
    if (field.value !== draft.text) field.value = draft.text;
    const lines = draft.text.split("\n").length;
    field.rows = Math.min(Math.max(lines, 2), 8);
  };
  draft.views.add(draw);
  draw();
  return { field, destroy: () => draft.views.delete(draw) };
}
