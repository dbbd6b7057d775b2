"""How one asks: what may be given, what comes back, and what is refused."""

import numpy as np
import pytest
import torch

import workbench as wb
from model.hooks import replaced
from tests.workbench.routing.made import lots, picture, trace_of, untrained
from workbench import routing
from workbench.routing.pixels import patch_map
from workbench.trace import NOT_CAPTURED, replace


def test_every_answer_has_a_table_and_words():
    one, labels = untrained(0), np.arange(48).reshape(6, 8) % 3
    answers = [
        routing.load(one), routing.preference(one), routing.repetition(one), routing.transitions(one),
        routing.paths(one), routing.specialization(one, "modality"), routing.agreement(one, one),
        routing.saturation([one, one]), routing.statistics(one),
        routing.on_pixels(picture(labels[None]), labels), routing.load(one).variation,
    ]  # fmt: skip
    for answer in answers:
        assert len(answer.to_pandas()) and "chance" in repr(answer), type(answer)
    table = routing.load(one).variation.to_pandas()
    assert table.layer.tolist() == [1, 3, 5, 7] and set(table.tokens) == {200}
    assert "0 of 4" in repr(routing.statistics(lots(0, 100, 4, 4)))


def test_every_public_question_says_what_it_means_when_it_misleads_and_whence():
    questions = ("agreement", "load", "on_pixels", "paths", "preference", "repetition", "saturation")
    for name in (*questions, "specialization", "statistics", "transitions"):
        said = " ".join(getattr(routing, name).__doc__.split())
        assert all(word in said for word in ("What it means", "When it misleads", "Source")), name


def test_tokens_without_routing_are_left_out_and_counted():
    trace = lots(0, 50, 2, 4)
    experts, gates = trace.routed_experts.copy(), trace.routed_weights.copy()
    experts[10:20], gates[10:20] = NOT_CAPTURED, np.nan
    tokens = routing.gather(replace(trace, routed_experts=experts, routed_weights=gates))
    assert len(tokens) == 40 and tokens.left_out == 10 and "10 tokens left out" in repr(tokens)
    assert routing.load(tokens).counts.sum() == 80
    assert routing.repetition(tokens).tokens == 38, "the tokens beside the gap are no neighbours"
    labels = np.repeat(["a", "b"], 25)
    assert routing.specialization(tokens, labels).tokens.tolist() == [15, 25]
    assert routing.specialization(tokens, [labels]).tokens.tolist() == [15, 25]


def silenced(trace: wb.Trace, layer: int, expert: int) -> wb.Trace:
    """What a trace says of an expert whose weights were set to nothing: tokens that went there have none."""
    column = trace.moe_layers.tolist().index(layer)
    experts, gates = trace.routed_experts.copy(), trace.routed_weights.copy()
    gone = experts[:, column] == expert
    experts[:, column][gone], gates[:, column][gone] = NOT_CAPTURED, np.nan
    edited = {"edited_hook_points": [f"blocks.{layer}.moe.hook_expert_weights"]}
    return replace(trace, routed_experts=experts, routed_weights=gates, meta=edited)


def test_a_layer_with_edited_weights_is_left_out_and_named_and_the_others_keep_their_numbers():
    whole = lots(0, 60, 3, 4)
    trace = silenced(whole, 3, 2)
    tokens = routing.gather(trace)
    assert len(tokens) == 60 and tokens.left_out == 0 and tokens.layers.tolist() == [1, 5]
    assert tokens.edited_layers == (3,) and "layers [3] left out (their expert weights" in repr(tokens)
    assert np.array_equal(routing.load(tokens).counts, routing.load(whole).counts[[0, 2]])
    assert np.array_equal(routing.repetition(trace).value, routing.repetition(whole).value[[0, 2]])
    found = routing.statistics([whole, trace])
    assert found.edited_layers == (3,) and "0 without routing, layers [3] left out" in repr(found)
    with pytest.raises(routing.RoutingError, match=r"these have: \[1, 5\], layers \[3\] left out"):
        routing.paths(trace, layers=[1, 3])


def test_a_trace_with_edited_weights_is_compared_in_its_other_layers():
    whole = lots(0, 60, 3, 4)
    trace = silenced(whole, 3, 2)
    assert routing.agreement(trace, whole).layers.tolist() == [1, 5]
    assert routing.agreement(whole, trace).tokens == 60
    found = routing.saturation([trace, whole, whole]).share
    assert found.places["layer"].tolist() == [1, 5, 1, 3, 5] and (found.value == 1).all()
    assert found.places["step"].tolist() == [0, 0, 1, 1, 1]


def test_more_experts_of_one_token_in_an_edited_layer_leave_the_other_layers_as_they_are(maverick):
    session, more = wb.load(maverick), []

    def one_more(weights: torch.Tensor) -> torch.Tensor:
        weights = weights.clone()
        weights[-1] = 0.5
        more.append(len(weights))
        return weights

    with replaced(session.llama.hook_point("blocks.3.moe.hook_expert_weights"), one_more):
        trace = session.chat("Hi there", max_tokens=4).trace
    assert more and trace.routed_experts.shape[-1] > 1
    tokens = routing.gather(trace)
    assert tokens.top == 1 and 3 not in tokens.layers and tokens.edited_layers == (3,)
    counts = [np.bincount(trace.routed_experts[tokens.token, c, 0], minlength=8) for c in (0, 2, 3)]
    assert np.array_equal(routing.load(tokens).counts, counts)


def test_a_token_with_a_gap_is_left_out_and_counted():
    gap = lots(0, 60, 2, 4)
    gap.routed_experts[7, 1] = NOT_CAPTURED
    found = routing.gather(gap)
    assert found.left_out == 1 and 7 not in found.token


def test_what_is_edited_throughout_is_refused():
    with pytest.raises(routing.RoutingError, match=r"edited in layers \[1\], and no other is left"):
        routing.gather(silenced(lots(0, 60, 1, 4), 1, 2))


def test_tokens_may_go_without_a_label():
    trace = lots(0, 60, 1, 4)
    found = routing.specialization(trace, ["a"] * 20 + [None] * 20 + ["b"] * 20)
    assert found.tokens.tolist() == [20, 20]
    assert routing.specialization(trace, np.repeat([0, -1, 1], 20)).tokens.tolist() == [20, 20]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda t: routing.gather([]), "no trace"),
        (lambda t: routing.gather([t, lots(0, 9, 2, 8)]), "differ in layers or experts"),
        (lambda t: routing.preference(t), "need router logits"),
        (lambda t: routing.specialization(t, "language"), "give labels yourself"),
        (lambda t: routing.specialization(t, "modality"), "fewer than two"),
        (lambda t: routing.specialization(t, [1, 2, 3]), "3 labels for 60 tokens"),
        (lambda t: routing.paths(t, layers=[2]), r"layers \[2\] have no experts"),
        (lambda t: routing.agreement(t, [t, t]), "1 traces beside 2"),
        (lambda t: routing.saturation([t]), "two at least"),
        (lambda t: routing.on_pixels(t, np.zeros((2, 2), int)), "no picture 0"),
        (lambda t: routing.transitions(lots(0, 9, 1, 4)), "two MoE layers"),
        (lambda t: routing.repetition(lots(0, 1, 1, 4)), "two neighbouring tokens"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_words(ask, said):
    with pytest.raises(routing.RoutingError, match=said):
        ask(lots(0, 60, 2, 4))


def test_labels_of_a_trace_are_read_once_and_not_for_every_token():
    class Read(list):
        times = 0

        def __iter__(self):
            Read.times += 1
            return super().__iter__()

    labels = [Read("ab" * 100), Read("ba" * 100)]
    found = routing.specialization([lots(0, 200, 1, 4), lots(1, 200, 1, 4)], labels)
    assert found.tokens.tolist() == [200, 200] and Read.times <= 10


def test_labels_that_fit_neither_patches_nor_pixels_are_refused():
    trace = picture(np.zeros((1, 4, 6), int))
    with pytest.raises(routing.RoutingError, match=r"expected \(4, 6\) patches or \(40, 60\) pixels"):
        routing.on_pixels(trace, np.zeros((6, 4), int))
    with pytest.raises(routing.RoutingError, match="whole numbers"):
        routing.on_pixels(trace, np.zeros((4, 6)))
    with pytest.raises(routing.RoutingError, match="no thumbnail of picture 0"):
        routing.on_pixels(trace, np.zeros((4, 6), int), thumbnail=True)


@pytest.mark.parametrize("tiles", [(1, 1), (2, 3), (4, 1), (1, 2)])
def test_patches_lie_where_their_boxes_say(tiles):
    trace = picture(np.zeros((1, 4, 6), int), tiles=tiles)
    grid = patch_map(trace, 0)
    assert grid.shape == (4, 6)
    x, y = trace.patch_box[grid][..., 0] / 10, trace.patch_box[grid][..., 1] / 10
    assert np.array_equal(x, np.tile(np.arange(6), (4, 1))) and np.array_equal(
        y.T, np.tile(np.arange(4), (6, 1))
    )


def test_a_real_trace_answers_everything(maverick):
    rng = np.random.default_rng(0)
    from PIL import Image

    shown = Image.fromarray(rng.integers(0, 255, (50, 90, 3), np.uint8))
    trace = wb.load(maverick).chat("What is seen in the picture?", images=[shown], max_tokens=10).trace
    assert len(routing.statistics(trace).findings) == 10
    grid = patch_map(trace, 0)
    assert (
        sorted(grid[grid >= 0])
        == np.flatnonzero((trace.image_index == 0) & (trace.patch_row >= 0) & ~trace.is_thumbnail).tolist()
    )
    labels = np.zeros((50, 90), int)
    labels[:, 45:] = 1
    assert len(routing.on_pixels(trace, labels).adjusted) == 4
    kinds = routing.specialization(trace, "modality", at_least=1).labels.tolist()
    assert kinds == ["text", "patch", "marker"] and set(kinds) == set(trace.to_pandas("tokens").modality)


def test_two_experts_per_token_and_a_single_layer_are_fine():
    one = untrained(0, top=2, layers=2)
    assert len(routing.statistics(one).findings) == 10
    assert len(routing.statistics(untrained(0, layers=1)).findings) == 9
    assert not routing.agreement(one, one).flips.value.any()


def test_a_handful_of_tokens_gives_wide_intervals_and_no_error():
    found = routing.statistics(trace_of(np.array([[0, 1], [2, 3], [1, 1]])))
    assert (found.load.share_low == 0).all() or (found.load.share_high == 1).any()
    assert not any(one.significant.any() for one in found.findings if one.tokens < 3)
