"""Tagalog (Filipino).

Adjectives come before the noun, size before colour, each with its linker: "-ng" after a vowel, "na" after a
consonant ("malaking pulang bilog", "maliit na itim na puso"), and keep the singular after "mga". The markers
(ang, ng, sa, mga, isang, may) never change, so the templates write them and `phrase` gives the bare words.
Colours are plain Filipino ("kahel", "rosas", "kayumanggi") rather than the English words also heard.
"""

from __future__ import annotations

_SHAPES = {
    "circle": "bilog", "square": "parisukat", "triangle": "tatsulok", "star": "bituin",
    "cross": "krus", "heart": "puso", "diamond": "diyamante", "moon": "buwan",
    "digit": "numero",
}  # fmt: skip
_COLOURS = {
    "red": "pula", "orange": "kahel", "yellow": "dilaw", "green": "berde",
    "blue": "asul", "purple": "lila", "pink": "rosas", "brown": "kayumanggi",
    "black": "itim", "white": "puti",
}  # fmt: skip
_SIZES = {"big": "malaki", "small": "maliit"}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: "bare", "colour", "shape"."""
    if form == "colour":
        return _COLOURS[str(colour)]
    noun = _SHAPES[shape] if shape else "bagay"
    if form == "shape":
        return noun
    said = (_SIZES[size] if size else "", _COLOURS[colour] if colour else "")
    return "".join(_linked(word) for word in said if word) + noun


def _linked(adjective: str) -> str:
    """The adjective with the linker that joins it to the next word."""
    return f"{adjective}ng " if adjective[-1] in "aeiou" else f"{adjective} na "
