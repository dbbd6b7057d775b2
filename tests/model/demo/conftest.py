"""What the tests of the demo model's world share: its processor, made once, and pictures without pixels."""

from collections.abc import Callable

import numpy as np
import pytest

from model.demo.drawing import COLOURS
from model.demo.outlines import SHAPES
from model.demo.scenes import Content, Thing
from model.demo.shape import build_processor
from model.processor import Processor


@pytest.fixture(scope="session")
def processor() -> Processor:
    """The demo model's tokenizer, image settings and configuration."""
    return build_processor()


def random_thing(rng: np.random.Generator, width: int, height: int, nameless: float = 0.1) -> Thing:
    """A thing anywhere; one in eight is a digit, some have no name, and few names, so that pictures have
    things in common."""
    w, h = (int(side * rng.uniform(0.1, 0.9)) for side in (width, height))
    x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    extent = float(np.sqrt(w * h / (width * height)))
    digit = int(rng.integers(10)) if rng.random() < 0.125 else -1
    shape = "digit" if digit >= 0 else SHAPES[rng.integers(4)] if rng.random() >= nameless else None
    colour = tuple(COLOURS)[rng.integers(4)] if rng.random() >= nameless else None
    return Thing(shape, colour, (1, 2, 3), (x, y, x + w, y + h), extent, digit)


def random_contents(rng: np.random.Generator, count: int) -> list[Content]:
    """What `count` pictures show; half of the time every picture shows one thing and they are alike."""
    if rng.random() < 0.5:
        things = [random_thing(rng, 100, 80, nameless=0) for _ in range(2)]
        chosen = np.zeros(count, dtype=int)
        chosen[rng.integers(count)] = 1
        return [Content((things[index],), (100, 80)) for index in chosen]
    sizes = [(int(rng.integers(60, 200)), int(rng.integers(60, 200))) for _ in range(count)]
    return [
        Content(tuple(random_thing(rng, *size) for _ in range(rng.integers(1, 5))), size) for size in sizes
    ]


@pytest.fixture(scope="session")
def draw_contents() -> Callable[[np.random.Generator, int], list[Content]]:
    """`draw_contents(rng, count)`: what some pictures show, made up without drawing them."""
    return random_contents
