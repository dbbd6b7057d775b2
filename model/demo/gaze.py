"""Maps over the patches of pictures: what lies where, what a map says, and maps that know nothing.

A map gives every patch a number: the attention of a row, or of several heads on the average. Where several
patches share the highest number, a hit is the share of them that is right, so that an even map scores what
chance scores.

P patches (of all pictures of a dialogue), H heads of all layers, C maps or sets of heads
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from model.demo.watching import Patches, Watched, Word

# a patch is on a thing when their overlap is this share of the smaller of the two; so is the patch that holds
# the middle of the thing
_ON_IT = 0.3
_MOST_TOGETHER = 8  # heads in a set
_BLOB = 0.25  # standard deviation of the middle blob, as a share of the picture
_BINS = 5  # of the mean map, along each side of a picture

REGIONS = {
    "together": "all patches of all pictures",
    "tiles": "patches of tiles, thumbnails left out",
    "tiles_of_cut": "the same, words about pictures of several tiles",
    "thumbnail": "patches of thumbnails, words about pictures of several tiles",
    "asked_picture": "patches of the picture that the word is about",
}


@dataclass(frozen=True)
class Look:
    """A word, its patches, and the truth about them."""

    word: Word
    patches: Patches
    pictures: int
    on: np.ndarray  # bool [P], on the things
    inside: np.ndarray  # float [P], share of the patch that lies in their boxes
    middle: np.ndarray  # bool [P], the patch's middle lies in one of their boxes

    def of_asked(self) -> np.ndarray:
        """Bool [P]: patches of the pictures that the word is about."""
        return np.isin(self.patches.image, self.word.asked)

    def candidates(self, region: str) -> np.ndarray | None:
        """Bool [P]: the patches that compete in one of REGIONS; None where the word does not belong there."""
        thumbnail, of_asked = self.patches.thumbnail, self.of_asked()
        if region in ("tiles_of_cut", "thumbnail") and not self.patches.cut[of_asked].all():
            return None
        found = {
            "together": np.ones_like(thumbnail),
            "asked_picture": of_asked,
            "thumbnail": thumbnail,
        }.get(region, ~thumbnail)
        return found if self.on[found].any() else None


def looks(watched: Watched) -> list[Look]:
    """The words of a dialogue with the truth about their things."""
    patches = watched.patches
    x0, y0, x1, y1 = patches.box.astype(float).T
    area = (x1 - x0) * (y1 - y0)
    found = []
    for word in watched.words:
        on, inside, middle = np.zeros(len(area), bool), np.zeros(len(area)), np.zeros(len(area), bool)
        for image, thing in word.things:
            a0, b0, a1, b1 = watched.scenes[image].things[thing].box
            across = np.clip(np.minimum(x1, a1) - np.maximum(x0, a0), 0, None)
            common = across * np.clip(np.minimum(y1, b1) - np.maximum(y0, b0), 0, None)
            # nothing lies on padding, whose box is NaN
            common = np.where((patches.image == image) & (area > 0), common, 0)
            u, v = (a0 + a1) / 2, (b0 + b1) / 2
            holds = (x0 <= u) & (u < x1) & (y0 <= v) & (v < y1) & (patches.image == image)
            on |= (common > _ON_IT * np.minimum(area, (a1 - a0) * (b1 - b0))) | holds
            inside += common / np.where(area > 0, area, 1)
            within = (a0 <= (x0 + x1) / 2) & ((x0 + x1) / 2 < a1) & (b0 <= (y0 + y1) / 2)
            middle |= within & ((y0 + y1) / 2 < b1) & (patches.image == image)
        found.append(Look(word, patches, len(watched.scenes), on, inside.clip(max=1), middle))
    return found


def hits(maps: np.ndarray, right: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Per map [C, P]: whether its highest candidate is right; where several are highest, how many of them."""
    maps = np.where(candidates, maps, -1.0)
    highest = maps >= maps.max(1, keepdims=True) * (1 - 1e-6)
    highest &= candidates
    return (highest & right).sum(1) / highest.sum(1)


def shares(maps: np.ndarray, part: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Per map [C, P]: the share of the candidates' mass that falls on `part` [P]; an empty map is even."""
    mass = np.where(candidates, maps, 0.0)
    total = mass.sum(1)
    return np.where(total > 0, mass @ part / np.where(total > 0, total, 1), part[candidates].mean())


def most_on_asked(values: np.ndarray, look: Look) -> float:
    """Whether the asked picture gets more than any other from a map [P]; ties count in part."""
    images = np.unique(look.patches.image)
    masses = np.asarray([values[look.patches.image == image].sum() for image in images])
    highest = masses >= masses.max() * (1 - 1e-6)
    return float((highest & np.isin(images, look.word.asked)).sum() / highest.sum())


def choose_heads(
    score: Callable[[np.ndarray], np.ndarray], heads: Sequence[tuple[int, int]]
) -> tuple[tuple[int, ...], float]:
    """The best of: every head alone, all heads of a layer, the best few together; and its mean score.

    score: words' scores [words, C] for sets of heads given as averages [C, H].
    """
    alone = score(np.eye(len(heads), dtype=np.float32)).mean(0)
    ranked = np.argsort(-alone, kind="stable").tolist()
    sets = [(number,) for number in range(len(heads))]
    for layer in sorted({layer for layer, _ in heads}):
        sets.append(tuple(number for number, head in enumerate(heads) if head[0] == layer))
    sets += [tuple(sorted(ranked[:count])) for count in range(2, _MOST_TOGETHER + 1)]
    means = score(averages(sets, len(heads))).mean(0)
    best = int(means.argmax())
    return sets[best], float(means[best])


def averages(sets: Sequence[tuple[int, ...]], heads: int) -> np.ndarray:
    """[C, H]: each row takes the mean over a set."""
    matrix = np.zeros((len(sets), heads), dtype=np.float32)
    for row, chosen in enumerate(sets):
        matrix[row, list(chosen)] = 1 / len(chosen)
    return matrix


def middle_blob(look: Look) -> np.ndarray:
    """[P]: a blob in the middle of every picture."""
    away = ((look.patches.middle - 0.5) ** 2).sum(1)
    # rounded, so that patches equally far are equal
    return np.nan_to_num(np.exp(-np.round(away, 4) / (2 * _BLOB**2)), nan=0.0)


def mean_map_of(development: Sequence[Look], heads: np.ndarray) -> Callable[[Look], np.ndarray]:
    """A map that does not know the question: the mean by picture's number, view, and place in the picture.

    heads: the average [1, H] over the heads that are read.
    """
    sums: dict[tuple[int, ...], float] = defaultdict(float)
    counts: dict[tuple[int, ...], int] = defaultdict(int)
    for look in development:
        for cell, value in zip(_cells(look), (heads @ look.word.weights)[0].tolist(), strict=True):
            sums[cell] += value
            counts[cell] += 1

    def mean_map(look: Look) -> np.ndarray:
        return np.asarray([sums[cell] / counts[cell] if cell in counts else 0.0 for cell in _cells(look)])

    return mean_map


def _cells(look: Look) -> list[tuple[int, ...]]:
    patches = look.patches
    across, down = np.nan_to_num(patches.middle * _BINS, nan=-1).astype(int).T
    view = patches.cut.astype(int) + patches.thumbnail  # whole in one tile, a tile of several, thumbnail
    pictures = np.full(len(view), look.pictures)
    return list(zip(*(x.tolist() for x in (pictures, patches.image, view, across, down)), strict=True))
