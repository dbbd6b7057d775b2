"""One question with its answer, and which things of which picture the answer's words speak of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pointer:
    """The characters start:end of an answer speak of these things of this picture (both 0-based)."""

    start: int
    end: int
    image: int
    things: tuple[int, ...]


@dataclass(frozen=True)
class Turn:
    """One question with its answer.

    `image` is the 0-based picture it is about, -1 for none or all; `asked` is the (shape, colour) it names,
    None where it leaves that open; `pointers` say which things the answer's words speak of.
    """

    kind: str
    question: str
    answer: str
    image: int = -1
    asked: tuple[str | None, str | None] = (None, None)
    pointers: tuple[Pointer, ...] = ()


class NothingToAsk(LookupError):
    """These scenes allow no unambiguous question of that kind."""
