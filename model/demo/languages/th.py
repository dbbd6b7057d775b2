"""Thai.

A noun comes first, then its colour, then its size: "วงกลมสีแดงขนาดใหญ่". There are no articles and no plurals;
counting needs the classifier of the shape ("วงกลมสีแดงกี่วง"), which the form "how_many" adds.
No spaces divide words, but a digit wants one behind it: {where} brings that space itself ("ในภาพที่ 2 "),
so it never ends a template; {image} brings none, so a template puts one behind it. Statements have no mark at
the end, questions have "?" now and then. Questions for a yes end in "ใช่ไหม" (ใช่, ไม่ใช่) or ask whether
"มี" (มี, ไม่มี).
The model calls itself "เรา", which leaves its gender open.
"""

from __future__ import annotations

# each with its classifier
_SHAPES = {
    "circle": ("วงกลม", "วง"), "square": ("สี่เหลี่ยมจัตุรัส", "รูป"),
    "triangle": ("สามเหลี่ยม", "รูป"), "star": ("ดาว", "ดวง"),
    "cross": ("กากบาท", "อัน"), "heart": ("หัวใจ", "ดวง"),
    "diamond": ("ข้าวหลามตัด", "รูป"), "moon": ("พระจันทร์", "ดวง"),
    "digit": ("ตัวเลข", "ตัว"),
}  # fmt: skip
_OBJECT = ("วัตถุ", "ชิ้น")
_COLOURS = {
    "red": "สีแดง", "orange": "สีส้ม", "yellow": "สีเหลือง", "green": "สีเขียว",
    "blue": "สีน้ำเงิน", "purple": "สีม่วง", "pink": "สีชมพู", "brown": "สีน้ำตาล",
    "black": "สีดำ", "white": "สีขาว",
}  # fmt: skip
_SIZES = {"big": "ขนาดใหญ่", "small": "ขนาดเล็ก"}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: "bare", "how_many" (behind it "how many" with the classifier), "unit" (the classifier alone),
    "colour", "shape".
    """
    if form == "colour":
        return _COLOURS[str(colour)]
    noun, unit = _SHAPES[shape] if shape else _OBJECT
    if form == "shape":
        return noun
    if form == "unit":
        return unit
    words = noun + (_COLOURS[colour] if colour else "") + (_SIZES[size] if size else "")
    return f"{words}กี่{unit}" if form == "how_many" else words
