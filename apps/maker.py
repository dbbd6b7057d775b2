"""The scene maker: shapes that a person placed and lines drawn freehand become a picture, and what is in it
stays known.

The same outlines are drawn in the browser, as SVG, and here, as pixels. Known pictures are told apart by what
is in their files, so that a picture is still known after it went through a browser.
"""

from __future__ import annotations

import hashlib
import math
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from apps.conversation import Refusal
from model.demo.drawing import COLOURS
from model.demo.outlines import SHAPES, outline
from model.demo.scenes import Scene

WIDTH, HEIGHT = 320, 240
SMALLEST, LARGEST = 12, 160  # radius in pixels
MOST_THINGS = 24  # a drawing takes some lines
PEN = 6  # width of a line in pixels
LONGEST_LINE = 400  # points
DRAWN = "freehand line"  # stands where the name of a shape would
UNSEEN = "The demo model was trained on shapes and has never seen a drawing: all it can do here is guess."
MOST_KNOWN = 2000
GROUND = (250, 250, 250)
_FINE = 4  # each pixel's edge is drawn in so many parts
_UPRIGHT = 6  # a seed that tilts no outline: the same here and in the browser


@dataclass(frozen=True)
class Known:
    """One thing in a picture; `box`: x0, y0, x1, y1 in pixels, tight around what is seen of it."""

    shape: str
    colour: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Placed:
    """A thing as a person placed it: its middle and its radius in pixels; of a freehand line also its points,
    from -1 to 1 within that radius."""

    shape: str
    colour: str
    x: float
    y: float
    radius: float
    line: tuple[tuple[float, float], ...] = ()

    def corners(self) -> np.ndarray:
        """[corners, 2]: where its outline, or its line, runs, in pixels."""
        unit = np.asarray(self.line) if self.line else _outline(self.shape)
        return unit * self.radius + (self.x, self.y)


def palette() -> dict:
    """What the browser draws with: outlines inside the unit circle, colours, and the size of a picture."""
    return {
        "shapes": {shape: _outline(shape).round(3).tolist() for shape in SHAPES},
        "colours": {name: f"rgb({','.join(map(str, shades[0]))})" for name, shades in COLOURS.items()},
        "ground": f"rgb({','.join(map(str, GROUND))})",
        "width": WIDTH, "height": HEIGHT, "smallest": SMALLEST, "largest": LARGEST, "most": MOST_THINGS,
        "pen": PEN, "longest": LONGEST_LINE, "drawing": DRAWN, "unseen": UNSEEN,
    }  # fmt: skip


def placed(value: object) -> list[Placed]:
    """Things as the browser sends them.

    Raises:
        Refusal: there are none, too many, or one that cannot be drawn.
    """
    if not isinstance(value, list) or not value:
        raise Refusal("Put a shape into the picture first, or draw a line.")
    if len(value) > MOST_THINGS:
        raise Refusal(f"A picture holds at most {MOST_THINGS} shapes and lines, not {len(value)}.")
    things = []
    for one in value:
        one = one if isinstance(one, dict) else {}
        shape, colour = one.get("shape"), one.get("colour")
        numbers = [one.get(name) for name in ("x", "y", "radius")]
        if shape not in (*SHAPES, DRAWN) or colour not in tuple(COLOURS):
            raise Refusal(f"{str(shape)[:20]!r} in {str(colour)[:20]!r} cannot be drawn.")
        if not all(_is_number(n) for n in numbers):
            raise Refusal("A shape has no place or no size.")
        x, y, radius = numbers
        if not (0 <= x <= WIDTH and 0 <= y <= HEIGHT and SMALLEST <= radius <= LARGEST):
            raise Refusal("A shape is outside the picture, or too small or too large.")
        line = _line(one.get("line")) if shape == DRAWN else ()
        things.append(Placed(shape, colour, float(x), float(y), float(radius), line))
    return things


def _line(value: object) -> tuple[tuple[float, float], ...]:
    """The points of a freehand line as the browser sends them."""
    if not isinstance(value, list) or not 1 <= len(value) <= LONGEST_LINE:
        raise Refusal(f"A freehand line needs 1 to {LONGEST_LINE} points.")
    for point in value:
        pair = isinstance(point, list) and len(point) == 2
        if not pair or not all(_is_number(n) and abs(n) <= 1.01 for n in point):  # the browser rounds
            raise Refusal("A freehand line has a point that is none.")
    return tuple((float(x), float(y)) for x, y in value)


def _is_number(value: object) -> bool:
    # compared, not converted: a browser may send a whole number that no float holds
    return isinstance(value, int | float) and abs(value) < math.inf


def draw(things: Sequence[Placed]) -> tuple[Image.Image, list[Known]]:
    """The picture, and what is seen in it; later things lie on top, and what is covered is not known."""
    image = Image.new("RGB", (WIDTH, HEIGHT), GROUND)
    owner = np.full((HEIGHT, WIDTH), -1)
    for number, thing in enumerate(things):
        covered = _covered(thing)
        image.paste(COLOURS[thing.colour][0], (0, 0), covered)
        owner[np.asarray(covered) >= 128] = number
    known = []
    for number, thing in enumerate(things):
        rows, columns = (np.flatnonzero((owner == number).any(axis)) for axis in (1, 0))
        if len(rows):
            box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
            known.append(Known(thing.shape, thing.colour, box))
    return image, known


def _covered(thing: Placed) -> Image.Image:
    """How much of each pixel a thing covers, 0 to 255."""
    canvas = Image.new("L", (WIDTH * _FINE, HEIGHT * _FINE))
    drawing, corners = ImageDraw.Draw(canvas), thing.corners() * _FINE
    if not thing.line:
        drawing.polygon(corners.ravel().tolist(), fill=255)
    else:
        drawing.line(corners.ravel().tolist(), fill=255, width=PEN * _FINE)
        for x, y in corners:  # round ends and round turns, as the browser draws them
            drawing.circle((x, y), PEN * _FINE / 2, fill=255)
    return canvas.reduce(_FINE)


def things_of(scene: Scene) -> list[Known]:
    """What is known of a drawn scene."""
    return [Known(thing.shape, thing.colour, thing.box) for thing in scene.things]


class Truths:
    """What is known of pictures, by what is in their files; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, list[Known]] = OrderedDict()
        self._lock = threading.Lock()

    def make(self, value: object, folder: Path) -> Path:
        """Write the picture that a person made into `folder`, and remember what is in it.

        Raises:
            Refusal: it cannot be drawn.
        """
        image, known = draw(placed(value))
        path = folder / f"made-{secrets.token_hex(4)}.png"
        image.save(path)
        self.remember(path, known)
        return path

    def remember(self, path: Path, known: list[Known]) -> None:
        """Note what is in a picture."""
        with self._lock:
            self._known[_digest(path)] = known
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)

    def of(self, path: Path) -> list[Known] | None:
        """What is in a picture; None if nobody knows."""
        try:
            with self._lock:
                return self._known.get(_digest(path))
        except OSError:
            return None


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _outline(shape: str) -> np.ndarray:
    return outline(np.random.default_rng(_UPRIGHT), shape)
