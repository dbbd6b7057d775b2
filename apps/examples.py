"""Questions to begin with: pictures of known content, drawn when the page is built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model.demo.scenes import draw_scene


@dataclass(frozen=True)
class Example:
    """A question about some pictures."""

    text: str
    pictures: tuple[Path, ...]


SCENES = {
    "a red circle": (11, (320, 240), [("circle", "red")]),
    "a green circle and a yellow star": (4, (320, 240), [("circle", "green"), ("star", "yellow")]),
    "two triangles and a circle": (
        2,
        (320, 240),
        [("triangle", "blue"), ("triangle", "red"), ("circle", "green")],
    ),
    "a purple heart and a black square": (9, (240, 240), [("heart", "purple"), ("square", "black")]),
    "an orange moon": (6, (400, 240), [("moon", "orange")]),
    "a red star": (21, (80, 80), [("star", "red")]),
    "another red star": (22, (80, 80), [("star", "red")]),
    "a third red star": (23, (80, 80), [("star", "red")]),
    "a red heart": (24, (80, 80), [("heart", "red")]),
}
EXAMPLES = {
    "What colour is the circle in image 2?": ("a red circle", "a green circle and a yellow star"),
    "Which image shows a heart?": ("an orange moon", "a purple heart and a black square", "a red circle"),
    "How many triangles are there?": ("two triangles and a circle",),
    "What shape is in image 3?": ("a red star", "another red star", "a red heart", "a third red star"),
    "Welche Farbe hat das Herz in Bild 2?": ("a red circle", "a purple heart and a black square"),
    "चित्र 1 में कितने तारे हैं?": ("a green circle and a yellow star", "an orange moon"),
}


def draw(folder: Path) -> list[Example]:
    """Write the pictures into a folder and give the examples that show them."""
    files = {}
    for name, (seed, size, content) in SCENES.items():
        files[name] = folder / f"{name.replace(' ', '-')}.png"
        draw_scene(seed, size, content).image.save(files[name])
    return [Example(text, tuple(files[name] for name in names)) for text, names in EXAMPLES.items()]
