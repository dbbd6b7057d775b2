"""Specialization: how much the expert tells of what a token is.

L labels, M MoE layers, E experts, N tokens, K experts per token, B blocks of tokens
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.routing.findings import UPPER, Finding, bits, entropy, finding, frame, jackknife, part_of
from workbench.routing.labels import Labels, labels_of
from workbench.routing.loads import shares
from workbench.routing.nulls import TURNED, beside_random_routers, turns
from workbench.routing.tokens import Routed, gather
from workbench.trace import Trace

if TYPE_CHECKING:
    import pandas

EXCHANGED = "the labels of whole traces exchanged"
_EXCHANGES = 199


@dataclass(frozen=True, eq=False, repr=False)
class Specialization:
    """What experts tell of one kind of label.

    Attributes:
        by: the kind. labels: [L] its values. tokens: [L] how many tokens have each.
        layers: [M]. share: [M, L, E] of a label's choices that went to each expert.
        information: bits, one row a layer. of_label: the same as a share of the label's entropy (1: the
            expert gives the label away). divergence: Jensen-Shannon divergence of the labels' loads in bits,
            every label weighing the same.
    """

    by: str
    labels: np.ndarray
    tokens: np.ndarray
    layers: np.ndarray
    share: np.ndarray
    information: Finding
    of_label: Finding
    divergence: Finding

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every number with its chance level."""
        return self.information, self.of_label, self.divergence

    def __repr__(self) -> str:
        return repr(self.of_label)

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each layer, label and expert."""
        layers, labels, experts = self.share.shape
        return frame(
            {
                "layer": np.repeat(self.layers, labels * experts),
                self.by: np.tile(np.repeat(self.labels, experts), layers),
                "expert": np.tile(np.arange(experts), layers * labels),
                "share": self.share.ravel(),
            }
        )


def specialization(
    traces: Trace | Sequence[Trace] | Routed,
    by: str | np.ndarray | Sequence[object],
    name: str | None = None,
    at_least: int = 8,
) -> Specialization:
    """How much the expert that a token is sent to tells of the token's label.

    What it means: the mutual information of expert and label, in bits and as a share of the label's entropy:
    1 means that the expert gives the label away, 0 that it tells nothing. When it misleads: counts inform by
    accident, the more the more labels and experts there are and the fewer tokens; and neighbours share both
    label and expert. So chance is the same sequence of labels turned against the experts within every trace
    (or, where a trace has one label throughout, the labels of whole traces exchanged), and not shuffled token
    by token. Vectors of pictures and of words lie apart in any model: `random_routers` tells how much routers
    with random weights seem specialized, and `significant` asks for more than both. One prompt with one
    picture is hardly more than one observation: its chance level is high for a reason. Source: mutual
    information for OLMoE's domain and vocabulary specialization (2409.02060) and the modality divergence of
    MoE-LLaVA (2401.15947); the null and the correction are ours.

    Args:
        by: "modality", "image", "token", "position", "role", "phase", "turn", "tile"; or a key of the traces'
            `meta` with one value a trace, such as "language"; or labels: one for each token of each trace
            (-1, "" or None: leave the token out), or one for each trace.
        name: what to call labels that were given.
        at_least: labels with fewer tokens are left out.

    Raises:
        RoutingError: no such label, or fewer than two values of it.
    """
    routed = gather(traces)
    labels = labels_of(routed, by, name, at_least)
    routed = routed.subset(labels.kept)
    count, label, name = len(labels.values), labels.of_token, labels.name
    tables = _tables(routed, label, count, routed.block, max(1, routed.blocks))  # [B, M, L, E]

    orders, null = _null(routed, labels)
    draws = np.stack([_told(routed, order, count) for order in orders])
    # random routers see some of the tokens only where there are many: their labels travel as a column
    routed = replace(routed, columns=routed.columns | {"label": label}, _made={})
    rivals = beside_random_routers(routed, lambda one: _told(one, one.columns["label"], count))

    def result(question: str, row: int, measured: tuple) -> Finding:
        others = None if rivals is None else (rivals[0][row], rivals[1][:, row])
        return finding(question, places, measured, draws[:, row], null, len(routed), UPPER, others)

    places, most = {"layer": routed.layers}, float(np.log2(max(2, min(count, routed.num_experts))))
    return Specialization(
        by=name,
        labels=labels.values,
        tokens=np.bincount(label, minlength=count),
        layers=routed.layers,
        share=shares(tables.sum(0)),
        information=result(f"bits that the expert tells of the {name}", 0, jackknife(tables, bits, 0, most)),
        of_label=result(f"share of the {name} that the expert tells", 1, jackknife(tables, _of_label, 0, 1)),
        divergence=result(f"divergence by {name} (bits)", 2, jackknife(tables, _divergence, 0, np.inf)),
    )


def _told(routed: Routed, label: np.ndarray, count: int) -> np.ndarray:
    """[3, M]: bits, share of the label's entropy, divergence."""
    table = _tables(routed, label, count, np.zeros(len(routed), int), 1)[0]
    return np.stack([bits(table), _of_label(table), _divergence(table)])


def _null(routed: Routed, labels: Labels) -> tuple[list[np.ndarray], str]:
    """Labels [N] of every draw, and what the draws are."""
    if not labels.of_units:
        orders = turns(routed, routed.experts.size * 2, 6)
        return [labels.of_token[order] for order in orders], TURNED
    units, unit = np.unique(routed.unit, return_inverse=True)
    one = np.zeros(len(units), int)
    one[unit] = labels.of_token
    rng = np.random.default_rng((routed.seed, 7))
    return [rng.permutation(one)[unit] for _ in range(_EXCHANGES)], EXCHANGED


def _tables(routed: Routed, label: np.ndarray, count: int, block: np.ndarray, blocks: int) -> np.ndarray:
    """Counts [B, M, L, E]."""
    experts = routed.num_experts
    size = blocks * count * experts
    place = ((block * count + label) * experts)[:, None]
    return np.stack(
        [
            np.bincount((column + place).ravel(), minlength=size).reshape(blocks, count, experts)
            for column in routed.experts
        ],
        1,
    ).astype(float)


def _of_label(table: np.ndarray) -> np.ndarray:
    """Mutual information of counts [..., L, E] over the entropy of the labels."""
    return part_of(bits(table), entropy(table.sum(-1)))


def _divergence(table: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence of the rows of counts [..., L, E], in bits; empty rows do not count."""
    return bits(shares(table))
