"""Fill boxes of a picture, so that what was there is gone and the rest stays a picture like any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from workbench.grounding.patches import GroundingError

Fill = Literal["background", "blur", "mean"]
FILLS: tuple[Fill, ...] = ("background", "blur", "mean")
_RING = 0.25  # of a box's longer side: the width of what counts as around it
_BLUR = 0.1  # of the picture's longer side: the standard deviation


def filled(image: Image.Image, boxes: Sequence[Sequence[float]], fill: Fill = "background") -> Image.Image:
    """A copy of the picture with boxes filled.

    "background": each box with the median colour of a ring around it, boxes left out. "blur": with what a
    strong blur of the picture has there. "mean": with the picture's mean colour. All are colours that the
    picture has; black or grey would be a thing of its own to a model.

    Args:
        image: RGB. boxes: x0, y0, x1, y1 in pixels; a pixel belongs to a box that holds its middle, and a
            box between two middles has the pixel it lies in. fill: see above.

    Raises:
        GroundingError: there is no such fill.
    """
    if fill not in FILLS:
        raise GroundingError(f"fill is {fill!r}; expected one of {', '.join(FILLS)}")
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
    everywhere = pixels[free] if free.any() else pixels.reshape(-1, 3)
    overall = np.median(everywhere, 0)
    for rows, cols in places:
        colour = pixels.mean((0, 1))
        if fill == "background":
            reach = max(2, round(_RING * max(rows.stop - rows.start, cols.stop - cols.start)))
            around = (
                slice(max(0, rows.start - reach), rows.stop + reach),
                slice(max(0, cols.start - reach), cols.stop + reach),
            )
            ring = pixels[around][free[around]]
            colour = np.median(ring, 0) if len(ring) else overall
        out[rows, cols] = np.rint(colour)
    return Image.fromarray(out)


def _span(low: float, high: float, size: int) -> slice:
    """The pixels whose middles lie in low..high, at least one."""
    first, last = (min(max(int(np.ceil(edge - 0.5)), 0), size) for edge in (low, high))
    if first < last:
        return slice(first, last)
    within = min(max(int((low + high) / 2), 0), size - 1)
    return slice(within, within + 1)
