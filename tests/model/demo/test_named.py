"""What training is told of a question's words is what the pictures show."""

import numpy as np
import pytest

from model.demo.drawing import COLOURS
from model.demo.meanings import fits
from model.demo.named import meant, part
from model.demo.outlines import SHAPES
from model.demo.pictures import LABELS
from model.demo.questions import ask
from model.demo.turns import NothingToAsk


@pytest.fixture(scope="module")
def asked(draw_contents):
    """Questions of some kinds, with their pictures."""
    rng, found = np.random.default_rng(3), []
    for kind in ("relation", "same", "odd", "colour", "which"):
        left = 60
        while left:
            scenes = draw_contents(rng, int(rng.integers(1, 6)))
            try:
                found.append((ask(rng, scenes, kind=kind), scenes))
            except NothingToAsk:
                continue
            left -= 1
    return found


def test_a_name_for_one_thing_is_labelled_by_that_thing_and_any_other_by_nothing(asked):
    single = 0
    for turn, scenes in asked:
        if turn.kind == "odd":
            continue
        for pointer in (*turn.mentions, *turn.references):
            labels = meant(scenes, turn, pointer)
            assert len(labels) == len(LABELS)
            if len(pointer.things) != 1:
                assert set(labels) == {-1}
                continue
            ((image, index),) = pointer.things
            thing, single = scenes[image].things[index], single + 1
            shape, colour, digit, size, *_ = labels
            assert (*SHAPES, "digit", None)[shape] == thing.shape and (*COLOURS, None)[colour] == thing.colour
            assert digit == thing.digit and ("small", None, "big")[size] == thing.size
    assert single > 60


def test_the_odd_one_out_is_known_by_shape_and_colour_alone(asked):
    for turn, scenes in asked:
        if turn.kind == "odd":
            labels = meant(scenes, turn, turn.references[0])
            thing = scenes[turn.meaning.image].things[0]
            assert (*SHAPES, "digit")[labels[0]] == thing.shape and set(labels[2:]) == {-1}


def test_who_is_asked_about_is_told_from_who_is_compared_with_and_nobody_else_is(asked):
    for turn, scenes in asked:
        parts = {part(turn, pointer): pointer.things for pointer in turn.mentions}
        if turn.kind != "relation":
            assert set(parts) <= {-1}
            continue
        assert len(turn.mentions) == 2 and set(parts) == {0, 1}
        for number, name in enumerate((turn.meaning.asked, turn.meaning.other)):
            # in its own picture a name means one thing
            (index,) = (index for image, index in parts[number] if image == turn.meaning.image)
            assert fits(scenes[turn.meaning.image].things[index], name)
