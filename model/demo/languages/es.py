"""Spanish.

A form carries article, contraction and agreement ("del círculo", "de la estrella", "cuántas estrellas"); one
with a capital ("El", "Cuántos") stands right behind "¿". Colour and then size follow the noun: "el círculo
rojo grande". "naranja" and "rosa" have a plural but no gender. The words are shared by Spain and America.
"""

from __future__ import annotations

# noun, plural, feminine?
_NOUNS = {
    "circle": ("círculo", "círculos", False), "square": ("cuadrado", "cuadrados", False),
    "triangle": ("triángulo", "triángulos", False), "star": ("estrella", "estrellas", True),
    "cross": ("cruz", "cruces", True), "heart": ("corazón", "corazones", False),
    "diamond": ("rombo", "rombos", False), "moon": ("luna", "lunas", True),
    "digit": ("dígito", "dígitos", False), None: ("objeto", "objetos", False),
}  # fmt: skip
# masculine and feminine, then both in the plural
_ADJECTIVES = {
    "red": ("rojo", "roja", "rojos", "rojas"), "orange": ("naranja", "naranja", "naranjas", "naranjas"),
    "yellow": ("amarillo", "amarilla", "amarillos", "amarillas"),
    "green": ("verde", "verde", "verdes", "verdes"), "blue": ("azul", "azul", "azules", "azules"),
    "purple": ("morado", "morada", "morados", "moradas"), "pink": ("rosa", "rosa", "rosas", "rosas"),
    "brown": ("marrón", "marrón", "marrones", "marrones"),
    "black": ("negro", "negra", "negros", "negras"), "white": ("blanco", "blanca", "blancos", "blancas"),
    "big": ("grande", "grande", "grandes", "grandes"),
    "small": ("pequeño", "pequeña", "pequeños", "pequeñas"),
}  # fmt: skip
_ARTICLES = {
    "el": ("el", "la"),
    "del": ("del", "de la"),
    "un": ("un", "una"),
    "los": ("los", "las"),
    "cuántos": ("cuántos", "cuántas"),
}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: those of _ARTICLES, also with a capital, "grande", "pequeño", "colour" and "shape"."""
    if form[0].isupper():
        words = phrase(shape, colour, size, form.lower())
        return words[0].upper() + words[1:]
    noun, plural, feminine = _NOUNS[shape]
    if form == "shape":
        return noun
    if form == "colour":
        return _ADJECTIVES[str(colour)][0]
    if form in ("grande", "pequeño"):
        return _ADJECTIVES["big" if form == "grande" else "small"][feminine]
    many = form in ("los", "cuántos")
    adjectives = [_ADJECTIVES[word][feminine + 2 * many] for word in (colour, size) if word]
    return " ".join([_ARTICLES[form][feminine], plural if many else noun, *adjectives])
