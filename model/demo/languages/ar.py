"""Arabic: Modern Standard, without vowel signs except the accusative's tanween and a few that readers need.

Adjectives follow their noun and agree with it in gender, article and case; the plural of things counts as a
feminine singular. "كم" and verbs such as "ترى" want the accusative: "كم مربعًا أحمر كبيرًا"; colours that begin
with "أ" take no tanween. "و" (and) is written together with the next word, so nothing stands behind it.
"""

from __future__ import annotations

from model.demo.languages.language import Language, Split

# one of it, several of it
_NOUNS = {
    "circle": ("دائرة", "دوائر"), "square": ("مربع", "مربعات"), "triangle": ("مثلث", "مثلثات"),
    "star": ("نجمة", "نجوم"), "cross": ("صليب", "صلبان"), "heart": ("قلب", "قلوب"),
    "diamond": ("معين", "معينات"), "moon": ("هلال", "أهلة"), "digit": ("رقم", "أرقام"),
    None: ("شيء", "أشياء"),
}  # fmt: skip
# masculine, feminine
_ADJECTIVES = {
    "red": ("أحمر", "حمراء"), "orange": ("برتقالي", "برتقالية"), "yellow": ("أصفر", "صفراء"),
    "green": ("أخضر", "خضراء"), "blue": ("أزرق", "زرقاء"), "purple": ("بنفسجي", "بنفسجية"),
    "pink": ("وردي", "وردية"), "brown": ("بني", "بنية"), "black": ("أسود", "سوداء"),
    "white": ("أبيض", "بيضاء"), "big": ("كبير", "كبيرة"), "small": ("صغير", "صغيرة"),
}  # fmt: skip
# words of a template that agree with the thing: masculine, feminine
_AGREEING = {
    "is_big": ("كبير", "كبيرة"), "is_small": ("صغير", "صغيرة"), "there_is": ("يوجد", "توجد"),
    "lies": ("يقع", "تقع"), "appears": ("يظهر", "تظهر"),
    "its_colour": ("لونه", "لونها"), "its_shape": ("شكله", "شكلها"),
}  # fmt: skip


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: "the", "a", "a_object" (accusative), "the_many", "colour", "shape", or a key of _AGREEING."""
    if form == "colour":
        return _ADJECTIVES[str(colour)][0]
    noun, nouns = _NOUNS[shape]
    if form == "shape":
        return noun
    feminine = noun.endswith("ة")
    if form in _AGREEING:
        return _AGREEING[form][feminine]
    if form not in ("the", "a", "a_object", "the_many"):
        raise ValueError(f"form {form!r} is unknown in Arabic")
    many = form == "the_many"
    words = [nouns if many else noun]
    words += [_ADJECTIVES[name][feminine or many] for name in (colour, size) if name]
    if form == "a_object" and not feminine:
        words = [_accusative(word) for word in words]
    return " ".join(f"ال{word}" if form in ("the", "the_many") else word for word in words)


def _accusative(word: str) -> str:
    """A masculine word without its article, as an object; colours that begin with "أ" look the same."""
    if word.startswith("أ"):
        return word
    return "شيئًا" if word == "شيء" else f"{word}ًا"


def _either(one: str, other: str) -> Split:
    """Is it at one place or at the other?"""
    either, swapped = f"{one} أم {other}", f"{other} أم {one}"
    return Split(
        (
            f"هل {{thing:the}}{{where}} {either}؟",
            f"هل {{thing:the}}{{where}} {swapped}؟",
            f"هل {{thing:lies}} {{thing:the}} {either}{{where}}؟",
            f"{{thing:the}}{{where}}: {either}؟",
            f"قل لي: هل {{thing:the}}{{where}} {either}؟",
        ),
        (f"أخبرني: هل {{thing:the}}{{where}} {swapped}؟", f"{either}: أين {{thing:the}}{{where}}؟"),
    )


def _relation(*places: str) -> Split:
    """Is one thing there, seen from the other? The first place is the test's too."""
    plain = [f"هل {{thing:the}} {place} {{other:the}}{{where}}؟" for place in places]
    return Split(
        (*plain, f"هل {{thing:lies}} {{thing:the}} {places[0]} {{other:the}}{{where}}؟"),
        (f"هل {{thing:there_is}} {{thing:the}} {places[0]} {{other:the}}{{where}}؟",),
    )


ASK = {
    "colour": Split(
        (
            "ما لون {thing:the}{where}؟",
            "ما هو لون {thing:the}{where}؟",
            "بأي لون {thing:appears} {thing:the}{where}؟",
            "{thing:the}{where}: ما {thing:its_colour}؟",
            "حدد لون {thing:the}{where}.",
            "أخبرني ما لون {thing:the}{where}.",
            "هل يمكنك أن تخبرني ما لون {thing:the}{where}؟",
        ),
        (
            "أريد أن أعرف لون {thing:the}{where}.",
            "من فضلك، أخبرني ما هو لون {thing:the}{where}.",
            "هل يمكنك أن تحدد لون {thing:the}{where}؟",
        ),
    ),
    "shape": Split(
        (
            "ما شكل {thing:the}{where}؟",
            "ما هو شكل {thing:the}{where}؟",
            "{thing:the}{where}: ما {thing:its_shape}؟",
            "حدد شكل {thing:the}{where}.",
            "أخبرني ما شكل {thing:the}{where}.",
            "قل لي ما شكل {thing:the}{where}.",
            "هل يمكنك أن تخبرني ما شكل {thing:the}{where}؟",
        ),
        (
            "أريد أن أعرف شكل {thing:the}{where}.",
            "من فضلك، أخبرني ما هو شكل {thing:the}{where}.",
            "هل يمكنك أن تحدد شكل {thing:the}{where}؟",
        ),
    ),
    "only_shape": Split(
        (
            "ما الشكل{where}؟",
            "ما الشكل الموجود في {image}؟",
            "أي شكل ترى{where}؟",
            "أي شكل يظهر في {image}؟",
        ),
        ("أي شكل يوجد في {image}؟", "أخبرني ما الشكل الموجود{where}."),
    ),
    "size": Split(
        (
            "هل {thing:the}{where} {thing:is_big} أم {thing:is_small}؟",
            "هل {thing:the}{where} {thing:is_small} أم {thing:is_big}؟",
            "هل {thing:the} {thing:is_big} أم {thing:is_small}{where}؟",
            "ما حجم {thing:the}{where}؟",
            "ما هو حجم {thing:the}{where}؟",
            "قل لي: هل {thing:the}{where} {thing:is_big} أم {thing:is_small}؟",
        ),
        (
            "أريد أن أعرف حجم {thing:the}{where}.",
            "من فضلك، أخبرني ما حجم {thing:the}{where}.",
            "أخبرني: هل {thing:the}{where} {thing:is_small} أم {thing:is_big}؟",
        ),
    ),
    "count": Split(
        (
            "كم {thing:a_object} {thing:there_is}{where}؟",
            "كم {thing:a_object} في {image}؟",
            "كم {thing:a_object} ترى{where}؟",
            "كم عدد {thing:the_many}{where}؟",
            "ما عدد {thing:the_many}{where}؟",
            "احسب عدد {thing:the_many}{where}.",
            "قل لي كم {thing:a_object} في {image}.",
        ),
        (
            "كم {thing:a_object} يمكنك أن ترى{where}؟",
            "احسب لي عدد {thing:the_many} في {image}.",
            "أريد أن أعرف كم {thing:a_object} {thing:there_is}{where}.",
        ),
    ),
    "left_right": _either("على اليسار", "على اليمين"),
    "top_bottom": _either("في الأعلى", "في الأسفل"),
    "left_of": _relation("على يسار", "إلى يسار"),
    "right_of": _relation("على يمين", "إلى يمين"),
    "above": _relation("فوق", "أعلى من"),
    "below": _relation("تحت", "أسفل"),
    "which": Split(
        (
            "أي صورة فيها {thing:a}؟",
            "أي صورة {thing:appears} فيها {thing:a}؟",
            "في أي صورة {thing:there_is} {thing:a}؟",
            "في أي صورة ترى {thing:a_object}؟",
            "أي صورة تحتوي على {thing:a}؟",
            "ما الصورة التي فيها {thing:a}؟",
            "أخبرني أي صورة فيها {thing:a}.",
        ),
        (
            "أي الصور تحتوي على {thing:a}؟",
            "ما هي الصورة التي {thing:appears} فيها {thing:a}؟",
            "من فضلك، قل لي في أي صورة {thing:there_is} {thing:a}.",
        ),
    ),
    "same_shape": Split(
        (
            "هل الشكل في الصورة {n} هو نفسه في الصورة {m}؟",
            "هل يظهر الشكل نفسه في الصورة {n} والصورة {m}؟",
            "هل تحتوي الصورتان {n} و{m} على الشكل نفسه؟",
            "هل الشكل واحد في الصورتين {n} و{m}؟",
        ),
        ("هل ترى الشكل نفسه في الصورتين {n} و{m}؟", "أخبرني: هل الشكل واحد في الصورة {n} والصورة {m}؟"),
    ),
    "same_colour": Split(
        (
            "هل اللون في الصورة {n} هو نفسه في الصورة {m}؟",
            "هل يظهر اللون نفسه في الصورة {n} والصورة {m}؟",
            "هل للشيئين في الصورتين {n} و{m} اللون نفسه؟",
            "هل اللون واحد في الصورتين {n} و{m}؟",
        ),
        ("هل ترى اللون نفسه في الصورتين {n} و{m}؟", "أخبرني: هل اللون واحد في الصورة {n} والصورة {m}؟"),
    ),
    "odd": Split(
        (
            "أي صورة تختلف عن غيرها؟",
            "أي صورة تختلف عن الصور الأخرى؟",
            "ما الصورة المختلفة عن الصور الأخرى؟",
            "أي صورة لا تشبه الصور الأخرى؟",
        ),
        ("أي صورة هي المختلفة؟", "أخبرني أي صورة تختلف عن غيرها."),
    ),
    "digit": Split(
        (
            "ما الرقم{where}؟",
            "ما الرقم المكتوب{where}؟",
            "أي رقم ترى{where}؟",
            "أي رقم يظهر في {image}؟",
            "اقرأ الرقم{where}.",
        ),
        ("هل يمكنك أن تقرأ الرقم{where}؟", "أخبرني ما الرقم المكتوب{where}."),
    ),
    "describe": Split(
        (
            "صف {image}.",
            "ماذا يوجد{where}؟",
            "ماذا ترى{where}؟",
            "ماذا في {image}؟",
            "ما الذي يظهر في {image}؟",
            "هل يمكنك أن تصف {image}؟",
        ),
        ("صف لي {image}.", "أخبرني ماذا ترى{where}.", "ما الذي تراه{where}؟"),
    ),
    "exist": Split(
        (
            "هل {thing:there_is} {thing:a}{where}؟",
            "هل هناك {thing:a}{where}؟",
            "هل ترى {thing:a_object}{where}؟",
            "هل في {image} {thing:a}؟",
            "هل تحتوي {image} على {thing:a}؟",
            "قل لي: هل {thing:there_is} {thing:a}{where}؟",
        ),
        ("هل {thing:appears} {thing:a} في {image}؟", "هل يمكنك أن ترى {thing:a_object}{where}؟"),
    ),
    "elsewhere": Split(
        ("وفي {image}؟", "و{image}؟", "وماذا عن {image}؟", "حسنًا، وفي {image}؟"),
        ("والآن في {image}؟", "ماذا عن {image}؟"),
    ),
    "another": Split(
        ("و{thing:the}؟", "وماذا عن {thing:the}؟", "حسنًا، و{thing:the}؟"), ("ماذا عن {thing:the}؟",)
    ),
}

ANSWERS = {
    "colour": "{thing:colour}.",
    "shape": "{thing:shape}.",
    "big": "{thing:is_big}.",
    "small": "{thing:is_small}.",
    "left": "على اليسار.", "right": "على اليمين.",
    "top": "في الأعلى.", "bottom": "في الأسفل.",
    "relation_yes": "نعم.", "relation_no": "لا.",
    "exist_yes": "نعم.", "exist_no": "لا.",
    "same_yes": "نعم.", "same_no": "لا.",
    "none": "لا يوجد شيء كهذا.",
    "number": "{n}.",
    "image": "الصورة {n}.",
    "item": "{thing:a}",
}  # fmt: skip

CHAT = {
    "greeting": (
        Split(
            ("مرحبًا", "مرحبًا!", "مرحبا", "أهلًا", "أهلًا!", "أهلا", "صباح الخير", "مساء الخير!"),
            ("أهلًا وسهلًا", "مرحبًا بك!"),
        ),
        "مرحبًا! أرني صورة واسألني عنها.",
    ),
    "how_are_you": (
        Split(
            ("كيف حالك؟", "كيف الحال؟", "كيف حالك اليوم؟", "هل أنت بخير؟"),
            ("مرحبًا، كيف حالك؟", "كيف الحال اليوم؟"),
        ),
        "أنا بخير، شكرًا لك.",
    ),
    "who": (
        Split(
            ("من أنت؟", "ما أنت؟", "ما اسمك؟", "أخبرني من أنت.", "هل أنت Llama 4؟", "أي نموذج أنت؟"),
            ("مرحبًا، من أنت؟", "هل يمكنك أن تخبرني من أنت؟"),
        ),
        "أنا نموذج تعليمي صغير جدًا، بنيته مثل بنية Llama 4.",
    ),
    "abilities": (
        Split(
            (
                "ماذا يمكنك أن تفعل؟",
                "ماذا يمكنني أن أسألك؟",
                "كيف يمكنك أن تساعدني؟",
                "مساعدة",
                "ماذا تعرف؟",
                "أخبرني ماذا يمكنك أن تفعل.",
            ),
            ("هل يمكنك أن تخبرني ماذا يمكنك أن تفعل؟", "عن ماذا يمكنني أن أسألك؟"),
        ),
        "يمكنني أن أسمي الأشكال في الصور وأعدّها وأقارن بينها.",
    ),
    "thanks": (
        Split(
            ("شكرًا", "شكرًا!", "شكرا", "شكرًا لك", "شكرًا جزيلًا.", "رائع، شكرًا!"),
            ("شكرًا جزيلًا لك!", "رائع، شكرًا لك."),
        ),
        "على الرحب والسعة.",
    ),
    "bye": (
        Split(("مع السلامة", "مع السلامة!", "إلى اللقاء", "وداعًا", "أراك لاحقًا!"), ("وداعًا، إلى اللقاء!",)),
        "إلى اللقاء!",
    ),
    "outside": (
        Split(
            (
                "ما عاصمة فرنسا؟",
                "احكِ لي نكتة.",
                "ما حاصل جمع اثنين واثنين؟",
                "اكتب قصيدة.",
                "كيف الطقس اليوم؟",
                "من هو الرئيس؟",
                "كم الساعة الآن؟",
                "من كتب هاملت؟",
            ),
            ("ما عاصمة إيطاليا؟", "اكتب لي قصة.", "أخبرني كم الساعة الآن."),
        ),
        "عذرًا، لا أعرف سوى الأشكال في الصور.",
    ),
}

LANGUAGE = Language(
    code="ar",
    name="Arabic",
    phrase=phrase,
    ask=ASK,
    numbered=Split(("الصورة {n}", "الصورة رقم {n}"), ("الصورة ذات الرقم {n}", "الصورة {n}")),
    only=Split(("الصورة", "هذه الصورة", "الصورة المرفقة"), ("هذه الصورة", "الصورة")),
    in_numbered=Split(
        (" في الصورة {n}", " في الصورة رقم {n}"), (" في الصورة ذات الرقم {n}", " في الصورة {n}")
    ),
    in_only=Split(
        ("", " في الصورة", " في هذه الصورة", " في الصورة المرفقة"), ("", " في هذه الصورة", " في الصورة")
    ),
    answers=ANSWERS,
    separators=(" و", " و"),
    full_stop=".",
    chat=CHAT,
    no_picture="من فضلك، أرني صورة أولًا.",
    before=("من فضلك، ", "مرحبًا، ", "حسنًا، ", "إذن، "),
    after=("، من فضلك", " من فضلك"),
)
