"""Outlines stay inside the unit circle, vary from draw to draw, and look like what they are called."""

import numpy as np
import pytest

from model.demo.outlines import SHAPES, outline


def draws(shape, count=200):
    rng = np.random.default_rng(1)
    return [outline(rng, shape) for _ in range(count)]


def area(corners) -> float:
    """A polygon's area (shoelace formula)."""
    x, y = corners.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


@pytest.mark.parametrize("shape", [*SHAPES, None])
def test_an_outline_is_a_polygon_inside_the_unit_circle(shape):
    for corners in draws(shape):
        assert corners.ndim == 2 and corners.shape[1] == 2 and len(corners) >= 3
        # the corners of a triangle may stick out by a little
        assert np.hypot(*corners.T).max() < 1.2


@pytest.mark.parametrize("shape", SHAPES)
def test_no_two_draws_are_alike_but_all_have_about_the_same_area(shape):
    areas = [area(corners) for corners in draws(shape)]
    assert len({corners.tobytes() for corners in draws(shape, 20)}) == 20
    assert min(areas) > 0.3 * max(areas) and max(areas) < np.pi


def test_a_square_is_not_a_diamond_however_it_is_turned():
    def top(corners) -> float:
        """How far above the middle the highest corner is, in half heights of the widest stretch."""
        return abs(float(corners[corners[:, 1].argmin(), 0])) / float(np.abs(corners[:, 0]).max())

    # the highest corner of a diamond lies over its middle, that of a square over its side
    assert max(top(corners) for corners in draws("diamond")) < 0.4
    assert min(top(corners) for corners in draws("square")) > 0.5


def test_an_outline_without_a_name_is_uneven_and_never_a_speck():
    for corners in draws(None):
        x, y = (np.append(axis, axis[0]) for axis in corners.T)
        around = np.hypot(np.diff(x), np.diff(y)).sum()
        # of all outlines a circle has the largest area for its length: 1
        assert 0.15 < 4 * np.pi * area(corners) / around**2 < 0.97


def test_the_same_generator_state_gives_the_same_outline():
    for shape in (*SHAPES, None):
        first, again = (outline(np.random.default_rng(3), shape) for _ in range(2))
        assert np.array_equal(first, again)
