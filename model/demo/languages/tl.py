"""Tagalog (Filipino).

Adjectives come before the noun, size before colour, each with its linker: "-ng" after a vowel, "na" after a
consonant ("malaking pulang bilog", "maliit na itim na puso"), and keep the singular after "mga". The markers
(ang, ng, sa, mga, isang, may) never change, so the templates write them and `phrase` gives the bare words.
Colours are plain Filipino ("kahel", "rosas", "kayumanggi") rather than the English words also heard.
"""

from __future__ import annotations

from model.demo.languages.language import Language, Split

_SHAPES = {
    "circle": "bilog", "square": "parisukat", "triangle": "tatsulok", "star": "bituin",
    "cross": "krus", "heart": "puso", "diamond": "diyamante", "moon": "buwan",
    "digit": "numero",
}  # fmt: skip
_COLOURS = {
    "red": "pula", "orange": "kahel", "yellow": "dilaw", "green": "berde",
    "blue": "asul", "purple": "lila", "pink": "rosas", "brown": "kayumanggi",
    "black": "itim", "white": "puti",
}  # fmt: skip
_SIZES = {"big": "malaki", "small": "maliit"}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: "bare", "colour", "shape"."""
    if form == "colour":
        return _COLOURS[str(colour)]
    noun = _SHAPES[shape] if shape else "bagay"
    if form == "shape":
        return noun
    said = (_SIZES[size] if size else "", _COLOURS[colour] if colour else "")
    return "".join(_linked(word) for word in said if word) + noun


def _linked(adjective: str) -> str:
    """The adjective with the linker that joins it to the next word."""
    return f"{adjective}ng " if adjective[-1] in "aeiou" else f"{adjective} na "


def _quality(kind: str) -> Split:
    """What colour, or what shape, is it?"""
    return Split(
        (
            f"Ano ang {kind} ng {{thing:bare}}{{where}}?",
            f"Anong {kind} ng {{thing:bare}}{{where}}?",
            f"Anong {kind} ang {{thing:bare}}{{where}}?",
            f"Ano po ang {kind} ng {{thing:bare}}{{where}}?",
            f"Anong {kind} mayroon ang {{thing:bare}}{{where}}?",
            f"Ano ang nakikita mong {kind} ng {{thing:bare}}{{where}}?",
            f"Sabihin mo ang {kind} ng {{thing:bare}}{{where}}.",
            f"Sabihin mo kung ano ang {kind} ng {{thing:bare}}{{where}}.",
            f"Puwede mo bang sabihin ang {kind} ng {{thing:bare}}{{where}}?",
        ),
        (
            f"Puwede mo bang sabihin kung anong {kind} ang {{thing:bare}}{{where}}?",
            f"Pakisabi kung ano ang {kind} ng {{thing:bare}}{{where}}.",
            f"Gusto kong malaman ang {kind} ng {{thing:bare}}{{where}}.",
        ),
    )


def _sides(one: str, other: str) -> Split:
    """Is it on the one side or on the other?"""
    return Split(
        (
            f"Nasa {one} ba o nasa {other} ang {{thing:bare}}{{where}}?",
            f"Nasa {other} ba o nasa {one} ang {{thing:bare}}{{where}}?",
            f"Ang {{thing:bare}}{{where}} ba ay nasa {one} o nasa {other}?",
            f"Sabihin mo kung nasa {one} o nasa {other} ang {{thing:bare}}{{where}}.",
        ),
        (
            f"Pakisabi kung nasa {other} o nasa {one} ang {{thing:bare}}{{where}}.",
            f"Sa {one} o sa {other}: nasaan ang {{thing:bare}}{{where}}?",
        ),
    )


def _relation(side: str) -> Split:
    """Is the one on that side of the other?"""
    return Split(
        (
            f"Nasa {side} ba ng {{other:bare}} ang {{thing:bare}}{{where}}?",
            f"Ang {{thing:bare}} ba ay nasa {side} ng {{other:bare}}{{where}}?",
            f"Ang {{thing:bare}}{{where}} ba ay nasa {side} ng {{other:bare}}?",
        ),
        (f"Nakikita ba ang {{thing:bare}} sa {side} ng {{other:bare}}{{where}}?",),
    )


def _same(kind: str) -> Split:
    """Do two pictures show the same one of that kind?"""
    return Split(
        (
            f"Pareho ba ang {kind} sa larawan {{n}} at larawan {{m}}?",
            f"Magkapareho ba ang {kind} sa larawan {{n}} at sa larawan {{m}}?",
            f"Ang {kind} ba sa larawan {{n}} ay kapareho ng nasa larawan {{m}}?",
            f"Iisa ba ang {kind} sa larawan {{n}} at larawan {{m}}?",
        ),
        (
            f"Magkapareho ba ng {kind} ang nasa larawan {{n}} at larawan {{m}}?",
            f"Pareho ba ang {kind} sa litrato {{n}} at litrato {{m}}?",
        ),
    )


ASK = {
    "colour": _quality("kulay"),
    "shape": _quality("hugis"),
    "only_shape": Split(
        (
            "Anong hugis ang nakikita mo{where}?",
            "Anong hugis ang makikita{where}?",
            "Anong hugis ang nasa {image}?",
            "Anong hugis ang ipinapakita ng {image}?",
        ),
        ("Ano ang hugis na nakikita mo{where}?", "Sabihin mo kung anong hugis ang nasa {image}."),
    ),
    "size": Split(
        (
            "Malaki ba o maliit ang {thing:bare}{where}?",
            "Maliit ba o malaki ang {thing:bare}{where}?",
            "Ang {thing:bare}{where} ba ay malaki o maliit?",
            "Ano ang laki ng {thing:bare}{where}?",
            "Gaano kalaki ang {thing:bare}{where}?",
            "Sabihin mo kung malaki o maliit ang {thing:bare}{where}.",
        ),
        (
            "Puwede mo bang sabihin kung malaki o maliit ang {thing:bare}{where}?",
            "Pakisabi kung maliit o malaki ang {thing:bare}{where}.",
            "Gusto kong malaman kung gaano kalaki ang {thing:bare}{where}.",
        ),
    ),
    "count": Split(
        (
            "Ilan ang {thing:bare}{where}?",
            "Ilang {thing:bare} ang mayroon{where}?",
            "Ilang {thing:bare} ang nakikita mo{where}?",
            "Ilang {thing:bare} ang makikita{where}?",
            "Ilang {thing:bare} ang nasa {image}?",
            "Bilangin mo ang mga {thing:bare}{where}.",
            "Ano ang bilang ng mga {thing:bare}{where}?",
        ),
        (
            "Ilan ang nakikita mong {thing:bare}{where}?",
            "Pakibilang ang mga {thing:bare}{where}.",
            "Gusto kong malaman kung ilang {thing:bare} ang nasa {image}.",
        ),
    ),
    "left_right": _sides("kaliwa", "kanan"),
    "top_bottom": _sides("itaas", "ibaba"),
    "left_of": _relation("kaliwa"),
    "right_of": _relation("kanan"),
    "above": _relation("itaas"),
    "below": _relation("ibaba"),
    "which": Split(
        (
            "Aling larawan ang may {thing:bare}?",
            "Aling litrato ang may {thing:bare}?",
            "Saang larawan may {thing:bare}?",
            "Saang larawan makikita ang {thing:bare}?",
            "Alin sa mga larawan ang may {thing:bare}?",
            "Sabihin mo kung aling larawan ang may {thing:bare}.",
        ),
        (
            "Alin sa mga litrato ang may {thing:bare}?",
            "Saang litrato mo nakikita ang {thing:bare}?",
            "Pakisabi kung aling larawan ang may {thing:bare}.",
        ),
    ),
    "same_shape": _same("hugis"),
    "same_colour": _same("kulay"),
    "odd": Split(
        (
            "Aling larawan ang naiiba?",
            "Aling litrato ang naiiba?",
            "Aling larawan ang iba sa lahat?",
            "Aling larawan ang hindi katulad ng iba?",
        ),
        ("Alin sa mga larawan ang naiiba?", "Sabihin mo kung aling larawan ang naiiba."),
    ),
    "digit": Split(
        (
            "Anong numero ang nakasulat{where}?",
            "Anong numero ang nakikita mo{where}?",
            "Anong numero ang makikita{where}?",
            "Anong numero ang nasa {image}?",
            "Basahin mo ang numero{where}.",
        ),
        ("Pakibasa ang numero{where}.", "Sabihin mo kung anong numero ang nasa {image}."),
    ),
    "describe": Split(
        (
            "Ilarawan mo ang {image}.",
            "Ano ang nasa {image}?",
            "Ano ang nakikita mo{where}?",
            "Ano ang makikita{where}?",
            "Ano ang ipinapakita ng {image}?",
            "Puwede mo bang ilarawan ang {image}?",
        ),
        (
            "Pakilarawan ang {image}.",
            "Sabihin mo kung ano ang nasa {image}.",
            "Ano-ano ang nakikita mo{where}?",
        ),
    ),
    "exist": Split(
        (
            "May {thing:bare} ba{where}?",
            "Mayroon bang {thing:bare}{where}?",
            "May {thing:bare} ba sa {image}?",
            "Mayroon bang {thing:bare} sa {image}?",
            "Sabihin mo kung may {thing:bare}{where}.",
        ),
        ("Ang {image} ba ay may {thing:bare}?", "Pakisabi kung mayroong {thing:bare}{where}."),
    ),
    "elsewhere": Split(
        ("E{where}?", "Paano naman{where}?", "Paano naman ang {image}?", "E ang {image}?"),
        ("E paano naman{where}?", "E paano naman ang {image}?"),
    ),
    "another": Split(
        ("E ang {thing:bare}?", "Paano naman ang {thing:bare}?", "Ang {thing:bare} naman?"),
        ("E paano naman ang {thing:bare}?",),
    ),
}

ANSWERS = {
    "colour": "{thing:colour}.",
    "shape": "{thing:shape}.",
    "big": "Malaki.",
    "small": "Maliit.",
    "left": "Nasa kaliwa.",
    "right": "Nasa kanan.",
    "top": "Nasa itaas.",
    "bottom": "Nasa ibaba.",
    "relation_yes": "Oo.",
    "relation_no": "Hindi.",
    "exist_yes": "Mayroon.",
    "exist_no": "Wala.",
    "same_yes": "Oo.",
    "same_no": "Hindi.",
    "none": "Walang ganoon sa larawan.",
    "number": "{n}.",
    "image": "Larawan {n}.",
    "item": "isang {thing:bare}",
}

CHAT = {
    "greeting": (
        Split(
            ("Magandang araw", "Magandang araw!", "Magandang umaga", "Magandang gabi!", "Mabuhay!", "Hi po"),
            ("Hi po, magandang araw!", "Magandang umaga po"),
        ),
        "Magandang araw! Magpakita ka ng larawan at magtanong ka tungkol dito.",
    ),
    "how_are_you": (
        Split(
            ("Kumusta?", "Kumusta ka?", "Kumusta ka na?", "Kumusta ka ngayon?", "Ayos ka lang ba?"),
            ("Magandang araw, kumusta ka?", "Kumusta ka na ngayon?"),
        ),
        "Mabuti naman, salamat.",
    ),
    "who": (
        Split(
            (
                "Sino ka?",
                "Ano ka?",
                "Ano ang pangalan mo?",
                "Sabihin mo kung sino ka.",
                "Ikaw ba si Llama 4?",
                "Anong modelo ka?",
            ),
            ("Magandang araw, sino ka?", "Puwede mo bang sabihin kung sino ka?"),
        ),
        "Isa akong munting modelo para sa pagtuturo, na binuo gaya ng Llama 4.",
    ),
    "abilities": (
        Split(
            (
                "Ano ang kaya mong gawin?",
                "Ano ang puwede kong itanong sa iyo?",
                "Paano mo ako matutulungan?",
                "Tulong",
                "Ano ang alam mo?",
                "Sabihin mo kung ano ang kaya mong gawin.",
            ),
            ("Puwede mo bang sabihin kung ano ang kaya mong gawin?", "Ano ang puwede kong itanong?"),
        ),
        "Kaya kong pangalanan, bilangin at paghambingin ang mga hugis sa mga larawan.",
    ),
    "thanks": (
        Split(
            ("Salamat", "Salamat!", "Salamat po", "Maraming salamat.", "Ayos, salamat!"),
            ("Maraming salamat po!", "Ayos, maraming salamat."),
        ),
        "Walang anuman.",
    ),
    "bye": (
        Split(
            ("Paalam", "Paalam!", "Paalam na", "Paalam po", "Hanggang sa muli", "Hanggang sa muli!"),
            ("Paalam, hanggang sa muli!",),
        ),
        "Paalam!",
    ),
    "outside": (
        Split(
            (
                "Ano ang kabisera ng Pransiya?",
                "Magbiro ka naman.",
                "Ano ang sagot sa dalawa plus dalawa?",
                "Sumulat ka ng tula.",
                "Kumusta ang panahon ngayon?",
                "Sino ang pangulo?",
                "Anong oras na?",
                "Sino ang sumulat ng Hamlet?",
            ),
            ("Ano ang kabisera ng Italya?", "Sumulat ka ng kuwento.", "Sabihin mo kung anong oras na."),
        ),
        "Pasensiya na, mga hugis sa larawan lang ang alam ko.",
    ),
}

LANGUAGE = Language(
    code="tl",
    name="Tagalog",
    phrase=phrase,
    ask=ASK,
    numbered=Split(
        ("larawan {n}", "litrato {n}", "ika-{n} na larawan"), ("ika-{n} na litrato", "larawan {n}")
    ),
    only=Split(("larawan", "larawang ito", "litrato"), ("litratong ito", "larawan")),
    in_numbered=Split(
        (" sa larawan {n}", " sa litrato {n}", " sa ika-{n} na larawan"),
        (" sa ika-{n} na litrato", " sa larawan {n}"),
    ),
    in_only=Split(
        ("", " sa larawan", " sa larawang ito", " sa litrato"), ("", " sa litratong ito", " sa larawan")
    ),
    answers=ANSWERS,
    separators=(", ", " at "),
    full_stop=".",
    chat=CHAT,
    no_picture="Magpakita ka muna ng larawan.",
    before=("Pakiusap, ", "Uy, ", "Sige, ", "O, "),
    after=(", please", ", pakiusap"),
)
