// Pictures that a person adds to a question: picked, pasted or dropped, numbered as the prompt will name them.
//
// Each is sent at once, in parts, and looked at by the kernel: what stands in the tray can be read.

import { h, KEYS } from "./elements.js";

const PART = 3 * 2 ** 17; // bytes of a message; whole triples, so that the base64 texts of all parts join

function base64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return btoa(text);
}

/** A file as the messages that tell it; one message, if it is too large to be sent. */
export async function* partsOf(file, id, largest) {
  if (file.size > largest) {
    yield { type: "large", name: file.name };
    return;
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  const parts = Math.max(Math.ceil(bytes.length / PART), 1);
  for (let part = 0; part < parts; part++) {
    const data = base64(bytes.subarray(part * PART, (part + 1) * PART));
    yield { type: "picture", id, name: file.name, part, parts, data };
  }
}

/** The pictures of the next question in a list, and a button to add some; `root` takes what is dropped or pasted. */
export function createTray(model, root) {
  let sending = Promise.resolve(); // one file after the other, so that they stand in the order they were picked in

  async function send(files) {
    for (const file of files) {
      const id = Math.random().toString(36).slice(2);
      for await (const part of partsOf(file, id, model.get("_largest_file"))) model.send(part);
    }
  }
  const add = (files) => {
    sending = sending.then(() => send(files)).catch((error) => console.warn("a picture could not be read", error));
  };

  const list = h("ol", { class: "tvp-tray", "aria-label": "Pictures of the next question" });
  const picker = h("input", {
    type: "file", accept: "image/*", multiple: true, hidden: true, tabindex: "-1",
    onchange: () => { add([...picker.files]); picker.value = ""; },
  });
  const button = h("button", { type: "button", onclick: () => picker.click(), ...KEYS }, "Add pictures");

  function draw() {
    list.replaceChildren(...model.get("_pictures").map(({ id, name, number, src }) => h("li", {},
      h("img", { src, alt: name }),
      h("span", {}, `image ${number}`),
      h("button", {
        type: "button", "aria-label": `Remove image ${number}`, title: name, ...KEYS,
        onclick: () => { model.send({ type: "remove", id }); button.focus(); },
      }, "×"))));
    list.hidden = !model.get("_pictures").length;
  }

  const holdsFiles = (transfer) => [...(transfer?.types ?? [])].includes("Files");
  const taken = (event) => { event.preventDefault(); event.stopPropagation(); };
  root.addEventListener("dragover", (event) => {
    if (!holdsFiles(event.dataTransfer)) return;
    taken(event);
    root.toggleAttribute("data-drop", true);
  });
  root.addEventListener("dragleave", () => root.toggleAttribute("data-drop", false));
  root.addEventListener("drop", (event) => {
    root.toggleAttribute("data-drop", false);
    if (!holdsFiles(event.dataTransfer)) return;
    taken(event);
    add([...event.dataTransfer.files]);
  });
  root.addEventListener("paste", (event) => {
    if (!event.clipboardData?.files.length) return; // text is pasted as text
    taken(event);
    add([...event.clipboardData.files]);
  });
  draw();
  model.on("change:_pictures", draw);
  return { list, button, picker, destroy: () => model.off("change:_pictures", draw) };
}
