"""What comes after what: the same expert twice running, one layer's expert after another's.

E experts, N tokens, K experts per token, P pairs of neighbouring layers, B blocks of tokens
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from workbench.routing.findings import UPPER, Finding, RoutingError, bits, finding, frame, jackknife
from workbench.routing.loads import expert_counts, shares
from workbench.routing.nulls import TURNED, beside_random_routers, turns
from workbench.routing.preference import block_means
from workbench.routing.tokens import Routed, gather
from workbench.trace import Trace

if TYPE_CHECKING:
    import pandas

SHUFFLED = "the same experts in random order"
_PERMUTATIONS, _MANY, _DRAWS = 39, 1_000_000, 999


def repetition(traces: Trace | Sequence[Trace] | Routed) -> Finding:
    """How often a token goes to an expert of the token before it, for every layer.

    What it means: the share of neighbouring tokens (of one trace) that have an expert in common. Chance is
    the same experts in random order, for one expert per token the sum of the squared shares. When it
    misleads: neighbouring tokens are alike (patches of one sky, a word's pieces), so a random router repeats
    itself, too; `random_routers` says how much of it comes with the tokens. Source: Mixtral (2401.04088),
    section 5.

    Raises:
        RoutingError: no two neighbouring tokens.
    """
    routed = gather(traces)
    follows = _follows(routed)
    if not follows.any():
        raise RoutingError("repetition needs two neighbouring tokens of one trace")

    def repeats(one: Routed, order: np.ndarray | None = None) -> np.ndarray:
        experts = one.experts if order is None else one.experts[:, order]
        return _shared(experts[:, 1:], experts[:, :-1])[:, _follows(one)].mean(1)

    # without the logits, which a subset would copy
    pairs = replace(routed, logits=None, _made={}).subset(np.append(False, follows))
    same = _shared(routed.experts[:, 1:], routed.experts[:, :-1])[:, follows].astype(float)
    measured = block_means(pairs, same, 0.0, 1.0)
    rng = np.random.default_rng((routed.seed, 3))
    if routed.top > 1 or routed.experts.size < _MANY:
        draws = np.stack([repeats(routed, rng.permutation(len(routed))) for _ in range(_PERMUTATIONS)])
    else:
        draws = _many_orders(expert_counts(routed), len(pairs), rng)
    rivals = beside_random_routers(routed, repeats)
    return finding(
        "share of tokens that repeat the expert before",
        {"layer": routed.layers},
        measured,
        draws,
        SHUFFLED,
        len(pairs),
        UPPER,
        rivals,
    )


def _many_orders(counts: np.ndarray, pairs: int, rng: np.random.Generator) -> np.ndarray:
    """Repetitions [999, M] of counts [M, E] in random order, by their normal law, which many tokens reach.

    Its variance is that of equal neighbours with fixed counts; for two kinds, Wald & Wolfowitz' 4 p^2 q^2.
    """
    total = counts.sum(1)
    share = counts / total[:, None]
    squares, cubes = (share**2).sum(1), (share**3).sum(1)
    mean = (counts * (counts - 1)).sum(1) / (total * (total - 1))
    width = np.sqrt(np.maximum(0, squares - 2 * cubes + squares**2) / pairs)
    return np.clip(mean + width * rng.standard_normal((_DRAWS, len(mean))), 0, 1)


def _follows(routed: Routed) -> np.ndarray:
    """bool [N - 1], whether a token stands right behind the one before."""
    return (np.diff(routed.unit) == 0) & (np.diff(routed.token) == 1)


def _shared(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """bool [..., N], whether experts [..., N, K] have one in common."""
    if one.shape[-1] == 1:
        return (one == other)[..., 0]
    return (one[..., :, None] == other[..., None, :]).any((-2, -1))


@dataclass(frozen=True, eq=False, repr=False)
class Transitions:
    """From one MoE layer's expert to the next one's.

    Attributes:
        pairs: [P, 2] layer numbers. counts: [P, E, E] tokens from expert e to expert f (all K x K pairs of a
            token, each 1/K^2). lift: [P, E, E] their share over what independent layers give (1 is chance,
            NaN where nothing is expected). information: bits that one layer's expert tells of the next one's.
    """

    pairs: np.ndarray
    counts: np.ndarray
    lift: np.ndarray
    information: Finding

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The number that stands for a pair of layers."""
        return (self.information,)

    def __repr__(self) -> str:
        return repr(self.information)

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each pair of layers and pair of experts that any token took."""
        place, one, other = np.nonzero(self.counts)
        return frame(
            {
                "layer": self.pairs[place, 0],
                "next_layer": self.pairs[place, 1],
                "expert": one,
                "next_expert": other,
                "tokens": self.counts[place, one, other],
                "lift": self.lift[place, one, other],
            }
        )


def transitions(traces: Trace | Sequence[Trace] | Routed) -> Transitions:
    """How much one layer's expert tells of the next layer's, beyond independence.

    What it means: the mutual information of the experts of two neighbouring MoE layers, in bits: the excess
    over layers that choose independently; `lift` shows which pairs it comes from. For several experts a token
    all pairs are counted, not rank with rank. When it misleads: counts of few tokens inform by accident
    ((E-1)^2 / (2 N ln 2) bits), which is the chance level beside each value; it is measured by turning one
    layer's sequence against the other's. Layers that look at the same vector agree even with random weights:
    see `random_routers`. A path is no circuit: nothing here is causal. Source: OLMoE's co-activation
    (2409.02060), taken across layers; mutual information with a circular-shift null.

    Raises:
        RoutingError: fewer than two MoE layers.
    """
    routed = gather(traces)
    if len(routed.layers) < 2:
        raise RoutingError("transitions need two MoE layers")
    orders = list(turns(routed, routed.experts.size * routed.top, 4))
    count = routed.num_experts
    tables, measured, draws = [], [], []
    for column in range(len(routed.layers) - 1):
        first, second = routed.experts[column], routed.experts[column + 1]
        table = joint(first, second, count, routed.block, max(1, routed.blocks))
        measured.append(jackknife(table, bits, 0.0, np.log2(count) if count > 1 else 0.0))
        tables.append(table.sum(0))
        draws.append(_told(first, second, count, orders))
    counts = np.stack(tables)
    expected = shares(counts.sum(2))[:, :, None] * counts.sum(1)[:, None, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        lift = counts / expected

    def told(one: Routed) -> np.ndarray:
        as_it_is = [np.arange(len(one))]
        return np.array([_told(a, b, count, as_it_is)[0] for a, b in pairwise(one.experts)])

    pairs = np.stack([routed.layers[:-1], routed.layers[1:]], 1)
    return Transitions(
        pairs=pairs,
        counts=counts,
        lift=lift,
        information=finding(
            "bits that a layer's expert tells of the next layer's",
            {"layer": pairs[:, 0], "next_layer": pairs[:, 1]},
            tuple(np.stack(part) for part in zip(*measured, strict=True)),
            np.array(draws).T,
            TURNED,
            len(routed),
            UPPER,
            beside_random_routers(routed, told),
        ),
    )


def joint(first: np.ndarray, second: np.ndarray, count: int, block: np.ndarray, blocks: int) -> np.ndarray:
    """Counts [B, E, E] of the pairs of experts [N, K] and [N, K], each pair 1/K^2."""
    top = first.shape[-1]
    index = (first[:, :, None] * count + second[:, None, :]).reshape(len(first), -1)
    index += (block * count * count)[:, None]
    counted = np.bincount(index.ravel(), minlength=blocks * count * count)
    return counted.reshape(blocks, count, count) / (top * top)


def _told(first: np.ndarray, second: np.ndarray, count: int, orders: Sequence[np.ndarray]) -> list[float]:
    """Bits between experts [N, K] and [N, K], the second in each of these orders, which keep every load.

    As `bits` of `joint`, by a table of n log n where counts are whole.
    """
    if first.shape[-1] > 1:
        none = np.zeros(len(first), int)
        return [float(bits(joint(first, second[order], count, none, 1)[0])) for order in orders]
    tokens, table = len(first), _n_log_n(len(first))
    place, other = first[:, 0] * count, second[:, 0]
    alone = sum(table[np.bincount(one[:, 0], minlength=count)].sum() for one in (first, second))
    both = [table[np.bincount(place + other[order], minlength=count * count)].sum() for order in orders]
    told = [float((pairs - alone) / tokens + np.log2(tokens)) for pairs in both]
    return [one if one > 1e-12 else 0.0 for one in told]


@lru_cache(maxsize=4)
def _n_log_n(most: int) -> np.ndarray:
    numbers = np.arange(most + 1, dtype=float)
    return numbers * np.log2(np.maximum(numbers, 1))
