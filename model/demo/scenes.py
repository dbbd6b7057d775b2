"""Pictures of coloured shapes and handwritten digits whose content is known exactly: names, boxes and masks.

The embedded model learns from these pictures and is measured on them, and notebooks and the app draw their
examples here. Because we draw them we know the truth: every thing carries the tight pixel box and the mask
of what is really visible, so "did it look at the right place?" has a numerical answer.

    scene = draw_scene(seed=7)                                            # anything
    scene = draw_scene(seed=7, size=(320, 240), content=[("circle", "red"), ("star", "blue")])
    scene = draw_scene(seed=7, content=[("3", "black")])                  # a handwritten three
    scene.image, scene.things[0].box, scene.masks[0]

The same arguments give the same pixels. Sizes, aspect ratios, backgrounds (plain, shaded, striped, dotted),
noise, outlines, rotation, overlap, softness of edges and shade of each colour vary; things reach out to the
borders and lie wholly inside the picture. In training some things have a shape or a colour without a name:
who has seen blue things of any form knows blue itself, and not only blue circles and blue squares. The digits
are scikit-learn's (8 x 8 pixels, 1,797 of them): where it is not installed, pictures drawn freely have none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from PIL import Image

from model.demo.drawing import COLOURS, draw_background, draw_shade, drawn_outline, with_noise
from model.demo.outlines import SHAPES

DIGITS = tuple("0123456789")
# pairs that training never shows, one for each shape; they measure whether names combine
HELD_OUT_PAIRS = frozenset(
    zip(SHAPES, ("purple", "brown", "orange", "blue", "yellow", "green", "pink", "red"), strict=True)
)

# (width, height) ranges: small ones give one tile of the demo model, the others several tiles and a thumbnail
_SMALL, _WIDEST, _LARGE_SHARE = (48, 80), 400, 0.06
BIG, SMALL = 0.40, 0.28  # of `extent`; what lies between is neither
_HIDDEN = 0.3  # a thing shows at least the rest of itself
_MOST = 8  # in one picture
_NAMELESS = 0.4  # of the shapes, and of the colours, in a picture that has things without a name


Pair = tuple[str | None, str | None]  # shape or digit, and colour; None for one that has no name


@dataclass(frozen=True)
class Thing:
    """One thing in a picture.

    `shape` is one of SHAPES, "digit" (then `digit` is its value, else -1) or None where it has no name;
    `colour` one of COLOURS or None. `box`: x0, y0, x1, y1 in pixels,
    x1 and y1 exclusive, tight around the mask. `extent` is the side of a square of the box's area, as a share
    of that of the picture: 1 fills it.
    """

    shape: str | None
    colour: str | None
    rgb: tuple[int, int, int]
    box: tuple[int, int, int, int]
    extent: float
    digit: int = -1

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box, x and y in pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def named(self) -> bool:
        """Whether its shape and its colour have names."""
        return self.shape is not None and self.colour is not None

    @property
    def size(self) -> str | None:
        """ "big", "small", or None where people might disagree."""
        return "big" if self.extent >= BIG else "small" if self.extent <= SMALL else None


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
    content: Sequence[Pair] | None = None,
    split: str = "train",
    written: int | None = None,
) -> Scene:
    """Draw one picture.

    A scene of these named things, in this order (a later one lies on top), and where each of them is::

        scene = draw_scene(seed=7, content=[("circle", "red"), ("star", "blue"), ("3", "black")])
        [(thing.shape, thing.box) for thing in scene.things]

    Args:
        seed: an integer or several (numpy's SeedSequence mixes them).
        size: (width, height) in pixels, both at least 32; drawn when left out.
        content: one to eight pairs of a shape of SHAPES or a digit "0" to "9", and a colour of COLOURS; None
            for a shape or colour without a name. One to four are drawn when left out, now and then a digit
            among them where scikit-learn is installed.
        split: "train" or "test": which handwriting, and whether HELD_OUT_PAIRS may be drawn.
        written: the number of that split's handwriting of the digit; drawn when left out.

    Raises:
        ValueError: an unknown shape, colour or split, too small a size, or no room for so many things.
        IndexError: the split has no handwriting `written` of that digit.
        ImportError: `content` names a digit and scikit-learn is not installed; says how to install it.
    """
    _check(size, content, split)
    rng = np.random.default_rng(seed)
    width, height = _draw_size(rng) if size is None else size
    content = _draw_drawable(rng, split) if content is None else tuple(content)
    shades = [draw_shade(rng, colour) for _, colour in content]
    image = draw_background(rng, width, height, shades)
    soft, outlined = rng.random() < 0.6, rng.random() < 0.2
    least = 0.26 if any(shape in DIGITS for shape, _ in content) else 0.1
    while True:
        places = _draw_places(rng, width, height, len(content), least)
        painted, masks = image.copy(), np.zeros((len(content), height, width), dtype=bool)
        whole = []
        for index, ((shape, _), rgb, (x, y, radius)) in enumerate(zip(content, shades, places, strict=True)):
            look = (split, rgb, (x, y), radius, soft, outlined, written)
            drawn_outline(rng, painted, masks[index], shape, *look)
            whole.append(masks[index].sum())
            masks[:index] &= ~masks[index]  # what comes later lies on top
        if all(mask.sum() >= (1 - _HIDDEN) * before for mask, before in zip(masks, whole, strict=True)):
            break
    things = []
    for mask, (shape, colour), rgb in zip(masks, content, shades, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        extent = math.sqrt((box[2] - box[0]) * (box[3] - box[1]) / (width * height))
        digit = int(shape) if shape in DIGITS else -1
        things.append(Thing("digit" if digit >= 0 else shape, colour, rgb, box, extent, digit))
    if rng.random() < 0.3:
        painted = with_noise(rng, painted, int(rng.integers(2, 11)))
    return Scene(tuple(things), (width, height), painted, masks)


def _check(size: tuple[int, int] | None, content: Sequence[Pair] | None, split: str) -> None:
    if split not in ("train", "test"):
        raise ValueError(f"split={split!r}: expected 'train' or 'test'")
    if size is not None and min(size) < 32:
        raise ValueError(f"size={size} is too small to draw in: both sides must be at least 32 pixels")
    if content is not None and not 1 <= len(content) <= _MOST:
        raise ValueError(f"content names {len(content)} things; a picture shows one to {_MOST}")
    for shape, colour in content or ():
        if shape not in (None, *SHAPES, *DIGITS) or colour not in (None, *COLOURS):
            raise ValueError(
                f"cannot draw {(shape, colour)!r}; shapes: {SHAPES} and the digits '0' to '9'; "
                f"colours: {tuple(COLOURS)}"
            )


def _draw_size(rng: np.random.Generator) -> tuple[int, int]:
    """(width, height): half of them small, the others square, wide or tall, a few of them large."""
    which = rng.random()
    if which < 0.5:
        return int(rng.integers(_SMALL[0], _SMALL[1] + 1)), int(rng.integers(_SMALL[0], _SMALL[1] + 1))
    longest = int(640 if rng.random() < _LARGE_SHARE else _SMALL[1] * (_WIDEST / _SMALL[1]) ** rng.random())
    if which < 0.7:
        return longest, longest
    other = max(48, round(longest / rng.choice([4 / 3, 3 / 2, 16 / 9, 2.0, rng.uniform(1.0, 2.5)])))
    return (longest, other) if rng.random() < 0.65 else (other, longest)


def without_names(rng: np.random.Generator, content: Sequence[Pair]) -> tuple[Pair, ...]:
    """The same with some shapes and some colours replaced by nameless ones; digits stay digits."""
    return tuple(
        (
            None if shape in SHAPES and rng.random() < _NAMELESS else shape,
            None if rng.random() < _NAMELESS else colour,
        )
        for shape, colour in content
    )


def _draw_drawable(rng: np.random.Generator, split: str) -> tuple[Pair, ...]:
    """The first content that needs nothing that is not installed."""
    content = draw_content(rng, split)
    while any(shape in DIGITS for shape, _ in content) and find_spec("sklearn") is None:
        content = draw_content(rng, split)
    return content


def draw_content(rng: np.random.Generator, split: str) -> tuple[Pair, ...]:
    """One to four (shape, colour), now and then a digit; in training none of HELD_OUT_PAIRS.

    Later ones often repeat an earlier name, so that counting matters. In half of the training's pictures
    some things have no name (in the others all do: only they can be described or compared). In the test
    split half of the pictures show at least one held-out pair, and everything has a name.
    """
    content: list[tuple[str, str]] = []
    names = tuple(COLOURS)
    count = int(rng.choice([1, 2, 3, 4], p=[0.38, 0.26, 0.20, 0.16]))
    unseen = split == "test" and rng.random() < 0.5
    if count < 3 and rng.random() < 0.26:
        content.append((DIGITS[rng.integers(10)], names[rng.integers(len(names))]))
    while len(content) < count:
        shape, colour = SHAPES[rng.integers(len(SHAPES))], names[rng.integers(len(names))]
        drawn = [name for name in content if name[0] in SHAPES]
        if drawn and rng.random() < 0.35:
            shape = drawn[rng.integers(len(drawn))][0]
        if drawn and rng.random() < 0.25:
            colour = drawn[rng.integers(len(drawn))][1]
        if unseen and not drawn:
            shape, colour = sorted(HELD_OUT_PAIRS)[rng.integers(len(HELD_OUT_PAIRS))]
        if split == "test" or (shape, colour) not in HELD_OUT_PAIRS:
            content.append((shape, colour))
    return without_names(rng, content) if split == "train" and rng.random() < 0.5 else tuple(content)


def _draw_places(
    rng: np.random.Generator, width: int, height: int, count: int, least: float
) -> list[tuple[float, float, float]]:
    """Centre x, centre y and radius for each thing: circles inside the picture, some overlapping a little."""
    side = min(width, height)
    largest = max({1: 0.46, 2: 0.27, 3: 0.23}.get(count, 0.20), least + 0.05)
    # a wide or tall picture has room for more
    largest = min(0.46, largest * (max(width, height) / side) ** 0.3)
    apart = 0.78 if rng.random() < 0.12 else 1.0
    for attempt in range(100):
        places: list[tuple[float, float, float]] = []
        for _ in range(20 * count):
            radius = max(6.0, side * rng.uniform(least, largest) * 0.98**attempt)
            radius = min(radius, side / 2 - 1)
            reach = radius + 1
            x, y = rng.uniform(reach, width - reach), rng.uniform(reach, height - reach)
            if all(math.hypot(x - u, y - v) > apart * (radius + r + 2) for u, v, r in places):
                places.append((x, y, radius))
            if len(places) == count:
                return places
    raise ValueError(f"no room for {count} things in a picture of {width} x {height}")
