"""Which pictures are shown together: any, or alike ones, for "the same" and "the odd one out"."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from model.demo.drawing import COLOURS
from model.demo.outlines import SHAPES
from model.demo.questions import SHARES
from model.demo.scenes import Content

MOST_PICTURES = 5
_COUNTS = (0.28, 0.24, 0.20, 0.15, 0.13)  # how often one, two, ... pictures are shown
_ALIKE_SHARES = SHARES | {"same": 0.8, "odd": 1.6}


class Finder:
    """Draws numbers of pictures by what they show."""

    def __init__(self, contents: Sequence[Content]):
        self.count = len(contents)
        self.alone: dict[tuple[str, str], list[int]] = {}
        for number, content in enumerate(contents):
            if len(content.things) == 1:
                thing = content.things[0]
                self.alone.setdefault((thing.shape, thing.colour), []).append(number)

    def __call__(self, rng: np.random.Generator, name: tuple[str, str] | None) -> int:
        """A picture that shows this (shape, colour) alone; any picture for None, or where there is none."""
        some = self.alone.get(name) if name else None
        return some[int(rng.integers(len(some)))] if some else int(rng.integers(self.count))


def names_alike(
    rng: np.random.Generator, allowed: Callable[[tuple[str, str]], bool]
) -> list[tuple[str, str]]:
    """Names for two to five pictures of one thing each; with three or more often one is the odd one out."""

    def draw(shape: str | None = None, colour: str | None = None) -> tuple[str, str]:
        while True:
            name = (
                shape or SHAPES[rng.integers(len(SHAPES))],
                colour or tuple(COLOURS)[rng.integers(len(COLOURS))],
            )
            if allowed(name):
                return name

    first = draw()
    if rng.random() < 0.5:
        count = int(rng.integers(3, MOST_PICTURES + 1))
        odd = first
        while odd == first:
            odd = draw(shape=first[0]) if rng.random() < 0.5 else draw(colour=first[1])
        names = [first] * count
        names[rng.integers(count)] = odd
        return names
    names = [first]
    for _ in range(int(rng.integers(1, MOST_PICTURES))):
        shape, colour = names[rng.integers(len(names))]
        way = rng.random()
        names.append(draw(shape=shape) if way < 0.35 else draw(colour=colour) if way < 0.7 else draw())
    return names


def company(
    rng: np.random.Generator, allowed: Callable[[tuple[str, str]], bool]
) -> tuple[list[tuple[str, str] | None], dict[str, float]]:
    """What to show together (None: any picture), and how often each kind is then asked."""
    draw = rng.random()
    if draw < 0.02:
        return [], SHARES
    if draw < 0.26:
        return list(names_alike(rng, allowed)), _ALIKE_SHARES
    return [None] * int(rng.choice(MOST_PICTURES, p=_COUNTS) + 1), SHARES
