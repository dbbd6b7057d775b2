// The strip of words as a drawing: what stands on the page, measured there and painted again.
//
// A line is written as one text, not token by token, so that letters join as they do on the page.

const PAD = 12; // px around the drawing
const SEPARATE = /[\s\d\p{P}\p{S}\p{sc=Latin}\p{sc=Cyrillic}\p{sc=Greek}]/u; // never joined to what stands beside it

/** Pieces of text that stand on one line in one size, with their places: [{text, left, right, bottom, size, ...}]. */
function piecesOf(block, x, y) {
  const walker = document.createTreeWalker(block, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  const pieces = [];
  let piece = null;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const token = node.parentElement.closest(".tv-token");
    if (!token) { piece = null; continue; } // a picture, which is drawn by itself
    const style = getComputedStyle(token);
    for (let at = 0; at < node.length; at++) {
      range.setStart(node, at);
      range.setEnd(node, at + 1);
      const box = range.getClientRects()[0];
      if (!box || node.data[at] === "\n") { piece = null; continue; }
      const size = parseFloat(style.fontSize);
      const isolate = token.dir ? token : null;
      const inked = piece && (piece.fill === style.color || !SEPARATE.test(piece.text.at(-1) + node.data[at]));
      const goes = inked && piece.isolate === isolate && piece.size === size;
      if (!goes || Math.abs(piece.bottom - (box.bottom + y)) > 4) {
        piece = { text: "", left: Infinity, right: -Infinity, bottom: box.bottom + y, size, fill: style.color, isolate };
        pieces.push(piece);
      }
      piece.text += node.data[at];
      piece.left = Math.min(piece.left, box.left + x);
      piece.right = Math.max(piece.right, box.right + x);
    }
  }
  const rtl = getComputedStyle(block).direction === "rtl";
  return pieces.map((each) => ({ ...each, rtl }));
}

/** {width, height, paint(pen)} of the whole strip, also of what is scrolled away. */
export function stripDrawing(view, list) {
  const long = list.hasAttribute("data-long");
  list.removeAttribute("data-long"); // what is off-screen has no places otherwise
  const frame = list.getBoundingClientRect();
  const x = PAD - frame.left;
  const y = PAD - frame.top + list.scrollTop;
  const moved = (box) => ({ left: box.left + x, top: box.top + y, width: box.width, height: box.height });
  const inks = view.inks();
  const grounds = [...list.querySelectorAll(".tv-token")].flatMap((token) => {
    const fill = getComputedStyle(token).backgroundColor;
    const written = token.hasAttribute("data-generated");
    return [...token.getClientRects()].map((box) => ({ ...moved(box), fill, written }));
  });
  const marks = [...list.querySelectorAll(".tv-token[data-mark]")].map((token) => ({
    ...moved(token.getBoundingClientRect()), text: token.dataset.mark }));
  const pieces = [...list.querySelectorAll(".tv-text")].flatMap((block) => piecesOf(block, x, y));
  const roles = [...list.querySelectorAll(".tv-role")].map((role) => ({
    ...moved(role.getBoundingClientRect()), text: role.textContent }));
  const chips = [...list.querySelectorAll(".tv-chip")].map((chip) => {
    const picture = chip.querySelector("img");
    return { ...moved(chip.getBoundingClientRect()), text: chip.querySelector("span").textContent,
      picture, place: moved(picture.getBoundingClientRect()) };
  });
  const size = { width: Math.ceil(frame.width) + 2 * PAD, height: list.scrollHeight + 2 * PAD };
  list.toggleAttribute("data-long", long);

  function paint(pen) {
    for (const { left, top, width, height, fill, written } of grounds) {
      pen.rect(left, top, width, height, fill);
      const thick = written ? 3 : 1;
      pen.rect(left + 1, top + height - thick, Math.max(width - 2, 0), thick, written ? inks.accent : inks.line);
    }
    for (const { text, left, right, bottom, size: px, fill, rtl } of pieces) {
      const style = { fill, size: px, align: rtl ? "right" : "left", baseline: "alphabetic", rtl };
      pen.text(text, rtl ? right : left, bottom - 0.25 * px, style);
    }
    for (const { text, left, top, height } of marks) pen.text(text, left, top + height / 2, { fill: inks.soft, size: 12 });
    for (const { text, left, top } of roles) {
      pen.text(text, left, top + 14, { fill: inks.soft, size: 12.5 });
    }
    for (const { text, left, top, width, height, picture, place } of chips) {
      pen.frame(left, top, width, height, inks.line);
      pen.picture(picture, place.left, place.top, place.width, place.height);
      pen.text(text, place.left + place.width + 6, top + height / 2, { fill: inks.ink, size: 13 });
    }
  }
  return { ...size, paint };
}
