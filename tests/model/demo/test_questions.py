"""Questions as people would put them: read back from their English words alone, and answered again."""

import re
from collections import Counter

import numpy as np
import pytest

from model.demo.languages import CODES, language
from model.demo.questions import KINDS, SHARES, ask, converse
from model.demo.scenes import COLOURS, SHAPES, draw_scene
from model.demo.turns import ANYTHING, NothingToAsk
from tests.model.demo import recount

NOUNS = {"crosses": "cross"} | {f"{shape}s": shape for shape in (*SHAPES, "digit") if shape != "cross"}


@pytest.fixture(scope="module")
def scenes():
    """Pictures of several things, of one thing each, and of handwriting; small ones, to be quick."""
    digits = [
        draw_scene((3, n), (64, 64), [(str(n), "red"), ("star", "blue")][: 1 + n % 2]) for n in range(10)
    ]
    names = [("star", "red"), ("star", "red"), ("moon", "red"), ("star", "green")]
    alike = [draw_scene((4, n), (60, 60), [name]) for n, name in enumerate(names)]
    return [draw_scene((5, n), (90, 70)) for n in range(36)] + digits + alike


def some(rng, scenes, least=1):
    count = int(rng.integers(least, 6))
    # every third time pictures of one thing each, so that they can be compared
    pool = scenes[-4:] if rng.random() < 0.34 else scenes
    return [pool[i] for i in rng.integers(len(pool), size=count)]


def asked(scenes, kind, count, split="train", code="en"):
    rng = np.random.default_rng(11)
    for _ in range(100 * count):
        shown = some(rng, scenes)
        try:
            yield shown, ask(rng, shown, split, kind, code)
        except NothingToAsk:
            continue
        count -= 1
        if not count:
            return
    raise AssertionError(f"hardly anything to ask of kind {kind}")


def names_in(text):
    """The (shape, colour, size) of every thing that English words name, in order."""
    found, colour, size = [], None, None
    for w in re.findall(r"[a-z]+", text.lower()):
        shape = NOUNS.get(w, w)
        colour = w if w in COLOURS else colour
        size = w if w in ("big", "small") else size
        if shape in (*SHAPES, "digit", "object", "objects"):
            found.append((None if shape.startswith("object") else shape, colour, size))
            colour = size = None
    return found


def pictures_in(text, scenes):
    """The 0-based pictures that a question speaks of, from its words alone."""
    numbers = [int(number) - 1 for number in re.findall(r"\b(\d)\b", text)]
    return numbers or ([0] if len(scenes) == 1 else [])


def said_of(kind, things):
    """What a right answer of that kind says of the things that were asked about."""
    if kind == "count":
        return len(things)
    if kind == "exist":
        return "Yes" if things else "No"
    return str(getattr(things[0], kind)).capitalize()


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("kind", ["colour", "shape", "count", "exist", "digit"])
def test_what_an_english_question_says_leads_to_its_answer(scenes, kind, split):
    for shown, turn in asked(scenes, kind, 60, split):
        (image,) = pictures_in(turn.question, shown)
        # "What shape is there?" names nothing
        name = next(iter(names_in(turn.question)), ANYTHING)
        fitting = recount.surely(shown[image], name)
        assert turn.answer == f"{said_of(kind, fitting)}.", turn


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_english_question_across_pictures_is_answered_by_all_of_them(scenes, split):
    for shown, turn in asked(scenes, "which", 60, split):
        (name,) = names_in(turn.question)
        having = [number for number, scene in enumerate(shown, 1) if recount.surely(scene, name)]
        assert [turn.answer] == [f"Image {number}." for number in having]
    for shown, turn in asked(scenes, "same", 60, split):
        first, second = (shown[image].things[0] for image in pictures_in(turn.question, shown))
        attribute = "shape" if "shape" in turn.question.lower() else "colour"
        one, two = getattr(first, attribute), getattr(second, attribute)
        assert turn.answer == f"{one.capitalize()} and {two}. {'Yes' if one == two else 'No'}."
    for shown, turn in asked(scenes, "odd", 30, split):
        names = [(scene.things[0].shape, scene.things[0].colour) for scene in shown]
        (number,) = [number for number, name in enumerate(names, 1) if names.count(name) == 1]
        common = next(name for name in names if names.count(name) > 1)
        alike, odd = (
            f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {shape}"
            for shape, colour in (common, names[number - 1])
        )
        assert turn.answer == f"{alike[0].upper()}{alike[1:]} and {odd}. Image {number}."


def test_an_english_relation_is_read_off_the_boxes(scenes):
    ways = {
        "left_of": r"\bleft\b",
        "right_of": r"\bright\b",
        "above": "above|higher|further up",
        "below": "below|lower|further down|under",
    }
    for shown, turn in asked(scenes, "relation", 80):
        (image,) = pictures_in(turn.question, shown)
        one, two = (recount.the_only(shown[image], name) for name in names_in(turn.question))
        if "compared" in turn.question.lower():  # "Compared with Y, is X further left?"
            one, two = two, one
        (way,) = [way for way, words in ways.items() if re.search(words, turn.question.lower())]
        yes = recount.related(shown[image], way, one, two)
        # the answer names both in the direction that is asked about, before its verdict
        order = {"left_of": "left to right", "right_of": "right to left", "above": "top to bottom"}
        first, second = (
            f"a {t.colour} {t.shape}".replace("a o", "an o") for t in ((two, one), (one, two))[yes]
        )
        said = f"From {order.get(way, 'bottom to top')}: {first} and {second}. {'Yes' if yes else 'No'}."
        assert turn.answer == said, turn


def test_an_english_description_names_everything_from_left_to_right(scenes):
    for shown, turn in asked(scenes, "describe", 60):
        (image,) = pictures_in(turn.question, shown)
        things = sorted(shown[image].things, key=lambda thing: thing.centre)
        said = re.findall(r"an? (\w+) (\w+)", turn.answer.lower())
        assert said == [(thing.colour, thing.shape) for thing in things], turn


def test_a_follow_up_answers_for_the_other_picture(scenes):
    rng, seen = np.random.default_rng(9), 0
    for _ in range(3000):
        shown = some(rng, scenes, 2)
        try:
            first, *rest = converse(rng, shown, kind="count", language="en")
        except NothingToAsk:
            continue
        if rest and rest[0].meaning.way == "elsewhere":
            seen += 1
            (image,) = pictures_in(rest[0].question, shown)
            (name,) = names_in(first.question)
            assert image != first.meaning.image
            assert rest[0].answer == f"{len(recount.surely(shown[image], name))}."
        if seen == 25:
            return
    raise AssertionError("hardly any follow-up")


def test_a_conversation_keeps_to_its_language_where_a_question_leans_on_another(scenes):
    rng = np.random.default_rng(2)
    for _ in range(600):
        turns = converse(rng, some(rng, scenes))
        assert 1 <= len(turns) <= 2
        if len(turns) == 2 and turns[1].meaning.way in ("elsewhere", "another"):
            assert turns[0].language == turns[1].language


def test_every_kind_and_every_language_is_asked_about_as_often_as_the_shares_say(scenes):
    rng = np.random.default_rng(3)
    turns = [ask(rng, some(rng, scenes)) for _ in range(2500)]
    languages, kinds = Counter(turn.language for turn in turns), Counter(turn.kind for turn in turns)
    assert languages.keys() == set(CODES) and kinds.keys() == set(KINDS) == set(SHARES)
    often = {code: languages.pop(code) for code in ("en", "ar")}
    assert max(languages.values()) < 1.6 * min(languages.values())
    mean = sum(languages.values()) / len(languages)
    assert 1.6 < often["en"] / mean < 2.4 and 1.1 < often["ar"] / mean < 1.8
    assert min(kinds.values()) > 0.005 * 2500


def test_what_a_language_finds_hard_is_asked_more_often_there(scenes):
    rng = np.random.default_rng(4)
    share = {
        code: sum(ask(rng, some(rng, scenes), language=code).kind == "relation" for _ in range(600)) / 600
        for code in ("it", "tl")
    }
    assert share["tl"] > 1.2 * share["it"] > 0


@pytest.mark.parametrize("code", CODES)
def test_without_a_picture_there_is_chat_and_a_request_for_a_picture(code):
    rng, tongue = np.random.default_rng(1), language(code)
    turns = [ask(rng, [], language=code) for _ in range(200)]
    answers = {turn.answer for turn in turns}
    assert answers == {tongue.no_picture, *(answer for _, answer in tongue.chat.values())}
    assert {turn.kind for turn in turns} == {"chat"} and not any(turn.pointers for turn in turns)


def test_the_same_generator_state_gives_the_same_dialogue(scenes):
    first, again = (converse(np.random.default_rng(3), scenes[:3]) for _ in range(2))
    assert first == again


def test_unknown_kinds_splits_and_languages_are_refused_by_name(scenes):
    rng = np.random.default_rng(0)
    for wrong in ({"kind": "smell"}, {"split": "exam"}, {"language": "xx"}):
        (value,) = wrong.values()
        with pytest.raises(ValueError, match=value):
            ask(rng, scenes[:1], **wrong)
    with pytest.raises(NothingToAsk, match="two pictures"):
        ask(rng, scenes[:1], kind="which")
    with pytest.raises(NothingToAsk, match="needs a picture"):
        ask(rng, [], kind="colour")
