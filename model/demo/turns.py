"""What a question means, and one question with its answer in words of one language."""

from __future__ import annotations

from dataclasses import dataclass, field

# (shape, colour, size) as a question names a thing; None where it leaves that open
Name = tuple[str | None, str | None, str | None]
ANYTHING: Name = (None, None, None)
Place = tuple[int, int]  # a thing: the 0-based picture, and its number there


@dataclass(frozen=True)
class Meaning:
    """A question without words.

    `way` is how it is asked (`languages.language.WAYS`), `answer` how it is answered (ANSWERS, or
    "describe"); `image` the 0-based picture it is about, -1 for none or all. `things` are what the answer
    speaks of. `numbers` fill the question's {n} and {m}, `number` the answer's {n}. `said` names the thing in
    the answer.
    """

    kind: str
    way: str
    answer: str
    image: int = -1
    asked: Name = ANYTHING
    other: Name | None = None
    things: tuple[Place, ...] = ()
    numbers: tuple[int, int] = (0, 0)
    number: int = 0
    said: Name = ANYTHING


@dataclass(frozen=True)
class Pointer:
    """The characters start:end of a text speak of these things."""

    start: int
    end: int
    things: tuple[Place, ...]


@dataclass(frozen=True)
class Turn:
    """One question with its answer.

    `pointers`: what the answer's words speak of. `mentions`: the names of things in the question.
    `references`: the numbers of pictures in it, which speak of everything in the picture.
    """

    meaning: Meaning
    language: str
    question: str
    answer: str
    pointers: tuple[Pointer, ...] = ()
    mentions: tuple[Pointer, ...] = field(default=(), repr=False)
    references: tuple[Pointer, ...] = field(default=(), repr=False)

    @property
    def kind(self) -> str:
        """The question's type, one of `questions.KINDS`."""
        return self.meaning.kind


class NothingToAsk(LookupError):
    """These scenes allow no unambiguous question of that kind."""
