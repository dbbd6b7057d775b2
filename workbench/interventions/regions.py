"""A part of a picture: which patches it is in the prompt, and which pixels of the tiles that the tower sees.

A picture is there more than once (tiles, and a thumbnail of the whole), so one box has several places.

P patches of one picture, S pixels of a tile's side
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.llama4 import Llama4
from model.processor import Inputs
from model.spans import PATCH
from workbench.edits import EditError
from workbench.fills import Place
from workbench.interventions.tokens import check_box, check_image, positions, touching

EVERYWHERE = np.array([-np.inf, -np.inf, np.inf, np.inf])
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Spot:
    """A rectangle of one of a picture's tiles."""

    tile: int
    place: Place


@dataclass(frozen=True)
class Region:
    """A part of one picture of a prompt, in tokens and in the pixels of its tiles.

    Attributes:
        tokens: [P] positions of all patches of the picture. chosen: bool [P], those that are meant.
        covered: bool [tiles, S, S] the pixels that are meant. visible: bool [tiles, S, S], where the picture
            is. first: the picture's first tile among all. step: pixels of a patch token's side.
        vectors: [P] which of all pictures' vectors each patch is.
        parts: every box, or every patch: where it is in each tile that has it, the thumbnail last.
    """

    tokens: np.ndarray
    chosen: np.ndarray
    covered: np.ndarray
    visible: np.ndarray
    first: int
    step: int
    vectors: np.ndarray
    parts: list[list[Spot]]

    @classmethod
    def of(
        cls,
        llama: Llama4,
        inputs: Inputs,
        image: int,
        boxes: Box | Sequence[Box] | None,
        patches: Sequence[int] | None,
    ) -> Region:
        """The region that boxes or patches describe.

        Raises:
            EditError: no such picture, a box outside it, a position that is none of its patches.
        """
        if llama.config.vision is None or inputs.pixel_values is None:
            raise EditError("there is no picture to edit: this prompt is text only")
        check_image(image, inputs.spans)
        if boxes is not None and patches is not None:
            raise EditError("give boxes or patches, not both")
        spans = inputs.spans
        every = np.flatnonzero(spans.modality == PATCH)
        of_this = spans.image_index[every] == image
        tokens = every[of_this]
        side, S = llama.config.vision.tokens_per_side, inputs.pixel_values.shape[-1]
        tile = spans.tile_index[tokens]
        grid = Grid(
            spans.patch_box[tokens].astype(float), tile, spans.patch_row[tokens], spans.patch_col[tokens],
            spans.is_thumbnail[tokens], S, S // side,
        )  # fmt: skip
        visible = grid.pixels(EVERYWHERE)
        if patches is not None:
            chosen = np.isin(tokens, wanted := positions(patches))
            if len(strange := np.setdiff1d(wanted, tokens)) or not len(wanted):
                raise EditError(f"patches {strange.tolist()} are no patch tokens of picture {image}")
            covered = grid.squares(chosen)
            parts = [[grid.square(p)] for p in np.flatnonzero(chosen)]
        else:
            several = [EVERYWHERE] if boxes is None else boxes_of(boxes)
            touched = [touching(grid.boxes, box) for box in several]
            for box, met in zip(several, touched, strict=True):
                if not met.any():
                    size = inputs.images[image].size
                    raise EditError(f"box {box.tolist()} lies outside picture {image} of {size} pixels")
            chosen = np.any(touched, axis=0)
            every_box = [grid.pixels(box) for box in several]
            covered, parts = np.any(every_box, axis=0), [_spots(pixels) for pixels in every_box]
        first = sum(
            len(np.unique(spans.tile_index[every[spans.image_index[every] == i]])) for i in range(image)
        )
        vectors = np.flatnonzero(of_this)
        return cls(tokens, chosen, covered, visible, first, S // side, vectors, parts)

    def shown(self, device: torch.device) -> Tensor:
        """Bool [tiles, S, S]: where the picture is."""
        return torch.from_numpy(self.visible).to(device)


@dataclass(frozen=True)
class Grid:
    """The patches of one picture: where each lies in the original, and in which square of which tile."""

    boxes: np.ndarray  # float64 [P, 4] in the original, NaN on padding
    tile: np.ndarray
    row: np.ndarray
    col: np.ndarray
    thumbnail: np.ndarray
    side: int  # pixels of a tile
    step: int  # pixels of a patch token

    def pixels(self, box: np.ndarray) -> np.ndarray:
        """Bool [tiles, S, S]: the pixels of every copy that lie in a box, those it cuts included."""
        out = np.zeros((int(self.tile.max()) + 1, self.side, self.side), bool)
        for copy in (False, True):
            mine = np.flatnonzero((self.thumbnail == copy) & ~np.isnan(self.boxes[:, 0]))
            if not len(mine):
                continue
            # a patch at the picture's edge is cut: the widest says how many pixels of the original go in one
            widest = (self.boxes[mine, 2:] - self.boxes[mine, :2]).max(0)
            scale = self.step / widest
            for p in mine[touching(self.boxes[mine], box)]:
                corner, end = self.boxes[p, :2], self.boxes[p, 2:]
                low = np.floor((np.maximum(box[:2], corner) - corner) * scale + 1e-3).astype(int)
                high = np.ceil((np.minimum(box[2:], end) - corner) * scale - 1e-3).astype(int)
                y, x = self.row[p] * self.step, self.col[p] * self.step
                out[self.tile[p], y + low[1] : y + high[1], x + low[0] : x + high[0]] = True
        return out

    def squares(self, chosen: np.ndarray) -> np.ndarray:
        """Bool [tiles, S, S]: the whole squares of the chosen patches."""
        out = np.zeros((int(self.tile.max()) + 1, self.side, self.side), bool)
        for p in np.flatnonzero(chosen):
            spot = self.square(p)
            out[spot.tile][spot.place] = True
        return out

    def square(self, p: int) -> Spot:
        """The whole square of one patch."""
        y, x = int(self.row[p]) * self.step, int(self.col[p]) * self.step
        return Spot(int(self.tile[p]), (slice(y, y + self.step), slice(x, x + self.step)))


def _spots(pixels: np.ndarray) -> list[Spot]:
    """The rectangle of `pixels` [tiles, S, S] in every tile that has some."""
    return [Spot(int(tile), rectangle(pixels[tile])) for tile in np.flatnonzero(pixels.any((1, 2)))]


def rectangle(mask: np.ndarray) -> Place:
    """The rows and columns that hold all of a mask [S, S]."""
    rows, cols = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


def boxes_of(boxes: Box | Sequence[Box]) -> list[np.ndarray]:
    """One box or several as a list of float64 [4]; EditError if one is none."""
    several = np.asarray(boxes, float)
    several = several[None] if several.ndim == 1 else several
    if several.ndim != 2 or not len(several):
        raise EditError(f"boxes is {boxes!r}; expected x0, y0, x1, y1, or several of these")
    return [check_box(box) for box in several]
