"""Router logits edited, and the routing of one run replayed in another."""

import numpy as np
import pytest
import torch

import workbench as wb
from model import recorded
from tests.workbench.interventions.runs import (
    PLAIN,
    PLANTED,
    PLANTED_EXPERT,
    PLANTED_LAYER,
    answer,
    picture,
    question,
    same,
    spelled,
)
from workbench.interventions import EditError, EditRouterLogits, ForceExpert, ReplayRouting, edited
from workbench.trace import replace


@pytest.fixture(scope="module")
def session(maverick):
    return wb.load(maverick)


@pytest.fixture(scope="module")
def inputs(session):
    return question(session.processor, picture(), text="Why?")


@pytest.fixture(scope="module")
def trace(session, inputs):
    shown = [{"type": "image", "image": picture()}, {"type": "text", "text": "Why?"}]
    return session.chat([{"role": "user", "content": shown}], max_tokens=6).trace


def chosen(llama, inputs, layer, edits):
    point = llama.hook_point(f"blocks.{layer}.moe.hook_expert_indices")
    with edited(llama, inputs, edits), recorded(point) as kept, torch.no_grad():
        llama(inputs.token_ids[None], inputs.pixel_values)
    return kept[point.name]


# logits


def test_a_bias_routes_anew_by_the_models_own_rule(plant):
    llama, processor = plant
    inputs = question(processor)
    bias = EditRouterLogits(PLANTED_LAYER, {PLANTED_EXPERT: 100.0}, tokens="generated")
    assert spelled(answer(llama, processor, inputs, [bias]).tokens) == 6 * PLANTED
    against = EditRouterLogits(PLANTED_LAYER, {PLANTED_EXPERT: -100.0})
    assert spelled(answer(llama, processor, inputs, [against]).tokens) == 6 * PLAIN


def test_a_function_gets_the_chosen_rows_and_the_layers_number(session, inputs):
    seen = []

    def swap(logits, layer):
        seen.append((layer, tuple(logits.shape)))
        return logits.flip(1)

    edit = EditRouterLogits([1, 5], swap, tokens=[4, 7])
    plain = answer(session.llama, session.processor, inputs, tokens=2)
    assert not same(answer(session.llama, session.processor, inputs, [edit], tokens=2), plain)
    assert seen == [(1, (2, 8)), (5, (2, 8))], "the later pass has none of these tokens"


def test_a_bias_of_nothing_changes_no_bit(session, inputs):
    llama, processor = session.llama, session.processor
    nothing = EditRouterLogits("all", {3: 0.0})
    assert same(answer(llama, processor, inputs, [nothing]), answer(llama, processor, inputs))


def test_logits_that_cannot_be_are_refused(session, inputs):
    wrong = {
        "expert is 9": EditRouterLogits(1, {9: 1.0}),
        "names no expert": EditRouterLogits(1, {}),
        "expected a finite number": EditRouterLogits(1, {3: float("-inf")}),
        "expected biases by expert": EditRouterLogits(1, 3.0),
        "gave logits that are not finite": EditRouterLogits(1, lambda logits, layer: logits / 0),
        r"gave \(\d+, 7\) at blocks.1": EditRouterLogits(1, lambda logits, layer: logits[:, :7]),
    }
    for sentence, edit in wrong.items():
        with pytest.raises(EditError, match=sentence):
            answer(session.llama, session.processor, inputs, [edit], tokens=1)


# replay


def test_replaying_a_runs_own_routing_changes_no_bit(session, inputs, trace):
    llama, processor = session.llama, session.processor
    plain = answer(llama, processor, inputs)
    assert plain.tokens == trace.token_ids[trace.generated_index].tolist()
    assert same(answer(llama, processor, inputs, [ReplayRouting(trace)]), plain)
    near = answer(llama, processor, inputs, [ReplayRouting(trace, weights=True)])
    assert near.tokens == plain.tokens
    torch.testing.assert_close(near.logits, plain.logits, atol=0.02, rtol=0)
    assert not torch.equal(near.logits, plain.logits), "gates of a trace are rounded"


def test_replaying_the_gates_of_a_bfloat16_run_changes_no_bit(maverick):
    session = wb.load(maverick, dtype=torch.bfloat16)
    inputs = session.processor("What is seen here?")
    trace = session.chat("What is seen here?", max_tokens=6).trace
    points = [session.llama.hook_points[f"blocks.{n}.moe.hook_expert_weights"] for n in trace.moe_layers]
    with recorded(points) as kept, torch.no_grad():
        session.llama(inputs.token_ids[None])
    applied = torch.stack([kept[point.name].amax(1) for point in points], 1)  # one expert a token
    prompt = torch.from_numpy(trace.routed_weights[: len(inputs.token_ids), :, 0])
    assert torch.equal(prompt.bfloat16(), applied)
    replay = ReplayRouting(trace, weights=True)
    plain = answer(session.llama, session.processor, inputs)
    assert same(answer(session.llama, session.processor, inputs, [replay]), plain)


def test_every_token_gets_the_experts_it_had_in_the_trace(session, inputs, trace):
    experts = (trace.routed_experts + 1) % 8
    other = replace(trace, routed_experts=experts.astype(np.int16))
    for column, layer in enumerate(trace.moe_layers):
        ids = chosen(session.llama, inputs, layer, [ReplayRouting(other, after="free")])
        assert np.array_equal(ids.numpy(), experts[: len(inputs.token_ids), column])


def test_replaying_a_forced_run_is_forcing(session, inputs, trace):
    llama, processor = session.llama, session.processor
    forced = answer(llama, processor, inputs, [ForceExpert(3, 2)])
    experts = trace.routed_experts.copy()
    experts[:, trace.moe_layers.tolist().index(3)] = 2
    other = replace(trace, routed_experts=experts)
    again = answer(llama, processor, inputs, [ReplayRouting(other, layers=3, after="free")])
    assert torch.equal(again.logits[0], forced.logits[0])


def test_a_trace_of_something_else_is_refused(session, inputs, trace):
    llama = session.llama
    with pytest.raises(EditError, match=r"another prompt: token 3 is not the same"):
        ids = trace.token_ids.copy()
        ids[3] += 1
        ReplayRouting(replace(trace, token_ids=ids)).applied(llama, inputs)
    with pytest.raises(EditError, match="another prompt"):
        ReplayRouting(session.chat("Hi", max_tokens=1).trace).applied(llama, inputs)
    with pytest.raises(EditError, match="no experts for token 2 of the prompt"):
        experts = trace.routed_experts.copy()
        experts[2] = -1
        ReplayRouting(replace(trace, routed_experts=experts)).applied(llama, inputs)
    with pytest.raises(EditError, match=r"layers, experts and experts per token \(\[1, 3, 5, 7\], 9, 1\)"):
        ReplayRouting(replace(trace, num_experts=9, router_logits=None)).applied(llama, inputs)
    with pytest.raises(EditError, match="after is 'stop'"):
        ReplayRouting(trace, after="stop").applied(llama, inputs)


def test_an_answer_that_leaves_the_trace_raises_or_goes_on_freely(session, inputs, trace):
    llama, processor = session.llama, session.processor
    with pytest.raises(EditError, match=f"token {len(trace)} is not in the trace"):
        answer(llama, processor, inputs, [ReplayRouting(trace)], tokens=8)
    free = answer(llama, processor, inputs, [ReplayRouting(trace, after="free")], tokens=8)
    assert same(free, answer(llama, processor, inputs, tokens=8))
    ids = trace.token_ids.copy()
    ids[trace.generated_index[1]] ^= 1
    parted = replace(trace, token_ids=ids)
    with pytest.raises(EditError, match=f"token {trace.generated_index[1]} is not in the trace"):
        answer(llama, processor, inputs, [ReplayRouting(parted)])


def test_a_replay_says_what_it_replays(trace):
    told = ReplayRouting(trace, layers=[1, 3]).to_json()
    assert told["edit"] == "ReplayRouting" and told["layers"] == [1, 3]
    experts = trace.routed_experts.copy()
    experts[0, 0, 0] ^= 1
    assert told["trace"] != ReplayRouting(replace(trace, routed_experts=experts)).to_json()["trace"]
    assert "Trace(" in repr(ReplayRouting(trace))
