"""A variant is compared question by question, and token by token."""

import pytest
import torch

from model.demo.asking import Outcome
from model.demo.samples import draw_sample
from model.demo.turns import Meaning, Turn
from model.demo.variants import compare, routing_agreement
from model.llama4 import Llama4
from tests.model.demo.held_out import fresh

TURN = Turn(Meaning("colour", "colour", "colour"), "en", "?", "Red.")


def said(*texts):
    return [Outcome(TURN, text, "train", 1, False, False) for text in texts]


def test_the_difference_is_that_of_the_same_questions():
    row = compare(said("Red.", "Red.", "Blue.", "Pink."), said("Red.", "Blue.", "Red.", "Blue."))
    assert (row["accuracy"], row["as it is"], row["difference"]) == (0.5, 0.5, 0.0)
    assert row["same_answers"] == 0.25 and row["questions"] == 4
    assert row["difference_low"] == -row["difference_high"] < 0
    worse = compare(said(*["Red."] * 10), said(*["Red."] * 9, "Blue."))
    assert worse["difference"] == pytest.approx(-0.1) and worse["difference_high"] > -0.1


def test_a_model_routes_as_itself_and_another_router_does_not(processor):
    llama = fresh(processor)
    other = Llama4(processor.config)
    other.load_state_dict(llama.state_dict())
    last = llama.config.text.moe_layers[-1]
    samples = [draw_sample(2, "count", "hi", 0)]
    same = routing_agreement(llama, other, processor, samples)
    assert same["overall"] == same["in_every_layer"] == 1.0 and same["tokens"] > 20
    with torch.no_grad():
        weight = other.blocks[last].moe.router.weight
        weight.copy_(weight.roll(1, 0))
    turned = routing_agreement(llama, other, processor, samples)
    assert turned["by_layer"][str(last)] == 0.0 == turned["in_every_layer"]
    first = [turned["by_layer"][str(layer)] for layer in llama.config.text.moe_layers[:-1]]
    assert first == [1.0] * len(first)
