"""Experts forced, silenced, re-weighted: what is asked for happens, and nothing else does."""

import json

import pytest
import torch

from model import load, recorded, replaced
from tests.tiny import write_checkpoint
from tests.workbench.interventions.runs import (
    OTHER_EXPERT,
    PLAIN,
    PLANTED,
    PLANTED_EXPERT,
    PLANTED_LAYER,
    answer,
    question,
    same,
    spelled,
)
from workbench.interventions import (
    EditError,
    ForceExpert,
    NothingChangedError,
    ScaleExpert,
    SilenceExpert,
    edited,
)


def routed(llama, inputs, layer, edits=()):
    """Logits [T, E], chosen experts [T, K] and weights [T, E] of the prompt in one layer."""
    names = ("hook_router_logits", "hook_expert_indices", "hook_expert_weights", "hook_routed_out")
    points = [llama.hook_point(f"blocks.{layer}.moe.{name}") for name in names]
    with edited(llama, inputs, edits), recorded(points) as kept, torch.no_grad():
        llama(inputs.token_ids[None], inputs.pixel_values)
    return [kept[point.name] for point in points]


def busiest(llama, inputs, layer):
    return int(routed(llama, inputs, layer)[1].flatten().bincount().argmax())


# planted truth


def test_the_planted_expert_speaks_once_and_falls_silent_when_silenced(plant):
    llama, processor = plant
    inputs = question(processor)
    assert spelled(answer(llama, processor, inputs).tokens) == PLANTED + 5 * PLAIN
    silenced = answer(llama, processor, inputs, [SilenceExpert(PLANTED_LAYER, PLANTED_EXPERT)])
    assert spelled(silenced.tokens) == 6 * PLAIN


def test_silencing_removes_exactly_what_the_expert_wrote(plant):
    llama, processor = plant
    inputs = question(processor)
    point = llama.hook_point(f"blocks.{PLANTED_LAYER}.hook_resid_post")
    written = routed(llama, inputs, PLANTED_LAYER)[3]
    with recorded(point) as before, torch.no_grad():
        llama(inputs.token_ids[None])
    with edited(llama, inputs, [SilenceExpert(PLANTED_LAYER, PLANTED_EXPERT)]), recorded(point) as after:
        llama(inputs.token_ids[None])
    difference = (before[point.name] - after[point.name])[0]
    assert torch.equal(difference, written)
    feeds = inputs.token_ids == inputs.token_ids[-1]
    assert torch.equal(written[:, 2] > 0, feeds), "line feeds alone, and among what it wrote"
    assert not written[:, [0, 1, *range(3, written.shape[1])]].any(), "one direction alone"


def test_forced_on_what_is_generated_it_speaks_from_then_on(plant):
    llama, processor = plant
    inputs = question(processor)
    force = ForceExpert(PLANTED_LAYER, PLANTED_EXPERT, tokens="generated")
    assert spelled(answer(llama, processor, inputs, [force]).tokens) == 6 * PLANTED


def test_rows_are_counted_behind_the_cache(plant):
    llama, processor = plant
    inputs = question(processor)
    third = len(inputs.token_ids) + 2  # its row predicts the fourth token
    force = ForceExpert(PLANTED_LAYER, PLANTED_EXPERT, tokens=[third])
    said = spelled(answer(llama, processor, inputs, [force]).tokens)
    assert said == PLANTED + 2 * PLAIN + PLANTED + 2 * PLAIN


def test_the_gate_that_is_stated_is_the_gate_that_is_applied(plant):
    llama, processor = plant
    inputs = question(processor, text="hello")
    row = 3  # a letter of the header: it goes to the other expert
    logits, chosen, _, _ = routed(llama, inputs, PLANTED_LAYER)
    assert chosen[row].tolist() == [OTHER_EXPERT]
    expected = {
        "own": torch.sigmoid(logits[row, PLANTED_EXPERT]),
        "replaced": torch.sigmoid(logits[row, OTHER_EXPERT]),
        0.25: torch.tensor(0.25),
    }
    for gate, value in expected.items():
        force = ForceExpert(PLANTED_LAYER, PLANTED_EXPERT, tokens=[row], gate=gate)
        _, _, weights, out = routed(llama, inputs, PLANTED_LAYER, [force])
        assert torch.equal(weights[row].nonzero().flatten(), torch.tensor([PLANTED_EXPERT])), gate
        assert weights[row, PLANTED_EXPERT] == value, gate
        # the gate multiplies what the expert hears: a one, normalized
        heard = value * torch.rsqrt(torch.tensor(1 / 64 + llama.config.text.rms_norm_eps))
        assert out[row, 2] == pytest.approx(48 * float(torch.nn.functional.silu(heard) * heard), rel=1e-5)


# random models


def test_edits_that_change_nothing_change_no_bit(loaded):
    llama, processor = loaded
    inputs = question(processor)
    layer = llama.config.text.moe_layers[0]
    plain = answer(llama, processor, inputs)
    chosen = routed(llama, inputs, layer)[1]
    expert = int(chosen[-1])
    there = torch.nonzero((chosen == expert).any(1)).flatten().tolist()
    for gate in ("own", "replaced"):
        force = ForceExpert(layer, expert, tokens=there, gate=gate)
        assert same(answer(llama, processor, inputs, [force]), plain), gate
    assert same(answer(llama, processor, inputs, [ScaleExpert("all", expert, 1.0)]), plain)


@pytest.mark.parametrize("kind", ["top2", "top3"])
def test_with_several_experts_a_token_the_weakest_gives_way(kind, request):
    llama, processor = request.getfixturevalue(kind)
    inputs = question(processor)
    logits, chosen, weights, _ = routed(llama, inputs, 1)
    expert = int(chosen[-1, 0])
    there = (chosen == expert).any(1)
    assert there.any() and not there.all()
    for gate in ("own", "replaced", 0.5):
        force = ForceExpert(1, expert, gate=gate)
        after = routed(llama, inputs, 1, [force])[2]
        kept = chosen[~there, :-1]
        assert (after[~there].gather(1, kept) == weights[~there].gather(1, kept)).all(), "the best stay"
        assert (after != 0).sum(1).eq(chosen.shape[1]).all(), "as many as before"
        given = {
            "own": torch.sigmoid(logits[~there, expert]),
            "replaced": weights[~there].gather(1, chosen[~there, -1:])[:, 0],
            0.5: torch.full((int((~there).sum()),), 0.5),
        }[gate]
        # a sigmoid of the same number differs in its last bit with its place in a vector
        torch.testing.assert_close(after[~there, expert], given, rtol=3e-7, atol=0)
        if gate != 0.5:
            assert torch.equal(after[there], weights[there]), "where it is chosen anyway, nothing changes"
    plain = answer(llama, processor, inputs)
    assert same(answer(llama, processor, inputs, [ForceExpert(1, expert, tokens=[len(there) - 1])]), plain)


def test_forcing_differs_from_silencing_and_from_the_other_gates(loaded):
    llama, processor = loaded
    inputs = question(processor)
    layer = llama.config.text.moe_layers[0]
    expert = busiest(llama, inputs, layer)
    other = (expert + 1) % 8
    runs = [
        answer(llama, processor, inputs, [edit], tokens=3).logits[0]
        for edit in (
            SilenceExpert(layer, expert),
            SilenceExpert(layer, expert, instead="next"),
            ForceExpert(layer, other),
            ForceExpert(layer, other, gate="replaced"),
            ForceExpert(layer, other, gate=0.3),
            ScaleExpert(layer, expert, 0.5),
        )
    ] + [answer(llama, processor, inputs, tokens=3).logits[0]]
    for i, one in enumerate(runs):
        assert not any(torch.equal(one, other) for other in runs[i + 1 :]), i


@pytest.mark.parametrize("kind", ["plant", "top2"])
def test_rerouted_tokens_go_to_the_routers_next_choice(kind, request):
    llama, processor = request.getfixturevalue(kind)
    inputs = question(processor)
    layer = llama.config.text.moe_layers[0]
    logits, chosen, weights, _ = routed(llama, inputs, layer)
    expert = int(chosen[-1, 0])
    after = routed(llama, inputs, layer, [SilenceExpert(layer, expert, instead="next")])[1]
    expected = logits.index_fill(1, torch.tensor([expert]), -99).topk(chosen.shape[1]).indices
    assert torch.equal(after, expected)
    alone = routed(llama, inputs, layer, [SilenceExpert(layer, expert)])[2]
    assert torch.equal(alone, weights.index_fill(1, torch.tensor([expert]), 0))


def test_scaling_multiplies_the_gate_and_only_there(loaded):
    llama, processor = loaded
    inputs = question(processor)
    layer = llama.config.text.moe_layers[0]
    _, chosen, weights, _ = routed(llama, inputs, layer)
    expert = int(chosen[-1, 0])
    after = routed(llama, inputs, layer, [ScaleExpert(layer, expert, 2.0)])[2]
    assert torch.equal(after[:, expert], 2 * weights[:, expert])
    others = [e for e in range(8) if e != expert]
    assert torch.equal(after[:, others], weights[:, others])


@pytest.mark.parametrize("quantize", ["fp8", "int4"])
def test_experts_of_quantized_models_are_edited_alike(tmp_path, quantize):
    sizes = {"hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 2, "head_dim": 16}
    folder = write_checkpoint("scout", tmp_path / "model", **sizes)
    llama, processor = load(folder, quantize=quantize)
    inputs = question(processor)
    _, chosen, _, out = routed(llama, inputs, 1)
    expert = int(chosen[-1])
    there = (chosen == expert).any(1)
    silenced = routed(llama, inputs, 1, [SilenceExpert(1, expert)])[3]
    assert not silenced[there].any() and out[there].any(1).all()
    plain = answer(llama, processor, inputs, tokens=3)
    noop = ForceExpert(1, expert, tokens=there.nonzero().flatten().tolist())
    assert same(answer(llama, processor, inputs, [noop], tokens=3), plain)
    forced = answer(llama, processor, inputs, [ForceExpert(1, (expert + 1) % 8)], tokens=3)
    assert not torch.equal(forced.logits[0], plain.logits[0])


def test_edits_act_in_their_order(loaded):
    llama, processor = loaded
    inputs = question(processor)
    layer = llama.config.text.moe_layers[0]
    force, silence = ForceExpert(layer, 2, gate=0.5), SilenceExpert(layer, 2)
    assert not routed(llama, inputs, layer, [force, silence])[2].any()
    with pytest.raises(EditError, match="no expert left that could give way"):
        first = SilenceExpert(layer, busiest(llama, inputs, layer))
        routed(llama, inputs, layer, [first, force])


# what cannot be


def test_what_cannot_be_applied_is_refused_before_the_model_runs(loaded):
    llama, processor = loaded
    inputs = question(processor)
    layer = llama.config.text.moe_layers[0]
    wrong = {
        "layer 99 has no experts; layers that have": ForceExpert(99, 1),
        "layers is empty": ForceExpert([], 1),
        r"layers is 1.7; expected a layer": ForceExpert(1.7, 1),
        r"layers is \[True\]; expected a layer": ForceExpert([True], 1),
        "expert is 8; this model has experts 0 to 7": SilenceExpert(layer, 8),
        "expert is 'two'; expected a whole number": SilenceExpert(layer, "two"),
        "gate is 0; expected 'own', 'replaced' or a number above 0": ForceExpert(layer, 1, gate=0),
        "gate is 'mine'": ForceExpert(layer, 1, gate="mine"),
        "instead is 'best'": SilenceExpert(layer, 1, instead="best"),
        r"factor is 0; .*SilenceExpert": ScaleExpert(layer, 1, 0),
        "tokens is 'answer'; expected all, prompt": ForceExpert(layer, 1, tokens="answer"),
        "tokens is empty": ForceExpert(layer, 1, tokens=[]),
        "tokens reach from -1": ForceExpert(layer, 1, tokens=[-1]),
    }
    with recorded(llama.hook_point("hook_embed")) as kept:
        for sentence, edit in wrong.items():
            with pytest.raises(EditError, match=sentence), edit.applied(llama, inputs):
                llama(inputs.token_ids[None])
    assert not kept
    assert not any(point.watched for point in llama.hook_points.values())


def test_a_layer_without_experts_is_refused(plant):
    llama, processor = plant
    with pytest.raises(EditError, match=r"layer 0 has no experts; layers that have: \[1, 3, 5, 7\]"):
        ForceExpert(0, 1).applied(llama, question(processor))


def test_an_edit_that_did_nothing_raises_in_the_end(plant):
    llama, processor = plant
    inputs = question(processor)
    with pytest.raises(NothingChangedError, match="none of these tokens goes to expert 5"):
        answer(llama, processor, inputs, [SilenceExpert(PLANTED_LAYER, 5)])
    with pytest.raises(NothingChangedError, match="none of these tokens goes to expert 5"):
        answer(llama, processor, inputs, [SilenceExpert(PLANTED_LAYER, 5, instead="next")])
    with pytest.raises(EditError, match="never asked"), edited(llama, inputs, [ForceExpert(1, 1)]):
        pass
    late = len(inputs.token_ids) + 50
    with pytest.raises(EditError, match=rf"waited for tokens \[{late}\]"):
        answer(llama, processor, inputs, [ForceExpert(1, 1, tokens=[0, late])])
    with pytest.raises(EditError, match="met none of its tokens"):
        answer(llama, processor, inputs, [ForceExpert(1, 1, tokens="generated")], tokens=1)


def test_an_error_inside_is_not_covered_by_the_edits_own(loaded):
    llama, processor = loaded
    layer = llama.config.text.moe_layers[0]
    with pytest.raises(KeyboardInterrupt), ForceExpert(layer, 1).applied(llama, question(processor)):
        raise KeyboardInterrupt
    assert not any(point.watched for point in llama.hook_points.values())


def test_batches_and_prompts_behind_a_cache_are_refused(loaded):
    llama, processor = loaded
    inputs = question(processor)
    edit = ForceExpert("all", 1)
    with pytest.raises(EditError, match="a batch of 2"), edit.applied(llama, inputs):
        llama(inputs.token_ids.expand(2, -1))
    with (
        pytest.raises(EditError, match="the first pass carries 1 of the prompt's"),
        edit.applied(llama, inputs),
    ):
        llama(inputs.token_ids[None, :1])


def test_an_edit_says_what_it_is(loaded):
    edit = ForceExpert([1, 3], 2, tokens=lambda spans: spans.role == 1, gate=0.5)
    assert repr(ForceExpert(1, 2)) == "ForceExpert(layers=1, expert=2)"
    assert "gate=0.5" in repr(edit) and "lambda" in repr(edit)
    told = json.loads(json.dumps(edit.to_json()))
    assert told["edit"] == "ForceExpert" and told["layers"] == [1, 3] and told["gate"] == 0.5
    assert len(told["tokens"]["source_sha256"]) == 64
    assert SilenceExpert("all", 2).to_json()["instead"] == "nothing"


def test_an_edit_stacks_with_other_hooks(loaded):
    llama, processor = loaded
    inputs = question(processor)
    layer = llama.config.text.moe_layers[0]
    point = llama.hook_point(f"blocks.{layer}.moe.hook_router_logits")
    with replaced(point, lambda logits: logits.index_fill(1, torch.tensor([4]), 50.0)):
        assert (routed(llama, inputs, layer)[1] == 4).all()
        after = routed(llama, inputs, layer, [SilenceExpert(layer, 4, instead="next")])[1]
    assert not (after == 4).any()
