"""Every language says everything there is to say, with no slot left open and no test phrasing in training."""

import re
import string
from collections.abc import Iterator
from itertools import product

import pytest

from model.demo.languages import CODES, language
from model.demo.languages.language import ANSWERS, CHAT, WAYS
from model.demo.scenes import COLOURS, SHAPES

MARKS = " ?.!؟।"
SLOTS = {
    **{key: {"thing", "where", "image"} for key in WAYS},
    **{key: {"where", "image"} for key in ("only_shape", "digit", "describe", "elsewhere")},
    **{key: {"thing", "other", "where", "image"} for key in ("left_of", "right_of", "above", "below")},
    **{key: {"n", "m"} for key in ("same_shape", "same_colour")},
    **{key: {"thing"} for key in ("which", "another")},
    "odd": set(),
}
NEEDED = {"same_shape": {"n", "m"}, "left_of": {"thing", "other"}, "which": {"thing"}, "exist": {"thing"}}
FEWEST = {"only_shape": 3, "left_of": 2, "right_of": 2, "above": 2, "below": 2, "another": 2, "elsewhere": 3}


def forms(template: str) -> set[tuple[str, str]]:
    """The slots of a template with their forms."""
    return {(name, form or "") for _, name, form, _ in string.Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("code", CODES)
def test_a_language_has_every_way_and_every_answer(code):
    tongue = language(code)
    assert tongue.code == code
    assert (
        set(tongue.ask) == set(WAYS) and set(tongue.answers) == set(ANSWERS) and set(tongue.chat) == set(CHAT)
    )
    for way, split in tongue.ask.items():
        assert len(split.train) >= FEWEST.get(way, 4), way
        assert split.test and not set(split.train) & set(split.test), way
        for template in (*split.train, *split.test):
            names = {name for name, _ in forms(template)}
            assert names <= SLOTS[way] and names >= NEEDED.get(way, set()), (way, template)
            # a picture of several must be nameable, or nobody knows which is meant
            if {"where", "image"} & SLOTS[way]:
                assert names & {"where", "image"}, (way, template)
    for ways, answer in tongue.chat.values():
        assert answer and ways.test and not set(ways.train) & set(ways.test)


@pytest.mark.parametrize("code", CODES)
def test_everything_can_be_filled_in(code):
    tongue = language(code)
    said = set()
    where = tongue.in_numbered.train[0].format(n=1)
    templates = [t for split in tongue.ask.values() for t in (*split.train, *split.test)]
    templates += tongue.answers.values()
    names = product((*SHAPES, "digit", None), (*COLOURS, None), ("big", "small", None))
    things = [tongue.named(*name) for name in names]
    for template in templates:
        for number, thing in enumerate(things):
            other = things[(number * 7 + 3) % len(things)]
            if any(form in ("colour", "shape") for _, form in forms(template)) and None in (
                thing.shape,
                thing.colour,
            ):
                continue
            text = template.format(thing=thing, other=other, where=where, image="X", n=1, m=2)
            assert text == text.strip() and "  " not in text and "None" not in text, text
            assert not re.search(r"[{}]", text), text
            said.add(text)
    assert len(said) > 2000


@pytest.mark.parametrize("code", CODES)
def test_names_of_things_differ(code):
    tongue = language(code)
    item = tongue.answers["item"]
    items = [item.format(thing=tongue.named(shape, colour, None)) for shape in SHAPES for colour in COLOURS]
    assert len(set(items)) == len(SHAPES) * len(COLOURS)
    colours = {
        tongue.answers["colour"].format(thing=tongue.named("circle", colour, None)) for colour in COLOURS
    }
    shapes = {tongue.answers["shape"].format(thing=tongue.named(shape, "red", None)) for shape in SHAPES}
    assert len(colours) == len(COLOURS) and len(shapes) == len(SHAPES)
    pairs = [("left", "right"), ("top", "bottom"), ("exist_yes", "exist_no"), ("same_yes", "same_no")]
    for one, other in [*pairs, ("relation_yes", "relation_no")]:
        assert tongue.answers[one] != tongue.answers[other]


def bare(text: str) -> str:
    """What is left of a question where neither capitals nor its mark matter."""
    return text.lower().rstrip(MARKS).removeprefix("¿")


def asked(tongue, split: str) -> Iterator[str]:
    """Every question of a split, about a few things, in one picture and in one of several."""
    names = [("circle", "red", None), ("star", None, None), ("digit", "blue", "big"), (None, "pink", None)]
    names = [tongue.named(*name) for name in (*names, (None, None, None))]
    for several in (False, True):
        wheres, images = (tongue.in_numbered, tongue.numbered) if several else (tongue.in_only, tongue.only)
        places = list(product(wheres[split], images[split]))
        for ways in tongue.ask.values():
            for template, (where, image), number in product(ways[split], places, range(len(names))):
                slots = {"where": where.format(n=2), "image": image.format(n=2), "n": 1, "m": 3}
                yield template.format(thing=names[number], other=names[number - 1], **slots)


@pytest.mark.parametrize("code", CODES)
def test_no_question_of_the_tests_is_asked_in_training_not_even_behind_a_polite_word(code):
    tongue = language(code)
    training = set()
    for text in asked(tongue, "train"):
        training |= {bare(text), *(bare(before + text) for before in tongue.before)}
        training |= {bare(bare(text) + after) for after in tongue.after}
    assert not [text for text in asked(tongue, "test") if bare(text) in training]


@pytest.mark.parametrize("code", CODES)
def test_no_talk_of_the_tests_is_heard_in_training(code):
    chat = language(code).chat.values()
    heard = {bare(text) for ways, _ in chat for text in ways.train}
    assert not [text for ways, _ in chat for text in ways.test if bare(text) in heard]


def test_no_talk_is_heard_in_two_languages():
    """Else the answer to "Hello" comes in any of them."""
    spoken = {}
    for code in CODES:
        for ways, _ in language(code).chat.values():
            for text in (*ways.train, *ways.test):
                spoken.setdefault(text.casefold().strip(" !?.¡¿।"), set()).add(code)
    assert {text: codes for text, codes in spoken.items() if len(codes) > 1} == {}


def test_a_language_that_is_not_spoken_is_refused_by_name():
    with pytest.raises(ValueError, match="'nl' is unknown"):
        language("nl")
