"""What takes a while and a visitor asks for: one thing after the other, with progress, stopped when told.

A trial runs in a thread of its own and asks the model in its turn, so answers of the chat go on beside it.
Trials wait for each other, and nobody has two. Nothing here knows Gradio.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from apps.conversation import Refusal, messages
from apps.handlers import Desk
from apps.shelf import Shelf
from model import SamplingParams
from workbench import Trace
from workbench.guards import Policy
from workbench.run import Messages
from workbench.sentences import sentence

SECONDS_BETWEEN_LOOKS = 0.1
MOST_KEPT, MOST_BYTES = 32, 256 * 2**20  # of traces

Result = TypeVar("Result")
Tell = Callable[[str, int, int], None]
"""Told what comes next, how many steps are behind and how many there are; raises to stop the work."""


class Stopped(RuntimeError):
    """Somebody stopped it."""


@dataclass(frozen=True)
class Progress:
    """What is being done, and how much is behind, 0 to 1."""

    words: str
    share: float = 0.0


@dataclass(frozen=True)
class Question:
    """A question that was answered, to be asked again as it was, with a seed and within its own limit.

    Attributes:
        trace: of its answer. messages: as the model was told it. sampling: of that answer.
        guard: judges the new answers; None: nobody does.
    """

    trace: Trace
    messages: Messages
    sampling: SamplingParams
    guard: Policy | None = None

    @classmethod
    def of(cls, desk: Desk, run_id: object) -> Question:
        """The question of a finished answer.

        Raises:
            Refusal: it is not kept, unfinished, empty, came as a file, or its pictures are gone.
        """
        answer = desk.shelf.get(run_id)
        if answer is None or answer.running or not answer.turns:
            raise Refusal("Only a finished answer of this chat can be tried again; ask something first.")
        trace = answer.trace()
        if not len(trace.generated_index):
            raise Refusal("This answer has no words; ask something first.")
        asked = SamplingParams(**trace.meta["sampling"])
        sampling = replace(asked, seed=0 if asked.seed is None else asked.seed)
        return cls(trace, messages(answer.turns, answer.system), sampling, desk.guard)

    def judged(self, *answers: str) -> str:
        """What the guard has to say of new answers, empty for nothing.

        Raises:
            Refusal: one of them must not be shown.
        """
        found = [self.guard.output(self.messages, answer) for answer in answers] if self.guard else []
        for one in found:
            if one.stopped:
                raise Refusal(one.sentence)
        return "\n".join(dict.fromkeys(one.sentence for one in found if one.sentence))


class Trial(Generic[Result]):
    """One thing that is done for somebody."""

    def __init__(self, work: Callable[[Tell], Result]) -> None:
        self.progress = Progress("Beginning …")
        self.stopped = threading.Event()
        self.ended = threading.Event()
        self.result: Result | None = None
        self.error: Exception | None = None
        self._work = work

    def tell(self, what: str, done: int, steps: int) -> None:
        """Note how far it is; the work ends here if it was stopped."""
        if self.stopped.is_set():
            raise Stopped("stopped")
        self.progress = Progress(f"{what} ({done + 1} of {steps})", done / steps)

    def perform(self) -> None:
        """Do it; whatever goes wrong is for the person who asked."""
        self.error = RuntimeError("it broke off")
        try:
            self.tell("Beginning", 0, 1)
            self.result, self.error = self._work(self.tell), None
        # settings that cannot be, an edit that changes nothing; torch's want of memory is a RuntimeError
        except (ValueError, RuntimeError, OSError) as error:
            self.error = error


class Trials:
    """A line of trials, at most one for each visitor.

    Attributes:
        kept: the newest traces that came of them, for a view that asks for more.
    """

    def __init__(self) -> None:
        self.kept = Shelf(MOST_KEPT, MOST_BYTES)
        self._line: list[tuple[str, Trial]] = []
        self._changed = threading.Condition()

    def run(self, visitor: str, work: Callable[[Tell], Result]) -> Iterator[Progress | Result]:
        """Do `work` when it is its turn: its progress, again and again, and what it gave at the end.

        Raises:
            Refusal: the visitor has another in the line; it was stopped; or it cannot be done, and why.
        """
        trial = Trial(work)
        with self._changed:
            if self._of(visitor) is not None:
                raise Refusal("Something is being tried for you already; stop it first.")
            self._line.append((visitor, trial))
        threading.Thread(target=self._perform, args=(visitor, trial), daemon=True).start()
        shown = None
        try:
            # whoever stops it need not wait until the model has noticed
            while not trial.ended.wait(SECONDS_BETWEEN_LOOKS) and not trial.stopped.is_set():
                if trial.progress is not shown:
                    shown = trial.progress
                    yield shown
            if not trial.ended.is_set() or isinstance(trial.error, Stopped):
                raise Refusal("Stopped.")
            if trial.error is not None:
                raise Refusal(sentence(trial.error)) from trial.error
            yield trial.result
        finally:
            trial.stopped.set()  # the page may have gone away at a yield

    def stop(self, visitor: str) -> None:
        """Stop the visitor's trial; harmless if there is none."""
        with self._changed:
            trial = self._of(visitor)
            if trial is not None:
                trial.stopped.set()
                self._changed.notify_all()

    def _of(self, visitor: str) -> Trial | None:
        """The visitor's trial, unless it was stopped and only has to notice."""
        found = (one for name, one in self._line if name == visitor and not one.stopped.is_set())
        return next(found, None)

    def _perform(self, visitor: str, trial: Trial) -> None:
        here = (visitor, trial)
        try:
            with self._changed:
                while self._line[0] != here and not trial.stopped.is_set():
                    before = self._line.index(here)
                    trial.progress = Progress(
                        f"Waiting: {before} {'trial' if before == 1 else 'trials'} first."
                    )
                    self._changed.wait()
            trial.perform()
        finally:
            with self._changed:
                self._line.remove(here)
                self._changed.notify_all()
            trial.ended.set()
