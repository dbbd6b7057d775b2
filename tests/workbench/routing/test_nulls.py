"""Random routers look significant in one case out of twenty, and intervals hold what they say."""

import tracemalloc

import numpy as np
import pytest

from tests.workbench.routing.made import PATCH, lots, picture, trace_of, untrained, vectors
from workbench import routing
from workbench.routing import nulls
from workbench.routing.findings import jackknife, rank, student
from workbench.routing.loads import block_counts, shares
from workbench.trace import replace


def flagged(findings: list[routing.Finding]) -> tuple[dict[str, float], float]:
    """The share of rows that look significant: of every question, and of all together."""
    rows: dict[str, list[bool]] = {}
    for found in findings:
        rows.setdefault(found.question, []).extend(found.significant.tolist())
    every = [one for some in rows.values() for one in some]
    return {name: float(np.mean(some)) for name, some in rows.items()}, float(np.mean(every))


def asked(trace, rng: np.random.Generator) -> list[routing.Finding]:
    tokens = routing.gather(trace)
    blocks = np.repeat(rng.integers(0, 3, 50), 4)[: len(trace)]
    found = list(routing.statistics(tokens).findings)
    for by in ("modality", "position", blocks):
        found += routing.specialization(tokens, by, at_least=1).findings
    return found + list(routing.paths(tokens, most=3).findings)


def test_at_most_one_in_twenty_numbers_of_untrained_routers_looks_significant():
    rng = np.random.default_rng(5)
    # neighbours unlike, and alike
    traces = [untrained(seed, like=like, layers=3) for seed in range(4) for like in (0.0, 0.9)]
    each, together = flagged([one for trace in traces for one in asked(trace, rng)])
    assert together <= 0.05, each
    # two dozen rows a question: five of them by accident are rare
    assert max(each.values()) <= 0.2, each


def test_at_most_one_in_twenty_numbers_of_drawn_lots_looks_significant_without_logits():
    rng = np.random.default_rng(6)
    modality = np.repeat([0, PATCH, 0], [50, 50, 100]).astype(np.int8)
    found = []
    for _ in range(9):
        experts = rng.integers(0, 8, (200, 4))
        found += asked(trace_of(experts, 8, modality=modality), rng)
    each, together = flagged(found)
    assert together <= 0.06, each  # discrete values tie with their null, or hit its edge
    assert max(each.values()) <= 0.2, each


def test_untrained_routers_would_look_special_beside_lots_alone():
    one = routing.statistics(routing.gather([untrained(s) for s in range(3)], random_routers=0))
    assert one.load.variation.significant.all() and one.repetition.significant.all()


def test_experts_on_pixels_of_untrained_routers_look_significant_once_in_twenty():
    rng, found = np.random.default_rng(0), []
    for _ in range(20):
        fine = vectors(rng, 12, 12 * 8, 0.8).reshape(12, 12, 8).cumsum(1)
        logits = np.stack([fine @ rng.standard_normal((8, 4)) for _ in range(4)])
        labels = np.zeros((12, 12), int)
        y, x = rng.integers(0, 8, 2)
        labels[y : y + 4, x : x + 4] = 1
        found += routing.on_pixels(picture(logits.argmax(-1), logits=logits), labels).findings
    assert flagged(found)[1] <= 0.05


def test_a_planted_signal_is_found_among_random_routers():
    """Routers that send patches and words apart, in five prompts with a picture each."""

    def planted(seed: int):
        trace = untrained(seed, tokens=120, layers=1, apart=0.0)
        logits = trace.router_logits.astype(np.float32)
        logits[..., :4] += 3 * (trace.modality == PATCH)[:, None, None]
        return trace_of(logits.argmax(-1), 8, logits, modality=trace.modality)

    found = [
        routing.specialization([planted(10 * seed + i) for i in range(5)], "modality").of_label
        for seed in range(10)
    ]
    assert np.mean([one.p[0] <= 0.01 for one in found]) >= 0.9


def test_random_routers_are_rotations_of_what_this_one_sees():
    tokens = routing.gather(untrained(0, top=2), random_routers=5)
    own, rivals = nulls.random_routers(tokens)
    assert len(rivals) == 5 and len(own) == len(tokens)
    for rival in rivals:
        assert rival.experts.shape == own.experts.shape and (rival.experts >= 0).all()
        assert (rival.experts[..., 0] != rival.experts[..., 1]).all() and (rival.margin >= 0).all()
    turn = nulls.random_rotation(np.random.default_rng(0), 16)
    np.testing.assert_allclose(turn @ turn.T, np.eye(16), atol=1e-12)


def test_many_tokens_are_compared_with_random_routers_by_whole_pieces(monkeypatch):
    monkeypatch.setattr(nulls, "RIVAL_WORK", 0)
    own, _ = nulls.random_routers(routing.gather(untrained(0, tokens=2000)))
    assert 200 <= len(own) <= 300
    assert (np.diff(own.token) > 1).sum() <= 3, "neighbours stay together"


# chance and intervals themselves


@pytest.mark.parametrize("top", [1, 2, 3])
def test_lots_send_every_token_to_different_experts(top):
    drawn = nulls.lots(50, 6, top, draws=400)
    assert (drawn.sum(1) == 50 * top).all() and drawn.max() <= 50
    share = top / 6
    assert drawn.var(0).mean() == pytest.approx(50 * share * (1 - share), rel=0.15)


def test_many_lots_have_the_mean_and_spread_of_few():
    drawn = nulls.lots(100_000, 16, 2, draws=500)
    assert drawn.mean() == pytest.approx(12_500, rel=1e-3)
    assert drawn.std(0).mean() == pytest.approx(np.sqrt(100_000 / 8 * 7 / 8), rel=0.1)


@pytest.mark.parametrize("like", [0.0, 0.9])
def test_intervals_of_shares_hold_the_truth_also_where_neighbours_are_alike(like):
    rng, weights, held = np.random.default_rng(0), np.random.default_rng(9).standard_normal((6, 4)), []
    truth = shares(np.bincount((rng.standard_normal((200_000, 6)) @ weights).argmax(1), minlength=4))
    for _ in range(40):
        experts = (vectors(rng, 600, 6, like, about=0) @ weights).argmax(1)[:, None]
        found = routing.load(routing.gather(trace_of(experts)))
        held.append((found.share_low[0] <= truth) & (truth <= found.share_high[0]))
    assert np.mean(held) >= 0.9


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(3, 1, (20, 1))
    mean, low, high = jackknife(values, lambda total: total, -np.inf, np.inf)
    assert mean == values.sum()
    reach = student(19) * values.std(ddof=1) * np.sqrt(20)
    assert low == pytest.approx(mean - reach, rel=1e-2) and high > mean


def test_students_quantiles_are_those_of_the_tables():
    for freedom, quantile in (
        (1, 12.706),
        (2, 4.303),
        (3, 3.182),
        (5, 2.571),
        (10, 2.228),
        (19, 2.093),
        (1000, 1.962),
    ):
        assert student(freedom) == pytest.approx(quantile, rel=0.02)


def test_a_rank_counts_ties_against_the_value():
    draws = np.zeros((19, 1))
    assert rank(np.zeros(1), draws) == 1 and rank(np.ones(1), draws) == 0.05
    assert rank(-np.ones(1), draws, "lower") == 0.05 and rank(np.ones(1), draws, "both") == 0.1


@pytest.mark.parametrize("tail", ["upper", "lower", "both"])
def test_a_value_that_cannot_be_told_has_no_rank(tail):
    assert np.isnan(rank(np.array([np.nan, 1.0]), np.zeros((19, 2)), tail)).tolist() == [True, False]


def test_an_interval_is_the_whole_range_where_a_block_cannot_be_left_out():
    """All flips are in one block: without it nothing flipped, and no margin can tell anything."""
    one = untrained(1, tokens=200, layers=2)
    other = one.routed_experts.copy()
    other[:5, 0] = (other[:5, 0] + 1) % 8
    found = routing.agreement(one, replace(one, routed_experts=other)).margin_tells
    assert 0 <= found.value[0] <= 1 and (found.low[0], found.high[0]) == (0, 1)
    assert np.isnan(found.value[1]) and np.isnan(found.p[1]) and (found.low[1], found.high[1]) == (0, 1)


def test_turns_for_a_path_are_drawn_for_its_layers_alone(monkeypatch):
    asked, real = [], nulls.turns
    monkeypatch.setattr(nulls, "turns", lambda one, work, seed: asked.append(work) or real(one, work, seed))
    trace = lots(0, 300, 12, 4)
    found = routing.paths(trace, layers=[5, 1])
    assert asked == [600, 600] and found.layers.tolist() == [5, 1]
    ways = [tuple(way) for way in trace.routed_experts[:, [2, 0], 0].tolist()]
    assert [ways.count(tuple(way)) for way in found.paths.tolist()] == found.counts.tolist()


def test_turns_of_many_layers_are_not_held_all_at_once():
    tokens, layers = 2000, 16
    trace = lots(0, tokens, layers, 4)
    tracemalloc.start()
    routing.paths(trace)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * trace.routed_experts.size * 8, "of 199 orders a layer"


def test_layers_with_nearly_as_many_effective_tokens_share_their_lots():
    logits = np.random.default_rng(0).normal(0, 1, (180, 24, 8)) * np.linspace(0.4, 1, 24)[:, None] - 2
    trace = trace_of(np.argsort(-logits, axis=-1)[..., :2], 8, logits)
    gates = routing.gather(trace).gates.sum(-1)
    effective = gates.sum(1) ** 2 / (gates**2).sum(1)
    assert len(set(effective.round())) > 10
    before = nulls.lots.cache_info().misses
    assert len(routing.load(trace).importance_variation) == 24
    assert nulls.lots.cache_info().misses - before <= 4


def test_blocks_keep_neighbours_together_and_traces_whole():
    one = routing.gather(lots(0, 400, 1, 4))
    assert one.blocks == 20 and (np.diff(one.block) >= 0).all()
    assert block_counts(one).sum() == 400
    many = routing.gather([lots(s, 10, 1, 4) for s in range(40)])
    assert many.blocks == 20
    assert all(len(np.unique(many.block[many.unit == unit])) == 1 for unit in range(40))
