"""Italian, with "tu" for the one who is asked.

Adjectives follow the noun, size last ("il cerchio rosso grande"). Articles and "di" melt together and lose
their vowel before "oggetto", the only noun that starts with one. Blu, viola and rosa never change.
"""

from __future__ import annotations

# singular, plural, and which of a row of articles goes with it
_NOUNS = {
    "circle": ("cerchio", "cerchi", 0),
    "square": ("quadrato", "quadrati", 0),
    "triangle": ("triangolo", "triangoli", 0),
    "star": ("stella", "stelle", 1),
    "cross": ("croce", "croci", 1),
    "heart": ("cuore", "cuori", 0),
    "diamond": ("rombo", "rombi", 0),
    "moon": ("luna", "lune", 1),
    "digit": ("cifra", "cifre", 1),
    None: ("oggetto", "oggetti", 2),
}
# masculine, feminine, masculine before a vowel
_ARTICLES = {
    "il": ("il ", "la ", "l'"),
    "un": ("un ", "una ", "un "),
    "del": ("del ", "della ", "dell'"),
    "i": ("i ", "le ", "gli "),
    "quanti": ("quanti ", "quante ", "quanti "),
    "plurale": ("", "", ""),
}
_PLURAL_FORMS = ("i", "quanti", "plurale")
# masculine and feminine, then both in the plural
_ADJECTIVES = {
    "red": ("rosso", "rossa", "rossi", "rosse"),
    "orange": ("arancione", "arancione", "arancioni", "arancioni"),
    "yellow": ("giallo", "gialla", "gialli", "gialle"),
    "green": ("verde", "verde", "verdi", "verdi"),
    "blue": ("blu",) * 4,
    "purple": ("viola",) * 4,
    "pink": ("rosa",) * 4,
    "brown": ("marrone", "marrone", "marroni", "marroni"),
    "black": ("nero", "nera", "neri", "nere"),
    "white": ("bianco", "bianca", "bianchi", "bianche"),
    "big": ("grande", "grande", "grandi", "grandi"),
    "small": ("piccolo", "piccola", "piccoli", "piccole"),
}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: those of _ARTICLES ("plurale" has none), "piccolo" (alone), "colour", "shape"."""
    singular, plural, kind = _NOUNS[shape]
    if form == "colour":
        return _ADJECTIVES[str(colour)][0]
    if form == "shape":
        return singular
    if form == "piccolo":
        return _ADJECTIVES["small"][kind % 2]
    many = form in _PLURAL_FORMS
    words = [plural if many else singular]
    words += [_ADJECTIVES[word][kind % 2 + 2 * many] for word in (colour, size) if word]
    return _ARTICLES[form][kind] + " ".join(words)
