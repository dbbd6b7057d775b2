"""One pass with a cache or with hooks, as users of TransformerLens know them, and its Trace."""

import threading
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

import workbench as wb
from model import HookPoint, SamplingParams, UnknownHookError
from tests.speech import paced
from workbench.integrity import check

LOGITS = "blocks.1.moe.hook_router_logits"


@pytest.fixture(scope="module")
def session(maverick):
    return wb.load(maverick, dtype=torch.float32)


@pytest.fixture(scope="module")
def inputs(session):
    pixels = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    shown = [{"type": "image", "image": Image.fromarray(pixels)}, {"type": "text", "text": "What?"}]
    return session.processor([{"role": "user", "content": shown}])


def plain(session, inputs) -> torch.Tensor:
    with torch.no_grad():
        return session.llama(inputs.token_ids[None], pixel_values=inputs.pixel_values)


# the cache


def test_a_pass_gives_logits_and_everything_that_flowed(session, inputs):
    logits, cache = session.run_with_cache(inputs)
    assert torch.equal(logits, plain(session, inputs))
    assert list(cache) == list(session.llama.hook_points), "every hook point, in forward order"
    assert torch.equal(cache["unembed.hook_logits"], logits)
    tokens = len(inputs.token_ids)
    assert cache["blocks.0.attn.hook_pattern"].shape == (1, 8, tokens, tokens)
    assert not logits.requires_grad and repr(cache).startswith("ActivationCache(")
    assert not any(point.watched for point in session.llama.hook_points.values())


def test_a_filter_keeps_what_it_names(session):
    for names_filter in (
        LOGITS,
        [LOGITS],
        lambda name: name == LOGITS,
        "blocks.1.mlp.hook_router_scores",
    ):
        _, cache = session.run_with_cache("Hi", names_filter)
        assert list(cache) == [LOGITS]
    _, cache = session.run_with_cache("Hi", lambda name: name.endswith("hook_router_logits"))
    assert len(cache) == 4 and cache.nbytes == sum(value.nbytes for value in cache.values())


def test_without_pictures_the_vision_tower_is_left_out_and_by_name_refused(session):
    _, cache = session.run_with_cache("Hi")
    assert "hook_embed" in cache and "hook_image_embed" not in cache
    with pytest.raises(ValueError, match="hook_image_embed carries nothing in a prompt without pictures"):
        session.run_with_cache("Hi", "hook_image_embed")
    with pytest.raises(ValueError, match="hook_image_embed carries nothing"):
        session.run_with_hooks("Hi", [("hook_image_embed", lambda x, hook: None)])


def test_the_spellings_of_transformer_lens_are_understood(session):
    _, cache = session.run_with_cache("Hi")
    same = {
        "blocks.1.mlp.hook_expert_weights": "blocks.1.moe.hook_expert_weights",
        "blocks.1.mlp.hook_expert_indices": "blocks.1.moe.hook_expert_indices",
        "blocks.1.mlp.router.hook_out": "blocks.1.moe.hook_expert_weights",
        "blocks.1.mlp.hook_router_scores": LOGITS,
        "blocks.1.mlp.shared_expert.hook_out": "blocks.1.moe.shared_expert.hook_out",
        "blocks.0.mlp.hook_out": "blocks.0.mlp.hook_out",
        ("pattern", 3): "blocks.3.attn.hook_pattern",
        ("resid_post", -1): "blocks.7.hook_resid_post",
        ("router_logits", 1): LOGITS,
        "embed": "hook_embed",
    }
    for theirs, ours in same.items():
        assert cache[theirs] is cache[ours] and theirs in cache
    weights, indices = cache["blocks.1.mlp.router.hook_out"], cache["blocks.1.mlp.hook_expert_indices"]
    gates = torch.sigmoid(cache[LOGITS].gather(1, indices))
    assert torch.equal(weights.gather(1, indices), gates) and (weights != 0).sum() == len(weights)


def test_unknown_names_are_refused_with_the_nearest(session):
    for ask in (
        lambda: session.run_with_cache("Hi", "blocks.1.moe.hook_router_logit"),
        lambda: session.run_with_cache("Hi", ["hook_embed", "blocks.1.moe.hook_router_logit"]),
        lambda: session.run_with_hooks("Hi", [("blocks.1.moe.hook_router_logit", lambda x, hook: x)]),
    ):
        with pytest.raises(UnknownHookError, match=r"nearest: blocks\.1\.moe\.hook_router_logits"):
            ask()
    _, cache = session.run_with_cache("Hi", LOGITS)
    with pytest.raises(UnknownHookError, match=r"nearest: blocks\.1\.moe.hook_router_logits"):
        cache["blocks.3.moe.hook_router_logits"]
    with pytest.raises(UnknownHookError, match="no hook point"):
        cache["nothing"]
    with pytest.raises(UnknownHookError, match="no hook point"):
        cache["pattern", 99]
    with pytest.raises(ValueError, match="chooses none of the"):
        session.run_with_cache("Hi", lambda name: False)


def test_a_cache_that_the_budget_cannot_hold_is_refused_with_the_arithmetic(session):
    tokens = len(session.processor("Hi").token_ids)
    _, cache = session.run_with_cache("Hi")
    with pytest.raises(wb.CaptureError, match=f"unembed.hook_logits: 1 x {tokens} x 320 values = "):
        session.run_with_cache("Hi", budget=cache.nbytes - 1)
    assert session.run_with_cache("Hi", budget=cache.nbytes)[1].nbytes == cache.nbytes


def test_the_budget_counts_pictures_to_the_byte(session, inputs):
    _, cache = session.run_with_cache(inputs)
    assert session.run_with_cache(inputs, budget=cache.nbytes)
    with pytest.raises(wb.CaptureError, match="hook points carry"):
        session.run_with_cache(inputs, budget=cache.nbytes - 1)


# what can be run


def test_ids_questions_messages_and_inputs_are_the_same_pass(session):
    inputs = session.processor("Hi")
    expected = plain(session, inputs)
    for given in (
        inputs,
        inputs.token_ids,
        inputs.token_ids[None],
        "Hi",
        [{"role": "user", "content": "Hi"}],
    ):
        assert torch.equal(session.run_with_hooks(given), expected)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.zeros(2, 3, dtype=torch.long), "give several prompts one after the other"),
        (torch.zeros(3), "expected whole numbers"),
        (torch.zeros(0, dtype=torch.long), "token ids are"),
        (torch.tensor([5, 320]), "reach from 5 to 320 of 320"),
        (torch.tensor([-1]), "reach from -1"),
    ],
)
def test_what_is_no_prompt_is_refused(session, given, said):
    with pytest.raises(ValueError, match=said):
        session.run_with_cache(given, LOGITS)


# hooks


def test_a_hook_replaces_what_flows_and_is_told_where_it_is(session, inputs):
    seen = []

    def swap(value: torch.Tensor, hook, by: int) -> torch.Tensor:
        seen.append((hook.name, tuple(value.shape)))
        return value.roll(by, -1)

    edited, trace = session.run_with_hooks(
        inputs, [("blocks.1.mlp.hook_router_scores", partial(swap, by=1))], return_trace=True
    )
    assert seen == [(LOGITS, (len(inputs.token_ids), 8))]
    assert not torch.equal(edited, plain(session, inputs))
    assert trace.edits == [{"hook_point": LOGITS}] and trace.check()
    assert torch.equal(session.run_with_hooks(inputs), plain(session, inputs)), "and is gone"


def test_a_hook_that_gives_nothing_changes_nothing(session, inputs):
    names = []
    same = session.run_with_hooks(
        inputs, [(lambda name: "resid" in name, lambda value, hook: names.append(hook.name))]
    )
    assert torch.equal(same, plain(session, inputs)) and len(names) > 20


def test_forcing_an_expert_is_not_silencing_it(session):
    def force(indices, hook):
        return torch.full_like(indices, 3)

    forced = session.run_with_hooks("Hi", [("blocks.1.mlp.hook_expert_indices", force)])
    silenced = session.run_with_hooks(
        "Hi", [("blocks.1.mlp.hook_expert_weights", lambda weights, hook: torch.zeros_like(weights))]
    )
    assert not torch.equal(forced, silenced)


def test_a_hook_that_fails_or_gives_nonsense_reaches_the_caller(session):
    def fails(value, hook):
        raise RuntimeError(f"in {hook.name}")

    with pytest.raises(RuntimeError, match="in hook_embed"):
        session.run_with_hooks("Hi", [("hook_embed", fails)])
    with pytest.raises(ValueError, match=r"hook_embed carries .* the edit returned"):
        session.run_with_hooks("Hi", [("hook_embed", lambda value, hook: value[..., :3])])
    with pytest.raises(TypeError, match=r"fwd_hooks\[0\] is 'hook_embed'"):
        session.run_with_hooks("Hi", ["hook_embed"])
    assert not any(point.watched for point in session.llama.hook_points.values())


def test_a_hook_that_cannot_be_served_raises(session, monkeypatch):
    silent, ask = session.llama.hook_point("blocks.3.hook_resid_mid"), HookPoint.__call__
    # a kernel that does not ask its hook point
    monkeypatch.setattr(
        HookPoint, "__call__", lambda point, value: value if point is silent else ask(point, value)
    )
    with pytest.raises(wb.CaptureError, match=r"nothing through blocks\.3\.hook_resid_mid"):
        session.run_with_hooks("Hi", [("blocks.3.hook_resid_mid", lambda value, hook: value * 0)])
    with pytest.raises(wb.CaptureError, match=r"nothing through blocks\.3\.hook_resid_mid"):
        session.run_with_cache("Hi", "blocks.3.hook_resid_mid")


# the trace of a pass


def test_the_trace_of_a_pass_is_that_of_an_answer_to_the_same_prompt(session, inputs):
    _, cache = session.run_with_cache(inputs, LOGITS, capture=["routing", "attention:prompt"])
    trace = cache.trace
    assert len(trace) == len(inputs.token_ids) and not len(trace.generated_index)
    assert trace.query_index.tolist() == list(range(len(trace)))
    assert (report := check(trace, session.llama.config.text)), report
    np.testing.assert_allclose(trace.router_logits[:, 0], cache[LOGITS].numpy(), atol=5e-3)
    _, last = session.run_with_cache(inputs, LOGITS, capture="attention:rows")
    assert last.trace.query_index.tolist() == [len(trace) - 1], "the row behind the next word"
    assert np.array_equal(last.trace.attention[0], trace.attention[-1])
    assert last.trace.meta["model"] == session.name


# the order


def test_a_pass_waits_for_the_answer_before_it(session):
    order = []
    with paced(session.llama) as permits:
        run = session.start("First", SamplingParams(max_tokens=3))
        waiting = threading.Thread(
            target=lambda: order.append(("pass", run.done, session.run_with_cache("Hi", "hook_embed")))
        )

        def work() -> None:
            order.append(run.done)

        behind = threading.Thread(target=lambda: session.in_turn(work))
        behind.start()
        permits.release(100)
        run.wait()
        behind.join()
        waiting.start()
        waiting.join()
    assert order[0] is True, "the answer was whole when it was the work's turn"


@pytest.mark.parametrize(
    "ask",
    [lambda s: s.chat("Who are you?"), lambda s: next(s.stream("Who are you?"))],
    ids=["chat", "stream"],
)
def test_an_answer_asked_for_where_it_would_have_to_be_given_is_refused(session, ask):
    with pytest.raises(RuntimeError, match="waited for in the thread that has to give it"):
        session.in_turn(lambda: ask(session))
    assert session.chat("Who are you?", max_tokens=2).text  # and the session goes on


def test_work_in_turn_gives_its_value_or_its_error_and_can_be_nested(session):
    assert session.in_turn(lambda: session.in_turn(lambda: threading.current_thread().name)).startswith("eng")
    with pytest.raises(ZeroDivisionError):
        session.in_turn(lambda: 1 / 0)
    assert session.trace("Hi", max_tokens=1).check()
