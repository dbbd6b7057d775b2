"""Recent answers, kept so that a page can still ask about them, within a fixed amount of memory."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from workbench import Run, Trace

if TYPE_CHECKING:
    from apps.conversation import Turn
    from workbench.guards import Finding, Watch

MOST_ANSWERS = 64
MOST_BYTES = 512 * 2**20


class Answer:
    """A running answer, then its trace: once finished, the run and what it holds are let go.

    Attributes:
        id: nobody can guess it, so whoever has it may see the answer.
        turns, system: the conversation that ends with the question; none of a trace that came as a file.

    Args:
        watch: the guard's, over the answer; what it has not let pass is not in the trace.
        found: what the guard found in the question.
    """

    def __init__(
        self,
        run: Run | Trace,
        turns: Sequence[Turn] = (),
        system: str = "",
        watch: Watch | None = None,
        found: Finding | None = None,
    ) -> None:
        opened = isinstance(run, Trace)
        self.id = secrets.token_urlsafe(12) if opened else run.id
        self.turns = tuple(turns)
        self.system = system
        self.started = time.time_ns() // 1000
        self._watch = watch
        self._found = found
        self._run: Run | None = None if opened else run
        self._trace: Trace | None = run if opened else None

    @property
    def running(self) -> bool:
        """Whether more may come."""
        return self._trace is None

    @property
    def ready(self) -> int:
        """How many tokens of a running answer may be shown."""
        return len(self._run.capture.steps) if self._watch is None else self._watch.shown

    @property
    def told(self) -> str:
        """What the guard found in the question and in the answer, for people."""
        found = (self._found, self._watch and self._watch.finding)
        return "\n\n".join(one.sentence for one in found if one and one.sentence)

    def trace(self, newest: int | None = None) -> Trace:
        """Everything observed so far that may be shown; with the attention of the `newest` tokens alone."""
        run = self._run
        return self._trace if run is None else run.trace(None if self._watch is None else self.ready, newest)

    def look(self) -> None:
        """Let the guard judge what is new, if there is a guard; an answer that must not go on ends."""
        run, watch = self._run, self._watch
        if run is None or watch is None:
            return
        ended = run.done  # asked before the tokens: after it there are no more
        watch.look([step.text for step in run.capture.steps[:]], ended)
        if watch.stopped:
            run.cancel()

    def cancel(self) -> None:
        """Stop before the next token; harmless when finished."""
        run = self._run
        if run is not None:
            run.cancel()

    def finish(self) -> None:
        """Keep the trace alone."""
        if self._run is not None:
            self._trace = self.trace()
            self._run = None

    def shown_again(self) -> int:
        """A time for a view that shows a later answer now, so that it takes this one for the newest."""
        self.started = time.time_ns() // 1000
        return self.started


class Shelf:
    """Answers by their id; the oldest go when there are too many or they take too much."""

    def __init__(self, most_answers: int = MOST_ANSWERS, most_bytes: int = MOST_BYTES) -> None:
        self.most_answers = most_answers
        self.most_bytes = most_bytes
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._answers)

    def put(self, answer: Answer) -> None:
        """Keep an answer, and let older finished ones go where needed."""
        with self._lock:
            self._answers[answer.id] = answer
            sizes = {one.id: size_of(one.trace()) for one in self._answers.values() if not one.running}
            for old, size in list(sizes.items()):
                if len(self._answers) <= self.most_answers and sum(sizes.values()) <= self.most_bytes:
                    return
                del self._answers[old]
                sizes[old] -= size

    def get(self, run_id: object) -> Answer | None:
        """The answer, if it is still kept; whatever a browser sends may be asked for."""
        with self._lock:
            return self._answers.get(run_id) if isinstance(run_id, str) else None


def size_of(trace: Trace) -> int:
    """Bytes that a trace takes, nearly."""
    arrays = (getattr(trace, one.name) for one in fields(trace))
    pictures = sum(3 * image.width * image.height for image in trace.images)
    return pictures + sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
