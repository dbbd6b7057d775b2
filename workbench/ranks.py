"""Statistics by ranks: ties share their mean rank."""

from __future__ import annotations

import numpy as np


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks [n] from 1, ties at their mean."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return (last - (counts - 1) / 2)[group]


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """How often a positive [n] has a higher score [n] than a negative, ties in half; NaN if one kind is
    missing (Mann & Whitney 1947)."""
    inside, outside = int(positive.sum()), int((~positive).sum())
    if not inside or not outside:
        return float("nan")
    return float((ranks(scores)[positive].sum() - inside * (inside + 1) / 2) / (inside * outside))


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Rank correlation of two [n]; NaN if either is the same everywhere (Spearman 1904)."""
    first, second = (ranks(values) - (len(values) + 1) / 2 for values in (one, other))
    scale = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / scale) if scale > 0 else float("nan")
