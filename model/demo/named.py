"""What training knows of the words of a question: which thing a name means, how two of them compare."""

from __future__ import annotations

from collections.abc import Sequence

from model.demo.pictures import LABELS, label
from model.demo.scenes import Content
from model.demo.turns import Place, Pointer, Turn

# of two things that a question compares: is the second further right, further down, of the same shape, colour
PAIR_LABELS = ("across", "down", "shape", "colour")


def meant(contents: Sequence[Content], turn: Turn, pointer: Pointer) -> tuple[int, ...]:
    """What LABELS lists for what a word in a question means, -1 where that is not one thing."""
    if turn.kind == "odd":
        ((image, thing),) = turn.meaning.things
    elif len(pointer.things) > 1:
        return (-1,) * len(LABELS)
    else:
        ((image, thing),) = pointer.things
    content = contents[image]
    known = label(content.things[thing], content.size)
    return (*known[:2], -1, -1, -1, -1) if turn.kind == "odd" else known


def pair(turn: Turn) -> tuple[Place, Place, Pointer] | None:
    """The two things that a question compares, in the order of its words, and its second name for one."""
    if turn.kind not in ("relation", "same") or len(turn.meaning.things) != 2:
        return None
    named = turn.mentions if turn.kind == "relation" else turn.references
    of = [[pointer for pointer in named if place in pointer.things] for place in turn.meaning.things]
    if any(len(pointers) != 1 for pointers in of):
        return None
    (start, first), (_, second) = sorted(
        ((pointers[0].start, place) for pointers, place in zip(of, turn.meaning.things, strict=True))
    )
    later = next(pointer for (pointer,) in of if pointer.start != start)
    return first, second, later


def compare(contents: Sequence[Content], first: Place, second: Place) -> tuple[int, ...]:
    """PAIR_LABELS of two things; sides only within a picture, and where they are clear."""
    one, two = (contents[image].things[index] for image, index in (first, second))
    size = contents[first[0]].size
    apart = [(b - a) / side for a, b, side in zip(one.centre, two.centre, size, strict=True)]
    sides = [int(d > 0) if first[0] == second[0] and abs(d) > 0.06 else -1 for d in apart]
    return (*sides, int(one.shape == two.shape), int(one.colour == two.colour))
