"""Words say what was meant: questions by their templates, and marks on the words that speak of things."""

import re
from itertools import product

import numpy as np
import pytest

from model.demo.languages import CODES, language
from model.demo.meanings import ASKERS, matching
from model.demo.turns import ANYTHING, Meaning, NothingToAsk
from model.demo.wording import word

MARKS = " ?.!؟।"
KINDS = sorted(ASKERS)


def bare(text: str) -> str:
    """What is left where neither capitals nor marks matter."""
    return text.lower().rstrip(MARKS).removeprefix("¿")


def impolite(question: str, tongue) -> set[str]:
    """The bare question, and what is left of it without a polite word before or behind it."""
    said = bare(question)
    left = {said}
    for before in tongue.before:
        if said.startswith(before.lower()):
            left.add(said.removeprefix(before.lower()).removeprefix("¿"))
    for after in map(bare, tongue.after):
        if said.endswith(after):
            rest = said.removesuffix(after)
            # a word behind a digit stands apart even where words are written together
            left |= {rest, rest.removesuffix(" ") if rest[-2:-1].isdigit() else rest}
    return left


def sayings(meaning, tongue, split: str, count: int) -> set[str]:
    """Everything that may be said for a meaning, made by Python's own formatting; bare."""
    number = meaning.image + 1
    numbered, only = (tongue.in_numbered, tongue.numbered), (tongue.in_only, tongue.only)
    chosen = [numbered, only] if count == 1 else [numbered]
    places = [pair for wheres, images in chosen for pair in product(wheres[split], images[split])]
    said = set()
    for template in tongue.ask[meaning.way][split]:
        text = template.format(
            thing=tongue.named(*meaning.asked),
            other=tongue.named(*(meaning.other or ANYTHING)),
            where="{where}",
            image="{image}",
            n=meaning.numbers[0],
            m=meaning.numbers[1],
        )
        for where, image in places if "{" in text else places[:1]:
            said.add(bare(text.format(where=where.format(n=number), image=image.format(n=number))))
    return said


def answer(meaning, scenes, tongue) -> str:
    """The one right answer, made by Python's own formatting."""
    places = meaning.things
    if meaning.kind == "odd":  # one of the alike pictures, then the odd one
        places = [next(place for place in places if place[0] + 1 != meaning.number), (meaning.number - 1, 0)]
    things = [scenes[image].things[index] for image, index in places]
    verdict = tongue.answers.get(meaning.answer)
    if meaning.kind == "same":
        attribute = meaning.way.removeprefix("same_")
        values = (tongue.phrase(thing.shape, thing.colour, None, attribute) for thing in things)
        text = tongue.separators[1].join(values)
        return text[0].upper() + text[1:] + f"{tongue.full_stop} {verdict}"
    if meaning.answer != "describe" and meaning.kind not in ("relation", "odd"):
        text = tongue.answers[meaning.answer].format(thing=tongue.named(*meaning.said), n=meaning.number)
        return text[0].upper() + text[1:]
    *first, last = (
        tongue.answers["item"].format(thing=tongue.named(thing.shape, thing.colour, None)) for thing in things
    )
    between, before_last = tongue.separators
    text = between.join(first) + before_last + last if first else last
    if meaning.kind == "relation":
        text = f"{tongue.answers[meaning.way]} {text}"
    text = text[0].upper() + text[1:] + tongue.full_stop
    if meaning.answer == "describe":
        return text
    return f"{text} {verdict.format(n=meaning.number)}"


@pytest.fixture(scope="module")
def meanings(draw_contents):
    """A dozen meanings of every kind, with their pictures."""
    rng, found = np.random.default_rng(12), []
    for kind in KINDS:
        left = 12
        while left:
            scenes = draw_contents(rng, int(rng.integers(1, 6)))
            try:
                found.append((ASKERS[kind](rng, scenes), scenes))
            except NothingToAsk:
                continue
            left -= 1
    return found


@pytest.mark.parametrize("code", CODES)
def test_questions_and_answers_are_the_languages_templates_filled_in(code, meanings):
    tongue, rng = language(code), np.random.default_rng(0)
    for meaning, scenes in meanings:
        for split in ("train", "test"):
            turn = word(rng, meaning, scenes, tongue, split)
            assert impolite(turn.question, tongue) & sayings(meaning, tongue, split, len(scenes)), turn
            assert turn.answer == answer(meaning, scenes, tongue)
            assert turn.language == code and turn.meaning == meaning


@pytest.mark.parametrize("code", CODES)
def test_marks_lie_on_the_words_that_speak_of_things(code, meanings):
    tongue, rng = language(code), np.random.default_rng(1)
    for meaning, scenes in meanings:
        turn = word(rng, meaning, scenes, tongue, "train")
        for mention in turn.mentions:
            spoken = turn.question[mention.start : mention.end]
            names = [name for name in (meaning.asked, meaning.other) if name]
            forms = {form_of(tongue, name, meaning.way, spoken) for name in names}
            assert forms - {None}, (turn.question, spoken)
            assert mention.things in [matching(scenes, name) for name in names]
        for pointer in turn.pointers:
            assert turn.answer[pointer.start : pointer.end].strip()
            assert set(pointer.things) <= set(meaning.things)
        if meaning.things:
            assert {place for p in turn.pointers for place in p.things} == set(meaning.things)


def form_of(tongue, name, way: str, spoken: str) -> str | None:
    """The form in which a name was spoken, among those that the way's templates use."""
    pieces = [
        piece for t in tongue.ask[way].train for piece in t.split("{") if piece[:5] in ("thing", "other")
    ]
    forms = {piece.partition("}")[0].partition(":")[2] for piece in pieces}
    return next((form for form in forms if tongue.phrase(*name, form).lower() == spoken.lower()), None)


@pytest.mark.parametrize("code", CODES)
def test_a_pictures_number_speaks_of_everything_in_the_picture(code, meanings):
    tongue, rng, seen = language(code), np.random.default_rng(5), 0
    for meaning, scenes in meanings:
        turn = word(rng, meaning, scenes, tongue, "train")
        everything = [{(image, n) for n in range(len(scene.things))} for image, scene in enumerate(scenes)]
        if meaning.way == "odd":
            (last,) = turn.references
            assert last.end == len(turn.question) and set(last.things) == set().union(*everything)
            continue
        numbers = re.findall(r"\d", turn.question)
        assert [turn.question[mark.start : mark.end] for mark in turn.references] == numbers
        for mark, number in zip(turn.references, numbers, strict=True):
            assert set(mark.things) == everything[int(number) - 1]
        seen += len(numbers)
    assert seen > 60


@pytest.mark.parametrize("code", CODES)
def test_a_list_of_things_marks_every_thing_by_its_name(code, meanings):
    tongue, rng = language(code), np.random.default_rng(2)
    for meaning, scenes in meanings:
        if meaning.kind in ("describe", "relation", "odd"):
            turn = word(rng, meaning, scenes, tongue, "train")
            spoken_of = [(place,) for place in meaning.things]
            if meaning.kind == "odd":
                odd = (meaning.number - 1, 0)
                spoken_of = [tuple(place for place in meaning.things if place != odd), (odd,)]
            assert [pointer.things for pointer in turn.pointers] == spoken_of
            for pointer in turn.pointers:
                image, index = pointer.things[0]
                thing = scenes[image].things[index]
                item = tongue.answers["item"].format(thing=tongue.named(thing.shape, thing.colour, None))
                assert turn.answer[pointer.start : pointer.end].lower() == item.lower()


def test_people_are_careless_now_and_then_and_never_when_told_not_to_be(meanings):
    rng, tongue = np.random.default_rng(3), language("en")
    meaning, scenes = next((m, s) for m, s in meanings if m.kind == "colour")
    said = [word(rng, meaning, scenes, tongue, "train").question for _ in range(400)]
    assert 0.1 < np.mean([text.islower() for text in said]) < 0.3
    assert 0.05 < np.mean([not text.endswith(("?", ".")) for text in said]) < 0.3
    assert 0.02 < np.mean([text.lower().startswith(("hey", "ok", "so,", "alright")) for text in said]) < 0.15
    careful = {word(rng, meaning, scenes, tongue, "train", careless=False).question for _ in range(200)}
    templates = tongue.ask["colour"].train
    assert all(text[0].isupper() for text in careful)
    assert np.mean([text.endswith(("?", ".")) for text in careful]) > 0.9 and len(careful) >= len(templates)


def test_a_spanish_question_opens_with_its_mark_or_has_none():
    tongue, rng = language("es"), np.random.default_rng(4)
    said = [word(rng, Meaning("odd", "odd", "image"), (), tongue, "train").question for _ in range(300)]
    assert any(text.startswith("¿") for text in said)
    assert all(text.endswith("?") for text in said if text.startswith("¿"))
