"""Vietnamese.

Every shape is named with "hình" in front ("hình tròn"), a picture always with "ảnh", so that the two never
mix. Size comes before colour, and a colour always has "màu" in front: "hình tròn lớn màu đỏ". A noun takes no
article; only a description counts with "một". Yes-no questions have "có ... không", and "Có." or "Không."
answers them.
"""

from __future__ import annotations

_SHAPES = {
    "circle": "hình tròn", "square": "hình vuông", "triangle": "hình tam giác",
    "star": "hình ngôi sao", "cross": "hình chữ thập", "heart": "hình trái tim",
    "diamond": "hình thoi", "moon": "hình mặt trăng", "digit": "chữ số",
}  # fmt: skip
_COLOURS = {
    "red": "đỏ", "orange": "cam", "yellow": "vàng", "green": "xanh lá",
    "blue": "xanh dương", "purple": "tím", "pink": "hồng", "brown": "nâu",
    "black": "đen", "white": "trắng",
}  # fmt: skip
_SIZES = {"big": "lớn", "small": "nhỏ"}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: "bare", "one" (with "một"), "colour", "shape"."""
    of_colour = f"màu {_COLOURS[colour]}" if colour else ""
    if form == "colour":
        return of_colour
    noun = _SHAPES[shape] if shape else "vật thể"
    if form == "shape":
        return noun
    words = " ".join(word for word in (noun, _SIZES[size] if size else "", of_colour) if word)
    return f"một {words}" if form == "one" else words
