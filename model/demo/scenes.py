"""Pictures of coloured shapes whose content is known exactly: names, boxes and masks.

The embedded model learns from these pictures and is measured on them, and notebooks and the app draw their
examples here. Because we draw them we know the truth: every thing carries the tight pixel box and the mask
of what is really visible, so "did it look at the right place?" has a numerical answer.

    scene = draw_scene(seed=7)                                            # anything
    scene = draw_scene(seed=7, size=(320, 240), content=[("circle", "red"), ("star", "blue")])
    scene.image, scene.things[0].box, scene.masks[0]

The same arguments give the same pixels. Sizes, aspect ratios, backgrounds (light, dark, shaded), noise,
outlines, rotation, softness of edges and shade of each colour vary; things never overlap and lie wholly
inside the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "square", "triangle", "star", "cross", "heart", "diamond", "moon")

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

# (width, height) ranges: small ones give one tile of the demo model, the others several tiles and a thumbnail
_SMALL, _WIDEST, _LARGE_SHARE = (48, 80), 400, 0.06
_MARGIN = 2  # pixels kept free between two things, and between a thing and the border


@dataclass(frozen=True)
class Thing:
    """One shape in a picture. `box`: x0, y0, x1, y1 in pixels, x1 and y1 exclusive, tight around the mask."""

    shape: str
    colour: str
    rgb: tuple[int, int, int]
    box: tuple[int, int, int, int]

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box, x and y in pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True)
class Content:
    """What a picture shows, without its pixels; enough to ask about it. `size` is (width, height)."""

    things: tuple[Thing, ...]
    size: tuple[int, int]


@dataclass(frozen=True)
class Scene(Content):
    """A picture and everything in it. `masks` is bool [things, height, width]: the pixels of each thing."""

    image: Image.Image
    masks: np.ndarray


def draw_scene(
    seed: int | Sequence[int],
    size: tuple[int, int] | None = None,
    content: Sequence[tuple[str, str]] | None = None,
) -> Scene:
    """Draw one picture.

    Args:
        seed: an integer or several (numpy's SeedSequence mixes them).
        size: (width, height) in pixels, both at least 32; drawn when left out.
        content: one to eight pairs of (shape, colour); one to four are drawn when left out.

    Raises:
        ValueError: an unknown shape or colour, too small a size, or no room for so many things.
    """
    rng = np.random.default_rng(seed)
    width, height = _draw_size(rng) if size is None else size
    if min(width, height) < 32:
        raise ValueError(f"size={size} is too small to draw in: both sides must be at least 32 pixels")
    content = _draw_content(rng) if content is None else tuple(content)
    for shape, colour in content:
        if shape not in SHAPES or colour not in COLOURS:
            raise ValueError(f"cannot draw {(shape, colour)!r}; shapes: {SHAPES}; colours: {tuple(COLOURS)}")
    shades = [_draw_shade(rng, colour) for _, colour in content]
    image = _draw_background(rng, width, height, shades)
    places = _draw_places(rng, width, height, len(content))
    soft, outlined = rng.random() < 0.6, rng.random() < 0.2
    masks = np.zeros((len(content), height, width), dtype=bool)
    things = []
    for mask, (shape, colour), rgb, (x, y, radius) in zip(masks, content, shades, places, strict=True):
        _draw_thing(rng, image, mask, shape, rgb, (x, y), radius, soft, outlined)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        things.append(Thing(shape, colour, rgb, box))
    if rng.random() < 0.3:
        image = _with_noise(rng, image, int(rng.integers(2, 11)))
    return Scene(tuple(things), (width, height), image, masks)


def _draw_size(rng: np.random.Generator) -> tuple[int, int]:
    """(width, height): a third small, a third square, a third wide or tall, a few of them large."""
    which = rng.random()
    if which < 0.34:
        return int(rng.integers(_SMALL[0], _SMALL[1] + 1)), int(rng.integers(_SMALL[0], _SMALL[1] + 1))
    longest = int(640 if rng.random() < _LARGE_SHARE else _SMALL[1] * (_WIDEST / _SMALL[1]) ** rng.random())
    if which < 0.62:
        return longest, longest
    other = max(48, round(longest / rng.choice([4 / 3, 3 / 2, 16 / 9, 2.0, rng.uniform(1.0, 2.5)])))
    return (longest, other) if rng.random() < 0.65 else (other, longest)


def _draw_content(rng: np.random.Generator) -> tuple[tuple[str, str], ...]:
    """One to four (shape, colour); later ones often repeat an earlier name, so that counting matters."""
    content: list[tuple[str, str]] = []
    for _ in range(int(rng.choice([1, 2, 3, 4], p=[0.26, 0.30, 0.24, 0.20]))):
        shape, colour = SHAPES[rng.integers(len(SHAPES))], tuple(COLOURS)[rng.integers(len(COLOURS))]
        if content and rng.random() < 0.35:
            shape = content[rng.integers(len(content))][0]
        if content and rng.random() < 0.25:
            colour = content[rng.integers(len(content))][1]
        content.append((shape, colour))
    return tuple(content)


def _draw_shade(rng: np.random.Generator, colour: str) -> tuple[int, int, int]:
    """An RGB value people call by that name: often an anchor itself, else something between two."""
    anchors = np.asarray(COLOURS[colour], dtype=float)
    first, second = anchors[rng.integers(len(anchors))], anchors[rng.integers(len(anchors))]
    shade = first
    if rng.random() < 0.65:
        shade = first + (second - first) * rng.random() + rng.uniform(-9, 9, 3)
    red, green, blue = np.clip(shade, 0, 255).astype(int).tolist()
    return red, green, blue


def _draw_background(
    rng: np.random.Generator, width: int, height: int, shades: Sequence[tuple[int, int, int]]
) -> Image.Image:
    """A plain or gently shaded ground on which every shade stands out."""
    for _ in range(100):
        family = (_LIGHT, _DARK, _MIDDLE)[rng.choice(3, p=[0.58, 0.27, 0.15])]
        ground = np.asarray(family[rng.integers(len(family))], dtype=float)
        if rng.random() < 0.5:
            ground = np.clip(ground + rng.uniform(-14, 14, 3), 0, 255)
        if all(np.abs(ground - shade).sum() > 110 for shade in shades):
            break
    else:
        ground = np.asarray((185.0, 185.0, 190.0))
    plain = tuple(ground.astype(int).tolist())
    if rng.random() > 0.15:
        return Image.new("RGB", (width, height), plain)
    slope, sideways = rng.uniform(-22, 22, 3), rng.random() < 0.5
    ramp = np.linspace(-1, 1, width if sideways else height)[:, None] * slope + ground
    strip = np.clip(ramp, 0, 255).astype(np.uint8)
    shaded = np.broadcast_to(strip[None] if sideways else strip[:, None], (height, width, 3))
    return Image.fromarray(np.ascontiguousarray(shaded))


def _draw_places(
    rng: np.random.Generator, width: int, height: int, count: int
) -> list[tuple[float, float, float]]:
    """Centre x, centre y and radius for each thing: disjoint circles inside the picture."""
    side = min(width, height)
    largest = {1: 0.46, 2: 0.27, 3: 0.22}.get(count, 0.19)
    # a wide or tall picture has room for more
    largest = min(0.46, largest * (max(width, height) / side) ** 0.3)
    for attempt in range(100):
        places: list[tuple[float, float, float]] = []
        for _ in range(20 * count):
            radius = max(6.0, side * rng.uniform(0.12, largest) * 0.98**attempt)
            radius = min(radius, side / 2 - _MARGIN)
            reach = radius + _MARGIN
            x, y = rng.uniform(reach, width - reach), rng.uniform(reach, height - reach)
            if all(math.hypot(x - u, y - v) > radius + r + _MARGIN for u, v, r in places):
                places.append((x, y, radius))
            if len(places) == count:
                return places
    raise ValueError(f"no room for {count} things in a picture of {width} x {height}")


def _draw_thing(
    rng: np.random.Generator,
    image: Image.Image,
    mask: np.ndarray,
    shape: str,
    rgb: tuple[int, int, int],
    centre: tuple[float, float],
    radius: float,
    soft: bool,
    outlined: bool,
) -> None:
    """Paint one shape into `image` and note its pixels (half covered or more) in `mask`."""
    corners = _corners(rng, shape) * radius
    left, top = math.floor(centre[0] - radius), math.floor(centre[1] - radius)
    span = math.ceil(2 * radius) + 2
    middle = np.asarray(centre) - (left, top)
    fine = 4 if soft else 1  # soft edges: draw four times as large, then average

    def coverage(scale: float) -> Image.Image:
        canvas = Image.new("L", (span * fine, span * fine))
        points = ((corners * scale + middle) * fine).ravel().tolist()
        ImageDraw.Draw(canvas).polygon(points, fill=255)
        return canvas.reduce(fine) if soft else canvas

    whole = coverage(1.0)
    if outlined:
        rim = (0, 0, 0) if sum(rgb) > 250 else (255, 255, 255)
        image.paste(rim, (left, top), whole)
        image.paste(rgb, (left, top), coverage(0.86))
    else:
        image.paste(rgb, (left, top), whole)
    seen = np.asarray(whole) >= 128
    height, width = mask.shape
    y0, x0, y1, x1 = max(top, 0), max(left, 0), min(top + span, height), min(left + span, width)
    mask[y0:y1, x0:x1] = seen[y0 - top : y1 - top, x0 - left : x1 - left]


def _corners(rng: np.random.Generator, shape: str) -> np.ndarray:
    """[corners, 2]: a polygon inside the unit circle, y downwards, slightly turned and stretched."""
    tilt = rng.uniform(-14, 14) if rng.random() < 0.5 else 0.0
    if shape == "circle":
        points = _on_circle(np.linspace(0, 360, 40, endpoint=False))
    elif shape == "square":
        points = np.asarray([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * 0.74
    elif shape == "triangle":
        points = np.asarray([(0, -0.95), (0.95, 0.75), (-0.95, 0.75)]) * 0.95
        tilt += 180 if rng.random() < 0.15 else 0
    elif shape == "star":
        radii = np.tile((1.0, rng.uniform(0.36, 0.48)), 5)[:, None]
        points = _on_circle(np.arange(10) * 36 - 90) * radii
    elif shape == "cross":
        arm, half = 0.93, rng.uniform(0.2, 0.33)
        quarter = np.asarray([(-half, -arm), (half, -arm), (half, -half)])
        points = np.concatenate([quarter @ _turn(90 * k).T for k in range(4)])
        tilt += 45 if rng.random() < 0.25 else 0
    elif shape == "heart":
        angle = np.radians(np.arange(0, 360, 9))
        across = 16 * np.sin(angle) ** 3
        down = -(13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle))
        points = np.stack([across, down - 2.5], 1) / 17.5
    elif shape == "diamond":
        points = np.asarray([(0, -1), (1, 0), (0, 1), (-1, 0)]) * (rng.uniform(0.62, 0.95), 0.98)
        tilt /= 2
    else:  # moon: the outer arc, and back along a second circle that bites into it
        bite = rng.uniform(0.38, 0.6)
        horn = math.degrees(math.acos(bite / 2))
        outer = _on_circle(np.linspace(horn, 360 - horn, 30))
        inner = _on_circle(np.linspace(180 + horn, 180 - horn, 30)) + np.asarray((bite, 0))
        points = np.concatenate([outer, inner])
        points = points * (-1, 1) if rng.random() < 0.4 else points
        tilt *= 2
    stretch = 1 - rng.uniform(0, 0.12) * np.asarray([(1, 0), (0, 1)][rng.integers(2)])
    return (points * stretch) @ _turn(tilt).T


def _on_circle(degrees: np.ndarray) -> np.ndarray:
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _turn(degrees: float) -> np.ndarray:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.asarray([(cosine, -sine), (sine, cosine)])


def _with_noise(rng: np.random.Generator, image: Image.Image, strength: int) -> Image.Image:
    pixels = np.asarray(image).astype(np.int16)
    pixels += rng.integers(-strength, strength, pixels.shape, dtype=np.int8, endpoint=True)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
