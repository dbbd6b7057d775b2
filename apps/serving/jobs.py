"""A job: one prompt and the answers that are wanted to it; and what comes of it, token by token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from apps.serving.grammars import Held
from model import Inputs, SamplingParams, Step
from workbench import CaptureOptions, Trace
from workbench.guards import Finding


@dataclass(frozen=True)
class Produced:
    """One more token of an answer.

    Attributes:
        choice: whose. step: the token. trace: of the whole answer, with its last token, if one was wanted.
        prompt: how likely the prompt's tokens were, from the second on; with the first token, if wanted.
        finding: what the guard found in the answer, with its last token, if anything.
        at: when, on the clock of `time.perf_counter`.
    """

    choice: int
    step: Step
    trace: Trace | None = None
    prompt: Sequence[Step] = ()
    finding: Finding | None = None
    at: float = field(default_factory=time.perf_counter)


class Outbox:
    """What is produced for one request, until its task takes it; all in the event loop."""

    def __init__(self) -> None:
        self._items: list[Produced | Exception] = []
        self._filled: asyncio.Future[None] | None = None  # what the task waits for

    def put(self, item: Produced | Exception) -> None:
        """Add to it."""
        self._items.append(item)
        if self._filled is not None and not self._filled.done():
            self._filled.set_result(None)

    async def take(self) -> list[Produced | Exception]:
        """All there is, as soon as there is something."""
        if not self._items:
            self._filled = asyncio.get_running_loop().create_future()
            await self._filled
        taken, self._items = self._items, []
        return taken


@dataclass(eq=False)
class Job:
    """One prompt.

    Attributes:
        inputs: the prompt. params: how each answer is drawn.
        outbox: where what is produced goes, or the error that ended it; several jobs may share one.
        first: the number of the first answer among all that go there.
        capture: what is to be observed; an observed answer is computed alone.
        constraint: makes what holds one answer in form. score: tell how likely the prompt's tokens were, and
            this many alternatives.
        messages: the prompt as a conversation, for the guard.
        cancelled: set by whoever does not want it any more; it ends before its next token.
    """

    inputs: Inputs
    params: tuple[SamplingParams, ...]
    outbox: Outbox
    first: int = 0
    capture: CaptureOptions | None = None
    constraint: Callable[[], Held] | None = None
    score: int | None = None
    messages: Sequence[dict] = ()
    cancelled: bool = field(default=False)
