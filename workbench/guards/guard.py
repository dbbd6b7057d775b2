"""What a guard is: something that judges a question, or an answer to it, and names what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Messages = Sequence[dict]


class GuardError(RuntimeError):
    """There is no verdict: the guard is away, too slow, cannot see what it was shown, or made no sense."""


@dataclass(frozen=True)
class Category:
    """A kind of hazard: `code` for programs ("S1"), `name` for people ("Violent Crimes")."""

    code: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


@dataclass(frozen=True)
class Verdict:
    """What a guard says. An unsafe verdict may come without a category; a safe one has none."""

    unsafe: bool
    categories: tuple[Category, ...] = ()

    def __or__(self, other: Verdict) -> Verdict:
        """Unsafe if one of the two is, with the categories of both."""
        both = dict.fromkeys([*self.categories, *other.categories])
        return Verdict(self.unsafe or other.unsafe, tuple(both))


class Guard(Protocol):
    """Judges. Messages are a conversation in OpenAI's or Hugging Face's form, pictures included.

    Attributes:
        name: shown to people. can_fail: whether it may give a GuardError in place of a verdict.
    """

    name: str
    can_fail: bool

    def judge_input(self, messages: Messages) -> Verdict:
        """Whether a model may be asked this; all of it is what somebody sent.

        Raises:
            GuardError: there is no verdict.
        """
        ...

    def judge_output(self, messages: Messages, answer: str) -> Verdict:
        """Whether this answer, which may still be growing, may be shown to those who asked.

        Raises:
            GuardError: there is no verdict.
        """
        ...
