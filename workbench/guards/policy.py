"""What follows from a verdict: nothing, a flag, or an end; and from a guard that gives none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from workbench.guards.guard import Category, Guard, GuardError, Messages, Verdict

Mode = Literal["flag", "block"]
Fails = Literal["closed", "open"]
Stage = Literal["input", "output"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """What a check came to.

    Attributes:
        stage: what was checked. guard: who judged.
        result: "safe", "unsafe", or "unjudged" where the guard gave no verdict.
        stopped: whether it must not go on.
        categories: what was found; may be empty for something unsafe.
    """

    stage: Stage
    guard: str
    result: Literal["safe", "unsafe", "unjudged"]
    stopped: bool = False
    categories: tuple[Category, ...] = ()

    @property
    def named(self) -> str:
        """What was found, for people."""
        return ", ".join(map(str, self.categories)) or "something unsafe"

    @property
    def sentence(self) -> str:
        """What somebody is told of it; empty if there is nothing to tell."""
        what = "question" if self.stage == "input" else "answer"
        if self.result == "safe":
            return ""
        if self.result == "unjudged":
            end = "it ends here" if self.stage == "output" else "it is not answered"
            told = f"; {end}" if self.stopped else ""
            return f"The guard could not judge this {what}{told}."
        if not self.stopped:
            return f"\u2691 Flagged by the guard, {what}: {self.named}."
        done = "did not let this question through" if self.stage == "input" else "ended this answer here"
        return f"The guard {done}: {self.named}."

    def __or__(self, other: Finding) -> Finding:
        """The graver of two of the same stage, with the categories of both."""
        grave = ("safe", "unjudged", "unsafe")
        worse = max(self, other, key=lambda one: (one.stopped, grave.index(one.result)))
        both = tuple(dict.fromkeys([*self.categories, *other.categories]))
        return Finding(worse.stage, worse.guard, worse.result, worse.stopped, both)

    def to_json(self) -> dict:
        """For programs."""
        found = [{"code": one.code, "name": one.name} for one in self.categories]
        return {
            "stage": self.stage, "result": self.result, "stopped": self.stopped, "categories": found,
            "guard": self.guard,
        }  # fmt: skip


@dataclass(frozen=True)
class Policy:
    """A guard, and what is done with what it says.

    Attributes:
        guard: judges.
        mode: "block" ends what is unsafe; "flag" lets it pass and says so. To check nothing, have no policy.
        fails: what becomes of something that got no verdict. "closed": it is stopped, in either mode;
            "open": it passes, and is marked as unjudged. There is no default, because both are a risk.
        window: characters of an answer that are judged at a time while it grows (see `Watch`).
    """

    guard: Guard
    mode: Mode
    fails: Fails
    window: int = 120

    def __post_init__(self) -> None:
        for name, known in (("mode", get_args(Mode)), ("fails", get_args(Fails))):
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"the guard's {name} is {value!r}; expected {' or '.join(known)}")
        if self.window < 1:
            raise ValueError(f"the guard's window is {self.window} characters; expected 1 or more")

    def input(self, messages: Messages) -> Finding:
        """Whether a model may be asked this."""
        return self._checked("input", lambda: self.guard.judge_input(messages))

    def output(self, messages: Messages, answer: str) -> Finding:
        """Whether this answer to it may be shown."""
        return self._checked("output", lambda: self.guard.judge_output(messages, answer))

    def _checked(self, stage: Stage, judge: Callable[[], Verdict]) -> Finding:
        try:
            verdict = judge()
        except GuardError as error:
            log.warning("%s was not judged: %s", stage, error)
            return Finding(stage, self.guard.name, "unjudged", self.fails == "closed")
        if not verdict.unsafe:
            return Finding(stage, self.guard.name, "safe")
        return Finding(stage, self.guard.name, "unsafe", self.mode == "block", verdict.categories)
