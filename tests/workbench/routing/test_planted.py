"""Planted truth: where the answer is known, the measure must be exactly that."""

import numpy as np
import pytest

from tests.workbench.routing.made import PATCH, lots, picture, trace_of, untrained
from workbench import routing
from workbench.routing import nulls
from workbench.routing.loads import variation
from workbench.trace import replace

CYCLE = np.arange(400)[:, None] % 4


# load


def test_an_even_load_is_exactly_even():
    even = routing.load(trace_of(np.repeat(CYCLE, 3, 1)))
    assert np.array_equal(even.share, np.full((3, 4), 0.25))
    assert not even.variation.value.any() and not even.max_violation.value.any()
    assert (even.evenness.value == 1).all() and (even.jain.value == 1).all()
    assert not even.unused.value.any() and not even.variation.significant.any()
    assert np.allclose(even.importance, 0.25) and np.allclose(even.importance_variation.value, 0)


def test_one_expert_for_all_is_exactly_uneven():
    one = routing.load(trace_of(np.full((400, 2), 3)))
    assert one.variation.value == pytest.approx(np.sqrt(3)) and (one.max_violation.value == 3).all()
    assert (
        not one.evenness.value.any() and (one.jain.value == 0.25).all() and (one.unused.value == 0.75).all()
    )
    assert all(found.significant.all() for found in one.findings)
    assert (one.share_high[:, 0] > 0).all(), "that nobody went there does not mean that nobody will"


@pytest.mark.parametrize(("tokens", "experts"), [(32, 16), (512, 16), (32, 128), (200, 4)])
def test_chance_of_the_load_is_that_of_drawing_lots(tokens, experts):
    found = routing.load(lots(0, tokens, 1, experts))
    drawn = variation(nulls.lots(tokens, experts, 1))
    assert found.variation.chance[0] == pytest.approx(drawn.mean())
    assert (drawn**2).mean() == pytest.approx((experts - 1) / tokens, rel=0.1)
    assert found.unused.chance[0] == pytest.approx((1 - 1 / experts) ** tokens, abs=0.01)


def test_importance_weighs_by_the_gate():
    logits = np.full((100, 1, 2), -9.0)
    experts = np.arange(100)[:, None] % 2
    logits[::2, 0, 0], logits[1::2, 0, 1] = 9.0, np.log(1 / 3)  # gates of nearly 1 and of a quarter
    found = routing.load(trace_of(experts, 2, logits))
    np.testing.assert_allclose(found.importance, [[0.8, 0.2]], atol=1e-3)
    assert np.array_equal(found.share, [[0.5, 0.5]])


# order


def test_repetition_of_a_cycle_is_zero_and_of_pairs_one_half():
    assert not routing.repetition(trace_of(CYCLE)).value.any()
    pairs = routing.repetition(trace_of(np.repeat(CYCLE, 2, 0)[:401]))
    assert pairs.value == pytest.approx(0.5)
    assert pairs.chance == pytest.approx(0.25, abs=0.02) and pairs.significant.all()


def test_repetition_pairs_no_token_with_another_traces():
    one, other = trace_of(np.full((5, 1), 0)), trace_of(np.full((5, 1), 1))
    found = routing.repetition([one, other])
    assert found.value == 1 and found.tokens == 8


def test_layers_that_follow_one_another_tell_everything():
    followed = np.stack([CYCLE[:, 0], (CYCLE[:, 0] + 1) % 4, 3 - CYCLE[:, 0]], 1)
    mixed = followed[np.random.default_rng(0).permutation(400)]
    found = routing.transitions(trace_of(mixed))
    assert found.information.value == pytest.approx(2.0, abs=1e-12), "two bits are all that four experts have"
    assert found.information.significant.all()
    assert np.allclose(found.lift[0], np.roll(np.eye(4), 1, 1) * 4)
    assert found.pairs.tolist() == [[1, 3], [3, 5]]


def test_layers_that_know_nothing_of_each_other_tell_nothing():
    first, second = np.divmod(np.arange(16).repeat(25), 4)
    found = routing.transitions(trace_of(np.stack([first, second], 1)))
    assert found.information.value == 0 and np.array_equal(found.lift[0], np.ones((4, 4)))


def test_all_pairs_of_two_experts_per_token_are_counted():
    both = np.array([[[0, 1], [2, 3]]] * 8)
    counts = routing.transitions(trace_of(both)).counts[0]
    assert counts[:2, 2:].tolist() == [[2.0, 2.0], [2.0, 2.0]] and counts.sum() == 8


def test_the_commonest_paths_are_found_beside_what_chance_gives():
    rng = np.random.default_rng(1)
    experts = rng.integers(0, 4, (600, 3))
    experts[rng.permutation(600)[:300]] = [3, 1, 2]
    found = routing.paths(trace_of(experts), most=5)
    assert found.paths[0].tolist() == [3, 1, 2]
    share = np.mean((experts == [3, 1, 2]).all(1))
    assert found.share.value[0] == share and found.share.significant[0]
    apart = [np.mean(experts[:, i] == e) for i, e in enumerate((3, 1, 2))]
    assert found.independent[0] == pytest.approx(np.prod(apart))
    assert share > found.step_by_step[0] > found.independent[0]
    assert found.order.significant.all() and found.distinct <= 64


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"most": 0}, "most is 0; expected how many"),
        ({"most": -1}, "most is -1"),
        ({"layers": [1, 1]}, r"layers is \[1, 1\]; a path passes each layer once"),
    ],
)
def test_paths_that_are_none_are_refused(asked, says):
    with pytest.raises(routing.RoutingError, match=says):
        routing.paths(lots(0, 40, 2, 4), **asked)


def test_paths_of_one_and_the_same_expert_hold_no_order():
    found = routing.paths(trace_of(np.zeros((50, 3), int)))
    assert found.distinct == 1 == found.share.value[0] and not found.order.value.any()


# preference


def test_margin_and_preference_are_those_of_the_logits():
    logits = np.tile([4.0, 1.5, 1.0, -2.0], (64, 2, 1))
    found = routing.preference(trace_of(np.zeros((64, 2), int), logits=logits))
    assert (found.margin.value == 2.5).all()
    share = np.exp(logits[0, 0]) / np.exp(logits[0, 0]).sum()
    assert found.entropy.value == pytest.approx(-(share * np.log(share)).sum() / np.log(4), abs=1e-3)
    assert (found.margins == 2.5).all()
    flat = routing.preference(trace_of(np.zeros((64, 2), int), logits=np.zeros((64, 2, 4))))
    assert (flat.entropy.value == 1).all() and not flat.margin.value.any()


def test_a_forced_expert_has_a_negative_margin():
    logits = np.tile([4.0, 1.5, 1.0, -2.0], (64, 1, 1))
    assert routing.preference(trace_of(np.full((64, 1), 1), logits=logits)).margin.value == -2.5


# specialization


def test_an_expert_for_each_label_tells_everything():
    labels = np.random.default_rng(0).integers(0, 3, 300)
    found = routing.specialization(trace_of(labels[:, None] + 1), labels, "colour")
    assert found.of_label.value == 1.0 and found.of_label.significant.all()
    assert found.divergence.value == pytest.approx(np.log2(3))
    assert np.array_equal(found.share[0], np.eye(4)[1:])
    assert found.by == "colour" and found.labels.tolist() == [0, 1, 2]


def test_experts_that_do_not_look_at_the_label_tell_exactly_nothing():
    labels, experts = np.divmod(np.arange(12).repeat(20), 4)
    found = routing.specialization(trace_of(experts[:, None]), labels)
    assert not found.of_label.value.any() and not found.information.value.any()
    assert not found.divergence.value.any() and not found.of_label.significant.any()


def test_every_label_that_a_trace_knows_can_be_asked_for():
    rng = np.random.default_rng(0)
    modality = np.repeat([0, PATCH, 0], [40, 80, 40]).astype(np.int8)
    image = np.repeat([-1, 0, 1, -1], 40).astype(np.int16)
    roles = np.repeat([1, 2], 80).astype(np.int8)
    own = {
        "modality": modality,
        "image_index": image,
        "tile_index": image,
        "role": roles,
        "turn": roles.astype(np.int16),
    }
    one = trace_of(
        rng.integers(0, 4, (160, 2)), meta={"language": "th"}, image_sizes=np.full((2, 2), 8, np.int32), **own
    )
    for by in ("modality", "image", "tile", "role", "turn", "token", "position"):
        assert len(routing.specialization(one, by).of_label) == 2
    assert routing.specialization(one, "modality").labels.tolist() == ["text", "patch"]
    assert routing.specialization(one, "image").tokens.tolist() == [40, 40]
    assert routing.specialization(one, "position").tokens.tolist() == [20] * 8
    found = routing.specialization([one, replace(one, meta={"language": "de"})], "language")
    assert found.labels.tolist() == ["de", "th"] and found.of_label.value == pytest.approx(0, abs=1e-12)
    assert "whole traces exchanged" in found.of_label.null


def test_a_language_with_an_expert_of_its_own_tells_everything():
    traces = [trace_of(np.full((30, 1), i % 3), meta={"language": "abc"[i % 3]}) for i in range(9)]
    found = routing.specialization(traces, "language")
    assert found.of_label.value == 1 and found.of_label.significant.all()
    again = routing.specialization(traces, ["abc"[i % 3] for i in range(9)], "tongue")
    assert again.of_label.value == 1 and again.by == "tongue"


# agreement and saturation


def test_a_trace_agrees_with_itself():
    one = untrained(0)
    found = routing.agreement(one, one)
    assert not found.flips.value.any() and (found.overlap.value == 1).all() and found.flips.significant.all()
    assert np.isnan(found.margin_tells.value).all() and not found.noise.any()
    assert "0 (0 to 0), by chance" in repr(found.flips) and "chance does not explain it" in repr(found.flips)
    # what cannot be told is nothing to wonder at
    assert not found.margin_tells.significant.any() and "does not explain" not in repr(found.margin_tells)


def test_flips_below_a_margin_are_foretold_by_it():
    one = untrained(1, tokens=400)
    ordered = np.sort(one.router_logits.astype(np.float32), axis=-1)
    close = ordered[..., -1] - ordered[..., -2] < 0.3
    other = one.routed_experts.copy()
    other[close] = np.argsort(one.router_logits, axis=-1)[..., -2][close][:, None]
    found = routing.agreement(one, replace(one, routed_experts=other))
    assert found.flips.value == pytest.approx(close.mean(0))
    assert (found.margin_tells.value == 1).all() and found.margin_tells.significant.all()
    assert found.by_margin[:, 0, 3].min() == 1 and not found.by_margin[:, -1, 3].any()


def test_noise_on_logits_explains_every_flip_it_makes():
    one, rng = untrained(2, tokens=400), np.random.default_rng(0)
    moved = one.router_logits.astype(np.float32) + 0.2 * rng.standard_normal(one.router_logits.shape)
    other = replace(
        one,
        router_logits=moved.astype(np.float16),
        routed_experts=moved.argmax(-1)[..., None].astype(np.int16),
    )
    found = routing.agreement(one, other)
    assert (found.flips.value > 0).all() and (found.explained == 1).all()
    assert (found.margin_tells.value > 0.8).all() and found.noise == pytest.approx(0.135, abs=0.02)


def test_routers_that_have_nothing_to_do_with_each_other_agree_by_chance():
    found = routing.agreement(lots(0, 2000, 2, 4), lots(1, 2000, 2, 4))
    assert found.flips.value == pytest.approx(0.75, abs=0.04) and found.flips.chance == pytest.approx(
        0.75, abs=0.02
    )


def test_only_tokens_before_the_first_difference_are_compared():
    one, other = lots(0, 100, 2, 4), lots(0, 120, 2, 4)
    ids = other.token_ids.copy()
    ids[60:] += 1
    assert routing.agreement(one, replace(other, token_ids=ids)).tokens == 60


def test_saturation_counts_the_final_choices_that_stood_already():
    last = np.random.default_rng(0).integers(0, 4, (400, 2))
    half = last.copy()
    half[::2] = (half[::2] + 1) % 4
    found = routing.saturation([trace_of((last + 1) % 4), trace_of(half), trace_of(last)], steps=[10, 20, 30])
    assert found.share.value.tolist() == [0, 0, 0.5, 0.5]
    assert found.share.places["step"].tolist() == [10, 10, 20, 20]
    assert found.share.chance == pytest.approx(0.25, abs=0.03)
    assert found.share.significant.tolist() == [False, False, True, True]


# pixels


def squares(seed: int = 0, height: int = 12, width: int = 16) -> np.ndarray:
    """Things of two kinds on a ground, a label for each patch."""
    rng, labels = np.random.default_rng(seed), np.zeros((height, width), int)
    for kind in (1, 2):
        y, x = rng.integers(0, height - 4), rng.integers(0, width - 5)
        labels[y : y + 4, x : x + 5] = kind
    return labels


@pytest.mark.parametrize("tiles", [(1, 1), (2, 2), (1, 4), (3, 1)])
def test_experts_that_follow_the_picture_have_an_nmi_of_exactly_one(tiles):
    labels = squares()
    found = routing.on_pixels(picture(np.stack([labels, labels + 1, 3 - labels]), tiles=tiles), labels)
    assert (found.nmi.value == 1).all() and (found.adjusted.value == 1).all() and found.nmi.significant.all()
    assert np.array_equal(found.experts[0], labels)


def test_pixels_and_patches_give_the_same_answer():
    labels = squares()
    trace = picture(np.stack([labels, squares(1)]), tiles=(2, 2))
    patches = routing.on_pixels(trace, labels)
    pixels = routing.on_pixels(trace, np.kron(labels, np.ones((10, 10), int)))
    assert np.array_equal(patches.nmi.value, pixels.nmi.value) and np.array_equal(
        patches.labels, pixels.labels
    )


def test_a_router_that_knows_one_expert_tells_nothing_of_a_picture():
    found = routing.on_pixels(picture(np.zeros((1, 12, 16), int)), squares())
    assert not found.nmi.value.any() and not found.nmi.significant.any()
