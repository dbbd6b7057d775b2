"""How sure a router is: the margin of its choice, and how widely its preference is spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.routing.findings import BOTH, Finding, RoutingError, finding, frame, jackknife
from workbench.routing.nulls import beside_random_routers
from workbench.routing.tokens import Routed, gather
from workbench.trace import Trace

if TYPE_CHECKING:
    import pandas

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
RANDOM = "routers with random weights that see the same vectors"


@dataclass(frozen=True, eq=False, repr=False)
class Preference:
    """How sure the router was.

    Attributes:
        margin: mean over the tokens, one row a layer, in logits. entropy: mean entropy of the softmax over
            all experts over log E: 1 knows nothing, 0 is certain.
        margins: [layer, quantile] of the margin over tokens, at `quantiles`.
    """

    margin: Finding
    entropy: Finding
    quantiles: tuple[float, ...]
    margins: np.ndarray

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Both numbers."""
        return self.margin, self.entropy

    def __repr__(self) -> str:
        return f"{self.margin!r}\n{self.entropy!r}"

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each layer and quantile of the margin."""
        layers, count = self.margins.shape
        return frame(
            {
                "layer": np.repeat(self.margin.places["layer"], count),
                "quantile": np.tile(self.quantiles, layers),
                "margin": self.margins.ravel(),
            }
        )


def preference(traces: Trace | Sequence[Trace] | Routed) -> Preference:
    """Router margin and entropy of preference of every layer.

    What it means: the margin is the lowest logit among the chosen experts less the highest among the others:
    how far noise would have to move a logit to change the choice. The entropy is that of softmax(logits) over
    all experts. When it misleads: Llama 4 applies the sigmoid of the chosen logit and no softmax, so the
    entropy tells what the router would rather, not what weight it gave. Both grow with the logits' scale,
    which means nothing by itself: chance here is a router with random weights that sees the same vectors (its
    logits have the same length, turned at random). A small margin is not a mistake; two experts may do the
    same. A forced expert can have a negative margin. Source: the margin as used for routing flips in
    2606.05688; the null is a rotation test (Langsrud 2005).

    Raises:
        RoutingError: the traces have no router logits, or every expert is always chosen.
    """
    routed = gather(traces)
    if routed.margin is None:
        raise RoutingError(
            f"margins need router logits of more experts than are chosen; {routed.no_logits or 'all are'}"
        )

    def told(question: str, name: str, least: float, most: float) -> Finding:
        def mean(one: Routed) -> np.ndarray:
            return getattr(one, name).mean(1, dtype=float)

        measured = block_means(routed, getattr(routed, name), least, most)
        rivals = beside_random_routers(routed, mean)
        draws = rivals[1] if rivals is not None else np.empty((0, len(routed.layers)))
        return finding(question, {"layer": routed.layers}, measured, draws, RANDOM, len(routed), BOTH, rivals)

    margins = np.quantile(routed.margin, QUANTILES, axis=1).T
    return Preference(
        margin=told("margin of the router's choice (logits)", "margin", -np.inf, np.inf),
        entropy=told("entropy of the router's preference (1 knows nothing)", "preference_entropy", 0.0, 1.0),
        quantiles=QUANTILES,
        margins=margins,
    )


def block_means(
    routed: Routed, values: np.ndarray, least: float, most: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean over tokens of values [..., N], with its interval: three arrays [...]."""
    flat = values.reshape(-1, values.shape[-1])
    blocks = max(1, routed.blocks)
    sums = np.stack([np.bincount(routed.block, row, minlength=blocks) for row in flat], 1)
    sizes = np.bincount(routed.block, minlength=blocks).astype(float)
    both = np.stack([sums, np.broadcast_to(sizes[:, None], sums.shape)], -1)  # [B, rows, 2]
    measured = jackknife(both, _ratio, least, most)
    return tuple(part.reshape(values.shape[:-1]) for part in measured)


def _ratio(both: np.ndarray) -> np.ndarray:
    return both[..., 0] / np.maximum(both[..., 1], 1)
