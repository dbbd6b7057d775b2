"""Patches: which part of which picture every patch token stands for, exactly.

A picture of several tiles is shown twice: cut into tiles, and once more whole and small (the thumbnail).
Each of the two views covers every pixel of the original exactly once. Padding is no part of a picture: its
patches have no box and reach no pixel.

P patches of all pictures in prompt order, I pictures, H x W pixels of a picture
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from model.processor import PATCH, Inputs
from workbench.trace import Trace

TILES, THUMBNAIL, MERGED = "tiles", "thumbnail", "merged"
VIEWS = (TILES, THUMBNAIL, MERGED)


class GroundingError(ValueError):
    """A question about pictures that cannot be answered; says what was expected."""


@dataclass(frozen=True, eq=False)
class Grid:
    """One view of one picture: the patches as rows and columns, and where these lie.

    Attributes:
        index: [rows, columns] numbers of the patches. x, y: their edges in pixels, from 0 to the picture's
            width and height.
    """

    index: np.ndarray
    x: np.ndarray
    y: np.ndarray

    @property
    def areas(self) -> np.ndarray:
        """Pixels [rows, columns] that each patch covers; not whole numbers."""
        return np.diff(self.y)[:, None] * np.diff(self.x)

    def to_pixels(self, values: np.ndarray) -> np.ndarray:
        """Values [rows, columns] on pixels [H, W]: each the mean of the patches over its area."""
        down, across = (lengths(np.arange(edges[-1] + 1), edges) for edges in (self.y, self.x))
        return down @ values @ across.T

    def share(self, inside: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The share [rows, columns] of each patch's area in a region: `inside` between edges x and y."""
        return lengths(self.y, y) @ inside.astype(float) @ lengths(self.x, x).T / self.areas


@dataclass(frozen=True, eq=False)
class Patches:
    """The patches of all pictures of a prompt, or other cells that pictures are cut into.

    Attributes:
        token: [P] the place in the sequence, -1 for a cell that is no token. image: [P] from 0.
        tile, row, col: [P] the tile, and the place within it. thumbnail: [P] bool.
        box: [P, 4] x0, y0, x1, y1 in pixels of the original; NaN for padding.
        sizes: [I, 2] width and height of the originals.
    """

    token: np.ndarray
    image: np.ndarray
    tile: np.ndarray
    row: np.ndarray
    col: np.ndarray
    thumbnail: np.ndarray
    box: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, source: Trace | Inputs) -> Patches:
        """The patches of a trace, or of a prompt."""
        spans = source.spans if isinstance(source, Inputs) else source
        sizes = [image.size for image in source.images] if isinstance(source, Inputs) else source.image_sizes
        at = np.flatnonzero(spans.modality == PATCH)
        names = ("image_index", "tile_index", "patch_row", "patch_col")
        return cls(
            at,
            *(getattr(spans, name)[at].astype(int) for name in names),
            spans.is_thumbnail[at],
            spans.patch_box[at].astype(float),
            np.asarray(sizes, int).reshape(-1, 2),
        )

    @classmethod
    def cells(cls, sizes: Sequence[tuple[int, int]], rows: int, cols: int) -> Patches:
        """`rows` x `cols` equal cells of each picture, which are no tokens."""
        if rows < 1 or cols < 1:
            raise GroundingError(f"cells are {rows} x {cols}; expected one or more each way")
        sizes = np.asarray(sizes, int).reshape(-1, 2)
        image, row, col = np.indices((len(sizes), rows, cols)).reshape(3, -1)
        width, height = sizes[image].T
        box = np.stack(
            [width * col / cols, height * row / rows, width * (col + 1) / cols, height * (row + 1) / rows], 1
        )
        none = np.full(len(image), -1)
        return cls(none, image, np.zeros_like(image), row, col, np.zeros(len(image), bool), box, sizes)

    def __len__(self) -> int:
        return len(self.image)

    @property
    def real(self) -> np.ndarray:
        """[P] bool: shows a part of its picture, and not padding alone."""
        return ~np.isnan(self.box[:, 0])

    @property
    def cut(self) -> np.ndarray:
        """[P] bool: belongs to a picture that has a thumbnail beside its tiles."""
        return np.isin(self.image, self.image[self.thumbnail])

    @property
    def middle(self) -> np.ndarray:
        """[P, 2] the middle of each box, as shares of the picture's width and height."""
        return (self.box[:, :2] + self.box[:, 2:]) / 2 / self.sizes[self.image]

    def views(self, image: int) -> tuple[str, ...]:
        """How picture `image` is shown: as tiles, and as a thumbnail if it has one."""
        self._check(image)
        mine = self.image == image
        return tuple(
            view
            for view in (TILES, THUMBNAIL)
            if (mine & self.real & (self.thumbnail == (view == THUMBNAIL))).any()
        )

    def grid(self, image: int, view: str = TILES) -> Grid:
        """One view of one picture as rows and columns, padding left out.

        Raises:
            GroundingError: no such picture, or it has no such view.
        """
        if view not in self.views(image):
            has = " and ".join(self.views(image)) or "no patches"
            raise GroundingError(f"picture {image} has no {view!r}; it has {has}")
        mine = np.flatnonzero((self.image == image) & self.real & (self.thumbnail == (view == THUMBNAIL)))
        width, height = self.sizes[image]
        left, column = np.unique(self.box[mine, 0], return_inverse=True)
        top, row = np.unique(self.box[mine, 1], return_inverse=True)
        index = np.full((len(top), len(left)), -1)
        index[row, column] = mine
        # a patch ends where the next begins: the rounding of a box's far edge makes no gap
        grid = Grid(index, np.append(left, width).astype(float), np.append(top, height).astype(float))
        if (index < 0).any() or grid.x[0] or grid.y[0] or (grid.areas <= 0).any():
            raise GroundingError(
                f"the patches of picture {image} are no whole grid; their boxes were changed"
            )
        return grid

    def to_pixels(self, values: np.ndarray, image: int, view: str = MERGED, mass: bool = False) -> np.ndarray:
        """Values [P] on the pixels [H, W] of picture `image`; see `PatchMap.on_pixels`."""
        if view not in VIEWS:
            raise GroundingError(f"view is {view!r}; expected one of {', '.join(VIEWS)}")
        views = self.views(image) if view == MERGED else (view,)
        if not views:
            raise GroundingError(f"picture {image} has no patches")
        grids = [self.grid(image, name) for name in views]
        layers = [grid.to_pixels(values[grid.index] / (grid.areas if mass else 1.0)) for grid in grids]
        return np.sum(layers, 0) if mass else np.mean(layers, 0)

    def share_in(
        self, image: int, boxes: Sequence[Sequence[float]] | None = None, mask: np.ndarray | None = None
    ) -> np.ndarray:
        """The share [P] of each patch that lies in a region of picture `image`; 0 for all other pictures.

        Args:
            image: which, from 0.
            boxes: x0, y0, x1, y1 in pixels, x1 and y1 exclusive; where they overlap they count once.
            mask: in place of boxes, bool [H, W].

        Raises:
            GroundingError: no region or two, one that lies outside, or a mask of another size.
        """
        self._check(image)
        width, height = self.sizes[image]
        if (boxes is None) == (mask is None):
            raise GroundingError("give boxes or a mask, and not both")
        if mask is not None:
            inside = np.asarray(mask)
            if inside.shape != (height, width):
                raise GroundingError(f"the mask is {inside.shape}; picture {image} is {(height, width)}")
            x, y = np.arange(width + 1.0), np.arange(height + 1.0)
            inside = inside > 0
        else:
            inside, x, y = _union(boxes, width, height)
        shares = np.zeros(len(self))
        for view in self.views(image):
            grid = self.grid(image, view)
            shares[grid.index] = grid.share(inside, x, y)
        # a patch that lies wholly inside is 1, not a rounding error beside it
        return np.where(np.abs(shares - 1) < 1e-6, 1.0, np.where(shares < 1e-6, 0.0, shares))

    def hidden_by(self, image: int, box: Sequence[float]) -> np.ndarray:
        """[P] bool: patches of both views whose middle a box holds; of a view without any, the patch that
        holds the box's middle."""
        x0, y0, x1, y1 = box
        found = np.zeros(len(self), bool)
        for view in self.views(image):
            grid = self.grid(image, view)
            hits = [_held(grid.y, y0, y1), _held(grid.x, x0, x1)]
            found[grid.index[np.ix_(*hits)]] = True
        return found

    def _check(self, image: int) -> None:
        if not 0 <= image < len(self.sizes):
            raise GroundingError(f"image is {image}; there are {len(self.sizes)} pictures, counted from 0")


def lengths(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How much of each interval between edges `one` [a + 1] lies in each between `other` [b + 1]: [a, b]."""
    low = np.maximum(one[:-1, None], other[None, :-1])
    return np.clip(np.minimum(one[1:, None], other[None, 1:]) - low, 0, None)


def _held(edges: np.ndarray, low: float, high: float) -> np.ndarray:
    middles = (edges[:-1] + edges[1:]) / 2
    held = np.flatnonzero((low <= middles) & (middles < high))
    if len(held):
        return held
    within = np.searchsorted(edges, (low + high) / 2, "right") - 1
    return np.asarray([min(max(int(within), 0), len(middles) - 1)])


def boxes_of(boxes: Sequence[float] | Sequence[Sequence[float]]) -> np.ndarray:
    """One box or several, or none, as float64 [boxes, 4].

    Raises:
        GroundingError: one of them is not four numbers.
    """
    try:
        several = np.asarray(boxes, float)
    except (TypeError, ValueError):
        several = np.zeros(())
    several = several[None] if several.shape == (4,) else several
    if several.size and (several.ndim != 2 or several.shape[1] != 4):
        raise GroundingError(f"boxes is {boxes!r}; expected x0, y0, x1, y1 in pixels, or several of these")
    return several.reshape(-1, 4)


def _union(
    boxes: Sequence[Sequence[float]], width: int, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes as [rows, columns] of a grid of all their edges, and these edges."""
    given = boxes_of(boxes)
    for box in given:
        if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
            raise GroundingError(
                f"the box {box.tolist()} is not inside a picture of {width} x {height} pixels; expected "
                "x0, y0, x1, y1 with x0 < x1 and y0 < y1"
            )
    x, y = (np.unique([0, most, *given[:, axes].flat]) for most, axes in ((width, [0, 2]), (height, [1, 3])))
    inside = np.zeros((len(y) - 1, len(x) - 1), bool)
    for (i, (left, right)), (j, (top, under)) in (
        (one, other) for one in enumerate(pairwise(x)) for other in enumerate(pairwise(y))
    ):
        within = (given[:, 0] <= left) & (right <= given[:, 2])
        inside[j, i] = (within & (given[:, 1] <= top) & (under <= given[:, 3])).any()
    return inside, x, y
