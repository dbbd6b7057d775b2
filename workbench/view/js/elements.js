// Elements of a page. Text goes in as text: there is no way to pass markup.

/** An element. Text goes in as text: there is no way to pass markup. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// JupyterLab's command keys ("b", "d d") fire inside outputs; the attribute counts on the focused element only
export const KEYS = { "data-lm-suppress-shortcuts": "true" };

/** A row of native radio buttons, so that arrow keys and screen readers work as everywhere. */
export function choices(label, options, value, onpick) {
  const name = `tv-${Math.random().toString(36).slice(2)}`;
  const inputs = new Map();
  const row = h("div", { class: "tv-choices", role: "radiogroup", "aria-label": label });
  for (const [key, text] of options) {
    const input = h("input", { type: "radio", name, value: key, onchange: () => onpick(key), ...KEYS });
    inputs.set(key, input);
    row.append(h("label", {}, input, h("span", {}, text)));
  }
  const set = (key) => { if (inputs.has(key)) inputs.get(key).checked = true; };
  set(value);
  return { row, set };
}

/** A native select; `read` makes of the chosen text what the owner wants. */
export function dropdown(label, onpick, read = Number) {
  const select = h("select", { "aria-label": label, onchange: () => onpick(read(select.value)), ...KEYS });
  let shown = "";
  const set = (options, value) => {
    const wanted = JSON.stringify(options);
    if (wanted !== shown) {
      select.replaceChildren(...options.map(([key, text]) => h("option", { value: key }, text)));
    }
    shown = wanted;
    select.value = String(value);
  };
  return { select, set };
}
