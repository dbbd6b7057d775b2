"""What training knows of the words of a question: which thing a name means."""

from __future__ import annotations

from collections.abc import Sequence

from model.demo.pictures import LABELS, label
from model.demo.scenes import Content
from model.demo.turns import Pointer, Turn


def meant(contents: Sequence[Content], turn: Turn, pointer: Pointer) -> tuple[int, ...]:
    """What LABELS lists for what a word in a question means, -1 where that is not one thing."""
    if turn.kind == "odd":
        image, thing = turn.meaning.image, 0
    elif len(pointer.things) > 1:
        return (-1,) * len(LABELS)
    else:
        ((image, thing),) = pointer.things
    content = contents[image]
    known = label(content.things[thing], content.size)
    return (*known[:2], -1, -1, -1, -1) if turn.kind == "odd" else known
