"""Where the guard stands in the server: before the queue, and between what is produced and what is sent."""

from __future__ import annotations

import asyncio
import functools
import operator
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TypeVar

import anyio

from apps.serving.errors import APIError
from apps.serving.jobs import Job, Produced
from apps.serving.metrics import Metrics
from workbench.guards import Finding, Policy, Watch

Made = tuple[Produced, str | None]
Given = TypeVar("Given")

MOST_JUDGED = 64  # at a time


class Guarding:
    """Judges for one server; without a policy everything passes.

    Args:
        policy: the guard. metrics: where findings are counted. end: the token under which an answer that was
            stopped ends; it adds no text.
    """

    def __init__(self, policy: Policy | None, metrics: Metrics, end: int) -> None:
        self.policy = policy
        self.metrics = metrics
        self.end = end
        # of its own: a slow guard must not keep pictures from being read
        self._threads = anyio.CapacityLimiter(MOST_JUDGED)

    async def admit(self, jobs: Sequence[Job], param: str) -> Finding | None:
        """Judge what is asked; gives what clients must be told, if anything.

        Raises:
            APIError: it is not answered: `content_filter`, or `guard_unavailable` if there was no verdict.
        """
        if self.policy is None:
            return None
        judge = self.policy.input
        found = await asyncio.gather(*(self._apart(judge, job.messages) for job in jobs))
        finding = functools.reduce(operator.or_, found)
        self._count(finding)
        if finding.stopped and finding.result == "unjudged":
            raise APIError(503, finding.sentence, param, "guard_unavailable")
        if finding.stopped:
            raise APIError(400, finding.sentence, param, "content_filter")
        return None if finding.result == "safe" else finding

    def judged(
        self, jobs: Sequence[Job], produced: AsyncGenerator[list[Made], None], whole: bool
    ) -> AsyncIterator[list[Made]]:
        """What may be sent of what is produced, as soon as it may be.

        An answer that is stopped ends with `content_filter`, and nothing comes of what was held back.

        Args:
            jobs: what is answered. produced: tokens as they come, each with the id of its trace.
            whole: whether answers are judged once, at their end, because nothing is sent before.
        """
        return produced if self.policy is None else self._held_back(jobs, produced, whole)

    async def _held_back(
        self, jobs: Sequence[Job], produced: AsyncGenerator[list[Made], None], whole: bool
    ) -> AsyncIterator[list[Made]]:
        held = [
            Growing(Watch(self.policy, job.messages), job.first + i)
            for job in jobs
            for i in range(len(job.params))
        ]
        async with aclosing(produced):
            async for some in produced:
                for made in some:
                    held[made[0].choice].add(made)
                await asyncio.gather(*(self._apart(one.look) for one in held if one.due(whole)))
                if passed := [made for one in held for made in one.released(self.end)]:
                    for made in passed:
                        self._count(made[0].finding)
                    yield passed
                if all(one.done for one in held):
                    return

    async def _apart(self, judge: Callable[..., Given], *given: object) -> Given:
        """Judge in a thread; one that nobody waits for any more is left to end by itself."""
        return await anyio.to_thread.run_sync(judge, *given, abandon_on_cancel=True, limiter=self._threads)

    def _count(self, finding: Finding | None) -> None:
        if finding is not None and finding.result != "safe":
            self.metrics.guarded.labels(finding.stage, finding.result, str(finding.stopped).lower()).inc()


@dataclass
class Growing:
    """One answer: what was produced of it, and how much of that has been sent."""

    watch: Watch
    choice: int
    made: list[Made] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    sent: int = 0
    done: bool = False

    def add(self, made: Made) -> None:
        """Take one more token."""
        if not self.done:
            self.made.append(made)
            self.texts.append(made[0].step.text)

    @property
    def ended(self) -> bool:
        """Whether its last token is there."""
        return bool(self.made) and self.made[-1][0].step.finish_reason is not None

    def due(self, whole: bool) -> bool:
        """Whether there is something to judge."""
        return not self.done and (self.ended if whole else self.watch.due(self.texts, self.ended))

    def look(self) -> None:
        """Judge it."""
        self.watch.look(self.texts, self.ended)

    def released(self, end: int) -> Iterator[Made]:
        """What may be sent and was not yet; with what was found, once that is known."""
        if self.done:
            return
        finding = None if self.watch.finding.result == "safe" else self.watch.finding
        while self.sent < self.watch.shown:
            produced, trace_id = self.made[self.sent]
            self.sent += 1
            self.done = produced.step.finish_reason is not None
            yield replace(produced, finding=finding if self.done else None), trace_id
        if self.watch.stopped:
            self.done = True
            last = replace(
                self.made[-1][0].step, token_id=end, text="", logprob=0.0, top_ids=(), top_logprobs=(),
                finish_reason="content_filter",
            )  # fmt: skip
            # what is told of the prompt comes with the first token
            prompt = () if self.sent else self.made[0][0].prompt
            yield Produced(self.choice, last, prompt=prompt, finding=finding), None
