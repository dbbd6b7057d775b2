"""What stands in place of a hidden part of a picture: colours that the picture itself has.

Black or grey would be a thing of its own to a model. Everything that hides something in pixels asks here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

Fill = Literal["background", "blur", "mean"]
FILLS: tuple[Fill, ...] = ("background", "blur", "mean")
Place = tuple[slice, slice]  # rows and columns of pixels
_RING = 0.25  # of a place's longer side: the width of what counts as around it
_BLUR = 0.1  # of the picture's longer side: the standard deviation


def colour(pixels: np.ndarray, free: np.ndarray, place: Place, fill: Fill) -> np.ndarray:
    """The one colour [3] that a place of a picture is filled with.

    "background": the median of a ring around it; where nothing of the ring is free, of all that is free;
    where nothing is, of everything. "mean": the picture's mean.

    Args:
        pixels: [height, width, 3]. free: bool [height, width], what is not hidden.
    """
    if fill == "mean":
        return pixels.mean((0, 1))
    rows, cols = place
    reach = max(2, round(_RING * max(rows.stop - rows.start, cols.stop - cols.start)))
    around = (
        slice(max(0, rows.start - reach), rows.stop + reach),
        slice(max(0, cols.start - reach), cols.stop + reach),
    )
    for part in (pixels[around][free[around]], pixels[free]):
        if len(part):
            return np.median(part, 0)
    return np.median(pixels, (0, 1))


def filled(image: Image.Image, boxes: Sequence[Sequence[float]], fill: Fill = "background") -> Image.Image:
    """A copy of the picture with boxes filled.

    "background" and "mean": each box with one colour, see `colour`. "blur": with what a strong blur of the
    picture has there.

    Args:
        image: RGB. boxes: x0, y0, x1, y1 in pixels; a pixel belongs to a box that holds its middle, and a
            box between two middles has the pixel it lies in. fill: see above.

    Raises:
        ValueError: there is no such fill.
    """
    if fill not in FILLS:
        raise ValueError(f"fill is {fill!r}; expected one of {', '.join(FILLS)}")
    pixels = np.asarray(image)
    out, height, width = pixels.copy(), *pixels.shape[:2]
    places = [(_span(box[1], box[3], height), _span(box[0], box[2], width)) for box in boxes]
    if fill == "blur":
        source = np.asarray(image.filter(ImageFilter.GaussianBlur(_BLUR * max(image.size))))
        for place in places:
            out[place] = source[place]
        return Image.fromarray(out)
    free = np.ones((height, width), bool)
    for place in places:
        free[place] = False
    for place in places:
        out[place] = np.rint(colour(pixels, free, place, fill))
    return Image.fromarray(out)


def _span(low: float, high: float, size: int) -> slice:
    """The pixels whose middles lie in low..high, at least one."""
    first, last = (min(max(int(np.ceil(edge - 0.5)), 0), size) for edge in (low, high))
    if first < last:
        return slice(first, last)
    within = min(max(int((low + high) / 2), 0), size - 1)
    return slice(within, within + 1)
