"""Whole paths: which experts a token passes on its way through several layers.

L layers of a path, N tokens, R commonest paths, E experts, B blocks of tokens
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from workbench.routing.findings import BOTH, UPPER, Finding, RoutingError, entropy, finding, frame, jackknife
from workbench.routing.nulls import TURNED, beside_random_routers, turns_of_layers
from workbench.routing.preference import block_means
from workbench.routing.tokens import Routed, gather, told_edited
from workbench.trace import Trace

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False, repr=False)
class Paths:
    """Experts through several layers, the commonest first.

    Attributes:
        layers: [L] that the paths run through. paths: [R, L] experts. counts: [R] tokens that took them.
        share: of the tokens; one row a path, beside the r-th commonest path by chance.
        independent: [R] the share if every layer chose for itself. step_by_step: [R] if each layer looked
            only at the one before.
        order: bits by which paths are more ordered than layers that choose independently (total
            correlation). distinct: how many different paths there are; distinct_by_chance: on average.
    """

    layers: np.ndarray
    paths: np.ndarray
    counts: np.ndarray
    share: Finding
    independent: np.ndarray
    step_by_step: np.ndarray
    order: Finding
    distinct: int
    distinct_by_chance: float

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every number with its chance level."""
        return self.share, self.order

    def __repr__(self) -> str:
        return (
            f"{self.distinct} paths, by chance {self.distinct_by_chance:.1f}\n{self.order!r}\n{self.share!r}"
        )

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each of the commonest paths."""
        names = ("value", "low", "high", "chance", "p")
        return frame(
            {"path": [" ".join(map(str, path)) for path in self.paths.tolist()], "tokens": self.counts}
            | {{"value": "share"}.get(name, name): getattr(self.share, name) for name in names}
            | {"independent": self.independent, "step_by_step": self.step_by_step}
        )


def paths(
    traces: Trace | Sequence[Trace] | Routed, layers: Sequence[int] | None = None, most: int = 10
) -> Paths:
    """The commonest ways through the layers, and how much order there is in them.

    What it means: a path is the first expert of every chosen layer; `share` is how many tokens took it,
    beside the product of its experts' shares and beside a chain in which each layer looks at the one before;
    `order` is the sum of the layers' entropies less the entropy of the paths. When it misleads: the r-th
    commonest of many paths is common by selection, so its chance level is that of the r-th commonest path
    when every layer's sequence is turned by itself; with many layers nearly every token has a path of its
    own, `order` is then near its largest value by accident alone: choose a few layers. Source: activated
    pathways of MoE-LLaVA (2401.15947), counted instead of projected; total correlation of Watanabe 1960.

    Args:
        layers: true layer numbers, each once; all by default.
        most: how many paths at most, 1 or more.

    Raises:
        RoutingError: a layer without experts was named, one twice, or fewer than two; `most` is no number.
    """
    routed = gather(traces)
    columns = _columns(routed, layers)
    # nothing is drawn for the other layers; with all of them the random routers of other questions serve
    routed = routed if layers is None else routed.at(columns)
    first = routed.experts[:, :, 0]  # [L, N]
    ways, way, counts = np.unique(first.T, axis=0, return_inverse=True, return_counts=True)
    top = np.argsort(-counts, kind="stable")[: _checked(most)]
    chosen = ways[top]
    order = _order(routed, first, way.ravel(), len(ways))

    def told(one: Routed, turned: np.ndarray | None = None) -> np.ndarray:
        rows = one.experts[:, :, 0]
        return _summary(rows if turned is None else np.take_along_axis(rows, turned, 1), len(top))

    draws = np.stack([told(routed, turned) for turned in turns_of_layers(routed, 5)])
    rivals = beside_random_routers(routed, told) or (np.zeros(2 + len(top)), np.zeros((0, 2 + len(top))))

    def result(question: str, places: dict, measured: tuple, rows: slice, tail: str) -> Finding:
        others = (rivals[0][rows], rivals[1][:, rows]) if len(rivals[1]) else None
        return finding(question, places, measured, draws[:, rows], TURNED, len(routed), tail, others)

    taken = (way.ravel()[None] == top[:, None]).astype(float)
    shares = np.stack([np.bincount(row, minlength=routed.num_experts) for row in first]) / len(routed)
    return Paths(
        layers=routed.layers,
        paths=chosen,
        counts=counts[top],
        share=result(
            "share of the commonest paths",
            {"path": np.array([" ".join(map(str, path)) for path in chosen.tolist()])},
            block_means(routed, taken, 0.0, 1.0),
            slice(2, None),
            UPPER,
        ),
        independent=np.prod([shares[i, chosen[:, i]] for i in range(len(first))], axis=0),
        step_by_step=_chain(first, chosen, shares),
        order=result("bits of order in the paths", {"layers": np.array([len(first)])}, order, slice(1), BOTH),
        distinct=len(ways),
        distinct_by_chance=float(draws[:, 1].mean()),
    )


def _checked(most: int) -> int:
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise RoutingError(f"most is {most!r}; expected how many paths, 1 or more")
    return most


def _columns(routed: Routed, layers: Sequence[int] | None) -> list[int]:
    known = routed.layers.tolist()
    if unknown := sorted(set(known if layers is None else layers) - set(known)):
        edited = told_edited(routed.edited_layers)
        raise RoutingError(f"layers {unknown} have no experts; these have: {known}{edited}")
    columns = [known.index(layer) for layer in (known if layers is None else layers)]
    if len(columns) < 2:
        raise RoutingError("a path needs two layers")
    if len(set(columns)) < len(columns):
        raise RoutingError(f"layers is {list(layers)}; a path passes each layer once")
    return columns


def _order(
    routed: Routed, first: np.ndarray, way: np.ndarray, ways: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Total correlation of the layers in bits, with its interval: three arrays [1]."""
    blocks, experts = max(1, routed.blocks), routed.num_experts
    tables = [np.bincount(routed.block * ways + way, minlength=blocks * ways).reshape(blocks, ways)]
    for row in first:
        counted = np.bincount(routed.block * experts + row, minlength=blocks * experts)
        tables.append(counted.reshape(blocks, experts))

    def total(both: np.ndarray) -> np.ndarray:
        single = both[..., ways:].reshape(*both.shape[:-1], len(first), experts)
        return np.maximum(0, entropy(single).sum(-1) - entropy(both[..., :ways]))

    measured = jackknife(np.concatenate(tables, 1).astype(float), total, 0.0, np.inf)
    return tuple(np.atleast_1d(part) for part in measured)


def _counts(first: np.ndarray) -> np.ndarray:
    """How many tokens took each path of experts [L, N] that any took, in the paths' order.

    A path is read as one number to the base of the experts: whole rows sort a dozen times slower.
    """
    experts = int(first.max()) + 1
    code, size = first[0], experts
    for row in first[1:]:
        if size > 2**62 // experts:
            found, code = np.unique(code, return_inverse=True)
            size = len(found)
        code, size = code * experts + row, size * experts
    return np.unique(code, return_counts=True)[1]


def _summary(first: np.ndarray, most: int) -> np.ndarray:
    """[2 + most]: bits of order, distinct paths, shares of the commonest, of experts [L, N]."""
    counts = _counts(first)
    alone = sum(entropy(np.bincount(row).astype(float)) for row in first)
    common = np.sort(counts)[::-1][:most] / first.shape[1]
    order = max(0.0, float(alone - entropy(counts.astype(float))))
    return np.concatenate([[order, len(counts)], common, np.zeros(most - len(common))])


def _chain(first: np.ndarray, chosen: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Shares [R] of the paths [R, L] if each layer looked only at the one before."""
    expected = shares[0, chosen[:, 0]]
    for column, (one, other) in enumerate(pairwise(first)):
        both = [np.mean((one == a) & (other == b)) for a, b in chosen[:, column : column + 2]]
        expected = expected * np.array(both) / np.maximum(shares[column, chosen[:, column]], 1e-30)
    return expected
