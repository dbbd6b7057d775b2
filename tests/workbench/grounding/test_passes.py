"""Passes of one's own: one row is that row of the whole, costs are told first, unchanged tiles reused."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import torch
from PIL import Image

import workbench as wb
from model import recorded, replaced
from tests.workbench.grounding.planted import box, planted, scene, told
from workbench import grounding
from workbench.grounding import Case, GroundingError, Question, Truth
from workbench.grounding.words import find_word


@pytest.fixture(scope="module")
def session(checkpoint):
    """Random weights of either shape, in float32."""
    return wb.load(checkpoint, dtype=torch.float32)


@pytest.fixture(scope="module")
def case(session) -> Case:
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)) for size in ((30, 50), (20, 20))]
    return Case.of(session, told(*pictures, answer="A red thing."))


@contextmanager
def every_pattern(case: Case, follow) -> Iterator[None]:
    """`follow` replaces every layer's pattern while the block runs, so that all of it is formed and used."""
    with ExitStack() as stack:
        for layer in range(8):
            stack.enter_context(replaced(case.llama.hook_point(f"blocks.{layer}.attn.hook_pattern"), follow))
        yield


def eager(case: Case, stop: int) -> list[torch.Tensor]:
    """Every layer's pattern [heads, T, T] of a pass that forms and uses them all."""
    kept = []

    def keep(pattern: torch.Tensor) -> torch.Tensor:
        kept.append(pattern[0])
        return pattern

    with every_pattern(case, keep):
        case.hidden(stop)
    return kept


# attention


def test_the_row_alone_is_the_row_of_full_eager_attention(session, case):
    for word in ("thing", "Which"):
        found = grounding.attention_again(session, case, word)
        whole = torch.stack(eager(case, found.token))[:, :, -1].flatten(0, 1)
        seen = case.patches.token[case.patches.token < found.token]
        # absolute and relative: the two passes sum in other orders, on every CPU in its own
        np.testing.assert_allclose(found.scores[:, : len(seen)], whole[:, seen], rtol=1e-6, atol=1e-6)
        assert found.scores.max() > 0.01


def test_the_trace_has_the_same_rows_in_half_precision(session, case):
    reply = session.chat(told(*case.inputs.images)[:1], max_tokens=4)
    stored = grounding.attention_maps(reply.trace)
    again = grounding.attention_again(session, reply)
    assert stored.token == again.token == int(reply.trace.generated_index[0])
    np.testing.assert_allclose(stored.scores, again.scores, atol=1e-3)
    with pytest.raises(GroundingError, match="only words of the answer have rows"):
        grounding.attention_maps(reply.trace, "Which")


def test_means_are_over_the_layers_and_heads_that_were_named(session, case):
    maps = grounding.attention_again(session, case, "red")
    scores = maps.scores.reshape(8, 8, -1)
    np.testing.assert_allclose(maps.mean().scores, scores.mean((0, 1)))
    np.testing.assert_allclose(maps.mean(3).scores, scores[3].mean(0))
    np.testing.assert_allclose(maps.mean([1, 3], 2).scores, scores[[1, 3], 2].mean(0))
    with pytest.raises(GroundingError, match="layer is 8; there are 0, 1"):
        maps.mean(8)


def test_rollout_is_the_product_of_all_layers(session, case):
    found = grounding.rollout(session, case, "thing")
    product = torch.eye(found.token)
    for pattern in eager(case, found.token):
        product = (pattern.mean(0) + torch.eye(found.token)) / 2 @ product
    np.testing.assert_allclose(found.scores, product[-1, case.patches.token].numpy(), atol=1e-6)


def test_a_sink_is_what_every_word_looks_at(session, case):
    reply = session.chat(told(*case.inputs.images)[:1], max_tokens=5)
    patches = grounding.Patches.of(reply.trace)
    attention = np.full(reply.trace.attention.shape, 0.001, np.float16)
    attention[..., patches.token[3]] = 0.5
    attention[0, ..., patches.token[4]] = 0.9  # one word only: a look
    trace = wb.trace.replace(reply.trace, attention=attention)
    assert grounding.sinks(trace).nonzero()[0].tolist() == [3]
    short = wb.trace.replace(trace, attention=attention[:2], query_index=trace.query_index[:2])
    with pytest.raises(GroundingError, match="of 2 words"):
        grounding.sinks(short)


# relevancy


def test_relevancy_is_the_last_row_of_the_whole_recursion(session, case):
    found = grounding.relevancy(session, case, "thing")
    stop, patterns = found.token, []

    def follow(pattern: torch.Tensor) -> torch.Tensor:
        patterns.append(pattern if pattern.requires_grad else pattern.detach().requires_grad_())
        return patterns[-1]

    with every_pattern(case, follow):
        hidden = case.llama.hidden(case.ids(stop), image_features=case.features)
        logit = case.llama.unembed(hidden)[0, -1, case.inputs.token_ids[stop]]
        gradients = torch.autograd.grad(logit, patterns)
    relevance = torch.eye(stop)
    for pattern, gradient in zip(patterns, gradients, strict=True):
        relevance = relevance + (pattern * gradient).clamp(min=0)[0].mean(0).detach() @ relevance
    expected = relevance[-1, case.patches.token].numpy()
    np.testing.assert_allclose(found.scores, expected, rtol=1e-4, atol=1e-8)
    assert expected.max() > 0


def test_relevancy_tells_its_cost_first_and_it_is_what_the_gradient_keeps(session, case):
    cost = grounding.relevancy_cost(session, case, "thing")
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    weights = {parameter.untyped_storage().data_ptr() for parameter in case.llama.parameters()}
    run, found = session.in_turn, {}

    def watched(work):
        def inside():
            with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
                return work()

        return run(inside)

    session.in_turn = watched
    try:
        grounding.relevancy(session, case, "thing")
    finally:
        del session.in_turn
    found = sum(size for pointer, size in kept.items() if pointer not in weights)
    assert found <= cost.bytes <= 6 * found, f"estimated {cost.bytes}, kept {found}"
    assert cost.passes == 3


@pytest.mark.parametrize("ask", [grounding.relevancy, grounding.rollout])
def test_over_the_budget_nothing_runs(session, case, ask):
    with (
        recorded(session.llama.hook_point("hook_embed")) as kept,
        pytest.raises(GroundingError, match=r"needs [\d.,]+ MiB at once, the budget is 0.0 MiB"),
    ):
        ask(session, case, "thing", budget=1000)
    assert not kept


def test_a_gradient_through_quantized_weights_is_refused(checkpoint):
    quantized = wb.load(checkpoint, quantize="fp8")
    with pytest.raises(GroundingError, match="without quantize="):
        grounding.relevancy(quantized, told(scene((0, 0))), "r")


# occlusion


def test_a_word_of_several_tokens_has_the_sum_of_theirs(session, case):
    word = case.word("red")
    assert word.stop - word.start == 3
    with torch.no_grad():
        logits = case.llama(case.ids(word.stop), image_features=case.features)[0].float()
    logprobs = torch.log_softmax(logits, -1)
    expected = sum(float(logprobs[at - 1, case.inputs.token_ids[at]]) for at in range(word.start, word.stop))
    assert case.logprobs(word, [case.features])[0] == pytest.approx(expected, abs=1e-4)


def test_the_batch_changes_nothing(session, case):
    one = grounding.occlusion(session, case, "red", cells=(2, 2), batch=1)
    many = grounding.occlusion(session, case, "red", cells=(2, 2), batch=7)
    np.testing.assert_allclose(one.map.scores, many.map.scores, atol=1e-4)
    assert one.cost.passes == many.cost.passes == 9 and one.map.signed


def test_a_hole_is_seen_as_a_picture_with_that_hole_is(session, case):
    found = grounding.occlusion(session, case, "red", cells=(2, 2))
    picture = grounding.filled(case.inputs.images[0], [found.map.patches.box[2]])
    other = Case.of(session, told(picture, case.inputs.images[1], answer="A red thing."))
    expected = other.logprobs(other.word("red"), [other.features])[0]
    assert found.logprob - found.map.scores[2] == pytest.approx(expected, abs=1e-4)


def test_tiles_that_a_hole_leaves_alone_are_not_seen_again():
    session = planted()
    picture = scene((0, 0), (8, 8))
    found = grounding.hide(session, told(picture), {0: [box((0, 0))]}, "r", controls=1)
    assert found.cost.tiles == 5 + 2, "all of it once; then its tile and the thumbnail; the control is black"
    assert found.cost.passes == 3


def test_a_word_of_the_prompt_before_the_second_picture_can_be_asked_about(session):
    pictures = [scene((0, 0)), scene((1, 1))]
    parts = [{"type": "image", "image": pictures[0]}, {"type": "text", "text": "first"}]
    parts.append({"type": "image", "image": pictures[1]})
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": "r"}]
    found = grounding.occlusion(session, messages, "first", cells=(2, 2))
    first, second = np.abs(found.map.scores).reshape(2, 4).max(1)
    assert first > 1e-4 > 1e-5 > second, "it stands before the second"
    assert not grounding.relevancy(session, messages, "first").of_images()[1]


def test_passes_wait_for_the_answer_that_is_being_written():
    session, seen = planted(), []
    run, lock = session.in_turn, threading.get_ident()

    def noted(work):
        def inside():
            seen.append(threading.get_ident())
            return work()

        return run(inside)

    session.in_turn = noted
    try:
        grounding.occlusion(session, told(scene((0, 0))), "r", cells=(1, 1))
        grounding.lens(session, told(scene((0, 0))), "r")
    finally:
        del session.in_turn
    assert seen and lock not in seen


# fills


def test_a_background_is_that_around_the_box():
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20], pixels[:, 20:] = (200, 10, 10), (10, 10, 200)
    pixels[5:10, 5:10], pixels[5:10, 25:30] = 255, 255
    image = Image.fromarray(pixels)
    out = np.asarray(grounding.filled(image, [(5, 5, 10, 10), (25, 5, 30, 10)]))
    assert (out[:, :20] == (200, 10, 10)).all() and (out[:, 20:] == (10, 10, 200)).all()
    assert (np.asarray(image) == pixels).all(), "the picture itself stays"


@pytest.mark.parametrize("fill", grounding.FILLS)
def test_a_fill_stays_inside_its_box_even_where_that_is_less_than_a_pixel(fill):
    pixels = np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8)
    out = np.asarray(grounding.filled(Image.fromarray(pixels), [(3.1, 4.1, 3.2, 4.2)], fill))
    changed = (out != pixels).any(-1)
    assert changed.sum() == 1 and changed[4, 3]
    everything = np.asarray(grounding.filled(Image.fromarray(pixels), [(0, 0, 9, 9)], fill))
    assert everything.shape == pixels.shape and everything.std() < pixels.std()


# edits


def test_an_answer_given_under_edits_is_not_asked_of_the_model_without_them(session, case):
    asked = told(*case.inputs.images)[:1]
    point = session.llama.hook_point("blocks.2.hook_resid_post")
    with replaced(point, lambda x: -x):
        reply = session.chat(asked, max_tokens=2)
        assert Case.of(session, asked).inputs.images, "held around both, the same model answers and is asked"
    said = r"under edits \(\['blocks.2.hook_resid_post'\]\).* ask again without edits, or give messages"
    for ask in (Case.of, grounding.attention_again, grounding.occlusion):
        with pytest.raises(GroundingError, match=said):
            ask(session, reply)
    assert Case.of(session, reply.messages).inputs.images


# words


def test_words_are_found_in_the_answer_first_and_as_words():
    tokens = ["<|b|>", "is", " red", "?", "hund", "red", " ", "red", "."]
    assert find_word(tokens, 4, "red").start == 7
    assert find_word(tokens, 4, "hundred").stop == 6
    assert find_word(tokens, 4, "is").start == 1
    assert find_word(tokens, 4, None).start == 4 and find_word(tokens, 4, 2).text == " red"


def test_a_character_cut_into_tokens_is_found():
    tokens = ["a", "<0xE0>", "<0xB8>", "<0x81>", "b"]
    found = find_word(tokens, 1, "ก")
    assert (found.start, found.stop) == (1, 4)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda s, c: c.word("blue"), "'blue' is not in the conversation; the answer is 'A red thing.*'"),
        (lambda s, c: c.word(0), "token 0 is predicted by no row"),
        (lambda s, c: c.word(9999), "expected 1 to"),
        (lambda s, c: c.word(int(c.patches.token[0])), "is a patch of a picture"),
        (lambda s, c: Case.of(s, [*told()[:1], {"role": "assistant", "content": "r"}]), "has no pictures"),
        (lambda s, c: grounding.occlusion(s, c, "red", "words"), "where is 'words'"),
        (lambda s, c: grounding.occlusion(s, c, "red", fill="grey"), "fill is 'grey'"),
        (lambda s, c: grounding.occlusion(s, c, "red", batch=0), "batch is 0"),
        (lambda s, c: grounding.hide(s, c, {0: [(0, 0, 50, 30)]}, "red"), "no place for a control"),
        (lambda s, c: grounding.hide(s, c, {}, "red"), "0 boxes"),
        (lambda s, c: grounding.vision_attention(s, c, 0), "token 0 is no patch; patches are "),
        (lambda s, c: grounding.find_grounding_heads(s, []), "there are no questions"),
        (
            lambda s, c: grounding.find_grounding_heads(
                s, [Question(c, Truth({0: [(0, 0, 9, 9)]}))], budget=9
            ),
            "a model with random weights needs .* give untrained=False, or give budget=",
        ),
        (
            lambda s, c: grounding.faithfulness(s, c, grounding.occlusion(s, c, "red").map, "tokens"),
            "ask where='pixels'",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(session, case, ask, message):
    with pytest.raises(GroundingError, match=message):
        ask(session, case)


def test_attention_that_was_not_captured_is_missed(session, case):
    reply = session.chat(told(*case.inputs.images)[:1], max_tokens=1, capture=["routing"])
    with pytest.raises(GroundingError, match="attention_again, which runs one more pass"):
        grounding.attention_map(reply.trace)


def test_an_occlusion_map_can_be_tested_for_faithfulness(session, case):
    found = grounding.occlusion(session, case, "red", cells=(2, 2))
    tested = grounding.faithfulness(session, case, found.map, steps=2, orders=2)
    assert len(tested.shares) == 3 and tested.random_deletion.shape == (2, 3)
    whole = np.exp(found.logprob)
    assert tested.deletion[0] == pytest.approx(whole, rel=1e-3) == tested.insertion[-1]


def test_a_picture_keeps_its_size_in_every_map(session, case):
    for found in (
        grounding.attention_again(session, case, "red").mean(),
        grounding.rollout(session, case, "red"),
    ):
        for image, picture in enumerate(case.inputs.images):
            assert found.on_pixels(image).shape == picture.size[::-1]
