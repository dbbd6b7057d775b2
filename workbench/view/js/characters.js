// Tokens that are parts of one character: a tokenizer may cut between the bytes of a letter. No DOM.

const BYTE = /<0x([0-9A-F]{2})>/g;
export const LONGEST = 4; // bytes of one character

/** A token's text as its characters and its single bytes. */
function unitsOf(text, token) {
  const units = [];
  let end = 0;
  for (const found of text.matchAll(BYTE)) {
    if (found.index > end) units.push({ token, text: text.slice(end, found.index) });
    units.push({ token, text: found[0], byte: parseInt(found[1], 16) });
    end = found.index + found[0].length;
  }
  if (end < text.length) units.push({ token, text: text.slice(end) });
  return units;
}

const lengthOf = (byte) => (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 0);

/** Whether a token's text may be a part of a character. */
export const hasBytes = (text) => text.search(BYTE) >= 0;

/**
 * The texts of neighbouring tokens as a reader would see them: where bytes of several make one character, the first
 * of them has it and the others have nothing of it. Bytes that make none stay as they are.
 */
export function joinBytes(texts) {
  const units = texts.flatMap(unitsOf);
  const shown = texts.map(() => "");
  for (let i = 0; i < units.length;) {
    const { token, text, byte } = units[i];
    const size = byte === undefined ? 0 : lengthOf(byte);
    const bytes = units.slice(i, i + size).map((unit) => unit.byte);
    const rest = bytes.slice(1);
    const whole = size && bytes.length === size && rest.every((next) => next !== undefined && next >> 6 === 2);
    shown[token] += whole ? new TextDecoder().decode(Uint8Array.from(bytes)) : text;
    i += whole ? size : 1;
  }
  return shown;
}
