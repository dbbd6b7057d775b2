"""Every question that can be meant has one right answer, found again from the pictures by other means."""

from collections import Counter

import numpy as np
import pytest

from model.demo.follow_ups import another, elsewhere
from model.demo.meanings import ASKERS, fits, matching, unique_names
from model.demo.scenes import Content, Thing
from model.demo.turns import ANYTHING, NothingToAsk
from tests.model.demo import recount

TRIES = 6000


@pytest.fixture(scope="module")
def meant(draw_contents):
    """For every kind, 250 questions with the pictures they are about."""
    rng = np.random.default_rng(4)
    found = {kind: [] for kind in ASKERS}
    for _ in range(TRIES):
        scenes = draw_contents(rng, int(rng.integers(1, 6)))
        for kind, asker in ASKERS.items():
            if len(found[kind]) == 250:
                continue
            try:
                found[kind].append((asker(rng, scenes), scenes))
            except NothingToAsk:
                continue
    assert {len(some) for some in found.values()} == {250}
    return found


def given(meaning):
    """The answer of a meaning, in the terms of `recount`."""
    if meaning.answer in ("colour", "shape"):
        return meaning.answer, meaning.said[meaning.answer == "colour"]
    return meaning.answer, meaning.number if meaning.answer in ("number", "image") else None


@pytest.mark.parametrize("kind", ASKERS)
def test_the_answer_is_what_a_recount_of_the_pictures_gives(meant, kind):
    for meaning, scenes in meant[kind]:
        assert meaning.kind == kind
        answer, value = recount.answer_to(meaning, scenes)
        if kind == "describe":
            things = [scenes[image].things[index] for image, index in meaning.things]
            assert [(thing.shape, thing.colour) for thing in things] == value
            assert len({image for image, _ in meaning.things}) == 1 and answer == meaning.answer
        else:
            assert given(meaning) == (answer, value), (meaning, scenes)


@pytest.mark.parametrize("kind", sorted(set(ASKERS) - {"same", "odd", "digit", "describe"}))
def test_the_things_that_an_answer_speaks_of_are_those_that_were_asked_for(meant, kind):
    for meaning, scenes in meant[kind]:
        image = meaning.image
        asked = {
            (image, n) for n, t in enumerate(scenes[image].things)
            if t in recount.surely(scenes[image], meaning.asked)
        }  # fmt: skip
        if meaning.other:
            asked |= {
                (image, n) for n, t in enumerate(scenes[image].things)
                if t in recount.surely(scenes[image], meaning.other)
            }  # fmt: skip
        assert set(meaning.things) == asked


def test_a_question_never_says_what_it_asks_for(meant):
    assert all(meaning.asked[1] is None for meaning, _ in meant["colour"])
    assert all(meaning.asked[0] is None for meaning, _ in meant["shape"])
    assert all(meaning.asked[2] is None for meaning, _ in meant["size"])
    for meaning, _ in meant["none"]:
        spoken = {"shape": 0, "colour": 1, "size": 2}.get(meaning.way)
        assert spoken is None or meaning.asked[spoken] is None


@pytest.mark.parametrize(
    ("kind", "answers"),
    [("exist", "exist_yes exist_no"), ("same", "same_yes same_no"), ("relation", "relation_yes relation_no"),
     ("position", "left right top bottom")],
)  # fmt: skip
def test_no_answer_is_given_away_by_being_the_usual_one(meant, kind, answers):
    shares = Counter(meaning.answer for meaning, _ in meant[kind])
    assert shares.keys() == set(answers.split())
    fair = 250 / len(shares)
    assert max(shares.values()) < 1.5 * fair and min(shares.values()) > 0.5 * fair, shares


def test_counts_go_from_none_to_four_and_pictures_are_asked_about_wherever_they_stand(meant):
    numbers = Counter(meaning.number for meaning, _ in meant["count"])
    assert numbers.keys() == {0, 1, 2, 3, 4} and max(numbers.values()) < 0.55 * 250
    for kind in ("which", "odd"):
        assert {meaning.number for meaning, _ in meant[kind]} == {1, 2, 3, 4, 5}
    assert {meaning.number for meaning, _ in meant["digit"]} == set(range(10))


@pytest.mark.parametrize(
    "kind", ["colour", "shape", "size", "count", "position", "exist", "digit", "describe"]
)
def test_the_same_question_about_another_picture_is_answered_for_that_picture(meant, kind):
    rng, followed = np.random.default_rng(6), 0
    for first, scenes in meant[kind]:
        if len(scenes) < 2:
            continue
        try:
            meaning = elsewhere(rng, scenes, first)
        except NothingToAsk:
            continue
        followed += 1
        assert meaning.image != first.image and meaning.asked == first.asked and meaning.way == "elsewhere"
        answer, value = recount.answer_to(meaning, scenes, first.way)
        assert meaning.kind in (kind, "none")
        assert kind == "describe" or given(meaning) == (answer, value)
    assert followed > 20


@pytest.mark.parametrize("kind", ["colour", "shape", "size"])
def test_the_same_question_about_another_thing_is_answered_for_that_thing(meant, kind):
    rng, followed = np.random.default_rng(7), 0
    for first, scenes in meant[kind]:
        try:
            meaning = another(rng, scenes, first)
        except NothingToAsk:
            continue
        followed += 1
        assert meaning.image == first.image and meaning.things != first.things
        assert meaning.asked not in (first.asked, ANYTHING)
        assert given(meaning) == recount.answer_to(meaning, scenes)
    assert followed > 20


def thing(shape, colour, extent=0.5, box=(0, 0, 10, 10)):
    return Thing(shape, colour, (0, 0, 0), box, extent)


def test_a_thing_of_middle_size_makes_a_size_word_useless():
    large, middle = thing("star", "red", 0.5), thing("star", "blue", 0.35)
    names = unique_names(Content((large, middle), (100, 100)), 0, shape=True, colour=False)
    # the other star might be called big, too
    assert names == []
    names = unique_names(Content((large, thing("star", "blue", 0.2)), (100, 100)), 0, True, False)
    assert set(names) == {("star", None, "big"), (None, None, "big")}


def test_what_has_no_name_is_asked_for_by_what_it_has():
    nameless = thing(None, "red", box=(0, 0, 10, 10)), thing("moon", None, box=(40, 40, 49, 49))
    scene = Content(nameless, (50, 50))
    for seed in range(30):
        rng = np.random.default_rng(seed)
        assert ASKERS["position"](rng, [scene]).asked in {
            (None, "red", None), ("moon", None, None), ("moon", None, "big"), (None, "red", "big"),
        }  # fmt: skip
        assert ASKERS["exist"](rng, [scene]).asked != ANYTHING
        assert ASKERS["colour"](rng, [Content(nameless[:1], (50, 50))]).said == (None, "red", None)
        assert ASKERS["shape"](rng, [Content((*nameless[:1], thing("star", "blue")), (50, 50))]).things == (
            (0, 1),
        )


def test_names_fit_what_they_say_and_are_found_in_every_picture():
    red, blue = thing("star", "red"), thing("moon", "blue")
    assert fits(red, ("star", None, "big")) and not fits(red, ("star", "blue", None))
    scenes = [Content((red, blue), (50, 50)), Content((blue,), (50, 50))]
    assert matching(scenes, ("moon", None, None)) == ((0, 1), (1, 0))
    assert matching(scenes, ANYTHING) == ((0, 0), (0, 1), (1, 0))


@pytest.mark.parametrize(
    ("kind", "scenes"),
    [
        ("which", [Content((thing("star", "red"),), (50, 50))]),
        ("same", [Content((thing("star", "red"),), (50, 50))]),
        ("odd", [Content((thing("star", "red"),), (50, 50))] * 3),
        ("digit", [Content((thing("star", "red"),), (50, 50))]),
        ("position", [Content((thing("star", "red", box=(20, 20, 30, 30)),), (50, 50))]),
        ("size", [Content((thing("star", "red", 0.35),), (50, 50))]),
        ("colour", [Content((thing("star", "red"), thing("star", "blue")), (50, 50))]),
        ("relation", [Content((thing("star", "red"), thing("moon", "red")), (50, 50))]),
        ("colour", [Content((thing("star", None),), (50, 50))]),
        ("shape", [Content((thing(None, "red"),), (50, 50))]),
        ("describe", [Content((thing(None, "red"),), (50, 50))]),
        ("same", [Content((thing(None, "red"),), (50, 50)), Content((thing("star", "red"),), (50, 50))]),
        ("relation", [Content((thing(None, "red"), thing("moon", "blue", box=(40, 40, 49, 49))), (50, 50))]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_clear_answer_is_not_asked(kind, scenes):
    for seed in range(20):
        with pytest.raises(NothingToAsk):
            ASKERS[kind](np.random.default_rng(seed), scenes)
