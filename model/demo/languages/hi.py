"""Hindi.

Adjectives agree with their noun in gender, number and case, and so do verbs and "how many": a form that is
itself a Hindi word, as in {thing:बड़ा} or {thing:का}, gives that word in the noun's gender. All shapes are
masculine; only "चीज़" (object) is feminine. A picture is named before what is in it, so {where} carries its
space behind, and {image} always stands before a postposition. "आकार" is shape alone; size is "साइज़".
Letters with a nukta are two code points, as Unicode normalises them (NFC).
"""

from __future__ import annotations

# what stands before a postposition differs from the plain form in तारा only
_NOUNS = {
    "circle": "वृत्त", "square": "वर्ग", "triangle": "त्रिभुज", "star": "तारा", "cross": "क्रॉस", "heart": "दिल",
    "diamond": "समचतुर्भुज", "moon": "चाँद", "digit": "अंक", None: "चीज़",
}  # fmt: skip
_ADJECTIVES = {
    "red": "लाल", "orange": "नारंगी", "yellow": "पीला", "green": "हरा", "blue": "नीला", "purple": "बैंगनी",
    "pink": "गुलाबी", "brown": "भूरा", "black": "काला", "white": "सफ़ेद", "big": "बड़ा", "small": "छोटा",
}  # fmt: skip
_AGREEING = ("का", "कैसा", "बड़ा", "छोटा", "कितना", "कितने", "दिखता", "दिखते", "रहा", "रहे", "बना", "बने")


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: "direct", "one", "oblique", "plural", "oblique_plural", "colour", "shape", and _AGREEING."""
    if form == "colour":
        return _ADJECTIVES[str(colour)]
    noun = _NOUNS[shape]
    if form == "shape":
        return noun
    if form in _AGREEING:
        return form if shape else f"{form[:-1]}ी"
    if form == "one":
        return f"एक {phrase(shape, colour, size, 'direct')}"
    if form not in ("direct", "oblique", "plural", "oblique_plural"):
        raise ValueError(f"form {form!r} is unknown in Hindi")
    ending = "ी" if shape is None else "ा" if form == "direct" else "े"
    words = [_ADJECTIVES[name] for name in (size, colour) if name]
    words = [f"{word[:-1]}{ending}" if word.endswith("ा") else word for word in words]
    if form == "oblique_plural":
        noun = f"{noun.removesuffix('ा')}ों"
    elif shape is None and form == "plural":
        noun = f"{noun}ें"
    elif noun.endswith("ा") and form != "direct":
        noun = f"{noun[:-1]}े"
    return " ".join((*words, noun))
