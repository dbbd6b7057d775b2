// A conversation in a notebook, through anywidget: what was said, and what is typed next.
//
// Everything that was said is kept in Python; a draft is kept here until Python says that it was sent.

import { h, KEYS } from "./elements.js";
import { createField, Draft } from "./message.js";
import { followTheme } from "./theme.js";
import { createTray } from "./tray.js";

const NEAR = 24; // pixels from its end at which a conversation keeps following

function questionOf(turn) {
  const pictures = turn.pictures.map(({ src, number }) => h("figure", {},
    h("img", { src, alt: `image ${number}` }), h("figcaption", {}, `image ${number}`)));
  return h("div", { class: "tvp-said tvp-asked", role: "group", "aria-label": "You" },
    h("span", { class: "tvp-who", "aria-hidden": "true" }, "you"),
    h("div", {}, pictures.length ? h("div", { class: "tvp-shown" }, ...pictures) : null,
      h("p", { dir: "auto" }, turn.text)));
}

function answerOf(turn, writing) {
  const text = h("p", { dir: "auto" }, turn.answer ?? writing);
  if (turn.answer === null) text.setAttribute("aria-busy", "true"); // read aloud when it is whole
  return h("div", { class: "tvp-said", role: "group", "aria-label": "The model" },
    h("span", { class: "tvp-who", "aria-hidden": "true" }, "model"),
    h("div", {}, text, turn.note ? h("p", { class: "tvp-quiet" }, turn.note) : null));
}

/** What was said, redrawn where it changed. */
function createTalk(model) {
  const talk = h("div", { class: "tvp-talk", role: "log", tabindex: "0", "aria-label": "Conversation", ...KEYS });
  let drawn = [];
  let last = null;

  function draw() {
    const turns = model.get("_turns");
    const atEnd = talk.scrollTop + talk.clientHeight > talk.scrollHeight - NEAR;
    const same = (turn, i) => JSON.stringify(turn) === drawn[i];
    const first = turns.findIndex((turn, i) => !same(turn, i));
    const keep = first < 0 ? Math.min(turns.length, drawn.length) : first;
    while (talk.childElementCount > 2 * keep) talk.lastChild.remove();
    for (const turn of turns.slice(keep)) talk.append(questionOf(turn), answerOf(turn, model.get("_writing")));
    const grew = turns.length > drawn.length;
    drawn = turns.map((turn) => JSON.stringify(turn));
    last = turns.at(-1) ?? null;
    talk.hidden = !turns.length;
    if (atEnd || grew) talk.scrollTop = talk.scrollHeight;
  }

  function write() {
    if (last?.answer !== null || last === null) return;
    const atEnd = talk.scrollTop + talk.clientHeight > talk.scrollHeight - NEAR;
    talk.lastChild.querySelector("[aria-busy]").textContent = model.get("_writing");
    if (atEnd) talk.scrollTop = talk.scrollHeight;
  }
  return { talk, draw, write };
}

function render({ model, el }, draft) {
  const root = h("div", { class: "tv tvp tvp-chat" });
  const { talk, draw, write } = createTalk(model);
  const tray = createTray(model, root);
  const send = () => { if (!model.get("_busy")) model.send({ type: "ask", text: draft.text }); };
  const message = createField(draft, "Message", "Ask about your pictures: drop or paste them here", send);
  const button = (name, type, onclick) => h("button", { type: "button", class: type, onclick, ...KEYS }, name);
  const ask = button("Send", "tvp-first", send);
  const stop = button("Stop", "tvp-first", () => model.send({ type: "stop" }));
  const clear = button("New conversation", "", () => model.send({ type: "clear" }));
  const notice = h("p", { class: "tvp-notice", role: "alert" });
  const status = h("p", { class: "tvp-quiet", role: "status" });
  root.append(talk, tray.list, message.field,
    h("div", { class: "tvp-row" }, tray.button, tray.picker, clear, h("span", { class: "tvp-gap" }), stop, ask),
    notice, status);
  el.append(root);

  function state() {
    const busy = model.get("_busy");
    const focused = [ask, stop].includes(document.activeElement);
    ask.hidden = busy;
    stop.hidden = !busy;
    clear.disabled = busy || !model.get("_turns").length;
    if (focused) (busy ? stop : ask).focus(); // the place stays, the word on it changes
    notice.textContent = model.get("_notice");
    notice.hidden = !notice.textContent;
    status.textContent = model.get("_status");
  }
  const told = [
    ["change:_turns", draw], ["change:_turns", state], ["change:_writing", write], ["change:_busy", state],
    ["change:_notice", state], ["change:_status", state],
  ];
  for (const [name, hear] of told) model.on(name, hear);
  draw();
  state();
  const unfollow = followTheme(root);
  return () => {
    unfollow();
    for (const [name, hear] of told) model.off(name, hear);
    message.destroy();
    tray.destroy();
  };
}

/** One draft per widget, shared by all its views. */
export default function chat() {
  const draft = new Draft();
  return {
    initialize({ model }) {
      const hear = ({ op, text }) => {
        if (op === "sent" && draft.text.trim() === text) draft.set("");
        if (op === "unsent" && !draft.text.trim()) draft.set(text);
      };
      model.on("msg:custom", hear);
      return () => model.off("msg:custom", hear);
    },
    render: (place) => render(place, draft),
  };
}
