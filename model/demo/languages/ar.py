"""Arabic: Modern Standard, without vowel signs except the accusative's tanween and a few that readers need.

Adjectives follow their noun and agree with it in gender, article and case; the plural of things counts as a
feminine singular. "كم" and verbs such as "ترى" want the accusative: "كم مربعًا أحمر كبيرًا"; colours that begin
with "أ" take no tanween. "و" (and) is written together with the next word, so nothing stands behind it.
"""

from __future__ import annotations

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
    "it_is": ("هو", "هي"), "its_colour": ("لونه", "لونها"), "its_shape": ("شكله", "شكلها"),
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
