"""A number, how sure it is, and what chance gives: the form of every answer about routing.

Intervals are 95 % and come from leaving out one block of neighbouring tokens at a time (the delete-a-block
jackknife, Kuensch 1989): neighbouring tokens are alike, so blocks and not tokens are what was observed
independently. p-values are ranks among draws of a null (Phipson & Smyth 2010): never zero, and at most 5 % of
them are below 0.05 where the null holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas

BLOCKS = 20
TOKENS_PER_BLOCK = 8  # fewer are no block: neighbours would stand on both sides of every border
LEVEL = 0.05
UPPER, LOWER, BOTH = "upper", "lower", "both"


class RoutingError(ValueError):
    """A question that these traces cannot answer."""


@dataclass(frozen=True, eq=False, repr=False)
class Finding:
    """One number for each place (a layer, a pair of layers, a group of tokens), beside chance.

    Attributes:
        question: what was measured, with its unit.
        places: names of the rows, e.g. {"layer": [1, 3, 5]}.
        value: [rows] as measured. low, high: [rows] its 95 % interval, neighbouring tokens kept together.
        chance: [rows] the mean under `null`. chance_low, chance_high: [rows] its middle 95 %.
        p: [rows] how often the null gives as much; NaN where the value is.
        null: what chance means here.
        random_routers: [rows] the mean of routers with random weights that see what this one sees (NaN
            without router logits), on pieces of the tokens where there are many. p_random_routers: [rows] how
            often they give as much as this router does on the same tokens.
        tokens: how many were counted.
    """

    question: str
    places: Mapping[str, np.ndarray]
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    chance: np.ndarray
    chance_low: np.ndarray
    chance_high: np.ndarray
    p: np.ndarray
    null: str
    random_routers: np.ndarray
    p_random_routers: np.ndarray
    tokens: int

    @property
    def over_chance(self) -> np.ndarray:
        """The value less its chance level, which few tokens raise."""
        return self.value - self.chance

    @property
    def significant(self) -> np.ndarray:
        """Where neither the null nor routers with random weights explain the value (each at 5 %).

        One row in twenty may be so by accident; with many rows, expect some. Where random routers were not
        asked (their p is NaN, as in every trace without router logits), the null alone decides, which is the
        weaker test. A value that cannot be told (NaN) never is.
        """
        return ~np.isnan(self.value) & (self.p <= LEVEL) & ~(self.p_random_routers > LEVEL)

    def __len__(self) -> int:
        return len(self.value)

    def __repr__(self) -> str:
        asked = "" if (~np.isnan(self.p_random_routers)).any() else "; random routers not asked"
        rows = [f"{self.question}; {self.tokens:,} tokens; chance: {self.null}{asked}"]
        for row in range(min(len(self), 12)):
            place = ", ".join(f"{name} {column[row]}" for name, column in self.places.items())
            rivals = self.random_routers[row]
            rows.append(
                f"  {place}: {self.value[row]:.3g} ({self.low[row]:.3g} to {self.high[row]:.3g}), by chance "
                f"{self.chance[row]:.3g} ({self.chance_low[row]:.3g} to {self.chance_high[row]:.3g})"
                + ("" if np.isnan(rivals) else f", random routers {rivals:.3g}")
                + (", chance does not explain it" if self.significant[row] else "")
            )
        return "\n".join([*rows, *([f"  and {len(self) - 12} more"] if len(self) > 12 else [])])

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each place, with every number beside it."""
        names = ("value", "low", "high", "chance", "chance_low", "chance_high", "p")
        columns = {name: getattr(self, name) for name in (*names, "random_routers", "p_random_routers")}
        columns |= {"significant": self.significant, "tokens": self.tokens, "null": self.null}
        return frame({"question": self.question, **self.places, **columns})


def frame(columns: Mapping[str, object]) -> pandas.DataFrame:
    """A table of pandas, which is not needed for anything else here.

    Raises:
        ImportError: pandas is not installed; says how to get it.
    """
    try:
        import pandas
    except ImportError:
        raise ImportError("to_pandas needs pandas: pip install pandas") from None
    return pandas.DataFrame(dict(columns))


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t (Cornish-Fisher, good to 1 % from three degrees on)."""
    if freedom < 3:
        return {1: 12.706, 2: 4.303}.get(freedom, math.inf)
    z, n = 1.959964, freedom
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / n ** (i + 1) for i, term in enumerate(terms))


def jackknife(
    blocks: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], least: float, most: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A statistic of summed counts, and its 95 % interval by leaving out one block at a time.

    Args:
        blocks: [B, ...] counts of each block of neighbouring tokens.
        statistic: from counts [..., ...] to values [...]; leading axes are carried along.
        least, most: what the statistic can be at all; the whole range where there is but one block.
    """
    total = blocks.sum(0)
    value = np.asarray(statistic(total[None])[0], float)
    count = len(blocks)
    if count < 2:
        return value, np.full_like(value, least), np.full_like(value, most)
    without = np.stack([statistic((total - block)[None])[0] for block in blocks])
    return value, *around(value, without, least, most)


def around(
    value: np.ndarray, without: np.ndarray, least: float, most: float
) -> tuple[np.ndarray, np.ndarray]:
    """The interval about a value, out of the values [B, ...] with one block left out at a time.

    The whole range where one of them cannot be told (NaN): how far they lie apart is then unknown.
    """
    count = len(without)
    spread = np.sqrt((count - 1) / count * ((without - without.mean(0)) ** 2).sum(0))
    reach = student(count - 1) * spread
    unknown = np.isnan(value + reach)
    low, high = (np.clip(edge, least, most) for edge in (value - reach, value + reach))
    return np.where(unknown, least, low), np.where(unknown, most, high)


def rank(value: np.ndarray, draws: np.ndarray, tail: str = UPPER) -> np.ndarray:
    """p of a value [...] among draws [D, ...] of its null; ties count against it.

    A hair is allowed for: the same counts summed in another order differ in their last bits. A value that
    cannot be told (NaN) has no p either.
    """
    hair = 1e-9 * np.maximum(1, np.abs(value))
    above = (1 + (draws >= value - hair).sum(0)) / (1 + len(draws))
    below = (1 + (draws <= value + hair).sum(0)) / (1 + len(draws))
    p = {UPPER: above, LOWER: below, BOTH: np.minimum(1, 2 * np.minimum(above, below))}[tail]
    return np.where(np.isnan(value), np.nan, p)


def finding(
    question: str,
    places: Mapping[str, np.ndarray],
    measured: tuple[np.ndarray, np.ndarray, np.ndarray],
    draws: np.ndarray,
    null: str,
    tokens: int,
    tail: str = UPPER,
    rivals: tuple[np.ndarray, np.ndarray] | None = None,
) -> Finding:
    """Put an answer together.

    Args:
        measured: value, low and high, each [rows].
        draws: [D, rows] of the null.
        rivals: own value [rows] and those of random routers [R, rows], on the same tokens.
    """
    value, low, high = (np.asarray(part, float) for part in measured)
    nothing = np.full(value.shape, np.nan)
    bounds = np.quantile(draws, [0.025, 0.975], axis=0) if len(draws) else [nothing, nothing]
    own, others = rivals if rivals is not None else (nothing, nothing[None])
    return Finding(
        question=question,
        places=dict(places),
        value=value,
        low=low,
        high=high,
        chance=draws.mean(0) if len(draws) else nothing,
        chance_low=bounds[0],
        chance_high=bounds[1],
        p=rank(value, draws, tail) if len(draws) else nothing,
        null=null,
        random_routers=others.mean(0),
        p_random_routers=nothing if rivals is None else rank(own, others, tail),
        tokens=tokens,
    )


def bits(joint: np.ndarray) -> np.ndarray:
    """Mutual information in bits of the last two axes of counts [..., A, B]; zero for an empty table."""
    total = joint.sum((-2, -1))
    safe = np.where(total > 0, total, 1)

    def log_sum(counts: np.ndarray, axes: int | tuple[int, ...]) -> np.ndarray:
        return (counts * np.log2(np.where(counts > 0, counts, 1))).sum(axes)

    inside = log_sum(joint, (-2, -1)) - log_sum(joint.sum(-1), -1) - log_sum(joint.sum(-2), -1)
    told = inside / safe + np.log2(safe)
    # what is independent comes out a rounding error away from zero
    return np.where(told > 1e-12, told, 0.0)


def part_of(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """A part over its whole, 0 for an empty one; all of it comes out as 1 and not a hair beside."""
    ratio = part / np.where(whole > 0, whole, 1)
    return np.where(np.abs(ratio - 1) < 1e-12, 1.0, ratio)


def entropy(counts: np.ndarray) -> np.ndarray:
    """Entropy in bits of counts [..., A]."""
    total = counts.sum(-1)
    safe = np.where(total > 0, total, 1)
    return np.log2(safe) - (counts * np.log2(np.where(counts > 0, counts, 1))).sum(-1) / safe
