"""Edits given to an answer: held while it is made, told in its trace, and never applied in silence."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

import workbench as wb
from model import SamplingParams, replaced
from model.hooks import silence
from tests.speech import paced
from tests.tiny import write_checkpoint
from tests.workbench.integrity.faults import changed
from workbench.edits import Edit
from workbench.trace import NOT_CAPTURED, replace

WEIGHTS = "blocks.1.moe.hook_expert_weights"


@dataclass
class At:
    """An edit made of a function; notes that it came and went."""

    name: str
    function: Callable[[Tensor], Tensor]
    log: list[str] = field(default_factory=list)

    @contextmanager
    def applied(self, llama, inputs) -> Iterator[None]:
        self.log.append(f"on, {len(inputs.token_ids)} tokens")
        with replaced(llama.hook_point(self.name), self.function):
            yield
        self.log.append("off")

    def to_json(self) -> dict:
        return {"edit": "at", "where": self.name}


@pytest.fixture(scope="module")
def session(maverick):
    return wb.load(maverick, dtype=torch.float32)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two experts per token."""
    return wb.load(write_checkpoint("maverick", tmp_path_factory.mktemp("two"), num_experts_per_tok=2))


def unwatched(session: wb.Session) -> bool:
    return not any(point.watched for point in session.llama.hook_points.values())


# given edits


def test_an_edit_holds_for_one_answer_and_is_told_in_its_trace(session):
    plain = session.trace("Hi", max_tokens=6)
    edit = At("blocks.1.moe.hook_expert_indices", lambda chosen: torch.full_like(chosen, 4))
    assert isinstance(edit, Edit)
    trace = session.trace("Hi", edits=[edit], max_tokens=6)
    assert (trace.routed_experts[:, 0] == 4).all() and trace.moe_layers[0] == 1
    assert trace.edits == [{"edit": "at", "where": "blocks.1.moe.hook_expert_indices"}]
    assert trace.meta["edited_hook_points"] == ["blocks.1.moe.hook_expert_indices"]
    assert edit.log == [f"on, {len(session.processor('Hi').token_ids)} tokens", "off"]
    assert unwatched(session) and trace.check()
    again = session.trace("Hi", max_tokens=6)
    assert again.edits == [] and np.array_equal(again.routed_experts, plain.routed_experts)


def test_chat_stream_and_start_take_edits_as_well(session):
    def edits() -> list[At]:
        return [At("blocks.1.moe.hook_expert_indices", lambda chosen: torch.full_like(chosen, 4))]

    *_, last = session.stream("Hi", max_tokens=3, edits=edits())
    traces = [session.chat("Hi", max_tokens=3, edits=edits()).trace, last.run.trace()]
    traces.append(session.start("Hi", SamplingParams(max_tokens=3), edits=edits()).wait().trace)
    for trace in traces:
        assert trace.edits and (trace.routed_experts[:, 0] == 4).all()


def test_given_edits_are_told_once_and_those_of_others_beside_them(session):
    mine = At("blocks.3.moe.hook_router_logits", lambda logits: logits.flip(-1))
    with replaced(session.llama.hook_point("blocks.0.hook_resid_post"), lambda x: x * 1):
        trace = session.trace("Hi", edits=[mine], max_tokens=2)
    assert trace.edits == [mine.to_json(), {"hook_point": "blocks.0.hook_resid_post"}]
    points = ["blocks.0.hook_resid_post", "blocks.3.moe.hook_router_logits"]
    assert trace.meta["edited_hook_points"] == points


def test_a_point_that_others_edit_as_well_is_told_for_both(session):
    mine = At("blocks.0.hook_resid_post", lambda x: x * 1)
    with replaced(session.llama.hook_point("blocks.0.hook_resid_post"), lambda x: x * 1):
        trace = session.trace("Hi", edits=[mine], max_tokens=1)
    assert trace.edits == [mine.to_json(), {"hook_point": "blocks.0.hook_resid_post"}]


def test_an_edit_that_changes_nothing_leaves_every_bit(session):
    settings = {"max_tokens": 8, "temperature": 1.0, "seed": 4}
    plain = session.trace("Hi", **settings)
    same = session.trace("Hi", edits=[At("blocks.2.hook_resid_mid", lambda x: x)], **settings)
    for name in ("token_ids", "routed_experts", "router_logits", "attention", "logprobs"):
        assert np.array_equal(getattr(plain, name), getattr(same, name)), name


class FailsToEnter(At):
    @contextmanager
    def applied(self, llama, inputs) -> Iterator[None]:
        raise wb.EditError("this prompt has no picture")
        yield


class FailsToLeave(At):
    @contextmanager
    def applied(self, llama, inputs) -> Iterator[None]:
        yield
        raise wb.EditError("nothing was changed")


def fails(_: Tensor) -> Tensor:
    raise wb.EditError("in the pass")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (FailsToEnter("hook_embed", silence), "no picture"),
        (FailsToLeave("hook_embed", silence), "nothing was changed"),
        (At("hook_embed", fails), "in the pass"),
        (At("hook_embed", lambda x: x[:, :0]), "hook_embed carries"),
        (At("hook_nowhere", silence), "no hook point 'hook_nowhere'"),
    ],
    ids=["entering", "leaving", "in the pass", "another shape", "no such place"],
)
def test_an_edit_that_fails_reaches_the_caller_and_leaves_the_session_usable(session, edit, said):
    held = At("blocks.0.hook_resid_post", lambda x: x)
    for ask in (session.chat, session.trace):
        with pytest.raises((wb.EditError, ValueError, KeyError), match=said):
            ask("Hi", max_tokens=2, edits=[held, edit])
    assert unwatched(session)
    assert session.trace("Hi", max_tokens=2).edits == []


def test_what_is_no_edit_is_refused_at_once(session):
    for nonsense in ("force", 3, At):
        with pytest.raises(TypeError, match="expected something with the methods applied and to_json"):
            session.trace("Hi", edits=[nonsense], max_tokens=1)
    saying_more = At("hook_embed", lambda x: x)
    saying_more.to_json = lambda: {"values": torch.zeros(2)}
    with pytest.raises(TypeError, match="not JSON serializable"):
        session.trace("Hi", edits=[saying_more], max_tokens=1)


def test_a_run_cancelled_before_its_turn_enters_no_edit(session):
    from tests.speech import paced

    edit = At("hook_embed", lambda x: x)
    with paced(session.llama) as permits:
        first = session.start("First", SamplingParams(max_tokens=1))
        waiting = session.start("Second", edits=[edit])
        waiting.cancel()
        permits.release(2)
        assert waiting.wait().finish_reason == "cancelled" and first.wait()
    assert edit.log == [] and waiting.trace().edits == []


# edited weights


def weights_of(session: wb.Session, function: Callable[[Tensor], Tensor], **more: object) -> wb.Trace:
    return session.trace("Hi there", edits=[At(WEIGHTS, function)], max_tokens=5, **more)


def test_edited_weights_are_traced_as_they_were_applied(session):
    def third_at_two(weights: Tensor) -> Tensor:
        return torch.zeros_like(weights).index_fill(1, torch.tensor([3]), 2.0)

    trace = weights_of(session, third_at_two)
    assert (trace.routed_experts[:, 0] == 3).all() and (trace.routed_weights[:, 0] == 2).all()
    best = trace.router_logits.astype(np.float32).argmax(-1)
    assert (best[:, 0] != 3).any(), "the logits are the router's own"
    assert np.array_equal(trace.routed_experts[:, 1:, 0], best[:, 1:]), "the other layers go on as they do"
    assert "in layers 1 the edited weights, as applied" in trace.provenance["routed_weights"]
    report = trace.check()
    assert report, report
    assert f"{WEIGHTS} was edited" in report.unverified["routed_experts"]


def test_a_silenced_layer_has_no_expert_and_no_weight(session):
    trace = weights_of(session, torch.zeros_like)
    assert (trace.routed_experts[:, 0] == NOT_CAPTURED).all() and np.isnan(trace.routed_weights[:, 0]).all()
    assert (trace.routed_experts[:, 1:] >= 0).all() and not np.isnan(trace.router_logits).any()
    assert (report := trace.check()), report


def test_more_experts_than_the_model_would_ask_widen_the_ranks(session):
    def three(weights: Tensor) -> Tensor:
        new = weights.clone()
        new[:, 5], new[:, 6] = 0.25, -0.5
        return new

    trace = weights_of(session, three)
    plain = session.trace("Hi there", max_tokens=1)
    assert trace.routed_experts.shape[-1] == 3 and plain.routed_experts.shape[-1] == 1
    assert (trace.routed_experts[:, 1:, 1:] == NOT_CAPTURED).all(), "other layers keep theirs"
    assert np.isnan(trace.routed_weights[:, 1:, 1:]).all()
    for ids, weights in zip(trace.routed_experts[:, 0], trace.routed_weights[:, 0], strict=True):
        there = ids != NOT_CAPTURED
        assert {5, 6} <= set(ids[there].tolist())
        assert (np.diff(weights[there]) <= 0).all(), "the largest first"
        assert np.isnan(weights[~there]).all()
    first = plain.routed_experts[0, 0, 0]
    own = torch.sigmoid(torch.tensor(float(plain.router_logits[0, 0, first])))
    if first not in (5, 6):
        applied = dict(zip(trace.routed_experts[0, 0], trace.routed_weights[0, 0], strict=True))
        assert applied[first] == pytest.approx(float(own), abs=2e-3)
    assert (report := trace.check()), report


def test_the_recorded_weights_are_those_that_ran(session):
    """The layer's output is recomputed from the trace alone."""
    from model.hooks import recorded

    rng = np.random.default_rng(0)
    drawn = torch.from_numpy(rng.random((64, 8)).astype(np.float32)) * (torch.rand(64, 8) < 0.3)
    name, kept = "blocks.1.moe.hook_routed_out", {}
    with recorded([session.llama.hook_point(name)]) as values:
        inputs = session.processor("Hi")
        trace = session.run_with_hooks(
            inputs, [(WEIGHTS, lambda weights, hook: drawn[: len(weights)])], return_trace=True
        )[1]
        kept = values[name]
    moe = session.llama.blocks[1].moe
    with recorded([session.llama.hook_point("blocks.1.hook_resid_mid")]) as values:
        session.run_with_cache(inputs, "hook_embed")
        x = session.llama.blocks[1].post_attention_layernorm(values["blocks.1.hook_resid_mid"], False)[0]
    for token in range(len(trace)):
        total = torch.zeros_like(x[0])
        for expert, weight in zip(
            trace.routed_experts[token, 0], trace.routed_weights[token, 0], strict=True
        ):
            if expert == NOT_CAPTURED:
                continue
            gate, up = (moe.gate_up_proj[expert] @ (x[token] * float(weight))).chunk(2)
            total += moe.down_proj[expert] @ (torch.nn.functional.silu(gate) * up)
        torch.testing.assert_close(total, kept[token], atol=2e-2, rtol=2e-2)


def test_a_weight_edit_that_changes_nothing_leaves_the_trace_as_it_was(two):
    plain = two.trace("Hi there", max_tokens=5)
    same = weights_of(two, lambda weights: weights)
    assert np.array_equal(plain.routed_experts, same.routed_experts)
    np.testing.assert_allclose(plain.routed_weights, same.routed_weights, rtol=2e-3)
    assert (report := same.check()), report


FAULTS = {
    "twice": ("routed_experts", lambda ids: ids.__setitem__((..., 1), ids[..., 0])),
    "a gap": ("routed_experts", lambda ids: ids.__setitem__((2, 0, 0), NOT_CAPTURED)),
    "a lost weight": ("routed_weights", lambda gates: gates.__setitem__((2, 0, 0), np.nan)),
    "the wrong order": ("routed_weights", lambda gates: gates[..., ::-1].copy()),
    "another layer's expert": ("routed_experts", lambda ids: ids.__setitem__((2, 1), ids[2, 1] ^ 1)),
}


@pytest.mark.parametrize(("array", "change"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_in_a_trace_with_edited_weights_are_seen(two, array, change):
    trace = weights_of(two, lambda weights: weights * 2)
    assert trace.check() and not changed(trace, (array,), change).check()


def test_the_ranks_of_other_layers_cannot_be_lost_behind_an_edit(two):
    trace = weights_of(two, lambda weights: weights * 2)
    lost = replace(trace, routed_experts=trace.routed_experts.copy())
    lost.routed_experts[3, 2, 1] = NOT_CAPTURED
    assert not lost.check()


def test_edited_patterns_are_captured_as_they_flowed_and_raise_no_alarm(session):
    def only_first(pattern: Tensor) -> Tensor:
        return torch.zeros_like(pattern).index_fill(-1, torch.tensor([0]), 0.5)

    edit = At("blocks.3.attn.hook_pattern", only_first)
    trace = session.trace("Hi", edits=[edit], max_tokens=4)
    assert (trace.attention[:, 3, :, 0] == 0.5).all() and not trace.attention[:, 3, :, 1:].any()
    assert (report := trace.check()), report


def test_an_edit_of_a_pattern_that_begins_in_the_middle_of_an_answer_is_refused(session):
    point = session.llama.hook_point("blocks.3.attn.hook_pattern")
    run = None
    with ExitStack() as stack, paced(session.llama) as permits:
        run = session.start("Hi", SamplingParams(max_tokens=4))
        permits.release()
        next(iter(run))
        stack.enter_context(replaced(point, torch.clone))
        permits.release(4)
        with pytest.raises(wb.CaptureError, match=r"blocks\.3\.attn\.hook_pattern began after watching"):
            run.wait()
    assert unwatched(session)
