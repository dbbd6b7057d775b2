"""Maps that know nothing of the question: a blob in the middle, and the mean of other words' maps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench.grounding.maps import PatchMap
from workbench.grounding.patches import Patches

_BLOB = 0.25  # standard deviation, as a share of the picture
_BINS = 5  # along each side of a picture

Cell = tuple[int, ...]


def centre_blob(patches: Patches) -> np.ndarray:
    """[P]: a blob in the middle of every picture; 0 on padding."""
    away = ((patches.middle - 0.5) ** 2).sum(1)
    # rounded, so that patches equally far are equal
    return np.nan_to_num(np.exp(-np.round(away, 4) / (2 * _BLOB**2)), nan=0.0)


def mean_maps(maps: Sequence[PatchMap], groups: Sequence[object]) -> list[PatchMap]:
    """For every map the mean of those of other groups, by picture's number, view and place in the picture.

    Each map counts as much as any other, whatever its sum. Places that no other map has get 0.
    """
    totals: dict[Cell, np.ndarray] = defaultdict(lambda: np.zeros(2))
    own: dict[object, dict[Cell, np.ndarray]] = defaultdict(lambda: defaultdict(lambda: np.zeros(2)))
    cells = [_cells(one.patches) for one in maps]
    for one, places, group in zip(maps, cells, groups, strict=True):
        sums = np.abs(one.scores).sum()
        for place, value in zip(places, one.scores / (sums if sums > 0 else 1), strict=True):
            totals[place] += (value, 1)
            own[group][place] += (value, 1)
    found = []
    for one, places, group in zip(maps, cells, groups, strict=True):
        rest = [totals[place] - own[group][place] for place in places]
        means = np.asarray([value / count if count > 0 else 0.0 for value, count in rest])
        found.append(replace(one, scores=means, made_by="mean of other words' maps"))
    return found


def _cells(patches: Patches) -> list[Cell]:
    # whole in one tile, a tile of several, thumbnail
    view = patches.cut.astype(int) + patches.thumbnail
    across, down = np.nan_to_num(patches.middle * _BINS, nan=-1).astype(int).T
    pictures = np.full(len(patches), len(patches.sizes))
    return list(
        zip(*(column.tolist() for column in (pictures, patches.image, view, across, down)), strict=True)
    )
