"""Held-out dialogues: as many for every type and language, of pictures and wordings kept from training."""

from collections import Counter

import numpy as np
import pytest

from model.demo.drawing import handwriting
from model.demo.languages import CODES
from model.demo.questions import KINDS
from model.demo.samples import digit_samples, draw_sample, draw_samples, never_shown, prompt
from model.demo.scenes import HELD_OUT_PAIRS, draw_scene


@pytest.fixture(scope="module")
def samples():
    return list(draw_samples(2, 5, ("colour", "which", "odd", "chat"), ("en", "th", "ar")))


def test_every_type_begins_as_many_dialogues_in_every_language(samples):
    found = Counter((sample.turns[0].kind, sample.language) for sample in samples)
    assert len(found) == 12 and set(found.values()) == {2}
    assert all(turn.language == sample.language for sample in samples for turn in sample.turns)


def test_half_of_every_cell_is_worded_as_in_training(samples):
    found = Counter((sample.turns[0].kind, sample.language, sample.wording) for sample in samples)
    assert len(found) == 24 and set(found.values()) == {1}


def test_the_same_seed_gives_the_same_dialogues_and_another_gives_others(samples):
    again, other = (draw_sample(seed, "which", "th", 1) for seed in (5, 6))
    first = next(s for s in samples[12:] if (s.turns[0].kind, s.language) == ("which", "th"))
    assert again.turns == first.turns != other.turns
    assert all(np.array_equal(a.image, b.image) for a, b in zip(again.scenes, first.scenes, strict=True))


def test_leaving_some_out_changes_none_of_the_others(samples):
    later = list(draw_samples(1, 5, ("colour", "which", "odd", "chat"), ("en", "th", "ar"), first=1))
    assert [sample.turns for sample in later] == [sample.turns for sample in samples[12:]]


def test_one_to_five_pictures_as_the_type_allows():
    counts = {kind: [len(draw_sample(1, kind, "en", n).scenes) for n in range(24)] for kind in KINDS[::3]}
    assert all(set(found) == {1, 2, 3, 4, 5} for kind, found in counts.items() if kind in ("colour", "count"))
    assert min(len(draw_sample(1, "odd", "en", n).scenes) for n in range(12)) >= 3
    assert min(len(draw_sample(1, "which", "en", n).scenes) for n in range(12)) >= 2
    assert {bool(draw_sample(1, "chat", "en", n).scenes) for n in range(12)} == {True, False}


def test_pictures_show_pairs_that_training_never_shows_and_it_is_noted():
    drawn = [draw_sample(3, kind, "en", n) for kind in ("colour", "same") for n in range(12)]
    noted = [never_shown(sample, sample.turns[0]) for sample in drawn]
    for sample, held_out in zip(drawn, noted, strict=True):
        things = [sample.scenes[image].things[number] for image, number in sample.turns[0].meaning.things]
        assert held_out == any((thing.shape, thing.colour) in HELD_OUT_PAIRS for thing in things)
    assert 0 < sum(noted) < len(noted)


def test_every_handwritten_digit_of_the_test_split_is_asked_about_once():
    drawn = list(digit_samples(2))
    assert len(drawn) == 360 == sum(map(len, handwriting("test")))
    values = Counter(sample.scenes[0].things[0].digit for sample in drawn)
    assert [values[value] for value in range(10)] == [len(ways) for ways in handwriting("test")]
    for sample in drawn:
        assert sample.turns[0].meaning.number == sample.scenes[0].things[0].digit
        assert len(sample.scenes) == len(sample.scenes[0].things) == len(sample.turns) == 1
    assert {sample.language for sample in drawn} == set(CODES)
    assert len({sample.scenes[0].image.tobytes() for sample in drawn}) == 360


def test_a_chosen_handwriting_is_the_one_that_is_drawn():
    first, second, again = (
        draw_scene(8, (80, 80), [("3", "black")], "test", written) for written in (0, 1, 0)
    )
    assert np.array_equal(first.masks, again.masks) and not np.array_equal(first.masks, second.masks)
    with pytest.raises(IndexError):
        draw_scene(8, (80, 80), [("3", "black")], "test", 1000)


def test_a_prompt_shows_the_pictures_once_and_goes_on_from_what_was_said():
    sample = next(s for n in range(99) if len((s := draw_sample(0, "count", "de", n)).turns) == 2)
    first, second = prompt(sample), prompt(sample, ["Sieben."])
    assert [part["type"] for part in first[0]["content"]] == ["image"] * len(sample.scenes) + ["text"]
    assert [message["role"] for message in second] == ["user", "assistant", "user"]
    assert second[1]["content"] == "Sieben."
    assert second[2]["content"] == [{"type": "text", "text": sample.turns[1].question}]


@pytest.mark.parametrize(("kind", "code"), [("taste", "en"), ("colour", "xx")])
def test_what_there_is_not_is_refused_by_name(kind, code):
    with pytest.raises(ValueError, match=r"taste|xx"):
        draw_sample(0, kind, code)
