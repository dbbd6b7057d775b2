"""The text that the demo model's tokenizer is made from: every training phrasing, name and answer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from string import Formatter

from model.demo.drawing import COLOURS
from model.demo.languages import CODES, language
from model.demo.languages.language import Language
from model.demo.outlines import SHAPES

_FILLS = 3  # things that each template is filled with
_BARE = 12  # times that an answer of one word counts: "Brown." is to be a token, as " brown" is


def texts() -> Iterator[str]:
    """The texts, the same every time."""
    for code in CODES:
        yield from _of_language(language(code))


def _of_language(tongue: Language) -> Iterator[str]:
    templates = [template for split in tongue.ask.values() for template in split.train]
    templates += tongue.answers.values()
    spaced = " " in tongue.answers["item"].format(thing=tongue.named("star", "red", "big"))
    yield from _filled(tongue, templates) if spaced else _apart(tongue, templates)
    yield from (*_bare(tongue),) * _BARE
    for ways, answer in tongue.chat.values():
        yield from (*ways.train, answer, answer)
    yield from (tongue.no_picture, *(f"{before}a" for before in tongue.before), *tongue.after)


def _bare(tongue: Language) -> Iterator[str]:
    """Every shape and every colour as it begins an answer, once for each of its forms."""
    said = {
        tongue.answers[way].format(thing=tongue.named(shape, colour, None))
        for way in ("shape", "colour")
        for shape, colour in product(SHAPES, COLOURS)
    }
    yield from (text[0].upper() + text[1:] for text in sorted(said))


def _apart(tongue: Language, templates: list[str]) -> Iterator[str]:
    """What stands between the slots, and what fills them, each alone.

    Where words are written together, "red star" would else become one token, another word than its parts.
    """
    words = [tongue.phrase(shape, None, None, "shape") for shape in (*SHAPES, "digit")]
    words += [tongue.phrase(None, colour, None, "colour") for colour in COLOURS]
    words += tongue.separators
    for ways in (tongue.in_numbered, tongue.numbered, tongue.in_only, tongue.only):
        words += [text.format(n=2) for text in ways.train]
    for template in templates:
        yield from (text for text, *_ in Formatter().parse(template))
    yield from words * (len(templates) * _FILLS // len(words))


def _filled(tongue: Language, templates: list[str]) -> Iterator[str]:
    names = list(product((*SHAPES, "digit", None), (*COLOURS, None), (None, None, "big", "small")))
    at = 0
    for template in templates:
        for fill in range(_FILLS):
            # steps that share no factor with the number of names go through all of them
            thing, other = (tongue.named(*names[(at * step + 1) % len(names)]) for step in (89, 37))
            if None in (thing.shape, thing.colour):
                thing = tongue.named(thing.shape or "circle", thing.colour or "red", thing.size)
            number = fill % 5 + 1
            where, image = (
                ways.train[fill % len(ways.train)].format(n=number)
                for ways in (
                    (tongue.in_numbered, tongue.numbered) if fill % 2 else (tongue.in_only, tongue.only)
                )
            )
            text = template.format(
                thing=thing, other=other, where=where, image=image, n=number, m=number % 5 + 1
            )
            yield text[0].upper() + text[1:]
            if fill == 0:
                yield text.lower()
            at += 1
