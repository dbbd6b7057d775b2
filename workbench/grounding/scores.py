"""Maps against known boxes and masks: six accepted scores, each beside what it would be without looking.

    scores = grounding.score(maps, truths)          # one map and one Truth for each word
    scores["pointing"].value, scores["pointing"].chance, scores["pointing"].baselines["centre"]

A fixed blob in the middle of every picture scores far above chance where things stand near the middle, so
every score has it beside it, and the mean of all other words' maps, which does not know the question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.grounding.blind import centre_blob, mean_maps
from workbench.grounding.maps import PatchMap
from workbench.grounding.patches import GroundingError, Patches
from workbench.grounding.truth import TOGETHER, Look, Truth, groups_of, look_at
from workbench.ranks import auroc
from workbench.routing.findings import around, frame

if TYPE_CHECKING:
    import pandas

METRICS = ("pointing", "energy", "rank_accuracy", "auroc", "iou", "image_selection")
DRAWS = 20  # maps with the same numbers in another order, for each word
_TIE = 1e-6  # of the highest: as high


@dataclass(frozen=True)
class Score:
    """One score over all words that it can be asked of.

    Attributes:
        value: the mean. low, high: its 95 % interval, one group left out at a time; the whole range where
            there is but one. chance: the same with each map's numbers shuffled over its patches.
        baselines: the same of other maps, by name. words, groups: how many.
    """

    metric: str
    value: float
    low: float
    high: float
    chance: float
    baselines: Mapping[str, float]
    words: int
    groups: int

    def __str__(self) -> str:
        others = "".join(f", {name} {value:.3g}" for name, value in self.baselines.items())
        interval = f"{self.low:.3g} to {self.high:.3g}"
        return f"{self.metric} {self.value:.3g} ({interval}), chance {self.chance:.3g}{others}"


@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """All scores in one region. by_word: {metric: [words]}, NaN where it cannot be asked."""

    region: str
    scores: Mapping[str, Score]
    by_word: Mapping[str, np.ndarray]

    def __getitem__(self, metric: str) -> Score:
        if metric not in self.scores:
            raise KeyError(f"no score {metric!r}; there are {', '.join(self.scores)}")
        return self.scores[metric]

    def __repr__(self) -> str:
        words = max((score.words for score in self.scores.values()), default=0)
        return "\n".join([f"{words} words, {self.region}", *(f"  {one}" for one in self.scores.values())])

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each score."""
        some = list(self.scores.values())
        names = ("metric", "value", "low", "high", "chance", "words", "groups")
        columns = {name: [getattr(one, name) for one in some] for name in names}
        others = some[0].baselines if some else ()
        return frame(
            {"region": self.region, **columns}
            | {name: [one.baselines[name] for one in some] for name in others}
        )


def score(
    maps: Sequence[PatchMap],
    truths: Sequence[Truth],
    region: str = TOGETHER,
    others: Mapping[str, Sequence[PatchMap]] | None = None,
    seed: int = 0,
) -> Scores:
    """How well maps say where the thing is that each word speaks of.

    What it means: pointing, whether the highest patch is on the thing (a quarter of it or more); energy, the
    share of the map inside it; rank_accuracy, how many of the K highest patches are among the K on it;
    auroc, how often a patch on it is above one beside it; iou, of the patches above Otsu's threshold and
    those on it; image_selection, whether the thing's picture has the most (several pictures only). Equal
    numbers count in part, so a map that says nothing scores chance. When it misleads: large things are easy,
    so read every score beside its chance; things near the middle are found by `centre`, things that always
    stand in the same place by `mean_map`; heads chosen on the same words inflate it
    (`find_grounding_heads` splits them); right place is not right reason. Signed maps count from zero up in
    energy and image_selection. Source: Zhang et al. 1608.00507, Wang et al. 1910.01279, Arras et al.
    2003.07258, Otsu 1979 as in Li et al. 2506.23270.

    Args:
        maps: one for each word. truths: of the same words. region: "together", "tiles" or "thumbnail".
        others: maps of the same words by other means, e.g. {"untrained": ...}. seed: of the shuffles.

    Raises:
        GroundingError: not as many of one as of the other, or no word can be asked in this region.
    """
    others = dict(others or {})
    for name, some in {"truths": truths, **others}.items():
        if len(some) != len(maps):
            raise GroundingError(f"there are {len(maps)} maps and {len(some)} {name}; expected one each")
    groups = groups_of(truths)
    looks = [look_at(one.patches, truth, region) for one, truth in zip(maps, truths, strict=True)]
    # where every patch on the thing is masked, there is nothing to find
    asked = [n for n, look in enumerate(looks) if look and look.on[look.among & maps[n].kept].any()]
    if not asked:
        raise GroundingError(f"none of {len(maps)} words can be asked about in {region!r}")

    def table(some: Sequence[PatchMap]) -> dict[str, np.ndarray]:
        rows = []
        for number in asked:
            one, look = some[number], looks[number]
            if one.patches is not maps[number].patches:
                look = look_at(one.patches, truths[number], region)
            rows.append(_one(one, truths[number], look))
        return {metric: np.asarray([row[metric] for row in rows]) for metric in METRICS}

    rng = np.random.default_rng((seed, 31))
    draws = [table([_shuffled(rng, one) for one in maps]) for _ in range(DRAWS)]
    chance = {metric: np.mean([draw[metric] for draw in draws], 0) for metric in METRICS}
    centre = [replace(one, scores=centre_blob(one.patches)) for one in maps]
    blind = {"centre": centre, "mean_map": mean_maps(maps, groups)} | others
    own, rest = table(maps), {name: table(some) for name, some in blind.items()}
    labels = [groups[number] for number in asked]
    found = {}
    for metric in METRICS:
        if not np.isnan(own[metric]).all():
            beside = {name: other[metric] for name, other in rest.items()}
            found[metric] = _summed_up(metric, own[metric], chance[metric], beside, labels)
    return Scores(region, found, own)


def _one(one: PatchMap, truth: Truth, look: Look) -> dict[str, float]:
    """All scores of one word."""
    among = look.among & one.kept
    on, inside, values = look.on[among], look.cover[among], one.scores[among]
    images = one.patches.image[among]
    return {
        "pointing": _pointing(values, on),
        "energy": _energy(values, inside),
        "rank_accuracy": _rank_accuracy(values, on),
        "auroc": auroc(values, on),
        "iou": _iou(values, on),
        "image_selection": _selection(values, images, np.isin(images, truth.images)),
    }


def _pointing(values: np.ndarray, on: np.ndarray) -> float:
    highest = values >= values.max() - _TIE * abs(values.max())
    return float(on[highest].mean())


def _energy(values: np.ndarray, inside: np.ndarray) -> float:
    mass = values.clip(min=0)
    # all of it comes out as 1 and not a hair beside
    share = mass @ inside / mass.sum() if mass.sum() > 0 else inside.mean()
    return 1.0 if abs(share - 1) < 1e-12 else float(share)


def _rank_accuracy(values: np.ndarray, on: np.ndarray) -> float:
    count = int(on.sum())
    last = np.sort(values)[-count]
    above, tied = values > last, values == last
    # of those as high as the last, an even share of the places that are left
    return float((on[above].sum() + (count - above.sum()) * on[tied].mean()) / count)


def otsu(values: np.ndarray) -> float:
    """The threshold that parts values [n] into two classes farthest from each other; they lie above it."""
    ordered = np.sort(values)
    below = np.arange(1, len(ordered))
    sums = ordered.cumsum()
    one, other = sums[:-1] / below, (sums[-1] - sums[:-1]) / (len(ordered) - below)
    between = below * (len(ordered) - below) * (one - other) ** 2
    between[ordered[1:] == ordered[:-1]] = -1.0  # equal values stay together
    return float(ordered[int(between.argmax())]) if len(between) and between.max() > 0 else float(ordered[-1])


def _iou(values: np.ndarray, on: np.ndarray) -> float:
    lit = values > otsu(values)
    return float((lit & on).sum() / (lit | on).sum())


def _selection(values: np.ndarray, images: np.ndarray, right: np.ndarray) -> float:
    numbers = np.unique(images)
    if len(numbers) < 2:
        return float("nan")
    sums = np.asarray([values[images == number].clip(min=0).sum() for number in numbers])
    highest = sums >= sums.max() * (1 - _TIE)
    return float(np.mean([right[images == number].any() for number in numbers[highest]]))


def _shuffled(rng: np.random.Generator, one: PatchMap) -> PatchMap:
    at = np.flatnonzero(one.kept)
    scores = one.scores.copy()
    scores[at] = one.scores[rng.permutation(at)]
    return replace(one, scores=scores)


def _summed_up(
    metric: str,
    own: np.ndarray,
    chance: np.ndarray,
    others: Mapping[str, np.ndarray],
    groups: Sequence[object],
) -> Score:
    there = ~np.isnan(own)
    labels = [group for group, kept in zip(groups, there, strict=True) if kept]
    names = list(dict.fromkeys(labels))
    member = np.asarray([names.index(label) for label in labels])
    values = own[there]
    value, low, high = values.mean(), 0.0, 1.0
    if len(names) > 1:
        without = np.asarray([values[member != number].mean() for number in range(len(names))])
        low, high = (float(edge) for edge in around(value, without, 0.0, 1.0))
    rest = {name: float(np.nanmean(some[there])) for name, some in others.items()}
    return Score(
        metric, float(value), low, high, float(np.nanmean(chance[there])), rest, len(values), len(names)
    )


def pointing_at(patches: Patches, truth: Truth, region: str = TOGETHER) -> Callable[[PatchMap], float]:
    """The pointing game of one word, for choosing among many maps; NaN where it cannot be asked."""
    look = look_at(patches, truth, region)

    def measure(one: PatchMap) -> float:
        among = look.among & one.kept if look else np.zeros(0, bool)
        asked = look is not None and look.on[among].any()
        return _pointing(one.scores[among], look.on[among]) if asked else float("nan")

    return measure
