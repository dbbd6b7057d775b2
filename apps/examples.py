"""Questions to begin with, in all languages of the demo model: pictures of known content, drawn when the page
is built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from apps.maker import Known, things_of
from model.demo.scenes import draw_scene


@dataclass(frozen=True)
class Example:
    """A question about some pictures, and what is in each of them."""

    text: str
    pictures: tuple[Path, ...]
    known: tuple[list[Known], ...]


WIDE, SQUARE, SMALL = (320, 240), (240, 240), (80, 80)
SCENES = {
    "a red circle": (11, WIDE, [("circle", "red")]),
    "a green circle and a yellow star": (4, WIDE, [("circle", "green"), ("star", "yellow")]),
    "a blue triangle and a green circle": (2, WIDE, [("triangle", "blue"), ("circle", "green")]),
    "a purple heart and a black square": (9, SQUARE, [("heart", "purple"), ("square", "black")]),
    "an orange moon": (6, (400, 240), [("moon", "orange")]),
    "a green square": (41, SQUARE, [("square", "green")]),
    "a red heart": (24, SMALL, [("heart", "red")]),
    "a red star": (21, SMALL, [("star", "red")]),
    "another red star": (22, SMALL, [("star", "red")]),
    "a third red star": (23, SMALL, [("star", "red")]),
    "a blue cross": (42, SMALL, [("cross", "blue")]),
    "a pink cross": (43, SQUARE, [("cross", "pink")]),
    "a blue circle": (45, SMALL, [("circle", "blue")]),
    "a yellow square": (46, SMALL, [("square", "yellow")]),
    "a green triangle": (47, SMALL, [("triangle", "green")]),
}
EXAMPLES = {
    "What colour is the circle in image 2?": ("a red circle", "a green circle and a yellow star"),
    "Which image shows a heart?": ("an orange moon", "a purple heart and a black square", "a red circle"),
    "What shape is in image 3?": ("a red star", "another red star", "a red heart", "a third red star"),
    "Welche Farbe hat das Herz in Bild 2?": ("a red circle", "a purple heart and a black square"),
    "Quelle forme est dessinée sur la photo 2 ?": ("a red circle", "a green square"),
    "¿En qué imagen está la luna?": ("an orange moon", "a red star", "a red circle"),
    "Che colore ha il cerchio nell'immagine?": ("a blue triangle and a green circle",),
    "Você vê um objeto preto na imagem?": ("a purple heart and a black square",),
    "Hati merah ada di gambar mana?": ("a blue cross", "a red heart"),
    "Ano ang kulay ng bilog sa picture 2?": ("a red star", "a blue circle"),
    "Ảnh nào chứa hình vuông?": ("a yellow square", "a green triangle", "a red heart"),
    "กากบาทในรูปภาพที่ 2 มีสีอะไร?": ("an orange moon", "a pink cross"),
    "चित्र 1 में कितने तारे हैं?": ("a green circle and a yellow star", "an orange moon"),
    "أخبرني ما لون القلب في الصورة 1.": ("a red heart", "a green square"),
}


def draw(folder: Path) -> list[Example]:
    """Write the pictures into a folder and give the examples that show them."""
    files, known = {}, {}
    for name, (seed, size, content) in SCENES.items():
        scene = draw_scene(seed, size, content)
        files[name], known[name] = folder / f"{name.replace(' ', '-')}.png", things_of(scene)
        scene.image.save(files[name])
    return [
        Example(text, tuple(files[name] for name in names), tuple(known[name] for name in names))
        for text, names in EXAMPLES.items()
    ]
