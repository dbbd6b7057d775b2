"""Capture: what a trace says happened is what happened, and looking changed nothing."""

import numpy as np
import pytest
import torch
from PIL import Image

import workbench as wb
from model import SamplingParams, generate, recorded, replaced
from model.attention import Attention
from tests.speech import saying, spoken
from tests.tiny import load_reference, write_checkpoint
from workbench.capture import LARGEST_SIDE
from workbench.estimate import attention_layers
from workbench.trace import GENERATED, NOT_CAPTURED

NOTHING = wb.CaptureOptions(routing=False, attention=False)
ROUTING = wb.CaptureOptions(attention=False)
NEW = 14


@pytest.fixture(scope="module")
def session(checkpoint):
    return wb.load(checkpoint)


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (h, w, 3), np.uint8)) for h, w in ((30, 70), (28, 20))]


@pytest.fixture(scope="module")
def trace(session) -> wb.Trace:
    """Two pictures, and an answer that crosses a border of a chunk."""
    with saying(session.llama, spoken("a longer answer", "<|eot|>")):
        return session.chat("What is seen?", images=pictures()).trace


@pytest.fixture(scope="module")
def inputs(session):
    return session.processor(
        [{"role": "user", "content": [*shown(), {"type": "text", "text": "What is seen?"}]}]
    )


def shown() -> list[dict]:
    return [{"type": "image", "image": image} for image in pictures()]


# capturing changes nothing


@pytest.mark.parametrize("images", [False, True], ids=["text", "pictures"])
@pytest.mark.parametrize(
    "settings", [{}, {"temperature": 1.0, "seed": 3, "top_p": 0.9}], ids=["greedy", "sampled"]
)
def test_capturing_changes_no_generated_token(session, settings, images):
    content = [*(shown() if images else []), {"type": "text", "text": "And what happens then?"}]
    messages = [{"role": "user", "content": content}]
    params = SamplingParams(max_tokens=40, **settings)
    plain = list(generate(session.llama, session.processor, session.processor(messages), params))
    for options in (NOTHING, ROUTING, wb.CaptureOptions(routing=False), wb.CaptureOptions()):
        trace = session.chat(messages, sampling=params, capture=options).trace
        assert trace.token_ids[trace.generated_index].tolist() == [step.token_id for step in plain]
        assert trace.logprobs.tolist() == pytest.approx([step.logprob for step in plain], abs=0)


# routing


def test_experts_and_gates_follow_from_the_routers_own_logits(trace):
    logits = torch.from_numpy(trace.router_logits).float()
    best = logits.topk(trace.routed_experts.shape[-1], dim=-1)
    assert np.array_equal(trace.routed_experts, best.indices.numpy())
    np.testing.assert_allclose(trace.routed_weights, torch.sigmoid(best.values).numpy(), rtol=2e-3)


def test_experts_are_those_that_transformers_chooses_for_every_token(checkpoint, trace, inputs):
    theirs = load_reference(checkpoint)
    routers = theirs(
        input_ids=torch.from_numpy(trace.token_ids)[None].long(),
        pixel_values=inputs.pixel_values.float(),
        output_router_logits=True,
    ).router_logits
    assert len(routers) == len(trace.moe_layers)
    for column, logits in enumerate(routers):
        chosen = logits.flatten(0, -2).topk(1, dim=-1).indices
        assert np.array_equal(trace.routed_experts[:, column], chosen.numpy())
        np.testing.assert_allclose(trace.router_logits[:, column], logits.flatten(0, -2), atol=5e-3)


def test_layers_are_named_by_their_true_numbers(session, trace):
    assert trace.moe_layers.tolist() == list(session.llama.config.text.moe_layers)
    assert trace.attention_layers.tolist() == list(range(8))
    assert trace.num_experts == 8


def test_a_finished_answer_has_the_routing_of_every_token_the_last_one_too(trace):
    assert (trace.routed_experts != NOT_CAPTURED).all()
    assert not np.isnan(trace.routed_weights).any() and not np.isnan(trace.router_logits).any()


def test_two_experts_per_token_are_both_there_best_first(tmp_path):
    session = wb.load(write_checkpoint("maverick", tmp_path, num_experts_per_tok=2))
    trace = session.chat("Hi", max_tokens=5).trace
    assert trace.routed_experts.shape == (len(trace), 4, 2)
    assert (trace.routed_weights[..., 0] >= trace.routed_weights[..., 1]).all()
    assert (trace.routed_experts[..., 0] != trace.routed_experts[..., 1]).all()


def test_what_was_not_asked_for_is_absent_and_not_zero(session):
    trace = session.chat("Hi", max_tokens=4, capture=NOTHING).trace
    assert trace.routed_experts.shape == (len(trace), 0, 1)
    assert trace.router_logits is None and trace.attention is None
    assert len(trace.moe_layers) == len(trace.attention_layers) == len(trace.query_index) == 0
    only_routing = session.chat("Hi", max_tokens=4, capture=ROUTING).trace
    assert only_routing.attention is None and (only_routing.routed_experts >= 0).all()


def test_while_an_answer_grows_only_its_last_token_has_no_routing_yet(session):
    for token in session.stream("Hi", max_tokens=6):
        if token.index == 3:
            break
    trace = token.run.trace(4)
    assert (trace.routed_experts[:-1] >= 0).all()
    # the next pass may or may not have routed it already
    assert ((trace.routed_experts[-1] == NOT_CAPTURED) == np.isnan(trace.routed_weights[-1])).all()
    early = token.run.trace(0)
    assert (early.routed_experts >= 0).all(), "the prompt's pass has routed the whole prompt"


# attention


def test_attention_rows_are_those_of_the_full_pattern(session, trace, inputs):
    points = [
        session.llama.hook_point(f"blocks.{layer}.attn.hook_pattern") for layer in trace.attention_layers
    ]
    with recorded(points) as kept:
        session.llama(torch.from_numpy(trace.token_ids)[None].long(), pixel_values=inputs.pixel_values)
    for column, point in enumerate(points):
        full = kept[point.name][0]  # [heads, tokens, tokens]
        for row, query in enumerate(trace.query_index):
            np.testing.assert_allclose(trace.attention[row, column], full[:, query], atol=1e-3)


def test_attention_rows_sum_to_one_and_see_nothing_later(trace):
    np.testing.assert_allclose(trace.attention.sum(-1, dtype=np.float32), 1, atol=5e-3)
    for row, query in enumerate(trace.query_index):
        assert not trace.attention[row, :, :, query + 1 :].any()
    assert np.array_equal(trace.query_index + 1, trace.generated_index)


def test_a_growing_trace_can_be_asked_for_with_its_newest_attention_alone(session):
    with saying(session.llama, spoken("a longer answer", "<|eot|>")):
        run = session.start([{"role": "user", "content": [*shown(), {"type": "text", "text": "Seen?"}]}])
        run.wait()
    for generated in range(4):
        whole, last = run.trace(generated), run.trace(generated, newest=1)
        kept = slice(max(0, generated - 1), None)
        assert last.query_index.tolist() == whole.query_index[kept].tolist()
        np.testing.assert_array_equal(last.attention, whole.attention[kept])
        assert last.tokens == whole.tokens and len(last.query_index) == min(generated, 1)
        np.testing.assert_array_equal(last.routed_experts, whole.routed_experts)


def test_rows_that_could_not_be_made_are_made_for_the_next_trace(session, monkeypatch):
    def fails(*_) -> None:
        raise MemoryError

    with saying(session.llama, spoken("four")):
        run = session.start("Hi", SamplingParams(max_tokens=4))
        assert len(list(run)) == 4
    with monkeypatch.context() as patch:
        patch.setattr(Attention, "pattern_of", fails)
        with pytest.raises(MemoryError):
            run.trace()
    trace = run.trace()
    assert len(trace.query_index) == 4 and trace.check()


def test_the_budget_chooses_the_layers(session):
    text, layer = session.llama.config.text, 1000
    assert attention_layers(text, layer, 8 * layer) == list(range(8))
    assert attention_layers(text, layer, 8 * layer - 1) == [3, 7], "those that see everything"
    assert attention_layers(text, layer, 2 * layer) == [3, 7]
    assert attention_layers(text, layer, 2 * layer - 1) == [7], "the last of them"
    assert attention_layers(text, layer, layer - 1) == []


def test_a_trace_holds_the_layers_that_fit_and_says_which(session):
    prompt = len(session.processor("Hi").token_ids)
    layer = NEW * 8 * (prompt + NEW) * 2
    options = wb.CaptureOptions(attention_budget=2 * layer)
    trace = session.chat("Hi", max_tokens=NEW, capture=options).trace
    assert trace.attention_layers.tolist() == [3, 7]
    assert trace.attention.shape[1] == 2
    assert trace.meta["default_attention_layer"] == 7
    nothing = session.chat("Hi", max_tokens=NEW, capture=wb.CaptureOptions(attention_budget=0)).trace
    assert nothing.attention is None and len(nothing.attention_layers) == 0
    assert nothing.meta["default_attention_layer"] is None


def test_a_limit_beyond_the_context_does_not_cost_the_attention(session):
    context = session.llama.config.text.max_position_embeddings
    options = wb.CaptureOptions(attention_budget=context * context * 8 * 2)
    with saying(session.llama, spoken("no", "<|eot|>")):
        trace = session.chat("Hi", max_tokens=10**12, capture=options).trace
    assert 7 in trace.attention_layers


# the rest of a trace


def test_tokens_and_spans_are_those_of_the_prompt_and_then_the_answers(trace, inputs):
    prompt = len(inputs.token_ids)
    assert trace.token_ids[:prompt].tolist() == inputs.token_ids.tolist()
    for name in (
        "turn",
        "role",
        "modality",
        "image_index",
        "tile_index",
        "patch_row",
        "is_thumbnail",
        "patch_box",
    ):
        np.testing.assert_array_equal(getattr(trace, name)[:prompt], getattr(inputs.spans, name))
    answer = trace.phase == GENERATED
    assert answer.sum() == len(trace) - prompt == len(spoken("a longer answer")) + 1
    assert set(trace.role[answer]) == {2} and set(trace.turn[answer]) == {trace.turn[prompt - 1]}
    assert (trace.image_index[answer] == -1).all() and np.isnan(trace.patch_box[answer]).all()
    assert trace.tokens[-1] == "<|eot|>" and "".join(trace.tokens[prompt:-1]) == "a longer answer"
    assert trace.text == "a longer answer" and trace.meta["finish_reason"] == "stop"


def test_probabilities_are_the_steps_own(trace):
    assert trace.topk_ids.shape == trace.topk_logprobs.shape == (len(trace.generated_index), 5)
    chosen = trace.token_ids[trace.generated_index]
    assert np.array_equal(trace.topk_ids[:, 0], chosen), "greedy"
    assert np.array_equal(trace.topk_logprobs[:, 0], trace.logprobs)


def test_a_large_picture_is_kept_smaller_and_its_true_size_noted(session):
    image = Image.new("RGB", (3 * LARGEST_SIDE, 300), "red")
    trace = session.chat("?", images=[image], max_tokens=1).trace
    assert trace.image_sizes.tolist() == [[3 * LARGEST_SIDE, 300]]
    assert trace.images[0].size == (LARGEST_SIDE, 100)
    assert image.size == (3 * LARGEST_SIDE, 300), "the caller's own is left alone"
    assert np.nanmax(trace.patch_box[:, 2]) == 3 * LARGEST_SIDE, "boxes are in pixels of the original"


def test_every_array_says_where_it_is_from(trace, checkpoint):
    assert trace.provenance["routed_experts"].startswith(f"REAL (torch {torch.__version__}, cpu, float32")
    assert trace.provenance["attention"].startswith("RECOMPUTED")
    assert trace.provenance["routed_weights"].startswith("DERIVED")
    assert trace.meta["model"] == checkpoint.name
    assert trace.meta["sampling"]["temperature"] == 0
    assert trace.meta["first_token_seconds"] > 0 and trace.meta["tokens_per_second"] > 0


def test_attention_of_an_edited_pattern_is_said_to_be_what_flowed(session):
    kept = "in layers 3 the edited pattern, as applied"
    with replaced(session.llama.hook_point("blocks.3.attn.hook_pattern"), lambda pattern: pattern / 2):
        several = session.trace("Hi", max_tokens=2)
        alone = session.trace("Hi", max_tokens=2, capture=wb.CaptureOptions(attention_layers=[3]))
    assert several.provenance["attention"].startswith("RECOMPUTED (softmax of the pass's own")
    assert several.provenance["attention"].endswith(f"; REAL {kept})")
    assert alone.provenance["attention"].startswith("REAL (") and kept in alone.provenance["attention"]
    assert "edited" not in session.trace("Hi", max_tokens=2).provenance["attention"]


def test_edits_are_named_in_the_trace_and_show_in_its_routing(session):
    point = session.llama.hook_point("blocks.1.moe.hook_expert_indices")
    with replaced(point, lambda chosen: torch.full_like(chosen, 4)):
        trace = session.chat("Hi", max_tokens=3).trace
    assert trace.edits == [{"hook_point": "blocks.1.moe.hook_expert_indices"}]
    column = trace.moe_layers.tolist().index(1)
    assert (trace.routed_experts[:, column] == 4).all()
    own = torch.sigmoid(torch.from_numpy(trace.router_logits[:, column, 4]).float())
    np.testing.assert_allclose(trace.routed_weights[:, column, 0], own, rtol=2e-3)
    assert session.chat("Hi", max_tokens=3).trace.edits == []
