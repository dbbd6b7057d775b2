"""English."""

from __future__ import annotations

_PLURALS = {"cross": "crosses"}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: "the", "a", "plural", "colour", "shape"."""
    if form == "colour":
        return str(colour)
    noun = shape or "object"
    if form == "shape":
        return noun
    if form == "plural":
        noun = _PLURALS.get(noun, f"{noun}s")
    words = " ".join(word for word in (size, colour, noun) if word)
    if form == "plural":
        return words
    return f"the {words}" if form == "the" else f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
