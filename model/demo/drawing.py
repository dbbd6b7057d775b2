"""How scenes are painted: shades of the colours, backgrounds, shapes and handwritten digits, noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from model.demo.outlines import SHAPES, outline

# several shades each: a drawn colour is a random mixture of two of them, so that the values people type
# (pure red, CSS orange, ...) lie inside what was seen
COLOURS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "red": ((255, 0, 0), (230, 20, 40), (225, 50, 45)),
    "orange": ((255, 165, 0), (255, 140, 0), (245, 130, 30)),
    "yellow": ((255, 255, 0), (255, 225, 0), (245, 215, 40)),
    "green": ((0, 128, 0), (0, 220, 0), (40, 170, 70)),
    "blue": ((0, 0, 255), (25, 70, 215), (30, 130, 245)),
    "purple": ((128, 0, 128), (140, 60, 200), (100, 30, 160)),
    "pink": ((255, 192, 203), (255, 105, 180), (250, 140, 190)),
    "brown": ((139, 69, 19), (115, 70, 35), (150, 55, 40)),
    "black": ((0, 0, 0), (35, 35, 35)),
    "white": ((255, 255, 255), (238, 238, 238)),
}

_LIGHT = (
    (255, 255, 255),
    (255, 255, 255),
    (240, 240, 240),
    (250, 245, 225),
    (225, 235, 250),
    (230, 245, 225),
)
_DARK = ((0, 0, 0), (30, 30, 30), (20, 25, 60), (20, 50, 35), (60, 60, 65))
_MIDDLE = ((128, 128, 128), (170, 170, 175), (150, 180, 200), (190, 175, 150))


def handwriting(split: str) -> list[list[np.ndarray]]:
    """scikit-learn's digits, by value: uint8 [8, 8] images, 0 to 255; every fifth is for tests.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    return _handwriting()[split == "test"]


@cache
def _handwriting() -> tuple[list[list[np.ndarray]], list[list[np.ndarray]]]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as missing:
        raise ImportError("handwritten digits come from scikit-learn: pip install scikit-learn") from missing
    digits = load_digits()
    images = np.minimum(digits.images * 16, 255).astype(np.uint8)
    split = tuple([[] for _ in range(10)] for _ in range(2))
    for number, (image, value) in enumerate(zip(images, digits.target, strict=True)):
        split[number % 5 == 0][value].append(image)
    return split


def draw_shade(rng: np.random.Generator, colour: str | None) -> tuple[int, int, int]:
    """An RGB value people call by that name: often an anchor itself, else something between two.

    None: a value that is far from all that have a name here (turquoise, grey, olive, ...).
    """
    if colour is None:
        return _nameless(rng)
    anchors = np.asarray(COLOURS[colour], dtype=float)
    first, second = anchors[rng.integers(len(anchors))], anchors[rng.integers(len(anchors))]
    shade = first
    if rng.random() < 0.65:
        shade = first + (second - first) * rng.random() + rng.uniform(-9, 9, 3)
    red, green, blue = np.clip(shade, 0, 255).astype(int).tolist()
    return red, green, blue


def _nameless(rng: np.random.Generator) -> tuple[int, int, int]:
    while True:
        shade = rng.uniform(0, 256, 3)
        if all(_from_segments(shade, np.asarray(anchors, dtype=float)) > 80 for anchors in COLOURS.values()):
            red, green, blue = shade.astype(int).tolist()
            return red, green, blue


def _from_segments(shade: np.ndarray, anchors: np.ndarray) -> float:
    """How far a value is from all that lie between two of some anchors."""
    starts, ends = anchors[:, None], anchors[None]
    along = ((shade - starts) * (ends - starts)).sum(-1) / np.maximum(((ends - starts) ** 2).sum(-1), 1)
    nearest = starts + along.clip(0, 1)[..., None] * (ends - starts)
    return float(np.linalg.norm(shade - nearest, axis=-1).min())


def draw_background(
    rng: np.random.Generator, width: int, height: int, shades: Sequence[tuple[int, int, int]]
) -> Image.Image:
    """A plain, shaded, striped or dotted ground on which every shade stands out."""
    for _ in range(100):
        family = (_LIGHT, _DARK, _MIDDLE)[rng.choice(3, p=[0.58, 0.27, 0.15])]
        ground = np.asarray(family[rng.integers(len(family))], dtype=float)
        if rng.random() < 0.5:
            ground = np.clip(ground + rng.uniform(-14, 14, 3), 0, 255)
        if all(np.abs(ground - shade).sum() > 110 for shade in shades):
            break
    else:
        ground = np.asarray((185.0, 185.0, 190.0))
    ground = np.clip(ground, 0, 255)
    kind = rng.random()
    if kind < 0.72:
        return Image.new("RGB", (width, height), tuple(ground.astype(int).tolist()))
    slope = rng.uniform(-22, 22, 3)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    angle = rng.uniform(0, 2 * math.pi)
    along = x * math.cos(angle) + y * math.sin(angle)  # [height, width]
    if kind < 0.86:  # shaded
        wave = 2 * along
    elif kind < 0.93:  # striped
        wave = np.sign(np.sin(2 * math.pi * rng.integers(3, 9) * along))
    else:  # dotted
        turns = 2 * math.pi * rng.integers(3, 8)
        wave = (np.sin(turns * x) * np.sin(turns * y) > 0.6).astype(float)
    if kind >= 0.86:
        slope = slope * 0.6
    return Image.fromarray(np.clip(ground + wave[..., None] * slope, 0, 255).astype(np.uint8))


def drawn_outline(
    rng: np.random.Generator,
    image: Image.Image,
    mask: np.ndarray,
    shape: str | None,
    split: str,
    rgb: tuple[int, int, int],
    centre: tuple[float, float],
    radius: float,
    soft: bool,
    outlined: bool,
    written: int | None = None,
) -> None:
    """Paint one thing into `image` and note its pixels (half covered or more) in `mask`.

    shape: one of SHAPES, a digit, or None for one without a name.
    written: the number of a digit's handwriting in `handwriting(split)`; drawn when left out.
    """
    left, top = math.floor(centre[0] - radius), math.floor(centre[1] - radius)
    span = math.ceil(2 * radius) + 2
    if shape is not None and shape not in SHAPES:
        ways = handwriting(split)[int(shape)]
        drawn = int(rng.integers(len(ways)))
        whole = _written(rng, ways[drawn if written is None else written], span)
        image.paste(rgb, (left, top), whole)
    else:
        corners, middle = outline(rng, shape) * radius, np.asarray(centre) - (left, top)
        whole = _covered(corners + middle, span, soft)
        if outlined:
            image.paste((0, 0, 0) if sum(rgb) > 250 else (255, 255, 255), (left, top), whole)
            image.paste(rgb, (left, top), _covered(corners * 0.86 + middle, span, soft))
        else:
            image.paste(rgb, (left, top), whole)
    seen = np.asarray(whole) >= 128
    height, width = mask.shape
    y0, x0, y1, x1 = max(top, 0), max(left, 0), min(top + span, height), min(left + span, width)
    mask[y0:y1, x0:x1] = seen[y0 - top : y1 - top, x0 - left : x1 - left]


def _covered(corners: np.ndarray, span: int, soft: bool) -> Image.Image:
    """How much of each pixel a polygon covers; soft edges are drawn four times as large, then averaged."""
    fine = 4 if soft else 1
    canvas = Image.new("L", (span * fine, span * fine))
    ImageDraw.Draw(canvas).polygon((corners * fine).ravel().tolist(), fill=255)
    return canvas.reduce(fine) if soft else canvas


def _written(rng: np.random.Generator, digit: np.ndarray, span: int) -> Image.Image:
    """A handwritten digit as coverage, slightly turned, slanted and stretched, of varied thickness."""
    small = Image.fromarray(digit)
    around = Image.new("L", (10, 10))  # a margin, so that nothing is cut off by turning
    around.paste(small, (1, 1))
    wide = round(span * rng.uniform(0.8, 1.0))
    large = around.resize((wide, span), Image.Resampling.BICUBIC)
    large = large.rotate(rng.uniform(-14, 14), Image.Resampling.BICUBIC)
    slant = rng.uniform(-0.2, 0.2)
    upright = (1, slant, -slant * span / 2, 0, 1, 0)
    large = large.transform(large.size, Image.Transform.AFFINE, upright, Image.Resampling.BICUBIC)
    threshold, steep = rng.uniform(70, 115), rng.uniform(2.5, 5.0)
    whole = Image.new("L", (span, span))
    whole.paste(
        large.point(lambda v: max(0, min(255, (v - threshold) * steep + 128))), ((span - wide) // 2, 0)
    )
    return whole


def with_noise(rng: np.random.Generator, image: Image.Image, strength: int) -> Image.Image:
    """The picture with every value moved by up to `strength`."""
    pixels = np.asarray(image).astype(np.int16)
    pixels += rng.integers(-strength, strength, pixels.shape, dtype=np.int8, endpoint=True)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
