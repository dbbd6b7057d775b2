"""Pictures to tiles, exactly as Llama 4's own processor cuts them.

A picture is put on the canvas of whole tiles that fits it best, black at the right and below, and cut row by
row; if there is more than one tile, the whole picture follows once more as the last, squeezed to a square.
Resizing is on 8-bit values and normalising in bfloat16, because that is what the reference does: pixel values
are equal bit for bit.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, pad

from model.picture_files import ImageError, open_image

__all__ = ["ImageError", "ImageSettings", "TiledImage", "best_canvas", "open_image", "tile_image"]

MOST_TILES = 1024  # of one picture; the published models take 16
LARGEST = 1e6  # of means and standard deviations, which also need an inverse; bfloat16 has room for it

# C channels, Y and X pixel rows and columns, S side of a tile


@dataclass(frozen=True)
class ImageSettings:
    """How pictures are cut; the names in a checkpoint's file are `size`, `max_patches` and the last three.

    Raises:
        ImageError: a value that no picture can be cut or normalised by.
    """

    tile_size: int = 336
    max_tiles: int = 16
    resize_to_max_canvas: bool = False
    image_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image_std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        if type(self.tile_size) is not int or self.tile_size < 1:
            raise ImageError(f"tile_size is {self.tile_size!r}; expected a whole number of pixels from 1 up")
        if type(self.max_tiles) is not int or not 1 <= self.max_tiles <= MOST_TILES:
            raise ImageError(
                f"max_tiles is {self.max_tiles!r}; expected a whole number from 1 to {MOST_TILES}"
            )
        if not isinstance(self.resize_to_max_canvas, bool):
            raise ImageError(f"resize_to_max_canvas is {self.resize_to_max_canvas!r}; expected true or false")
        for name, least in (("image_mean", -LARGEST), ("image_std", 1 / LARGEST)):
            values = getattr(self, name)
            if (
                not isinstance(values, tuple)
                or len(values) != 3
                or not all(isinstance(value, int | float) and least <= value <= LARGEST for value in values)
            ):
                raise ImageError(
                    f"{name} is {values!r}; expected three numbers from {least:g} to {LARGEST:g}"
                )

    @classmethod
    def from_folder(cls, folder: str | Path) -> ImageSettings:
        """Read a checkpoint's `processor_config.json` (transformers 5) or `preprocessor_config.json`.

        Neither file: the published models' settings.

        Raises:
            ImageError: the file is damaged, or asks for something that Llama 4's processor does not do.
        """
        for name in ("processor_config.json", "preprocessor_config.json"):
            file = Path(folder) / name
            values = _read_object(file) if file.is_file() else {}
            values = values.get("image_processor", values if name.startswith("pre") else None)
            if values:
                values = _object(values, file)
                try:
                    return cls._from_dict(values)
                except ImageError as error:
                    raise ImageError(f"{file}: {error}") from None
        return cls()

    @classmethod
    def _from_dict(cls, values: dict) -> ImageSettings:
        # null is the default, as in the reference
        values = {key: value for key, value in values.items() if value is not None}
        size = values.get("size", {"height": cls.tile_size, "width": cls.tile_size})
        has_sides = isinstance(size, dict) and size.keys() == {"height", "width"}
        if not has_sides or size["height"] != size["width"]:
            raise ImageError(f"tiles are square, expected the same height and width, got the size {size}")
        fixed = {
            "do_resize": True,
            "do_rescale": True,
            "do_normalize": True,
            "do_convert_rgb": True,
            "resample": 2,
        }
        for key, expected in fixed.items():
            if values.get(key, expected) != expected:
                raise ImageError(f"{key} is {values[key]!r}; only {expected!r} is supported")
        rescale = values.get("rescale_factor", 1 / 255)
        if not isinstance(rescale, float) or not math.isclose(rescale, 1 / 255):
            raise ImageError(f"rescale_factor is {rescale!r}; only 1/255 is supported")
        return cls(
            tile_size=size["height"],
            max_tiles=values.get("max_patches", cls.max_tiles),
            resize_to_max_canvas=values.get("resize_to_max_canvas", cls.resize_to_max_canvas),
            image_mean=_as_tuple(values.get("image_mean", cls.image_mean)),
            image_std=_as_tuple(values.get("image_std", cls.image_std)),
        )

    def to_dict(self) -> dict:
        """The settings as `preprocessor_config.json` spells them."""
        return {
            "image_processor_type": "Llama4ImageProcessor",
            "size": {"height": self.tile_size, "width": self.tile_size},
            "max_patches": self.max_tiles,
            "resize_to_max_canvas": self.resize_to_max_canvas,
            "image_mean": list(self.image_mean),
            "image_std": list(self.image_std),
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "resample": 2,
            "rescale_factor": 1 / 255,
        }


@dataclass(frozen=True)
class TiledImage:
    """One picture, cut: `rows` x `cols` tiles row by row, then a thumbnail unless there is one tile only."""

    tiles: Tensor  # [tiles, 3, S, S] bfloat16
    rows: int
    cols: int
    resized: tuple[int, int]  # width and height of the picture on its canvas; the rest of the canvas is black
    size: tuple[int, int]  # width and height of the picture itself

    def __repr__(self) -> str:
        thumbnail = " + thumbnail" if self.has_thumbnail else ""
        width, height = self.size
        return f"TiledImage({width} x {height} pixels as {self.rows} x {self.cols} tiles{thumbnail})"

    @property
    def has_thumbnail(self) -> bool:
        """Whether the last tile is the whole picture."""
        return self.rows * self.cols > 1


def tile_image(image: Image.Image, settings: ImageSettings) -> TiledImage:
    """Cut an RGB picture into normalised tiles (spec 3.1).

    Raises:
        ImageError: the picture is not RGB; `open_image` makes it so.
    """
    if image.mode != "RGB":
        raise ImageError(f"expected an RGB picture, got mode {image.mode!r}; open it with open_image first")
    S = settings.tile_size
    width, height = image.size
    rows, cols = best_canvas(height, width, settings)
    new_height, new_width = _size_on_canvas(height, width, rows, cols, settings)
    pixels_CYX = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    canvas_CYX = _resize(pixels_CYX, new_height, new_width)
    canvas_CYX = pad(canvas_CYX, (0, cols * S - new_width, 0, rows * S - new_height))
    tiles = canvas_CYX.unflatten(2, (cols, S)).unflatten(1, (rows, S)).permute(1, 3, 0, 2, 4).flatten(0, 1)
    if rows * cols > 1:
        tiles = torch.cat([tiles, _resize(pixels_CYX, S, S)[None]])
    return TiledImage(_normalize(tiles, settings), rows, cols, (new_width, new_height), (width, height))


def best_canvas(height: int, width: int, settings: ImageSettings) -> tuple[int, int]:
    """Rows and columns of tiles for a picture: enlarge it least, else shrink it least, then waste least."""
    S, most = settings.tile_size, settings.max_tiles
    canvases = np.array([(a, b) for a in range(1, most + 1) for b in range(1, most // a + 1)])
    # in float32 as in the reference, where rounding decides which canvases fit equally well
    sides = (S * canvases).astype(np.float32)
    scales = np.minimum(sides[:, 0] / np.float32(height), sides[:, 1] / np.float32(width))
    enlarging = scales[scales >= 1]
    if not enlarging.size:
        scale = scales.max()
    else:
        scale = enlarging.max() if settings.resize_to_max_canvas else enlarging.min()
    fitting = canvases[scales == scale]
    rows, cols = fitting[fitting.prod(axis=1).argmin()]
    return int(rows), int(cols)


def _size_on_canvas(
    height: int, width: int, rows: int, cols: int, settings: ImageSettings
) -> tuple[int, int]:
    S = settings.tile_size

    def room(length: int, canvas: int) -> int | np.float32:
        # only a picture smaller than a tile is enlarged, and only to a tile
        if max(length, S) <= canvas and not settings.resize_to_max_canvas:
            return max(length, S)
        # in the reference a canvas side is float32, a picture side is not; the floor of 1828 x 1371 shows it
        return np.float32(canvas)

    room_y, room_x = room(height, rows * S), room(width, cols * S)
    scale_y, scale_x = room_y / height, room_x / width
    if scale_x < scale_y:
        new_height, new_width = min(math.floor(height * scale_x), room_y), room_x
    else:
        new_height, new_width = room_y, min(math.floor(width * scale_y), room_x)
    return max(int(new_height), 1), max(int(new_width), 1)


def _resize(pixels_CYX: Tensor, height: int, width: int) -> Tensor:
    if pixels_CYX.shape[1:] == (height, width):
        return pixels_CYX
    resized = interpolate(
        pixels_CYX[None].contiguous(), (height, width), mode="bilinear", antialias=True, align_corners=False
    )
    return resized[0]


def _normalize(tiles: Tensor, settings: ImageSettings) -> Tensor:
    mean = torch.tensor(settings.image_mean, dtype=torch.bfloat16)[:, None, None]
    std = torch.tensor(settings.image_std, dtype=torch.bfloat16)[:, None, None]
    # three roundings, as in the reference
    return (tiles.to(torch.bfloat16) * (1 / 255) - mean) / std


def _read_object(file: Path) -> dict:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{file} is not JSON: {error}") from None
    return _object(values, file)


def _object(value: object, file: Path) -> dict:
    if not isinstance(value, dict):
        raise ImageError(f"{file}: the settings of pictures are {value!r:.60}; expected an object")
    return value


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
