"""What training knows of the words of a question: which thing a name means, and its part in the question."""

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


def part(turn: Turn, pointer: Pointer) -> int:
    """Whether a name in a question is of the thing that is asked about (0) or of the one it is compared
    with (1); -1 where nothing is compared.

    In "is X left of Y" the first name is X in most languages; in Tagalog a marker before the name tells.
    """
    if turn.kind != "relation":
        return -1
    asked = turn.meaning.things[0 if turn.meaning.answer == "relation_yes" else 1]
    return int(asked not in pointer.things)
