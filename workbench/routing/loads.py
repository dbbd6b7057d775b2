"""How evenly tokens are spread over experts.

M MoE layers, E experts, B blocks of neighbouring tokens
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.routing.findings import (
    LOWER,
    UPPER,
    Finding,
    entropy,
    finding,
    frame,
    jackknife,
    part_of,
    student,
)
from workbench.routing.nulls import LOTS, beside_random_routers, lots
from workbench.routing.tokens import Routed, gather
from workbench.trace import Trace

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False, repr=False)
class Load:
    """Who gets the tokens. Arrays are [layer, expert]; findings have one row a layer.

    Attributes:
        counts: tokens sent there. share: of all choices (they add up to 1; an even share is 1/E).
        share_low, share_high: the shares' 95 % intervals. chance_low, chance_high: where 95 % of the shares
            of one expert lie when lots are drawn.
        importance: share of the summed gates. variation: CV of the counts. max_violation: the largest count
            over the mean, less one. evenness: entropy of the shares over log E. jain: Jain's index.
        unused: share of experts that got nothing. importance_variation: CV of the summed gates.
    """

    layers: np.ndarray
    counts: np.ndarray
    share: np.ndarray
    share_low: np.ndarray
    share_high: np.ndarray
    chance_low: float
    chance_high: float
    importance: np.ndarray
    variation: Finding
    max_violation: Finding
    evenness: Finding
    jain: Finding
    unused: Finding
    importance_variation: Finding

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every number that stands for a whole layer."""
        return (
            self.variation,
            self.max_violation,
            self.evenness,
            self.jain,
            self.unused,
            self.importance_variation,
        )

    def __repr__(self) -> str:
        return "\n".join(repr(one) for one in (self.variation, self.evenness))

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each layer and expert."""
        layers, experts = self.counts.shape
        arrays = ("counts", "share", "share_low", "share_high", "importance")
        columns = {name: getattr(self, name).ravel() for name in arrays}
        return frame(
            {"layer": np.repeat(self.layers, experts), "expert": np.tile(np.arange(experts), layers)}
            | columns
            | {"chance_low": self.chance_low, "chance_high": self.chance_high}
        )


def load(traces: Trace | Sequence[Trace] | Routed) -> Load:
    """Load, importance and evenness of every layer.

    What it means: `share` is n_e / (k T); `variation` is the standard deviation of the counts over their
    mean, `max_violation` is max n / mean n - 1, `evenness` is H(share) / log E, `jain` is (sum n)^2 / (E sum
    n^2), `importance` sums gates in place of counts. When it misleads: with few tokens every router looks
    uneven; 32 tokens and 16 experts have a variation of 0.7 when lots are drawn, so read a value beside its
    chance level. Neighbouring tokens are alike and random routers uneven, too: `significant` asks for more
    than both. An evenly loaded expert may still be special, and load does not tell what an expert does to the
    answer. Source: load and importance of Shazeer et al. 2017 (1701.06538) and Fedus et al. 2021
    (2101.03961), MaxVio of Wang et al. 2024 (2408.15664), Jain et al. 1984.
    """
    routed = gather(traces)
    experts, tokens = routed.num_experts, len(routed)
    blocks = block_counts(routed)
    counts = blocks.sum(0)
    share, low, high = jackknife(blocks, shares, 0.0, 1.0)
    low, high = _at_least_binomial(share, low, high, tokens, routed.top)
    drawn = lots(tokens, experts, routed.top)
    by_lot = np.quantile(shares(drawn), [0.025, 0.975])

    def told(question: str, statistic: Callable[[np.ndarray], np.ndarray], most: float, tail: str) -> Finding:
        draws = np.broadcast_to(statistic(drawn)[:, None], (len(drawn), len(counts)))
        rivals = beside_random_routers(routed, lambda one: statistic(expert_counts(one)))
        measured = jackknife(blocks, statistic, 0.0, most)
        return finding(question, {"layer": routed.layers}, measured, draws, LOTS, tokens, tail, rivals)

    return Load(
        layers=routed.layers,
        counts=counts.astype(int),
        share=share,
        share_low=low,
        share_high=high,
        chance_low=float(by_lot[0]),
        chance_high=float(by_lot[1]),
        importance=shares(gate_sums(routed).sum(0)),
        variation=told("CV of the load", variation, np.inf, UPPER),
        max_violation=told("MaxVio of the load", max_violation, np.inf, UPPER),
        evenness=told("entropy of the load (1 is even)", evenness, 1.0, LOWER),
        jain=told("Jain's index of the load (1 is even)", jain, 1.0, LOWER),
        unused=told("share of experts without a token", unused, 1.0, UPPER),
        importance_variation=_importance_variation(routed),
    )


def _importance_variation(routed: Routed) -> Finding:
    """CV of summed gates; its chance level is that of as many tokens as the gates count for."""
    if np.isnan(routed.gates).any():
        # other engines return ids alone
        unknown, places = np.full(len(routed.layers), np.nan), {"layer": routed.layers}
        none = "unknown, as there are no gates"
        return finding(
            "CV of the importance", places, (unknown,) * 3, np.zeros((0, len(unknown))), none, len(routed)
        )
    blocks = gate_sums(routed)
    gates = routed.gates.sum(-1)
    # Kish's effective number: a few large gates are few tokens
    effective = (gates.sum(1) ** 2 / np.maximum((gates**2).sum(1), 1e-30)).round().astype(int)
    draws = [variation(lots(_two_digits(int(count)), routed.num_experts, routed.top)) for count in effective]
    rivals = beside_random_routers(routed, lambda one: variation(gate_sums(one).sum(0)))
    return finding(
        "CV of the importance",
        {"layer": routed.layers},
        jackknife(blocks, variation, 0.0, np.inf),
        np.stack(draws, 1),
        f"{LOTS}, gates as they are",
        len(routed),
        UPPER,
        rivals,
    )


def _two_digits(count: int) -> int:
    """A number of tokens, at least 1, cut to its two leading digits.

    Every layer has an effective number of its own, and lots for each would be drawn anew. Fewer tokens spread
    wider (at most by 5 %), so a value can but look more ordinary by it.
    """
    step = 10 ** max(0, len(str(count)) - 2)
    return max(1, count // step * step)


def _at_least_binomial(
    share: np.ndarray, low: np.ndarray, high: np.ndarray, tokens: int, top: int
) -> tuple[np.ndarray, np.ndarray]:
    """Widen intervals of shares to Wilson's (1927): an expert that nobody chose has no spread to see."""
    z, rate = student(10**6), share * top
    middle = (rate + z * z / (2 * tokens)) / (1 + z * z / tokens)
    reach = z * np.sqrt(rate * (1 - rate) / tokens + z * z / (4 * tokens * tokens)) / (1 + z * z / tokens)
    return np.clip(np.minimum(low, (middle - reach) / top), 0, 1), np.maximum(high, (middle + reach) / top)


def expert_counts(routed: Routed) -> np.ndarray:
    """Tokens [M, E] that each expert got."""
    return _sums(routed, None, np.zeros(len(routed), int), 1)[0]


def block_counts(routed: Routed) -> np.ndarray:
    """Tokens [B, M, E] that each expert got from each block."""
    return _sums(routed, None, routed.block, max(1, routed.blocks))


def gate_sums(routed: Routed) -> np.ndarray:
    """Summed gates [B, M, E]."""
    return _sums(routed, routed.gates, routed.block, max(1, routed.blocks))


def _sums(routed: Routed, gates: np.ndarray | None, block: np.ndarray, blocks: int) -> np.ndarray:
    experts = routed.num_experts
    out = np.empty((blocks, len(routed.layers), experts))
    place = block[:, None] * experts
    for column in range(out.shape[1]):
        index = (routed.experts[column] + place).ravel()
        weights = None if gates is None else gates[column].ravel()
        out[:, column] = np.bincount(index, weights, minlength=blocks * experts).reshape(blocks, experts)
    return out


def shares(counts: np.ndarray) -> np.ndarray:
    """Counts [..., E] as shares of their sum."""
    total = counts.sum(-1, keepdims=True)
    return counts / np.where(total > 0, total, 1)


def variation(counts: np.ndarray) -> np.ndarray:
    """CV of counts [..., E]."""
    return counts.std(-1) / _mean(counts)


def max_violation(counts: np.ndarray) -> np.ndarray:
    """MaxVio of counts [..., E]."""
    return counts.max(-1) / _mean(counts) - 1


def evenness(counts: np.ndarray) -> np.ndarray:
    """Entropy of counts [..., E] over log E; 1 for a single expert."""
    whole = np.log2(counts.shape[-1])
    return part_of(entropy(counts), whole) if whole else np.ones(counts.shape[:-1])


def jain(counts: np.ndarray) -> np.ndarray:
    """Jain's index of counts [..., E]."""
    return counts.sum(-1) ** 2 / np.maximum(counts.shape[-1] * (counts**2).sum(-1), 1e-30)


def unused(counts: np.ndarray) -> np.ndarray:
    """Share of counts [..., E] that are zero."""
    return (counts == 0).mean(-1)


def _mean(counts: np.ndarray) -> np.ndarray:
    return np.maximum(counts.mean(-1), 1e-30)
