"""Portuguese as it is typed in Brazil, with "você" for the one who is asked.

Adjectives follow the noun, size last ("o círculo vermelho grande"). "De" melts together with the article.
Laranja and rosa never change.
"""

from __future__ import annotations

# singular, plural, feminine
_NOUNS = {
    "circle": ("círculo", "círculos", False),
    "square": ("quadrado", "quadrados", False),
    "triangle": ("triângulo", "triângulos", False),
    "star": ("estrela", "estrelas", True),
    "cross": ("cruz", "cruzes", True),
    "heart": ("coração", "corações", False),
    "diamond": ("losango", "losangos", False),
    "moon": ("lua", "luas", True),
    "digit": ("dígito", "dígitos", False),
    None: ("objeto", "objetos", False),
}
# masculine, feminine
_ARTICLES = {
    "o": ("o ", "a "),
    "um": ("um ", "uma "),
    "do": ("do ", "da "),
    "ao": ("ao ", "à "),
    "os": ("os ", "as "),
    "quantos": ("quantos ", "quantas "),
    "plural": ("", ""),
}
_PLURAL_FORMS = ("os", "quantos", "plural")
# masculine and feminine, then both in the plural
_ADJECTIVES = {
    "red": ("vermelho", "vermelha", "vermelhos", "vermelhas"),
    "orange": ("laranja",) * 4,
    "yellow": ("amarelo", "amarela", "amarelos", "amarelas"),
    "green": ("verde", "verde", "verdes", "verdes"),
    "blue": ("azul", "azul", "azuis", "azuis"),
    "purple": ("roxo", "roxa", "roxos", "roxas"),
    "pink": ("rosa",) * 4,
    "brown": ("marrom", "marrom", "marrons", "marrons"),
    "black": ("preto", "preta", "pretos", "pretas"),
    "white": ("branco", "branca", "brancos", "brancas"),
    "big": ("grande", "grande", "grandes", "grandes"),
    "small": ("pequeno", "pequena", "pequenos", "pequenas"),
}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: those of _ARTICLES ("plural" has none), "pequeno" (alone), "colour", "shape"."""
    singular, plural, feminine = _NOUNS[shape]
    if form == "colour":
        return _ADJECTIVES[str(colour)][0]
    if form == "shape":
        return singular
    if form == "pequeno":
        return _ADJECTIVES["small"][feminine]
    many = form in _PLURAL_FORMS
    words = [plural if many else singular]
    words += [_ADJECTIVES[word][feminine + 2 * many] for word in (colour, size) if word]
    return _ARTICLES[form][feminine] + " ".join(words)
