"""Planted truths: experts that know the label, that draw lots, or that only seem to know it."""

from dataclasses import replace

import numpy as np
import pytest

from model.demo.experts import LABELS, bits, count_experts, load, measure_experts
from tests.model.demo.held_out import dialogues, fresh, watched_afresh


@pytest.fixture(scope="module")
def watched(processor):
    return watched_afresh(processor)


def planted(watched, choose):
    """The same dialogues with tokens sent elsewhere: `choose(dialogue)` is [T], for every layer."""
    return [
        replace(
            dialogue,
            tokens=replace(dialogue.tokens, experts=np.repeat(choose(dialogue)[None].astype(np.int8), 3, 0)),
        )
        for dialogue in watched
    ]


def lots(seed):
    rng = np.random.default_rng(seed)
    return lambda dialogue: rng.integers(16, size=len(dialogue.tokens.modality))


def test_bits_of_a_fair_coin_that_is_known_or_not():
    assert bits(np.eye(2)) == pytest.approx(1.0)
    assert bits(np.ones((2, 2))) == pytest.approx(0.0)


def test_load_of_one_busy_expert_and_of_lots():
    one = load(np.full(160, 3), 16)
    assert one["dead"] == 15 and one["variation"] == pytest.approx(np.sqrt(15)) and one["busiest"] == 1.0
    even = load(np.arange(160) % 16, 16)
    assert even["dead"] == 0 and even["variation"] == 0.0 and even["load"] == [1 / 16] * 16
    drawn = [load(np.random.default_rng(seed).integers(16, size=400), 16) for seed in range(50)]
    assert np.mean([row["variation"] for row in drawn]) == pytest.approx(
        drawn[0]["chance_variation"], rel=0.1
    )


def test_experts_that_know_the_modality_tell_all_of_it(watched):
    report = count_experts(planted(watched, lambda dialogue: dialogue.tokens.modality))
    for layer in report["layers"].values():
        modality = layer["information"]["modality"]
        assert modality["of_label"] == pytest.approx(1.0)
        assert modality["times_null"] > 2 and modality["over_null"] > 0
    assert report["modality_times_null"] > 2 and report["dead"] == 3 * 13


def test_experts_that_know_the_language_tell_all_of_it(watched):
    report = count_experts(planted(watched, lambda dialogue: dialogue.tokens.language + 1))
    language = report["layers"]["3"]["information"]["language"]
    assert language["of_label"] == pytest.approx(1.0) and language["bits"] > language["null_high"]
    assert report["language_over_null"] == pytest.approx(language["over_null"])


def test_experts_that_know_the_colour_of_things_tell_all_of_it(watched):
    colours = {}

    def choose(dialogue):
        experts = np.zeros(len(dialogue.tokens.modality), dtype=int)
        for token, place in zip(dialogue.tokens.patches, dialogue.tokens.shows, strict=True):
            if place is not None:
                name = dialogue.scenes[place[0]].things[place[1]].colour
                experts[token] = 1 + colours.setdefault(name, len(colours))
        return experts

    information = count_experts(planted(watched, choose))["layers"]["1"]["information"]
    assert information["colour"]["of_label"] == pytest.approx(1.0)
    assert information["object"]["of_label"] == pytest.approx(1.0)
    assert information["colour"]["bits"] > information["colour"]["null_high"]


def test_drawing_lots_tells_no_more_than_the_null(watched):
    information = count_experts(planted(watched, lots(1)))["layers"]["1"]["information"]
    assert set(information) == set(LABELS)
    for name in ("modality", "language", "kind", "colour", "shape"):
        spread = information[name]["null_high"] - information[name]["null"]
        assert abs(information[name]["over_null"]) < 5 * spread + 1e-3


def test_an_expert_for_each_dialogue_does_not_pass_for_one_that_knows_languages(watched):
    rng = np.random.default_rng(2)

    def choose(dialogue):
        return np.full(len(dialogue.tokens.modality), rng.integers(16))

    language = count_experts(planted(watched, choose))["layers"]["1"]["information"]["language"]
    # few dialogues and many experts: much seems to be known, and shuffling whole dialogues shows why
    assert language["bits"] > 0.2 and language["bits"] < 1.3 * language["null_high"]


def test_the_untrained_model_and_random_routers_stand_beside(processor):
    report = measure_experts(fresh(processor), processor, dialogues()[:8], rivals=8)
    for layer in ("1", "3", "5"):
        for numbers in report["layers"][layer]["information"].values():
            assert numbers["random_routers_over_null"] <= numbers["random_routers_over_null_high"]
            assert isinstance(numbers["untrained_model"], float)
    assert report["tokens"] > 1000 and len(report["layers"]["1"]["load"]) == 16
