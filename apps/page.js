// What Gradio's own parts leave out for the keyboard and for screen readers, mended where it stands on the page.
// Runs once the page is there. Parts come and go with the conversation, so what is new is looked at again.

const narrow = matchMedia("(max-width: 768px)"); // where the side bar covers the page
let opener = null; // the button pressed last, outside the side bar
let wasOpen = false;

const side = () => document.querySelector("#side");
const isOpen = () => Boolean(side()?.classList.contains("open"));
const each = (selector, mend) => {
  for (const node of document.querySelectorAll(selector)) mend(node);
};
const set = (node, attributes) => {
  for (const [name, value] of Object.entries(attributes)) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
};

function mend() {
  // buttons are no items of a list
  each("#chat .examples[role=list]", (node) => set(node, { role: "group", "aria-label": "Questions to begin with" }));
  // a name needs a role that can have one
  each("#chat [data-testid=user]:not([role])", (node) => set(node, { role: "group" }));
  // Gradio hears Enter on an answer, which no key could reach
  each("#chat [data-testid=bot]:not([tabindex])", (node) => set(node, {
    role: "group", tabindex: "0", "aria-description": "Enter shows what happened inside",
  }));
  // a picture is a button that does nothing of its own: it gets a name, and is no stop on the way
  document.querySelectorAll("#chat .user .image-container > button").forEach((node, index) => {
    set(node, { "aria-label": `image ${index + 1}`, tabindex: "-1" });
  });
  // said once when it is whole, not at every word
  const writing = document.querySelector("#composer .stop-button") !== null;
  each("#chat [role=log]", (node) => set(node, { "aria-busy": String(writing) }));
  document.querySelectorAll("#composer .thumbnail-wrapper").forEach((node, index) => {
    set(node, { role: "group", "aria-label": `Picture ${index + 1} of the message` }); // an item of no list
  });
  document.querySelectorAll("#composer .delete-button").forEach((node, index) => {
    set(node, { "aria-label": `Remove picture ${index + 1} from the message` });
  });
  each("#composer textarea", (node) => set(node, { "aria-label": "Message" }));
  each("#side .toggle-button", (node) => set(node, { "aria-label": "Close the side bar" }));
  each("#workbench", (node) => { node.inert = narrow.matches && isOpen(); });
  // while the camera shows nothing yet, a press would be lost without a word
  const seen = document.querySelector("#camera video")?.readyState ?? 0;
  each("#camera .capture-button", (node) => { node.disabled = seen < HTMLMediaElement.HAVE_CURRENT_DATA; });
  // what is hidden or inert takes no focus, so it is given only now
  if (isOpen() !== wasOpen) {
    wasOpen = isOpen();
    const lost = document.activeElement === document.body || side().contains(document.activeElement);
    if (wasOpen) side().querySelector("[role=tab][aria-selected=true]")?.focus();
    else if (lost) opener?.focus();
  }
}

function shut() {
  side().querySelector(".toggle-button").click();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button, a");
  if (button && !side()?.contains(button)) opener = button;
  // the picture stands in the message, which the side bar covers here
  if (button?.matches("#maker .maker-tools button:last-child") && narrow.matches && isOpen()) shut();
  if (button?.matches(".skip a")) {
    event.preventDefault();
    const part = document.querySelector(button.getAttribute("href"));
    ["textarea", "[role=listbox]", "[role=tab][aria-selected=true]", "button"]
      .flatMap((place) => [...part.querySelectorAll(place)]).find((place) => place.checkVisibility())?.focus();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && isOpen() && !event.target.closest(".tv")) shut(); // the view has its own use of it
});

let waiting = false;
new MutationObserver(() => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    mend();
  });
}).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["class"] });
narrow.addEventListener("change", mend);
document.addEventListener("loadeddata", mend, true); // such events do not bubble
mend();
