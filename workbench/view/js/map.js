// Layers down, words across: the experts of everything at once.

import { MODALITY, NOT_CAPTURED } from "./store.js";
import { imageName, nameOf, routingOf } from "./naming.js";
import { MANY_EXPERTS, OTHER, SAME, css, expertColour, gateColour, inkOn } from "./colours.js";
import { KEYS, choices, h } from "./elements.js";

export function createMap(view) {
  const { store } = view;
  const canvas = h("canvas", { "aria-hidden": "true" });
  const sizer = h("div", { class: "tv-sizer" }, canvas);
  const frame = h("div", {
    class: "tv-map", tabindex: "0", role: "group", ...KEYS,
    "aria-label": "Overview of experts, layers down and words across; the words above give the same in text",
    onscroll: () => view.schedule(),
  }, sizer);
  const hint = "Each column is a word, each row a layer. Point at a cell to read it, click to keep it.";
  const readout = h("p", { class: "tv-note" }, hint);
  const legend = h("p", { class: "tv-legend" });
  const cells = document.createElement("canvas");
  let shape = null;

  const mode = choices("What the overview shows",
    [["expert", "expert"], ["gate", "gate weight"], ["same", "same expert as chosen"]], "expert",
    (key) => view.set({ mode: key }, "map"));
  const zoom = choices("Size of the overview", [["fit", "fit"], ["wide", "numbers"]], "fit",
    (key) => view.set({ zoom: key }, "map"));

  function cellAt(event) {
    if (!shape) return null;
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left - shape.gutter;
    const token = Math.floor((x + frame.scrollLeft) / shape.width);
    const m = Math.floor((event.clientY - box.top) / shape.height);
    return x >= 0 && token >= 0 && token < store.n && m >= 0 && m < store.layers.length ? { token, m } : null;
  }
  canvas.addEventListener("pointermove", (event) => {
    const cell = cellAt(event);
    view.hover(cell && event.pointerType !== "touch" ? cell.token : -1);
    const of = cell && `${nameOf(store, cell.token)} (token ${cell.token})`;
    readout.textContent = cell
      ? `layer ${store.layers[cell.m]}, ${of}: ${routingOf(store, cell.token, cell.m)}` : hint;
  });
  canvas.addEventListener("pointerleave", () => { view.hover(-1); readout.textContent = hint; });
  canvas.addEventListener("click", (event) => {
    const cell = cellAt(event);
    if (cell) view.select(cell.token, "map", store.layers[cell.m]);
  });

  function colourOf(i, m, chosen, how, dark) {
    const expert = store.expert(i, m);
    if (expert === NOT_CAPTURED) return null;
    if (how === "gate") return gateColour(store.gate(i, m), dark);
    if (how === "expert") return expertColour(expert, store.experts);
    for (let k = 0; k < store.rank; k++) {
      for (let j = 0; chosen >= 0 && j < store.rank; j++) {
        const wanted = store.expert(chosen, m, j);
        if (wanted !== NOT_CAPTURED && store.expert(i, m, k) === wanted) return gateColour(SAME, dark);
      }
    }
    return gateColour(OTHER, dark);
  }

  function hatch(context, colour) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6;
    const pen = tile.getContext("2d");
    pen.strokeStyle = colour;
    pen.beginPath();
    for (const shift of [-6, 0, 6]) { pen.moveTo(shift, 6); pen.lineTo(shift + 6, 0); }
    pen.stroke();
    return context.createPattern(tile, "repeat");
  }

  function paint(chosen) {
    const style = getComputedStyle(view.root);
    const pick = (name) => style.getPropertyValue(name).trim();
    const dark = view.root.dataset.theme === "dark";
    const { gutter, width, height, from, to, offset, across, down, axis } = shape;
    const scale = window.devicePixelRatio || 1;
    const columns = to - from;
    const rows = store.layers.length;
    canvas.width = Math.round(across * scale);
    canvas.height = Math.round((down + axis) * scale);
    canvas.style.inlineSize = `${across}px`;
    canvas.style.blockSize = `${down + axis}px`;
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    context.save();
    context.beginPath();
    context.rect(gutter, 0, across - gutter, down + axis);
    context.clip();
    context.translate(gutter - offset, 0);
    // hatching lies under everything: a cell that was not captured leaves it bare
    context.fillStyle = hatch(context, pick("--tv-hatch"));
    context.fillRect(from * width, 0, columns * width, down);
    const image = new ImageData(columns, rows);
    for (let m = 0; m < rows; m++) {
      for (let i = from; i < to; i++) {
        const rgb = colourOf(i, m, chosen, view.state.mode, dark);
        if (rgb) image.data.set([...rgb, 255], 4 * (m * columns + i - from));
      }
    }
    cells.width = columns;
    cells.height = rows;
    cells.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(cells, from * width, 0, columns * width, down);
    context.fillStyle = pick("--tv-surface");
    for (let m = 1; m < rows && height >= 8; m++) {
      context.fillRect(from * width, m * height - 1, columns * width, 1);
    }
    for (let i = from; i <= to && width >= 5; i++) context.fillRect(i * width - 1, 0, 1, down);
    if (width >= 14 && height >= 13) numbers(context, dark);
    ground(context, pick);
    if (chosen >= 0) {
      context.strokeStyle = pick("--tv-accent");
      context.lineWidth = 2;
      context.strokeRect(chosen * width - 1.5, 0, width + 2, down);
    }
    context.restore();
    sides(context, pick);
  }

  function numbers(context, dark) {
    const { width, height, from, to } = shape;
    context.font = `${Math.min(11, height - 4)}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    store.layers.forEach((_, m) => {
      for (let i = from; i < to; i++) {
        const rgb = colourOf(i, m, view.current(), view.state.mode, dark);
        if (!rgb) continue;
        context.fillStyle = inkOn(rgb);
        context.fillText(String(store.expert(i, m)), i * width + width / 2 - 0.5, m * height + height / 2);
      }
    });
  }

  /** Under the map: which columns are a picture, which the prompt, which the answer. */
  function ground(context, pick) {
    const { width, from, to, down } = shape;
    const kind = (i) =>
      store.generated(i) ? "answer" : store.modality(i) !== MODALITY.text && store.image.data[i] >= 0
        ? imageName(store, store.image.data[i]) : "prompt";
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "left";
    context.textBaseline = "top";
    for (let start = from; start < to;) {
      let stop = start + 1;
      while (stop < to && kind(stop) === kind(start)) stop++;
      const name = kind(start);
      const answer = name === "answer";
      context.fillStyle = pick(answer ? "--tv-accent" : name === "prompt" ? "--tv-line" : "--tv-soft");
      context.fillRect(start * width, down + 3, (stop - start) * width - 1, answer ? 4 : 3);
      context.fillStyle = pick("--tv-soft");
      const size = context.measureText(name).width;
      if (answer || (name !== "prompt" && size < (stop - start) * width)) {
        context.fillText(name, Math.min(start * width, to * width - size), down + 9);
      }
      start = stop;
    }
  }

  function sides(context, pick) {
    const { gutter, height, down } = shape;
    const every = Math.ceil(13 / height);
    const picked = store.layers.indexOf(view.state.layer);
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "middle";
    store.layers.forEach((layer, m) => {
      const near = picked >= 0 && m !== picked && Math.abs(m - picked) < every;
      if ((m % every && m !== picked) || near) return;
      const name = every > 1 && m && m !== picked ? String(layer) : `layer ${layer}`;
      context.fillStyle = pick(m === picked ? "--tv-accent" : "--tv-soft");
      context.fillText(name, gutter - 7, Math.max(m * height + height / 2, 6));
      if (m === picked) context.fillRect(gutter - 4, m * height, 3, height - 1);
    });
    context.fillStyle = pick("--tv-soft");
    context.fillText("words", gutter - 7, down + 8);
  }

  function explain(chosen, dark) {
    const swatch = (rgb, text) => {
      const box = h("span", { class: "tv-swatch" });
      box.style.background = css(rgb);
      return h("span", {}, box, text);
    };
    const parts = [];
    if (view.state.mode === "gate") {
      const ramp = h("span", { class: "tv-ramp" });
      const stops = [0, 0.25, 0.5, 0.75, 1].map((gate) => css(gateColour(gate, dark)));
      ramp.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
      parts.push(h("span", {}, "gate 0", ramp, "1"));
    } else if (view.state.mode === "same") {
      parts.push(swatch(gateColour(SAME, dark), `the same expert as ${nameOf(store, chosen)}`));
      parts.push(swatch(gateColour(OTHER, dark), "another"));
    } else if (store.experts <= MANY_EXPERTS) {
      const all = [...Array(store.experts).keys()];
      parts.push("expert", ...all.map((expert) => swatch(expertColour(expert, store.experts), String(expert))));
    } else {
      parts.push(`One colour per expert, ${store.experts} experts: point at a cell for its number.`);
    }
    legend.replaceChildren(...parts, h("span", {}, h("span", { class: "tv-swatch tv-hatched" }), "not captured"));
  }

  function draw(chosen) {
    const rows = store.layers.length;
    section.hidden = !rows || !store.n;
    if (section.hidden) return;
    mode.set(view.state.mode);
    zoom.set(view.state.zoom);
    const across = frame.clientWidth;
    const gutter = 56;
    const height = Math.min(Math.max(Math.floor(288 / rows), 5), 20);
    const fit = Math.floor((across - gutter) / store.n);
    const width = view.state.zoom === "wide" ? 20 : Math.min(Math.max(fit, 2), 20);
    const axis = 24;
    const down = rows * height;
    const total = gutter + store.n * width;
    const atEnd = frame.scrollLeft + across >= sizer.offsetWidth - 2 * width;
    sizer.style.inlineSize = `${Math.max(total, across)}px`;
    sizer.style.blockSize = `${down + axis}px`;
    if (view.state.selected < 0 && !store.done && atEnd) frame.scrollLeft = total;
    const offset = frame.scrollLeft;
    const from = Math.max(0, Math.floor(offset / width));
    const to = Math.min(store.n, Math.ceil((offset + across - gutter) / width));
    shape = { gutter, width, height, from, to, offset, across, down, axis };
    paint(chosen);
    explain(chosen, view.root.dataset.theme === "dark");
  }

  /** Scroll the map to a word chosen elsewhere. */
  function reveal(token) {
    if (!shape || token < 0) return;
    const { width, gutter, across } = shape;
    const x = token * width - frame.scrollLeft;
    if (x < 0 || x + width > across - gutter) frame.scrollLeft = token * width - (across - gutter) / 2;
  }

  const section = h("section", { "aria-label": "Overview of experts" },
    h("div", { class: "tv-head" }, h("h2", {}, "Every word in every layer"), mode.row, zoom.row),
    frame, readout, legend);
  return { element: section, draw, reveal, watch: frame };
}
