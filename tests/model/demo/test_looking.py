"""Planted truths: heads that look at the thing, at anything else, or evenly, are reported as such."""

from dataclasses import replace

import numpy as np
import pytest

from model.demo.gaze import looks
from model.demo.looking import look_at, measure_looking
from tests.model.demo.held_out import dialogues, fresh, watched_afresh


@pytest.fixture(scope="module")
def watched(processor):
    return watched_afresh(processor)


def planted(watched, make):
    """The same dialogues with other attention: `make(look)` is [H, P]."""
    return [
        replace(
            dialogue,
            words=tuple(
                replace(look.word, weights=make(look).astype(np.float32)) for look in looks(dialogue)
            ),
        )
        for dialogue in watched
    ]


def one_head_among_noise(part):
    """Head 7 attends to a part of the patches, the others anywhere."""
    rng = np.random.default_rng(0)

    def make(look):
        weights = rng.random(look.word.weights.shape)
        weights[7] = part(look)
        return weights

    return make


def test_a_head_that_looks_at_the_thing_is_found_and_scores_one(watched):
    def thing(look):
        return look.on if look.on.any() else look.of_asked()

    report = look_at(planted(watched, one_head_among_noise(thing)))
    assert report["pointing"] == 1.0 and report["image_selection"] == pytest.approx(1.0)
    for region in report["regions"].values():
        assert region["heads"] == [[1, 3]] and region["hit"] == 1.0
        assert region["development_hit"] == 1.0 and region["low"] < region["high"] == pytest.approx(1.0)
        assert region["chance"] < 0.6 and region["baselines"]["random"] == region["chance"]
        assert region["energy_times"] > 1.5
    assert report["selection"]["most"] == 1.0 and report["selection"]["absent"]["mass"] == pytest.approx(1.0)
    assert report["regions"]["together"]["by_head"]["1"][3] == 1.0


def test_a_model_that_looks_anywhere_but_at_the_thing_scores_nothing(watched):
    def elsewhere(look):
        return np.repeat(~look.on[None], len(look.word.weights), axis=0)

    report = look_at(planted(watched, elsewhere))
    assert report["pointing"] == 0.0
    assert report["energy_times_chance"] < 0.5


def test_even_attention_scores_what_chance_does(watched):
    report = look_at(planted(watched, lambda look: np.ones_like(look.word.weights)))
    for region in report["regions"].values():
        assert region["hit"] == pytest.approx(region["chance"])
        assert region["energy_times"] == pytest.approx(1.0)
        assert region["strict"] == pytest.approx(region["strict_chance"])
        # zero where the other half has no picture of that number
        assert region["baselines"]["mean_map"] == pytest.approx(region["chance"], abs=0.03)
    selection = report["selection"]
    assert selection["mass"] == pytest.approx(selection["chance_mass"])
    assert selection["own_heads"]["mass"] == pytest.approx(selection["chance_mass"])


def test_looking_at_the_asked_pictures_middle_selects_but_hardly_points(watched):
    def middle(look):
        away = ((look.patches.middle - 0.5) ** 2).sum(1)
        maps = np.where(look.of_asked(), np.exp(-20 * np.nan_to_num(away, nan=9)), 0)
        return np.repeat(maps[None], len(look.word.weights), axis=0)

    report = look_at(planted(watched, middle))
    assert report["image_selection"] == pytest.approx(1.0)
    asked = report["regions"]["asked_picture"]
    # there the blob of the baseline does just that
    assert asked["hit"] == pytest.approx(asked["baselines"]["centre"], abs=0.15) and asked["hit"] < 0.8


def test_the_parts_add_up(watched):
    report = look_at(watched)
    together = report["regions"]["together"]
    words = sum(bool(word.things) for dialogue in watched for word in dialogue.words)
    assert together["words"] + together["development_words"] == words
    assert sum(row["words"] for row in together["by_kind"].values()) == together["words"]
    assert sum(row["words"] for row in together["by_pictures"].values()) == together["words"]
    selection = report["selection"]
    assert sum(row["words"] for row in selection["by_pictures"].values()) == selection["words"]
    assert set(selection["by_pictures"]) <= {"2", "3", "4", "5"}


def test_models_with_random_weights_stand_beside(processor):
    report = measure_looking(fresh(processor), processor, dialogues()[:8], rivals=8)
    together = report["regions"]["together"]
    assert set(together["baselines"]) == {"random", "centre", "mean_map", "untrained", "untrained_text"}
    assert set(together["energy_baselines"]) == set(together["baselines"])
    assert {"untrained", "untrained_text"} < set(report["selection"]["baselines"])


def test_text_alone_has_nothing_to_look_at(watched):
    silent = [replace(dialogue, words=()) for dialogue in watched]
    report = look_at(silent)
    assert report["pointing"] is None and report["regions"] == {} and report["selection"] == {}
