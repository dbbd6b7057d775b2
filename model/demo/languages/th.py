"""Thai.

A noun comes first, then its colour, then its size: "วงกลมสีแดงขนาดใหญ่". There are no articles and no plurals;
counting needs the classifier of the shape ("วงกลมสีแดงกี่วง"), which the form "how_many" adds.
No spaces divide words, but a digit wants one behind it, so templates put a space behind {where} and {image}
unless they end there; {where} itself needs none in front. Statements have no mark at the end, questions have
"?" now and then. Questions for a yes end in "ใช่ไหม" (ใช่, ไม่ใช่) or ask whether "มี" (มี, ไม่มี).
The model calls itself "เรา", which leaves its gender open.
"""

from __future__ import annotations

from model.demo.languages.language import Language, Split

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


def _sides(one: str, other: str) -> Split:
    """Is it on the one side or on the other?"""
    return Split(
        (
            f"{{thing:bare}}{{where}} อยู่ด้าน{one}หรือด้าน{other}",
            f"{{thing:bare}}{{where}} อยู่ด้าน{other}หรือด้าน{one}?",
            f"{{thing:bare}}{{where}} อยู่ด้านไหน {one}หรือ{other}",
            f"ช่วยบอกหน่อยว่า{{thing:bare}}{{where}} อยู่ด้าน{one}หรือด้าน{other}",
        ),
        (
            f"{other}หรือ{one} {{thing:bare}}{{where}} อยู่ด้านไหน",
            f"ช่วยบอกหน่อยว่า{{thing:bare}}{{where}} อยู่ด้านไหน {other}หรือ{one}",
        ),
    )


def _relation(side: str, also: str | None = None) -> Split:
    """Is the one there, seen from the other? `also` says the same."""
    return Split(
        (
            f"{{thing:bare}}อยู่{side}{{other:bare}}{{where}} ใช่ไหม",
            f"{{thing:bare}}{{where}} อยู่{side}{{other:bare}}ใช่ไหม?",
            f"{{thing:bare}}อยู่{also or side}{{other:bare}}{{where}} ใช่หรือไม่",
        ),
        (f"{{thing:bare}}{{where}} อยู่{side}{{other:bare}}ใช่หรือเปล่า",),
    )


def _same(kind: str) -> Split:
    """Do two pictures show the same one of that kind?"""
    return Split(
        (
            f"{kind}ในภาพที่ {{n}} กับภาพที่ {{m}} เหมือนกันใช่ไหม",
            f"ภาพที่ {{n}} กับภาพที่ {{m}} มี{kind}เดียวกันใช่ไหม?",
            f"{kind}ในภาพที่ {{n}} เหมือนกับในภาพที่ {{m}} ใช่ไหม",
            f"วัตถุในภาพที่ {{n}} กับภาพที่ {{m}} มี{kind}เหมือนกันใช่หรือไม่",
        ),
        (
            f"ภาพที่ {{n}} กับภาพที่ {{m}} มี{kind}เหมือนกันใช่หรือเปล่า",
            f"{kind}ในภาพที่ {{n}} กับภาพที่ {{m}} เป็น{kind}เดียวกันใช่ไหม",
        ),
    )


ASK = {
    "colour": Split(
        (
            "{thing:bare}{where} สีอะไร",
            "{thing:bare}{where} มีสีอะไร?",
            "{thing:bare}{where} เป็นสีอะไร",
            "สีของ{thing:bare}{where} คือสีอะไร",
            "{thing:bare}เป็นสีอะไร{where}?",
            "{thing:bare}มีสีอะไร{where}",
            "บอกสีของ{thing:bare}{where}",
            "ช่วยบอกสีของ{thing:bare}{where}",
            "ช่วยบอกหน่อยว่า{thing:bare}{where} สีอะไร",
        ),
        (
            "ช่วยบอกหน่อยว่า{thing:bare}{where} เป็นสีอะไร",
            "อยากรู้ว่า{thing:bare}{where} มีสีอะไร",
            "{thing:bare}{where} คือสีอะไร?",
        ),
    ),
    "shape": Split(
        (
            "{thing:bare}{where} เป็นรูปทรงอะไร",
            "{thing:bare}{where} มีรูปทรงอะไร?",
            "{thing:bare}เป็นรูปทรงอะไร{where}",
            "รูปทรงของ{thing:bare}{where} คืออะไร",
            "บอกรูปทรงของ{thing:bare}{where}",
            "ช่วยบอกรูปทรงของ{thing:bare}{where}",
            "ช่วยบอกหน่อยว่า{thing:bare}{where} เป็นรูปทรงอะไร",
        ),
        (
            "ช่วยบอกหน่อยว่ารูปทรงของ{thing:bare}{where} คืออะไร",
            "อยากรู้ว่า{thing:bare}{where} มีรูปทรงอะไร",
            "{thing:bare}{where} คือรูปทรงอะไร?",
        ),
    ),
    "only_shape": Split(
        (
            "มีรูปทรงอะไร{where}",
            "เห็นรูปทรงอะไร{where}?",
            "ใน{image} มีรูปทรงอะไร",
            "รูปทรง{where} คือรูปทรงอะไร",
            "{image} แสดงรูปทรงอะไร",
        ),
        ("ใน{image} เห็นรูปทรงอะไร", "ช่วยบอกหน่อยว่ามีรูปทรงอะไร{where}"),
    ),
    "size": Split(
        (
            "{thing:bare}{where} ใหญ่หรือเล็ก",
            "{thing:bare}{where} เล็กหรือใหญ่?",
            "{thing:bare}{where} มีขนาดใหญ่หรือเล็ก",
            "ขนาดของ{thing:bare}{where} เป็นอย่างไร",
            "บอกขนาดของ{thing:bare}{where}",
            "ช่วยบอกหน่อยว่า{thing:bare}{where} ใหญ่หรือเล็ก",
        ),
        (
            "ช่วยบอกขนาดของ{thing:bare}{where}",
            "อยากรู้ว่า{thing:bare}{where} เล็กหรือใหญ่",
            "ขนาดของ{thing:bare}{where} ใหญ่หรือเล็ก?",
        ),
    ),
    "count": Split(
        (
            "มี{thing:how_many}{where}",
            "เห็น{thing:how_many}{where}?",
            "ใน{image} มี{thing:how_many}",
            "{image} มี{thing:how_many}?",
            "มี{thing:bare}ทั้งหมดกี่{thing:unit}{where}",
            "นับ{thing:bare}{where}",
            "ช่วยนับ{thing:bare}{where}",
            "จำนวน{thing:bare}{where} คือเท่าไร",
        ),
        (
            "นับ{thing:bare}ได้กี่{thing:unit}{where}",
            "ใน{image} เห็น{thing:how_many}",
            "อยากรู้ว่ามี{thing:how_many}{where}",
        ),
    ),
    "left_right": _sides("ซ้าย", "ขวา"),
    "top_bottom": _sides("บน", "ล่าง"),
    "left_of": _relation("ด้านซ้ายของ"),
    "right_of": _relation("ด้านขวาของ"),
    "above": _relation("เหนือ", "สูงกว่า"),
    "below": _relation("ใต้", "ต่ำกว่า"),
    "which": Split(
        (
            "ภาพไหนมี{thing:bare}",
            "รูปไหนมี{thing:bare}?",
            "{thing:bare}อยู่ในภาพไหน",
            "{thing:bare}อยู่ในรูปไหน",
            "มี{thing:bare}อยู่ในภาพไหน?",
            "เห็น{thing:bare}ในภาพไหน",
            "ช่วยบอกหน่อยว่าภาพไหนมี{thing:bare}",
        ),
        ("ช่วยบอกหน่อยว่า{thing:bare}อยู่ในภาพไหน", "อยากรู้ว่ารูปไหนมี{thing:bare}", "มี{thing:bare}อยู่ในรูปไหน"),
    ),
    "same_shape": _same("รูปทรง"),
    "same_colour": _same("สี"),
    "odd": Split(
        ("ภาพไหนแตกต่างจากภาพอื่น", "ภาพไหนไม่เหมือนภาพอื่น?", "รูปไหนไม่เหมือนรูปอื่น", "ภาพไหนไม่เข้าพวก"),
        ("รูปไหนแตกต่างจากรูปอื่น?", "ช่วยบอกหน่อยว่าภาพไหนไม่เข้าพวก"),
    ),
    "digit": Split(
        (
            "มีตัวเลขอะไร{where}",
            "เห็นตัวเลขอะไร{where}?",
            "ใน{image} มีตัวเลขอะไร",
            "ตัวเลข{where} คือเลขอะไร",
            "อ่านตัวเลข{where}",
        ),
        ("ช่วยอ่านตัวเลข{where}", "ใน{image} เห็นตัวเลขอะไร?"),
    ),
    "describe": Split(
        (
            "บรรยาย{image}",
            "ช่วยบรรยาย{image}",
            "มีอะไร{where}",
            "เห็นอะไร{where}?",
            "ใน{image} มีอะไร",
            "{image} มีอะไรบ้าง",
        ),
        ("ใน{image} มีอะไรบ้าง?", "ช่วยบอกหน่อยว่าใน{image} มีอะไร", "เห็นอะไรบ้าง{where}"),
    ),
    "exist": Split(
        (
            "มี{thing:bare}ไหม{where}",
            "มี{thing:bare}อยู่{where} หรือเปล่า",
            "มี{thing:bare}{where} หรือไม่?",
            "ใน{image} มี{thing:bare}ไหม",
            "{image} มี{thing:bare}ไหม?",
            "ช่วยบอกหน่อยว่าใน{image} มี{thing:bare}ไหม",
        ),
        ("ใน{image} มี{thing:bare}หรือเปล่า", "{image} มี{thing:bare}อยู่ไหม"),
    ),
    "elsewhere": Split(
        ("แล้ว{where} ล่ะ", "แล้ว{image} ล่ะ?", "แล้ว{image} เป็นอย่างไร", "แล้วถ้าเป็น{image} ล่ะ"),
        ("แล้ว{where} เป็นอย่างไร", "ถ้าเป็น{image} ล่ะ?"),
    ),
    "another": Split(
        ("แล้ว{thing:bare}ล่ะ", "แล้ว{thing:bare}เป็นอย่างไร", "แล้วถ้าเป็น{thing:bare}ล่ะ?"), ("ถ้าเป็น{thing:bare}ล่ะ",)
    ),
}

ANSWERS = {
    "colour": "{thing:colour}",
    "shape": "{thing:shape}",
    "big": "ใหญ่",
    "small": "เล็ก",
    "left": "ด้านซ้าย",
    "right": "ด้านขวา",
    "top": "ด้านบน",
    "bottom": "ด้านล่าง",
    "relation_yes": "ใช่",
    "relation_no": "ไม่ใช่",
    "exist_yes": "มี",
    "exist_no": "ไม่มี",
    "same_yes": "ใช่",
    "same_no": "ไม่ใช่",
    "none": "ไม่มีในภาพ",
    "number": "{n}",
    "image": "ภาพที่ {n}",
    "item": "{thing:bare}",
}

CHAT = {
    "greeting": (
        Split(
            ("สวัสดี", "สวัสดีครับ", "สวัสดีค่ะ", "สวัสดีจ้า", "หวัดดี", "หวัดดีครับ", "อรุณสวัสดิ์", "สวัสดีตอนเย็น"),
            ("หวัดดีค่ะ", "สวัสดีตอนเช้า"),
        ),
        "สวัสดี ส่งภาพมาแล้วถามได้เลยนะ",
    ),
    "how_are_you": (
        Split(
            ("สบายดีไหม", "สบายดีหรือเปล่า", "คุณเป็นอย่างไรบ้าง", "เป็นยังไงบ้าง", "วันนี้คุณเป็นอย่างไรบ้าง"),
            ("สวัสดี สบายดีไหม", "วันนี้สบายดีไหม"),
        ),
        "สบายดี ขอบคุณนะ",
    ),
    "who": (
        Split(
            (
                "คุณเป็นใคร",
                "คุณคือใคร?",
                "คุณคืออะไร",
                "คุณชื่ออะไร",
                "ช่วยบอกหน่อยว่าคุณเป็นใคร",
                "คุณคือ Llama 4 ใช่ไหม",
                "คุณเป็นโมเดลอะไร",
            ),
            ("สวัสดี คุณเป็นใคร", "ช่วยบอกหน่อยว่าคุณคือใคร"),
        ),
        "เราเป็นโมเดลตัวจิ๋วสำหรับการเรียนการสอน สร้างขึ้นแบบเดียวกับ Llama 4",
    ),
    "abilities": (
        Split(
            (
                "คุณทำอะไรได้บ้าง",
                "ถามอะไรคุณได้บ้าง",
                "คุณช่วยอะไรได้บ้าง?",
                "ช่วยด้วย",
                "คุณรู้อะไรบ้าง",
                "ช่วยบอกหน่อยว่าคุณทำอะไรได้บ้าง",
            ),
            ("อยากรู้ว่าคุณทำอะไรได้บ้าง", "ถามอะไรได้บ้าง"),
        ),
        "เราบอกชื่อ นับ และเปรียบเทียบรูปทรงในภาพได้",
    ),
    "thanks": (
        Split(
            ("ขอบคุณ", "ขอบคุณครับ", "ขอบคุณค่ะ", "ขอบคุณมาก", "ขอบใจนะ", "เยี่ยมเลย ขอบคุณ"),
            ("ขอบคุณมากครับ", "เยี่ยมเลย ขอบคุณมาก"),
        ),
        "ด้วยความยินดี",
    ),
    "bye": (
        Split(("ลาก่อน", "ลาก่อนนะ", "บ๊ายบาย", "แล้วเจอกัน", "ไว้เจอกันใหม่"), ("บ๊ายบาย แล้วเจอกัน",)),
        "แล้วเจอกันนะ",
    ),
    "outside": (
        Split(
            (
                "เมืองหลวงของฝรั่งเศสคืออะไร",
                "เล่าเรื่องตลกให้ฟังหน่อย",
                "สองบวกสองเท่ากับเท่าไร",
                "แต่งกลอนให้หน่อย",
                "วันนี้อากาศเป็นอย่างไร",
                "ประธานาธิบดีคือใคร",
                "ตอนนี้กี่โมง",
                "ใครเขียนเรื่อง Hamlet",
            ),
            ("เมืองหลวงของอิตาลีคืออะไร", "แต่งเรื่องให้ฟังหน่อย", "ช่วยบอกหน่อยว่าตอนนี้กี่โมง"),
        ),
        "ขอโทษนะ เรารู้แค่เรื่องรูปทรงในภาพ",
    ),
}

LANGUAGE = Language(
    code="th",
    name="Thai",
    phrase=phrase,
    ask=ASK,
    numbered=Split(("ภาพที่ {n}", "รูปที่ {n}", "ภาพ {n}"), ("รูป {n}", "ภาพที่ {n}")),
    only=Split(("ภาพนี้", "รูปนี้"), ("รูปภาพนี้", "ภาพนี้")),
    in_numbered=Split(("ในภาพที่ {n}", "ในรูปที่ {n}", "ในภาพ {n}"), ("ในรูป {n}", "ในภาพที่ {n}")),
    in_only=Split(("", "ในภาพ", "ในภาพนี้", "ในรูปนี้"), ("", "ในรูปภาพนี้", "ในภาพ")),
    answers=ANSWERS,
    separators=(" ", " และ"),
    full_stop="",
    chat=CHAT,
    no_picture="ส่งภาพมาให้ดูก่อนนะ",
    before=("รบกวนหน่อย ", "ขอโทษนะ ", "นี่ ", "โอเค "),
    after=(" ครับ", " นะครับ", " นะคะ"),
)
