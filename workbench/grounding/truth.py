"""What is known about a word: the picture it speaks of, and where in it the thing is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from workbench.grounding.patches import THUMBNAIL, TILES, GroundingError, Patches

TOGETHER = "together"
REGIONS = (TOGETHER, TILES, THUMBNAIL)
ON = 0.25  # a patch is on the thing if so much of it is


@dataclass(frozen=True, eq=False)
class Truth:
    """Where the thing is that a word speaks of.

    Attributes:
        boxes: for each picture that shows it (from 0), x0, y0, x1, y1 in its pixels. masks: the same as
            bool [height, width]. A picture may have one or the other.
        group: words of one group (a dialogue, say) are not independent of each other; None: its own.
    """

    boxes: Mapping[int, Sequence[Sequence[float]]] = field(default_factory=dict)
    masks: Mapping[int, np.ndarray] = field(default_factory=dict)
    group: object = None

    def __post_init__(self) -> None:
        if not self.images or set(self.boxes) & set(self.masks):
            raise GroundingError(
                f"boxes for pictures {sorted(self.boxes)}, masks for {sorted(self.masks)}; expected one "
                "or the other for each picture that shows the thing, and one picture at least"
            )

    @property
    def images(self) -> tuple[int, ...]:
        """The pictures that show it."""
        return tuple(sorted({*self.boxes, *self.masks}))

    def cover(self, patches: Patches) -> np.ndarray:
        """The share [P] of each patch that is the thing's."""
        cover = np.zeros(len(patches))
        for image in self.images:
            region = {"boxes": self.boxes[image]} if image in self.boxes else {"mask": self.masks[image]}
            cover += patches.share_in(image, **region)
        return cover

    def on(self, patches: Patches, cover: np.ndarray) -> np.ndarray:
        """[P] bool, on the thing: a quarter of it or more; where a view has none, those with most."""
        on = cover >= ON
        for image in self.images:
            for view in patches.views(image):
                mine = (patches.image == image) & patches.real & (patches.thumbnail == (view == THUMBNAIL))
                most = cover[mine].max()
                if most > 0 and not on[mine].any():
                    on |= mine & (cover == most)
        return on


def groups_of(truths: Sequence[Truth]) -> list[object]:
    """The group of each word; one without is a group of its own, which is equal to no name that was given."""
    return [object() if truth.group is None else truth.group for truth in truths]


@dataclass(frozen=True, eq=False)
class Look:
    """The truth about some patches: [P] the ones that compete, the share of each that is the thing's, and the
    ones that are on it."""

    among: np.ndarray
    cover: np.ndarray
    on: np.ndarray


def look_at(patches: Patches, truth: Truth, region: str) -> Look | None:
    """The truth in a region; None where none of its patches shows the thing.

    "together": all patches. "tiles": thumbnails left out. "thumbnail": those alone, for things whose pictures
    all have one.
    """
    if region not in REGIONS:
        raise GroundingError(f"region is {region!r}; expected one of {', '.join(REGIONS)}")
    among = patches.real
    if region != TOGETHER:
        among = among & (patches.thumbnail == (region == THUMBNAIL))
    if region == THUMBNAIL and any(THUMBNAIL not in patches.views(image) for image in truth.images):
        return None
    cover = truth.cover(patches)
    return Look(among, cover, truth.on(patches, cover)) if (cover > 0)[among].any() else None
