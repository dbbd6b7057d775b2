"""French.

A form carries article or preposition with its contraction or elision ("du cercle", "de l'étoile",
"d'étoiles"); sizes stand before the noun, colours behind it, "orange" and "marron" never change. Names of
pictures are feminine, so that "de" never contracts with them. A plain space stands before "?", "!" and ":",
as French keyboards give it. The model says "tu", askers mostly too.
"""

from __future__ import annotations

# noun, plural, feminine?
_NOUNS = {
    "circle": ("cercle", "cercles", False), "square": ("carré", "carrés", False),
    "triangle": ("triangle", "triangles", False), "star": ("étoile", "étoiles", True),
    "cross": ("croix", "croix", True), "heart": ("cœur", "cœurs", False),
    "diamond": ("losange", "losanges", False), "moon": ("lune", "lunes", True),
    "digit": ("chiffre", "chiffres", False), None: ("objet", "objets", False),
}  # fmt: skip
# masculine and feminine
_ADJECTIVES = {
    "red": ("rouge", "rouge"), "orange": ("orange", "orange"), "yellow": ("jaune", "jaune"),
    "green": ("vert", "verte"), "blue": ("bleu", "bleue"), "purple": ("violet", "violette"),
    "pink": ("rose", "rose"), "brown": ("marron", "marron"), "black": ("noir", "noire"),
    "white": ("blanc", "blanche"), "big": ("grand", "grande"), "small": ("petit", "petite"),
}  # fmt: skip
_INVARIABLE = ("orange", "marron")


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: "le", "du", "un", "les", "de plural", "il", "grand", "petit", "colour", "shape"."""
    noun, plural, feminine = _NOUNS[shape]
    if form == "colour":
        return _ADJECTIVES[str(colour)][0]
    if form == "shape":
        return noun
    if form == "il":
        return "elle" if feminine else "il"
    if form in ("grand", "petit"):
        return f"{form}e" if feminine else form
    many = form in ("les", "de plural")

    def agreeing(word: str) -> str:
        adjective = _ADJECTIVES[word][feminine]
        return f"{adjective}s" if many and adjective not in _INVARIABLE else adjective

    words = [*([agreeing(size)] if size else []), plural if many else noun]
    name = " ".join([*words, *([agreeing(colour)] if colour else [])])
    elided = name[0] in "éo"  # "étoile", "objet"
    if form == "le":
        return f"l'{name}" if elided else f"{'la' if feminine else 'le'} {name}"
    if form == "du":
        return f"de l'{name}" if elided else f"{'de la' if feminine else 'du'} {name}"
    if form == "un":
        return f"{'une' if feminine else 'un'} {name}"
    return f"les {name}" if form == "les" else f"d'{name}" if elided else f"de {name}"
