"""German.

A form carries article, case and number: `phrase` declines the adjectives. "orange", "lila" and "rosa" do not
decline, as written German has it. {image} stands only as subject or object, which are alike in "das Bild";
questions about handwriting say "Ziffer" and sometimes "Zahl", as people do. The model says "du"; so does the
asker, bar a few who say "Sie".
"""

from __future__ import annotations

# noun, gender, genitive, plural
_NOUNS = {
    "circle": ("Kreis", "m", "Kreises", "Kreise"), "square": ("Quadrat", "n", "Quadrats", "Quadrate"),
    "triangle": ("Dreieck", "n", "Dreiecks", "Dreiecke"), "star": ("Stern", "m", "Sterns", "Sterne"),
    "cross": ("Kreuz", "n", "Kreuzes", "Kreuze"), "heart": ("Herz", "n", "Herzens", "Herzen"),
    "diamond": ("Raute", "f", "Raute", "Rauten"), "moon": ("Mond", "m", "Mondes", "Monde"),
    "digit": ("Ziffer", "f", "Ziffer", "Ziffern"), None: ("Objekt", "n", "Objekts", "Objekte"),
}  # fmt: skip
_COLOURS = {
    "red": "rot", "orange": "orange", "yellow": "gelb", "green": "grün", "blue": "blau",
    "purple": "lila", "pink": "rosa", "brown": "braun", "black": "schwarz", "white": "weiß",
}  # fmt: skip
_SIZES = {"big": "groß", "small": "klein"}
_INDECLINABLE = ("orange", "lila", "rosa")
# article and ending of the adjective: masculine, feminine, neuter
_SINGULAR = {
    "der": (("der", "e"), ("die", "e"), ("das", "e")),
    "des": (("des", "en"), ("der", "en"), ("des", "en")),
    "dem": (("dem", "en"), ("der", "en"), ("dem", "en")),
    "vom": (("vom", "en"), ("von der", "en"), ("vom", "en")),
    "ein": (("ein", "er"), ("eine", "e"), ("ein", "es")),
    "einen": (("einen", "en"), ("eine", "e"), ("ein", "es")),
}
_PLURAL = {"plural": ("", "e"), "die plural": ("die", "en"), "der plural": ("der", "en")}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: those of _SINGULAR and _PLURAL, and "colour", "shape" for the name alone."""
    if form == "colour":
        return _COLOURS[str(colour)]
    noun, gender, genitive, plural = _NOUNS[shape]
    if form == "shape":
        return noun
    if form in _PLURAL:
        (article, ending), noun = _PLURAL[form], plural
    else:
        article, ending = _SINGULAR[form]["mfn".index(gender)]
        if form == "des":
            noun = genitive
        elif noun == "Herz" and form in ("dem", "vom"):
            noun = "Herzen"
    adjectives = [table[word] for table, word in ((_SIZES, size), (_COLOURS, colour)) if word]
    declined = [word if word in _INDECLINABLE else word + ending for word in adjectives]
    return " ".join(word for word in (article, *declined, noun) if word)
