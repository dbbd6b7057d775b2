"""What each token of a prompt is: whose turn, text or picture, and which square of which picture.

One row per token, as plain arrays, so that a mask over tokens is one comparison. Rectangles are in pixels of
the original picture (spec 3.3): a picture's tiles and its thumbnail each cover it once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from model.chat_template import ROLES
from model.images import TiledImage

TEXT, PATCH, STRUCTURE = 0, 1, 2
"""Modalities: words and turn markers; a patch of a picture; the markers around and between its tiles."""

IMAGE_START, IMAGE_END = "<|image_start|>", "<|image_end|>"
TILE_X, TILE_Y = "<|tile_x_separator|>", "<|tile_y_separator|>"
WHOLE_IMAGE, PATCH_TOKEN = "<|image|>", "<|patch|>"

# the arrays of Spans, their types, and what stands in them where nothing else is said
_ARRAYS = {
    "role": (np.int8, -1),
    "turn": (np.int16, -1),
    "modality": (np.int8, TEXT),
    "image_index": (np.int16, -1),
    "tile_index": (np.int16, -1),
    "patch_row": (np.int16, -1),
    "patch_col": (np.int16, -1),
    "is_thumbnail": (np.bool_, False),
    "patch_box": (np.float32, np.nan),
}


@dataclass(frozen=True, eq=False)
class Spans:
    """One row per token; -1 (boxes: NaN) where a column does not apply."""

    role: np.ndarray  # int8 [T], index into ROLES; -1 before the first turn
    turn: np.ndarray  # int16 [T], from 0; the generation prompt is a turn of its own; -1 before the first
    modality: np.ndarray  # int8 [T], TEXT, PATCH or STRUCTURE
    image_index: np.ndarray  # int16 [T], for patches and for the markers of their picture
    tile_index: np.ndarray  # int16 [T], row by row, the thumbnail last
    patch_row: np.ndarray  # int16 [T], within the tile
    patch_col: np.ndarray  # int16 [T], within the tile
    is_thumbnail: np.ndarray  # bool [T]
    patch_box: (
        np.ndarray
    )  # float32 [T, 4], x0, y0, x1, y1 in the original picture; NaN for a patch of padding

    def __len__(self) -> int:
        return len(self.role)

    def __repr__(self) -> str:
        text, patches, structure = (int((self.modality == kind).sum()) for kind in (TEXT, PATCH, STRUCTURE))
        turns, images = (int(column.max(initial=-1)) + 1 for column in (self.turn, self.image_index))
        return (
            f"Spans({len(self)} tokens in {turns} turns: {text} of text, {patches} patches and "
            f"{structure} markers of {images} images)"
        )

    @classmethod
    def of_text(cls, count: int, turn: int, role: str) -> Spans:
        """Rows for `count` tokens of text; `role` is one of ROLES, or empty before the first turn."""
        return cls(**_filled(count, turn, role))

    @classmethod
    def of_generated(cls, count: int, turn: int) -> Spans:
        """Rows for `count` tokens that the model wrote."""
        return cls.of_text(count, turn, "assistant")

    @classmethod
    def of_image(
        cls, tiled: TiledImage, tokens_per_side: int, image_index: int, turn: int, role: str
    ) -> Spans:
        """Rows for one picture, in the order of `image_tokens`."""
        names = np.array(image_tokens(tiled.rows, tiled.cols, tokens_per_side**2))
        patch = names == PATCH_TOKEN
        rows = _filled(len(names), turn, role)
        rows["modality"][:] = np.where(patch, PATCH, STRUCTURE)
        rows["image_index"][:] = image_index
        tile, within = np.divmod(np.arange(patch.sum()), tokens_per_side**2)
        rows["tile_index"][patch] = tile
        rows["patch_row"][patch], rows["patch_col"][patch] = np.divmod(within, tokens_per_side)
        rows["is_thumbnail"][patch] = tiled.has_thumbnail & (tile == tiled.rows * tiled.cols)
        rows["patch_box"][patch] = patch_boxes(tiled, tokens_per_side)
        return cls(**rows)

    @classmethod
    def joined(cls, parts: list[Spans]) -> Spans:
        """Several spans, one after the other."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def append(self, other: Spans) -> Spans:
        """These rows, and after them the other's; neither changes."""
        return Spans.joined([self, other])


def image_tokens(rows: int, cols: int, tokens_per_tile: int) -> list[str]:
    """The special tokens that stand for one picture (spec 3.2): tiles row by row, then the whole picture."""
    names = [IMAGE_START]
    if rows * cols > 1:
        for _ in range(rows):
            for col in range(cols):
                names += [TILE_X] * (col > 0) + [PATCH_TOKEN] * tokens_per_tile
            names.append(TILE_Y)
    return [*names, WHOLE_IMAGE, *[PATCH_TOKEN] * tokens_per_tile, IMAGE_END]


def patch_boxes(tiled: TiledImage, tokens_per_side: int) -> np.ndarray:
    """Where in the original picture each patch token lies, in prompt order.

    Returns:
        float32 [tiles * tokens_per_side**2, 4]: x0, y0, x1, y1; cut off where the picture ends, and NaN for a
        token that lies on padding alone.
    """
    side = tiled.tiles.shape[-1]
    height_on_canvas, width_on_canvas = tiled.resized[1], tiled.resized[0]
    boxes = _grid(tiled.rows, tiled.cols, side, tokens_per_side, width_on_canvas, height_on_canvas)
    boxes = boxes * np.tile(np.array(tiled.size) / tiled.resized, 2)
    if tiled.has_thumbnail:
        # the thumbnail is the picture squeezed to a square: no padding
        thumbnail = _grid(1, 1, side, tokens_per_side, side, side) * np.tile(np.array(tiled.size) / side, 2)
        boxes = np.concatenate([boxes, thumbnail])
    return boxes.astype(np.float32)


def _grid(rows: int, cols: int, side: int, tokens_per_side: int, width: int, height: int) -> np.ndarray:
    # [rows * cols * tokens_per_side**2, 4] on the canvas, tile by tile, cut to width x height
    step = side / tokens_per_side
    tile_y, tile_x, y, x = np.indices((rows, cols, tokens_per_side, tokens_per_side)).reshape(4, -1)
    x0, y0 = side * tile_x + step * x, side * tile_y + step * y
    x1, y1 = np.minimum(x0 + step, width), np.minimum(y0 + step, height)
    boxes = np.stack([x0, y0, x1, y1], axis=1)
    boxes[(x0 >= width) | (y0 >= height)] = np.nan
    return boxes


def _filled(count: int, turn: int, role: str) -> dict[str, np.ndarray]:
    shapes = {"patch_box": (count, 4)}
    rows = {name: np.full(shapes.get(name, count), empty, dtype) for name, (dtype, empty) in _ARRAYS.items()}
    rows["turn"][:] = turn
    rows["role"][:] = ROLES.index(role) if role else -1
    return rows
