"""A store of drawn and tiled pictures to train on, with what is in every cell of every tile.

Drawing and tiling takes about two milliseconds a picture, a training step needs twenty pictures: drawn
once, kept as bytes, met again in other company and with other questions. Same seed and size, same store.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from model.demo.drawing import COLOURS
from model.demo.outlines import SHAPES
from model.demo.scenes import DIGITS, HELD_OUT_PAIRS, Content, Scene, Thing, draw_scene, without_names
from model.images import ImageSettings, TiledImage, tile_image

CELLS = 5  # cells (picture tokens) along a tile's side
# what is known of the thing whose middle lies in a cell, and how many values each can take; the last two say
# where the thing lies in the whole picture, in eighths of its width and height (-1 where a tile shows a part)
LABELS = {
    "shape": len(SHAPES) + 2,  # a digit, or one without a name
    "colour": len(COLOURS) + 1,  # one without a name
    "digit": len(DIGITS),
    "size": 3,
    "across": 8,
    "down": 8,
}
# a cell without the middle of a thing; one whose thing is cut off by the tile's border
NOTHING, UNCLEAR = -1, -2
_TRAINING, _CROWDS = 1, 3  # the second part of the seeds; the measurements have other ones
_CHUNK = 250
# a cell belongs to a thing's box when this share of it is covered
_COVERED = 0.3


@dataclass(frozen=True)
class Picture:
    """What a scene shows, and how it was cut."""

    content: Content
    first_tile: int
    rows: int
    cols: int
    inside: np.ndarray  # bool [things, tiles * cells]: the cells that a thing's box covers
    # things in a made-up colour (`imagined`): the thing, the colour it is drawn in, the one it is given
    repainted: tuple[tuple[int, int, int], ...] = ()

    @property
    def tiles(self) -> int:
        """Number of tiles, the thumbnail included."""
        return self.rows * self.cols + (self.rows * self.cols > 1)


@dataclass(frozen=True)
class PictureStore:
    """Pictures with all their tiles (uint8 [tiles, 3, S, S]) and cell labels (int8 [tiles, cells, 6]).

    A label is what LABELS lists where the middle of a thing lies, else its shape is NOTHING or UNCLEAR.
    Crowds are tiles of their own, for the vision tower to learn from: it sees more things per tile there.
    """

    pictures: list[Picture]
    tiles: Tensor
    labels: Tensor
    crowds: Tensor  # [...] numbers of the tiles that hold many things
    shows: Tensor  # [...] numbers of the other tiles that hold something

    def pixels(self, tiles: Tensor, dtype: torch.dtype) -> Tensor:
        """The chosen tiles as the processor normalizes them."""
        return normalized(self.tiles[tiles]).to(dtype)


def normalized(tiles: Tensor) -> Tensor:
    """Bytes to bfloat16 in -1..1, step by step as `tile_image` does."""
    return ((tiles * (1 / 255)).bfloat16() - 0.5) / 0.5


def draw_store(count: int, seed: int, settings: ImageSettings, workers: int = 2) -> PictureStore:
    """Draw and tile `count` pictures of the training split in `workers` processes (1: in this one)."""
    crowds = count // 4
    chunks = [
        (seed, start, min(start + _CHUNK, end), settings, crowded)
        for end, crowded in ((count, False), (crowds, True))
        for start in range(0, end, _CHUNK)
    ]
    pictures: list[Picture] = []
    tiles: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    at = 0
    with ExitStack() as stack:
        drawn_in_order = map(_draw_chunk, chunks)
        if workers > 1:
            pool = ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,))
            drawn_in_order = stack.enter_context(pool).map(_draw_chunk, chunks)
        bar = stack.enter_context(tqdm(total=count + crowds, desc="drawing pictures", unit="pic"))
        for drawn, drawn_tiles, drawn_labels in drawn_in_order:
            pictures += [replace(picture, first_tile=picture.first_tile + at) for picture in drawn]
            tiles.append(drawn_tiles)
            labels.append(drawn_labels)
            at += len(drawn_tiles)
            bar.update(len(drawn))
    names = torch.from_numpy(np.concatenate(labels))
    first_crowd = pictures[count].first_tile
    shows = (names[:first_crowd, :, 0] >= 0).any(1).nonzero()[:, 0]
    return PictureStore(
        pictures[:count], torch.from_numpy(np.concatenate(tiles)), names, torch.arange(first_crowd, at), shows
    )


def _draw_chunk(
    job: tuple[int, int, int, ImageSettings, bool],
) -> tuple[list[Picture], np.ndarray, np.ndarray]:
    seed, start, stop, settings, crowded = job
    pictures, tiles, labels, at = [], [], [], 0
    for index in range(start, stop):
        scene = (
            _draw_crowd((seed, _CROWDS, index), settings.tile_size)
            if crowded
            else draw_scene((seed, _TRAINING, index))
        )
        cut = tile_image(scene.image, settings)
        named, inside = label_cells(scene.things, cut, settings.tile_size)
        pictures.append(Picture(Content(scene.things, scene.size), at, cut.rows, cut.cols, inside))
        tiles.append(((cut.tiles.float() * 0.5 + 0.5) * 255).round().to(torch.uint8).numpy())
        labels.append(named)
        at += len(named)
    return pictures, np.concatenate(tiles), np.concatenate(labels)


def _draw_crowd(seed: tuple[int, ...], side: int) -> Scene:
    rng = np.random.default_rng(seed)
    names = tuple(COLOURS)
    content = [
        (SHAPES[rng.integers(len(SHAPES))], names[rng.integers(len(names))])
        for _ in range(rng.integers(3, 9))
    ]
    if rng.random() < 0.45:  # digits need room
        content = [(DIGITS[rng.integers(10)], names[rng.integers(len(names))]) for _ in range(2)]
    content = [pair for pair in content if pair not in HELD_OUT_PAIRS] or [("circle", "red")]
    return draw_scene(seed, (side, side), without_names(rng, content))


def label(thing: Thing, size: tuple[int, int]) -> tuple[int, ...]:
    """What LABELS lists for a thing in a picture of that size."""
    return (
        (*SHAPES, "digit", None).index(thing.shape),
        (*COLOURS, None).index(thing.colour),
        thing.digit,
        ("small", None, "big").index(thing.size),
        int(8 * thing.centre[0] / size[0]),
        int(8 * thing.centre[1] / size[1]),
    )


def label_cells(things: tuple[Thing, ...], cut: TiledImage, side: int) -> tuple[np.ndarray, np.ndarray]:
    """What every cell shows: labels int8 [tiles, cells, 6] and covered cells bool [things, tiles * cells]."""
    count = len(cut.tiles)
    labels = np.full((count, CELLS, CELLS, len(LABELS)), NOTHING, dtype=np.int8)
    inside = np.zeros((len(things), count, CELLS, CELLS), dtype=bool)
    cell = side / CELLS
    edges = np.arange(CELLS) * cell
    width, height = cut.size
    for tile in range(count):
        thumbnail = cut.has_thumbnail and tile == count - 1
        scale = (
            (side / width, side / height) if thumbnail else (cut.resized[0] / width, cut.resized[1] / height)
        )
        left, top = (0, 0) if thumbnail else (tile % cut.cols * side, tile // cut.cols * side)
        for index, thing in enumerate(things):
            x0, x1 = (x * scale[0] - left for x in (thing.box[0], thing.box[2]))
            y0, y1 = (y * scale[1] - top for y in (thing.box[1], thing.box[3]))
            across = np.clip(np.minimum(x1, edges + cell) - np.maximum(x0, edges), 0, None) / cell
            down = np.clip(np.minimum(y1, edges + cell) - np.maximum(y0, edges), 0, None) / cell
            inside[index, tile] = np.outer(down, across) > _COVERED
            column, row = int((x0 + x1) / 2 // cell), int((y0 + y1) / 2 // cell)
            if not (0 <= column < CELLS and 0 <= row < CELLS):
                continue
            inside[index, tile, row, column] = True
            seen = across.sum() * down.sum() * cell * cell / ((x1 - x0) * (y1 - y0))
            taken = labels[tile, row, column, 0] != NOTHING
            named = label(thing, cut.size)
            if not (thumbnail or count == 1):
                named = (*named[:-2], -1, -1)
            labels[tile, row, column] = UNCLEAR if seen < 0.7 or taken else named
    return labels.reshape(count, CELLS**2, -1), inside.reshape(len(things), -1)
