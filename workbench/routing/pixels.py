"""Experts on pixels: whether the expert of a patch follows what the patch shows.

H, W patches down and across a picture, M MoE layers, E experts, L labels, S shifts
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.layout import PATCH
from workbench.routing.findings import (
    UPPER,
    Finding,
    RoutingError,
    around,
    bits,
    entropy,
    finding,
    frame,
    part_of,
)
from workbench.routing.nulls import beside_random_routers
from workbench.routing.tokens import Routed, gather
from workbench.trace import Trace

if TYPE_CHECKING:
    import pandas

SHIFTED = "the label map shifted over the patches, edges joined (torus shifts)"
MOST_SHIFTS = 400
_PARTS = 3


@dataclass(frozen=True, eq=False, repr=False)
class OnPixels:
    """Experts of the patches of one picture beside labels of the same patches.

    Attributes:
        layers: [M]. experts: [M, H, W] the first expert, -1 where there is no patch. labels: [H, W], -1
            where there is none. nmi: normalized mutual information, one row a layer. adjusted: the same less
            its chance level, over what is left to 1: 0 is chance, 1 is one and the same map.
    """

    layers: np.ndarray
    experts: np.ndarray
    labels: np.ndarray
    nmi: Finding
    adjusted: Finding

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Both numbers."""
        return self.nmi, self.adjusted

    def __repr__(self) -> str:
        return repr(self.adjusted)

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each layer and patch that has a label."""
        layer, row, col = np.nonzero((self.experts >= 0) & (self.labels >= 0))
        return frame(
            {
                "layer": self.layers[layer],
                "row": row,
                "col": col,
                "expert": self.experts[layer, row, col],
                "label": self.labels[row, col],
            }
        )


def on_pixels(trace: Trace, labels: np.ndarray, image: int = 0, thumbnail: bool = False) -> OnPixels:
    """How far the expert at a patch follows what the patch shows.

    What it means: the mutual information of expert and label over the patches of one picture, over the mean
    of their entropies: 1 if the two maps are the same up to names. `adjusted` takes its chance level off.
    When it misleads: patches are few and neighbours alike, so two smooth maps that know nothing of each other
    agree more than shuffled patches would; chance here keeps both maps whole and shifts one over the other,
    with the edges joined. Objects that always stand in the middle agree with routers that look at the place:
    use pictures whose objects lie anywhere. Sink patches at the border may carry their own experts. Source:
    normalized mutual information with the adjustment of Vinh et al. 2010, under torus shifts (Lotwick &
    Silverman 1982) in place of permutations.

    Args:
        trace: with the picture. image: which, from 0.
        labels: whole numbers, -1 for none: one for each patch [H, W] of `patch_map`, or one for each pixel of
            the original picture [height, width]; a patch then has the label of most of its pixels.
        thumbnail: the small copy of the whole picture in place of its tiles.

    Raises:
        RoutingError: no such picture, its patches were not routed, or the labels fit neither.
    """
    tokens = patch_map(trace, image, thumbnail)
    labels = _on_patches(trace, tokens, np.asarray(labels), image)
    mine, labels = _placed(trace, tokens, labels)
    values, number = np.unique(labels[labels >= 0], return_inverse=True)
    if len(values) < 2:
        raise RoutingError(f"the routed patches of picture {image} have {len(values)} labels; expected two")
    label = np.full(labels.shape, -1)
    label[labels >= 0] = number

    def told(one: Routed, label: np.ndarray = label, kept: np.ndarray | None = None) -> np.ndarray:
        maps = _maps(one, label.shape)
        return nmi(maps if kept is None else np.where(kept, maps, -1), label, mine.num_experts, len(values))

    value = told(mine)
    draws = np.stack([told(mine, np.roll(label, shift, (0, 1))) for shift in _shifts(label.shape, mine.seed)])
    without = np.stack([told(mine, kept=kept) for kept in _regions(label)])
    measured = (value, *around(value, without, 0.0, 1.0))
    rivals = beside_random_routers(mine, told)
    mean = draws.mean(0)
    # one label nearly everywhere, or one expert: chance leaves nothing to gain
    rest = np.maximum(1 - mean, 1e-9)
    question, places, count = "NMI of expert and label", {"layer": mine.layers}, int((label >= 0).sum())
    scaled = None if rivals is None else tuple((part - mean) / rest for part in rivals)
    adjusted = tuple((part - mean) / rest for part in measured)
    return OnPixels(
        layers=mine.layers,
        experts=_maps(mine, label.shape),
        labels=labels,
        nmi=finding(question, places, measured, draws, SHIFTED, count, UPPER, rivals),
        adjusted=finding(
            f"adjusted {question}", places, adjusted, (draws - mean) / rest, SHIFTED, count, UPPER, scaled
        ),
    )


def patch_map(trace: Trace, image: int, thumbnail: bool = False) -> np.ndarray:
    """Token numbers [H, W] of a picture's patches as they lie on its canvas.

    Raises:
        RoutingError: the trace has no such picture, or no thumbnail of it.
    """
    mine = (trace.image_index == image) & (trace.modality == PATCH) & (trace.is_thumbnail == thumbnail)
    tokens = np.flatnonzero(mine)
    if not len(tokens):
        what = "thumbnail of picture" if thumbnail else "picture"
        raise RoutingError(f"the trace has no {what} {image}; it has {len(trace.image_sizes)} pictures")
    tiles = np.unique(trace.tile_index[tokens])
    height, width = (int(column[tokens].max()) + 1 for column in (trace.patch_row, trace.patch_col))
    # tiles follow row by row: a new row begins where a tile is as far left as the first
    left = [
        np.nanmin(trace.patch_box[mine & (trace.tile_index == tile)][:, 0], initial=np.inf) for tile in tiles
    ]
    again = [number for number in range(1, len(tiles)) if left[number] <= left[0]]
    across = again[0] if again else len(tiles)
    number = np.searchsorted(tiles, trace.tile_index[tokens])
    grid = np.full((-(-len(tiles) // across) * height, across * width), -1)
    rows = (number // across) * height + trace.patch_row[tokens]
    grid[rows, (number % across) * width + trace.patch_col[tokens]] = tokens
    return grid


def _placed(trace: Trace, tokens: np.ndarray, labels: np.ndarray) -> tuple[Routed, np.ndarray]:
    """The routed tokens among patches [H, W], each with its place, and the labels that such a patch has."""
    routed = gather(trace)
    row_of = np.full(len(trace), -1)
    row_of[routed.token] = np.arange(len(routed))
    row = np.where(tokens >= 0, row_of[np.clip(tokens, 0, None)], -1)
    place = np.full(len(routed), -1)
    place[row[row >= 0]] = np.flatnonzero(row >= 0)
    mine = routed.subset(place >= 0)
    mine = replace(mine, columns=mine.columns | {"place": place[place >= 0]}, _made={})
    return mine, np.where(row >= 0, labels, -1)


def _on_patches(trace: Trace, tokens: np.ndarray, labels: np.ndarray, image: int) -> np.ndarray:
    """Labels [H, W] of patches out of labels of patches or of pixels."""
    if labels.dtype.kind not in "iub":
        raise RoutingError(f"labels are {labels.dtype}; expected whole numbers, -1 for none")
    labels = labels.astype(np.int64)
    if labels.shape == tokens.shape:
        return np.where(tokens >= 0, labels, -1)
    width, height = trace.image_sizes[image].tolist()
    if labels.shape != (height, width):
        raise RoutingError(
            f"labels are {labels.shape}; expected {tokens.shape} patches or {(height, width)} pixels"
        )
    values = np.unique(labels)
    boxes = np.where(tokens[..., None] >= 0, trace.patch_box[np.clip(tokens, 0, None)], np.nan)
    inside = ~np.isnan(boxes).any(-1)
    x0, y0, x1, y1 = np.rint(np.nan_to_num(boxes)).astype(int).transpose(2, 0, 1)
    x1, y1 = np.maximum(x1, x0 + 1).clip(0, width), np.maximum(y1, y0 + 1).clip(0, height)
    covered = []
    for value in values:
        summed = np.zeros((height + 1, width + 1), np.int64)
        summed[1:, 1:] = (labels == value).cumsum(0).cumsum(1)
        covered.append(summed[y1, x1] - summed[y0, x1] - summed[y1, x0] + summed[y0, x0])
    return np.where(inside, values[np.argmax(covered, axis=0)], -1)


def _maps(routed: Routed, shape: tuple[int, ...]) -> np.ndarray:
    """First experts [M, H, W] at the tokens' places, -1 elsewhere."""
    maps = np.full((len(routed.layers), shape[0] * shape[1]), -1)
    maps[:, routed.columns["place"]] = routed.experts[:, :, 0]
    return maps.reshape(-1, *shape)


def nmi(maps: np.ndarray, label: np.ndarray, experts: int, labels: int) -> np.ndarray:
    """Normalized mutual information [M] of expert maps [M, H, W] and a label map [H, W]; -1 is left out.

    0 where a map has but one value, which tells nothing.
    """
    both = (maps >= 0) & (label >= 0)
    tables = np.zeros((len(maps), labels, experts))
    layer, row, col = np.nonzero(both)
    np.add.at(tables, (layer, label[row, col], maps[both]), 1)
    mean = (entropy(tables.sum(1)) + entropy(tables.sum(2))) / 2
    return part_of(bits(tables), mean)


def _shifts(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Every shift of a torus but none at all; some of them where there are many."""
    every = np.stack(np.divmod(np.arange(1, shape[0] * shape[1]), shape[1]), 1)
    if len(every) <= MOST_SHIFTS:
        return every
    return every[np.random.default_rng((seed, 12)).choice(len(every), MOST_SHIFTS, replace=False)]


def _regions(label: np.ndarray) -> list[np.ndarray]:
    """Masks [H, W] that leave out one of up to 3 x 3 parts of the map."""
    parts = [np.minimum(np.arange(size) * _PARTS // size, _PARTS - 1) for size in label.shape]
    part = parts[0][:, None] * _PARTS + parts[1][None]
    return [part != one for one in np.unique(part)]
