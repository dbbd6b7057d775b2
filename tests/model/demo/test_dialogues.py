"""Questions have one right answer, found again from the scene by other means."""

import re

import numpy as np
import pytest

from model.demo.dialogues import KINDS, ask, converse
from model.demo.phrasings import PHRASINGS
from model.demo.scenes import COLOURS, SHAPES, draw_scene
from model.demo.small_talk import CHAT, NO_PICTURE
from model.demo.turns import NothingToAsk

SCENES = [draw_scene((77, index)) for index in range(120)]
NUMBER_WORDS = ["zero", "one", "two", "three", "four"]
ORDINALS = ["first", "second", "third"]


def some(rng, low=1, high=3):
    return [SCENES[int(i)] for i in rng.integers(len(SCENES), size=rng.integers(low, high + 1))]


def questions(kind, count=300, low=1, split="train"):
    rng = np.random.default_rng(5)
    while count:
        scenes = some(rng, low)
        try:
            turn = ask(rng, scenes, split, kind)
        except NothingToAsk:
            continue
        count -= 1
        yield scenes, turn


def named(question):
    """The shape and the colour that a question names, found in its words alone."""
    words = re.findall(r"[a-z]+", question.lower())
    shape = [s for s in SHAPES for w in words if w in (s, s + "s", s + "es")]
    colour = [c for c in COLOURS if c in words]
    return next(iter(shape), None), next(iter(colour), None)


def picture(question, scenes):
    """The 0-based picture that a question is about, found in its words alone; None if it names none."""
    number = re.search(r"(?:image|picture|photo)(?: number)? (\d)", question.lower())
    if number:
        return int(number[1]) - 1
    ordinal = [i for i, word in enumerate(ORDINALS) if f"the {word}" in question.lower()]
    return ordinal[0] if ordinal else 0 if len(scenes) == 1 else None


def matching(scenes, question):
    shape, colour = named(question)
    image = picture(question, scenes)
    chosen = scenes if image is None else [scenes[image]]
    return [t for s in chosen for t in s.things if shape in (None, t.shape) and colour in (None, t.colour)]


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("kind", ["colour", "shape"])
def test_the_thing_asked_for_is_unique_and_the_answer_is_its_name(kind, split):
    for scenes, turn in questions(kind, split=split):
        (thing,) = matching(scenes, turn.question)
        assert turn.answer == f"{getattr(thing, kind).capitalize()}.", turn


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_count_is_the_number_of_things_that_fit(split):
    for scenes, turn in questions("count", split=split):
        if turn.image < 0:
            assert turn.answer.lower() == f"{NUMBER_WORDS[len(scenes)]}."
        else:
            assert turn.answer.lower() == f"{NUMBER_WORDS[len(matching(scenes, turn.question))]}.", turn


@pytest.mark.parametrize("split", ["train", "test"])
def test_exactly_one_picture_has_what_which_asks_for(split):
    for scenes, turn in questions("which", low=2, split=split):
        shape, colour = named(turn.question)
        having = [
            number
            for number, scene in enumerate(scenes, 1)
            if any(shape in (None, t.shape) and colour in (None, t.colour) for t in scene.things)
        ]
        assert [turn.answer] == [f"Image {number}." for number in having], turn


def test_yes_and_no_are_right_and_about_as_frequent():
    turns = [(turn, bool(matching(scenes, turn.question))) for scenes, turn in questions("exist")]
    assert all(turn.answer == ("Yes." if there else "No.") for turn, there in turns)
    assert 0.35 < np.mean([there for _, there in turns]) < 0.65


def test_a_position_is_the_half_that_the_thing_is_in():
    for scenes, turn in questions("position"):
        (thing,) = matching(scenes, turn.question)
        width, height = scenes[picture(turn.question, scenes)].size
        x, y = thing.centre
        sides = {
            "Left.": x < width / 2,
            "Right.": x > width / 2,
            "Top.": y < height / 2,
            "Bottom.": y > height / 2,
        }
        assert sides[turn.answer], turn


def test_a_description_names_everything_from_left_to_right():
    for scenes, turn in questions("describe"):
        things = sorted(scenes[picture(turn.question, scenes)].things, key=lambda thing: thing.centre)
        said = re.findall(r"an? (\w+) (\w+)", turn.answer.lower())
        assert said == [(thing.colour, thing.shape) for thing in things], turn


def test_pointers_mark_the_words_about_things():
    rng = np.random.default_rng(8)
    for _ in range(500):
        scenes = some(rng)
        for turn in converse(rng, scenes):
            for pointer in turn.pointers:
                word = turn.answer[pointer.start : pointer.end].lower()
                assert word and len(pointer.things) > 0
                for number in pointer.things:
                    thing = scenes[pointer.image].things[number]
                    if word in SHAPES:
                        assert thing.shape == word
                    if word in COLOURS:
                        assert thing.colour == word


def test_a_follow_up_answers_for_the_other_picture():
    rng, seen = np.random.default_rng(9), 0
    while seen < 60:
        scenes = some(rng, 2)
        first, *rest = converse(rng, scenes, kind="count")
        if not rest or first.image < 0:
            continue
        seen += 1
        (turn,) = rest
        image = picture(turn.question, scenes)
        shape, colour = named(first.question)
        found = [t for t in scenes[image].things if shape in (None, t.shape) and colour in (None, t.colour)]
        assert image != first.image and turn.answer.lower() == f"{NUMBER_WORDS[len(found)]}."


def test_test_phrasings_never_occur_in_training():
    for ways in [*PHRASINGS.values(), *(ways for ways, _ in CHAT)]:
        assert not set(ways["train"]) & set(ways["test"])
        assert ways["train"] and ways["test"]


def test_without_a_picture_there_is_chat_and_a_request_for_a_picture():
    rng = np.random.default_rng(1)
    answers = {ask(rng, []).answer for _ in range(300)}
    assert NO_PICTURE in answers and {answer for _, answer in CHAT} <= answers


def test_the_same_generator_state_gives_the_same_dialogue():
    scenes = SCENES[:3]
    assert converse(np.random.default_rng(3), scenes) == converse(np.random.default_rng(3), scenes)


def test_unknown_kinds_and_splits_are_refused_by_name():
    with pytest.raises(ValueError, match="smell"):
        ask(np.random.default_rng(0), SCENES[:1], kind="smell")
    with pytest.raises(ValueError, match="exam"):
        ask(np.random.default_rng(0), SCENES[:1], split="exam")
    with pytest.raises(NothingToAsk, match="two pictures"):
        ask(np.random.default_rng(0), SCENES[:1], kind="which")
    assert set(KINDS) >= {"colour", "shape", "which", "count"}
