"""Attention steered: the rows that are meant, by the factor that is stated."""

import json
import math

import pytest
import torch

from model import SamplingParams, generate, recorded, replaced
from model.hooks import ALL_ROWS
from tests.workbench.interventions.runs import answer, picture, question, same
from workbench.interventions import EditError, ImagePatches, NothingChangedError, SteerAttention, edited
from workbench.interventions.tokens import mask_of

FREE = 3  # a position-free layer, which sees everything


@pytest.fixture(scope="module")
def inputs(plant):
    return question(plant[1], picture(), text="Hi")


def pattern(llama, inputs, *edits, layer=FREE):
    point = llama.hook_point(f"blocks.{layer}.attn.hook_pattern")
    with edited(llama, inputs, edits), recorded(point, rows=ALL_ROWS) as kept, torch.no_grad():
        llama(inputs.token_ids[None], inputs.pixel_values)
    return kept[point.name][0]  # [H, T, S]


@pytest.mark.parametrize("strength", [2.5, -1.5, 200.0, -math.inf])
def test_it_is_the_softmax_of_logits_plus_the_strength(loaded, inputs, strength):
    llama, _ = loaded
    patches = torch.from_numpy(mask_of(ImagePatches(0), inputs, len(inputs.token_ids)))
    before = pattern(llama, inputs)
    steered = pattern(llama, inputs, SteerAttention(FREE, ImagePatches(0), strength, heads=[1, 4]))
    bias = torch.where(patches, strength, 0.0)
    expected = torch.softmax(before[[1, 4], -1].log() + bias, -1)
    torch.testing.assert_close(steered[[1, 4], -1], expected, atol=1e-6, rtol=1e-5)
    others = [h for h in range(before.shape[0]) if h not in (1, 4)]
    assert torch.equal(steered[others], before[others]) and torch.equal(steered[:, :-1], before[:, :-1])


def test_strength_zero_changes_no_bit_of_an_answer(loaded, inputs):
    llama, processor = loaded
    nothing = SteerAttention("all", ImagePatches(0), 0.0)
    assert same(answer(llama, processor, inputs, [nothing]), answer(llama, processor, inputs))


def test_generated_rows_are_steered_behind_the_cache(loaded, inputs):
    llama, processor = loaded
    point = llama.hook_point(f"blocks.{FREE}.attn.hook_pattern")
    patches = torch.from_numpy(mask_of(ImagePatches(0), inputs, len(inputs.token_ids)))
    blind = SteerAttention(FREE, ImagePatches(0), -math.inf, tokens="generated")
    shares = []

    def look(value):
        shares.append(value[0, :, -1, : len(patches)][:, patches].sum().item())
        return value

    with edited(llama, inputs, [blind]), replaced(point, look):
        list(generate(llama, processor, inputs, SamplingParams(max_tokens=3)))
    assert shares[0] > 0 and shares[1:] == [0, 0]


def test_an_edit_that_cannot_steer_raises(loaded, inputs):
    llama, _ = loaded
    wrong = {
        "layer 8 has no attention": SteerAttention(8, ImagePatches(0), 1),
        "heads is 8; this model has heads 0 to 7": SteerAttention(FREE, ImagePatches(0), 1, heads=8),
        "strength is inf": SteerAttention(FREE, ImagePatches(0), math.inf),
        "pictures 0 to 0": SteerAttention(FREE, ImagePatches(1), 1),
    }
    for sentence, edit in wrong.items():
        with pytest.raises(EditError, match=sentence):
            edit.applied(llama, inputs)
    with pytest.raises(NothingChangedError, match="no attention in these layers and heads"):
        # a rotary layer sees its own chunk of eight alone
        pattern(llama, inputs, SteerAttention(0, [0], 1.0))
    with pytest.raises(EditError, match="token 0 sees nothing else"):
        pattern(llama, inputs, SteerAttention(FREE, [0], -math.inf, tokens=[0]))
    steady = pattern(llama, inputs, SteerAttention(FREE, [0], -500.0, tokens=[0, 1]))
    assert steady[:, 0, 0].eq(1).all(), "a row that sees one token goes on seeing it"


def test_it_says_what_it_is():
    told = json.loads(json.dumps(SteerAttention([1, 2], ImagePatches(0), -math.inf, heads=3).to_json()))
    assert told["strength"] == "-inf" and told["heads"] == [3] and told["tokens"] == "answering"
