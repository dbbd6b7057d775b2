"""The text that the demo model's tokenizer is made from: every training phrasing, name and answer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from model.demo.drawing import COLOURS
from model.demo.languages import CODES, language
from model.demo.languages.language import Language
from model.demo.outlines import SHAPES

_FILLS = 6  # things that each template is filled with


def texts() -> Iterator[str]:
    """The texts, the same every time."""
    for code in CODES:
        yield from _of_language(language(code))


def _of_language(tongue: Language) -> Iterator[str]:
    names = list(product((*SHAPES, "digit", None), (*COLOURS, None), (None, None, "big", "small")))
    at = 0
    templates = [template for split in tongue.ask.values() for template in split.train]
    for template in [*templates, *tongue.answers.values()]:
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
    for ways, answer in tongue.chat.values():
        yield from (*ways.train, answer, answer)
    yield from (tongue.no_picture, *(f"{before}a" for before in tongue.before), *tongue.after)
