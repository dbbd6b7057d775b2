"""The outlines of the shapes, and of things without a name, as polygons inside the unit circle."""

from __future__ import annotations

import math

import numpy as np

SHAPES = ("circle", "square", "triangle", "star", "cross", "heart", "diamond", "moon")


def outline(rng: np.random.Generator, shape: str | None) -> np.ndarray:
    """[corners, 2]: a polygon inside the unit circle, y downwards, slightly turned and stretched.

    shape: one of SHAPES, or None for an outline that is none of them.
    """
    tilt = rng.uniform(-14, 14) if rng.random() < 0.5 else 0.0
    if shape is None:
        points = _nameless(rng)
    elif shape == "circle":
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


def _nameless(rng: np.random.Generator) -> np.ndarray:
    """A jagged polygon or a lumpy blob."""
    if rng.random() < 0.5:
        corners = int(rng.integers(5, 10))
        radii = rng.uniform(0.3, 1.0, corners)
        start = rng.uniform(0, 360)
        degrees = start + np.linspace(0, 360, corners, endpoint=False)
    else:
        degrees = np.linspace(0, 360, 48, endpoint=False)
        lobes, turned = np.arange(2, 5)[:, None], rng.uniform(0, 2 * math.pi, (3, 1))
        waves = np.cos(lobes * np.radians(degrees) + turned)
        # uneven enough that nobody calls it a circle
        radii = 1 + rng.uniform(0.3, 0.6) * (rng.dirichlet(np.ones(3)) @ waves)
    return _on_circle(degrees) * (radii / radii.max())[:, None]


def _on_circle(degrees: np.ndarray) -> np.ndarray:
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _turn(degrees: float) -> np.ndarray:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.asarray([(cosine, -sine), (sine, cosine)])
