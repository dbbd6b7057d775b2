"""Vietnamese.

Every shape is named with "hình" in front ("hình tròn"), a picture always with "ảnh", so that the two never
mix. Size comes before colour, and a colour always has "màu" in front: "hình tròn lớn màu đỏ". A noun takes no
article; only a description counts with "một". Yes-no questions have "có ... không", and "Có." or "Không."
answers them.
"""

from __future__ import annotations

from model.demo.languages.language import Language, Split

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


def _quality(short: str, name: str) -> Split:
    """What colour, or what shape, is it?"""
    return Split(
        (
            f"{{thing:bare}}{{where}} có {short} gì?",
            f"{{thing:bare}} {short} gì{{where}}?",
            f"{{thing:bare}}{{where}} là {short} gì?",
            f"{{thing:bare}} có {short} gì{{where}}?",
            f"{name} của {{thing:bare}}{{where}} là gì?",
            f"{name} của {{thing:bare}}{{where}} là {short} gì?",
            f"Cho tôi biết {{thing:bare}}{{where}} có {short} gì.",
            f"Cho tôi biết {name} của {{thing:bare}}{{where}}.",
        ),
        (
            f"Bạn có thể cho biết {{thing:bare}}{{where}} có {short} gì không?",
            f"Hãy cho biết {name} của {{thing:bare}}{{where}} là gì.",
            f"Tôi muốn biết {{thing:bare}}{{where}} là {short} gì.",
        ),
    )


def _sides(kind: str, one: str, other: str) -> Split:
    """Is it on the one side or on the other?"""
    return Split(
        (
            f"{{thing:bare}}{{where}} ở {kind} {one} hay {kind} {other}?",
            f"{{thing:bare}}{{where}} ở {kind} {other} hay {kind} {one}?",
            f"{{thing:bare}}{{where}} nằm {kind} {one} hay {kind} {other}?",
            f"{{thing:bare}}{{where}} ở {kind} nào, {one} hay {other}?",
            f"Cho tôi biết {{thing:bare}}{{where}} ở {kind} {one} hay {kind} {other}.",
        ),
        (
            f"Cho tôi biết {{thing:bare}}{{where}} nằm {kind} {other} hay {kind} {one}.",
            f"{{thing:bare}}{{where}} nằm ở {kind} nào, {other} hay {one}?",
        ),
    )


def _relation(side: str) -> Split:
    """Is the one on that side of the other?"""
    return Split(
        (
            f"{{thing:bare}} có ở {side} {{other:bare}}{{where}} không?",
            f"{{thing:bare}} có nằm {side} {{other:bare}}{{where}} không?",
            f"{{thing:bare}}{{where}} có nằm ở {side} {{other:bare}} không?",
        ),
        (f"{{thing:bare}}{{where}} có ở {side} của {{other:bare}} không?",),
    )


def _same(kind: str) -> Split:
    """Do two pictures show the same one of that kind?"""
    return Split(
        (
            f"{kind} trong ảnh {{n}} và ảnh {{m}} có giống nhau không?",
            f"Vật thể trong ảnh {{n}} và ảnh {{m}} có cùng {kind} không?",
            f"{kind} trong ảnh {{n}} có giống {kind} trong ảnh {{m}} không?",
            f"Ảnh {{n}} và ảnh {{m}} có cùng một {kind} không?",
        ),
        (
            f"Trong ảnh {{n}} và ảnh {{m}}, {kind} có giống nhau không?",
            f"Hình trong ảnh {{n}} có cùng {kind} với hình trong ảnh {{m}} không?",
        ),
    )


ASK = {
    "colour": _quality("màu", "màu"),
    "shape": _quality("hình", "hình dạng"),
    "only_shape": Split(
        (
            "Có hình gì{where}?",
            "Bạn thấy hình gì{where}?",
            "Trong {image} có hình gì?",
            "Trong {image} là hình gì?",
        ),
        ("Bạn có thể thấy hình gì{where}?", "Cho tôi biết trong {image} có hình gì."),
    ),
    "size": Split(
        (
            "{thing:bare}{where} lớn hay nhỏ?",
            "{thing:bare}{where} nhỏ hay lớn?",
            "{thing:bare}{where} có kích thước lớn hay nhỏ?",
            "{thing:bare}{where} có kích thước thế nào?",
            "Kích thước của {thing:bare}{where} thế nào?",
            "Cho tôi biết {thing:bare}{where} lớn hay nhỏ.",
        ),
        (
            "Bạn có thể cho biết {thing:bare}{where} lớn hay nhỏ không?",
            "Hãy cho biết kích thước của {thing:bare}{where} thế nào.",
            "Tôi muốn biết {thing:bare}{where} nhỏ hay lớn.",
        ),
    ),
    "count": Split(
        (
            "Có bao nhiêu {thing:bare}{where}?",
            "Có mấy {thing:bare}{where}?",
            "Bạn thấy bao nhiêu {thing:bare}{where}?",
            "Trong {image} có bao nhiêu {thing:bare}?",
            "Trong {image} có mấy {thing:bare}?",
            "{image} có bao nhiêu {thing:bare}?",
            "Đếm số {thing:bare}{where}.",
            "Số {thing:bare}{where} là bao nhiêu?",
        ),
        (
            "Bạn đếm được bao nhiêu {thing:bare}{where}?",
            "Hãy đếm số {thing:bare} trong {image}.",
            "Tôi muốn biết {image} có mấy {thing:bare}.",
        ),
    ),
    "left_right": _sides("bên", "trái", "phải"),
    "top_bottom": _sides("phía", "trên", "dưới"),
    "left_of": _relation("bên trái"),
    "right_of": _relation("bên phải"),
    "above": _relation("phía trên"),
    "below": _relation("phía dưới"),
    "which": Split(
        (
            "Ảnh nào có {thing:bare}?",
            "Bức ảnh nào có {thing:bare}?",
            "Trong ảnh nào có {thing:bare}?",
            "{thing:bare} nằm trong ảnh nào?",
            "{thing:bare} có trong ảnh nào?",
            "Bạn thấy {thing:bare} trong ảnh nào?",
            "Cho tôi biết ảnh nào có {thing:bare}.",
        ),
        (
            "Trong bức ảnh nào có {thing:bare}?",
            "Hãy cho biết {thing:bare} nằm trong ảnh nào.",
            "Tôi muốn biết bức ảnh nào có {thing:bare}.",
        ),
    ),
    "same_shape": _same("hình dạng"),
    "same_colour": _same("màu"),
    "odd": Split(
        (
            "Ảnh nào khác với các ảnh còn lại?",
            "Ảnh nào khác biệt?",
            "Bức ảnh nào khác với những ảnh kia?",
            "Ảnh nào không giống các ảnh còn lại?",
        ),
        ("Cho tôi biết ảnh nào khác biệt.", "Bức ảnh nào không giống những ảnh còn lại?"),
    ),
    "digit": Split(
        (
            "Chữ số{where} là số mấy?",
            "Bạn thấy chữ số nào{where}?",
            "Chữ số nào được viết{where}?",
            "Trong {image} là chữ số nào?",
            "Trong {image} có chữ số gì?",
            "Đọc chữ số{where}.",
        ),
        ("Bạn đọc được chữ số nào{where}?", "Cho tôi biết chữ số nào được viết{where}."),
    ),
    "describe": Split(
        (
            "Mô tả {image}.",
            "Hãy mô tả {image}.",
            "Có gì{where}?",
            "Bạn thấy gì{where}?",
            "Trong {image} có gì?",
            "Trong {image} có những gì?",
        ),
        ("Bạn có thể mô tả {image} không?", "Cho tôi biết trong {image} có gì.", "Bạn thấy những gì{where}?"),
    ),
    "exist": Split(
        (
            "Có {thing:bare}{where} không?",
            "Có {thing:bare} nào{where} không?",
            "Trong {image} có {thing:bare} không?",
            "{image} có {thing:bare} không?",
            "Bạn có thấy {thing:bare}{where} không?",
        ),
        ("Trong {image} có {thing:bare} nào không?", "Cho tôi biết có {thing:bare}{where} không."),
    ),
    "elsewhere": Split(
        ("Còn{where} thì sao?", "Còn {image} thì sao?", "Còn {image}?", "Thế còn {image}?"),
        ("Thế còn{where}?", "Thế còn {image} thì sao?"),
    ),
    "another": Split(
        ("Còn {thing:bare}?", "Còn {thing:bare} thì sao?", "Thế còn {thing:bare}?"),
        ("Thế còn {thing:bare} thì sao?",),
    ),
}

ANSWERS = {
    "colour": "{thing:colour}.",
    "shape": "{thing:shape}.",
    "big": "Lớn.",
    "small": "Nhỏ.",
    "left": "Bên trái.",
    "right": "Bên phải.",
    "top": "Phía trên.",
    "bottom": "Phía dưới.",
    "relation_yes": "Có.",
    "relation_no": "Không.",
    "exist_yes": "Có.",
    "exist_no": "Không.",
    "same_yes": "Có.",
    "same_no": "Không.",
    "none": "Không có trong ảnh.",
    "number": "{n}.",
    "image": "Ảnh {n}.",
    "item": "{thing:one}",
}

CHAT = {
    "greeting": (
        Split(
            (
                "Xin chào",
                "Xin chào!",
                "Chào",
                "Chào bạn",
                "Chào bạn!",
                "Bạn ơi",
                "Chào buổi sáng",
                "Chào buổi tối!",
            ),
            ("Xin chào bạn!", "Bạn ơi, xin chào"),
        ),
        "Xin chào! Bạn hãy gửi một bức ảnh rồi hỏi mình nhé.",
    ),
    "how_are_you": (
        Split(
            ("Bạn khỏe không?", "Bạn có khỏe không?", "Dạo này bạn thế nào?", "Hôm nay bạn thế nào?"),
            ("Xin chào, bạn khỏe không?", "Hôm nay bạn có khỏe không?"),
        ),
        "Mình khỏe, cảm ơn bạn.",
    ),
    "who": (
        Split(
            (
                "Bạn là ai?",
                "Bạn là gì?",
                "Bạn tên là gì?",
                "Cho tôi biết bạn là ai.",
                "Bạn có phải là Llama 4 không?",
                "Bạn là mô hình nào?",
            ),
            ("Xin chào, bạn là ai?", "Tôi muốn biết bạn là ai."),
        ),
        "Mình là một mô hình tí hon để dạy học, có cấu trúc giống Llama 4.",
    ),
    "abilities": (
        Split(
            (
                "Bạn làm được gì?",
                "Bạn có thể làm gì?",
                "Tôi có thể hỏi bạn điều gì?",
                "Bạn có thể giúp gì cho tôi?",
                "Giúp tôi với",
                "Bạn biết những gì?",
            ),
            ("Hãy cho biết bạn có thể làm gì.", "Tôi có thể hỏi gì?"),
        ),
        "Mình có thể gọi tên, đếm và so sánh các hình trong ảnh.",
    ),
    "thanks": (
        Split(
            ("Cảm ơn", "Cảm ơn bạn", "Cảm ơn bạn!", "Cảm ơn bạn rất nhiều.", "Tuyệt quá, cảm ơn!"),
            ("Cảm ơn rất nhiều!", "Tuyệt quá, cảm ơn bạn."),
        ),
        "Không có gì đâu!",
    ),
    "bye": (
        Split(
            ("Tạm biệt", "Tạm biệt!", "Tạm biệt bạn", "Hẹn gặp lại", "Hẹn gặp lại bạn!"),
            ("Tạm biệt, hẹn gặp lại!",),
        ),
        "Tạm biệt bạn!",
    ),
    "outside": (
        Split(
            (
                "Thủ đô của Pháp là gì?",
                "Kể chuyện cười cho tôi nghe.",
                "Hai cộng hai bằng mấy?",
                "Viết một bài thơ.",
                "Thời tiết hôm nay thế nào?",
                "Tổng thống là ai?",
                "Bây giờ là mấy giờ?",
                "Ai viết Hamlet?",
            ),
            ("Thủ đô của Ý là gì?", "Viết một câu chuyện cho tôi.", "Cho tôi biết bây giờ là mấy giờ."),
        ),
        "Xin lỗi, mình chỉ biết về các hình trong ảnh thôi.",
    ),
}

LANGUAGE = Language(
    code="vi",
    name="Vietnamese",
    phrase=phrase,
    ask=ASK,
    numbered=Split(("ảnh {n}", "ảnh số {n}", "bức ảnh số {n}"), ("bức ảnh {n}", "ảnh {n}")),
    only=Split(("ảnh", "ảnh này", "bức ảnh"), ("bức ảnh này", "ảnh này")),
    in_numbered=Split(
        (" trong ảnh {n}", " trong ảnh số {n}", " trong bức ảnh số {n}"),
        (" trong bức ảnh {n}", " trong ảnh {n}"),
    ),
    in_only=Split(
        ("", " trong ảnh", " trong ảnh này", " trong bức ảnh"), ("", " trong bức ảnh này", " trong ảnh")
    ),
    answers=ANSWERS,
    separators=(", ", " và "),
    full_stop=".",
    chat=CHAT,
    no_picture="Bạn hãy gửi một bức ảnh trước nhé.",
    before=("Bạn ơi, ", "Này, ", "Làm ơn, ", "Ok, "),
    after=(" ạ", " bạn ơi"),
)
