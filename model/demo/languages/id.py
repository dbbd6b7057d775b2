"""Indonesian, with "kamu" for the one who is asked and "saya" for the one who speaks.

Nothing agrees and nothing changes after a number or "berapa". Adjectives follow the noun, size last
("lingkaran merah besar"). Pink is "pink", not "merah muda", which would hold the word for red.
Whether there is a thing is asked with "ada", so the answer is "Ada." or "Tidak ada.".
"""

from __future__ import annotations

_NOUNS = {
    "circle": "lingkaran",
    "square": "persegi",
    "triangle": "segitiga",
    "star": "bintang",
    "cross": "salib",
    "heart": "hati",
    "diamond": "belah ketupat",
    "moon": "bulan",
    "digit": "angka",
    None: "benda",
}
_ADJECTIVES = {
    "red": "merah",
    "orange": "oranye",
    "yellow": "kuning",
    "green": "hijau",
    "blue": "biru",
    "purple": "ungu",
    "pink": "pink",
    "brown": "cokelat",
    "black": "hitam",
    "white": "putih",
    "big": "besar",
    "small": "kecil",
}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: "nama" (bare), "sebuah" (one), "colour", "shape"."""
    if form == "colour":
        return _ADJECTIVES[str(colour)]
    if form == "shape":
        return _NOUNS[shape]
    words = " ".join([_NOUNS[shape], *(_ADJECTIVES[word] for word in (colour, size) if word)])
    return f"sebuah {words}" if form == "sebuah" else words
