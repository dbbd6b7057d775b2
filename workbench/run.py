"""Run: one answer, queued, growing or done, and what it gives: tokens while it grows, a Reply at its end."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model import SamplingParams, Step
from workbench.capture import Capture
from workbench.integrity import check
from workbench.trace import Trace, replace

if TYPE_CHECKING:
    from workbench.engine import Engine
    from workbench.engines.session import Growing

Messages = list[dict]


@dataclass(frozen=True)
class Reply:
    """A finished answer; `str(reply)` is its text.

    Attributes:
        text: what was said. finish_reason: "stop", "length" or "cancelled".
        trace: what was observed. messages: the conversation with this answer, to go on from.
    """

    text: str
    trace: Trace
    messages: Messages
    finish_reason: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 100 else self.text[:97] + "..."
        return f"Reply({text!r}, {self.finish_reason}, {self.trace!r})"


@dataclass(frozen=True)
class StreamedToken:
    """One token of a running answer: `text` is what it adds, `trace` everything observed up to it."""

    index: int
    step: Step
    run: Run | Growing = field(repr=False)

    @property
    def token_id(self) -> int:
        """The token."""
        return self.step.token_id

    @property
    def text(self) -> str:
        """What the token adds to the visible answer."""
        return self.step.text

    @property
    def trace(self) -> Trace:
        """The trace up to this token."""
        return self.run.trace(self.index + 1)


class Run:
    """One answer: queued, growing, or done. Iterate it for its tokens; several subscribers may."""

    def __init__(
        self,
        messages: Messages,
        sampling: SamplingParams,
        capture: Capture,
        owner: object = None,
        engine: Engine | None = None,
    ) -> None:
        self.id = secrets.token_urlsafe(12)
        self.messages = messages
        self.sampling = sampling
        self.capture = capture
        self.finish_reason: str | None = None
        self.error: Exception | None = None
        self.cancelled = threading.Event()
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._over = threading.Event()
        # a session that nobody holds any more ends its engine; whoever waits for an answer still holds it
        self._owner = owner
        self._engine = engine

    def __repr__(self) -> str:
        state = self.finish_reason or (f"error: {self.error}" if self.error else "running")
        return f"Run({len(self.capture.steps)} tokens, {state})"

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.finish_reason is not None or self.error is not None

    @property
    def over(self) -> bool:
        """Whether nobody needs to look for more: it is done, or cancelled and ends before its next token."""
        return self._over.is_set()

    @property
    def text(self) -> str:
        """The visible answer so far."""
        return "".join(step.text for step in self.capture.steps[:])

    def cancel(self) -> None:
        """Stop before the next token; the answer so far stays."""
        self.cancelled.set()
        self._over.set()
        with self._changed:
            self._changed.notify_all()

    def rest(self, seconds: float) -> None:
        """Sleep so long, less if the run is over before: for whoever looks only now and then."""
        self._over.wait(seconds)

    def await_token(self, seen: int, seconds: float) -> None:
        """Wait for more than `seen` tokens, for the end of the run, or for so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.capture.steps) > seen or self.over, seconds)

    def trace(self, generated: int | None = None, newest: int | None = None) -> Trace:
        """The trace of the first `generated` answer tokens; everything so far by default.

        Args:
            newest: of how many tokens, the last ones, it has the attention; of all by default. For a screen
                that follows a running answer: all of it grows with the square of the answer.
        """
        steps = self.capture.steps[:generated]
        text = "".join(step.text for step in steps)
        reason = steps[-1].finish_reason if steps else None
        if self.done and len(steps) == len(self.capture.steps):
            reason = self.finish_reason
        trace = self.capture.trace(len(steps), text, reason, newest=newest)
        if self._engine is not None:
            self._engine.only_here()
        return trace

    def __iter__(self) -> Iterator[StreamedToken]:
        """Tokens from the first on, waiting for those to come; raises what stopped the run, if anything."""
        self._refuse_to_wait_for_itself()
        at = 0
        while True:
            with self._changed:
                # woken at times, so that a keyboard interrupt is noticed
                while len(self.capture.steps) <= at and not self.done:
                    self._changed.wait(0.2)
            if len(self.capture.steps) > at:
                yield StreamedToken(at, self.capture.steps[at], self)
                at += 1
            elif self.error is not None:
                raise self.error
            else:
                return

    def wait(self) -> Reply:
        """Block until the answer is whole; a keyboard interrupt stops the run.

        Raises:
            RuntimeError: asked for where the model works (in `in_turn`, a hook or an edit), which would wait
                for itself. Also what stopped the run, if anything.
        """
        self._refuse_to_wait_for_itself()
        try:
            # for the end alone: who wakes at every token takes the interpreter from the engine. At times all
            # the same, so that a keyboard interrupt is noticed
            while not self._ended.wait(0.2):
                pass
        except KeyboardInterrupt:
            self.cancel()
            raise
        if self.error is not None:
            raise self.error
        return self.reply()

    def _refuse_to_wait_for_itself(self) -> None:
        if self._engine is not None and self._engine.is_here() and not self.done:
            self.cancel()
            raise RuntimeError(
                "an answer is waited for in the thread that has to give it (inside in_turn, a hook or an "
                "edit): ask before or after, or use model.generate with session.llama there"
            )

    def reply(self) -> Reply:
        """The finished answer; what there is of it, if the run was cancelled.

        Its trace is checked (see `workbench.integrity`); what was found stands in `trace.meta["integrity"]`.
        """
        trace = self.trace()
        trace = replace(trace, meta=trace.meta | {"integrity": check(trace).to_json()})
        said = {"role": "assistant", "content": self.text}
        return Reply(self.text, trace, [*self.messages, said], self.finish_reason or "cancelled")

    def note(self, step: Step) -> None:
        """The engine has made one more token."""
        self.capture.add(step)
        with self._changed:
            self._changed.notify_all()

    def end(self, reason: str | None, error: Exception | None = None) -> None:
        """The engine is done with this run, for a reason or because of an error."""
        with self._changed:
            self.finish_reason, self.error = reason, error
            self._ended.set()
            self._over.set()
            self._changed.notify_all()
