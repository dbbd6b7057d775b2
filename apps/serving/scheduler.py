"""Who uses the model when: continuous batching in the session's engine thread.

A round is one token of every answer. Between two rounds answers leave that are done or not wanted any more,
and prompts are read, but not many tokens of them: a long one holds the others up once, and a long queue only
for so long at a time. Prompts wait their turn in the order they came. Answers that are observed step alone,
one after the other, in every round. Clients never hold a round up: what is produced goes to their outboxes,
and what comes faster than anybody reads goes there together: a small model's rounds are shorter than the way
of a token from this thread to a client.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from apps.serving.errors import APIError
from apps.serving.grammars import too_complex
from apps.serving.jobs import Job, Produced
from apps.serving.observed import Observed
from model import Batch, LogitsError, Step
from model.generate import Row
from workbench import Session

News = list[tuple[Job, Produced | Exception]]

CLOSING = "the server is shutting down; ask again when it is back"
READ_AT_A_TIME = 512  # tokens of prompts between two rounds; the one that reaches it is still read whole


class Scheduler:
    """Gives answers until it is closed.

    Args:
        session: whose model answers.
        deliver: takes what has been produced; called in the engine's thread.
        max_batch: answers given at a time. max_waiting: jobs that may wait.
        interval: seconds within which what is produced is delivered together. A first token, a last one and
            an error do not wait, nor does anything while a prompt is read.
    """

    def __init__(
        self,
        session: Session,
        deliver: Callable[[News], None],
        max_batch: int = 32,
        max_waiting: int = 256,
        interval: float = 0.0,
    ) -> None:
        self.session = session
        self.deliver = deliver
        self.max_batch = max_batch
        self.max_waiting = max_waiting
        self.interval = interval
        self._batch = Batch(session.llama, session.processor)
        self._rows: dict[Row, tuple[Job, int]] = {}
        self._observed: list[Observed] = []
        self._waiting: deque[Job] = deque()
        self._news: News = []  # not delivered yet
        self._delivered = 0.0  # when that happened last
        self._changing = threading.Lock()
        self._working = self._closing = False

    @property
    def running(self) -> int:
        """Answers being given."""
        return len(self._rows) + len(self._observed)

    @property
    def waiting(self) -> int:
        """Jobs that wait for their turn."""
        return len(self._waiting)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue jobs, all or none, and return at once.

        Raises:
            APIError: the queue is full, or the server is shutting down.
        """
        with self._changing:
            if self._closing:
                raise APIError(503, CLOSING, code="shutting_down")
            if len(self._waiting) + len(jobs) > self.max_waiting:
                # places of clients that have gone
                self._waiting = deque(job for job in self._waiting if not job.cancelled)
            if len(self._waiting) + len(jobs) > self.max_waiting:
                raise APIError(
                    429, f"{len(self._waiting)} requests wait already; ask again later", code="busy"
                )
            self._waiting.extend(jobs)
            idle, self._working = not self._working, True
        if idle:
            # the engine is held only while there is work: others may use the session in between
            self.session.soon(self._work_off)

    def close(self) -> None:
        """Give up what is running, before its next token, and what waits; both are told."""
        with self._changing:
            self._closing = True
        self.session.in_turn(lambda: self._end_all(APIError(503, CLOSING, code="shutting_down")))

    def _work_off(self) -> None:
        while self._goes_on():
            self._drop_cancelled()
            self._admit()
            self._tell(self._round())
        self._tell([], at_once=True)  # what nobody waits for must not be kept either

    def _tell(self, news: News, at_once: bool = False) -> None:
        """Deliver what is new, if it is time."""
        self._news += news
        now = time.perf_counter()
        due = at_once or now - self._delivered >= self.interval or any(_ends(item) for _, item in news)
        if due and self._news:
            self.deliver(self._news)
            self._news, self._delivered = [], now

    def _goes_on(self) -> bool:
        with self._changing:
            self._working = not self._closing and bool(self._waiting or self._rows or self._observed)
            return self._working

    def _round(self) -> News:
        try:
            news: News = [self._noted(row, step) for row, step in self._batch.step()]
        # whatever it was, the clients must learn of it and the server go on
        except Exception as error:
            news = [(job, error) for job in {job: None for job, _ in self._rows.values()}]
            self._batch, self._rows = Batch(self.session.llama, self.session.processor), {}
        for one in list(self._observed):
            news.append((one.job, self._attempt(one)))
        return news

    def _drop_cancelled(self) -> None:
        for row, (job, _) in list(self._rows.items()):
            if job.cancelled:
                self._batch.leave(row)
                del self._rows[row]
        for one in [one for one in self._observed if one.job.cancelled]:
            one.close()
            self._observed.remove(one)

    def _admit(self) -> None:
        """Begin what waits and has room."""
        read = 0
        while read < READ_AT_A_TIME and (job := self._next()) is not None:
            self._tell([], at_once=True)
            self._tell(self._begin(job), at_once=True)
            read += len(job.inputs.token_ids)

    def _next(self) -> Job | None:
        """The job whose turn it is, if there is room for all its answers."""
        with self._changing:
            while self._waiting and self._waiting[0].cancelled:
                self._waiting.popleft()
            if self._closing or not self._waiting:
                return None
            room = self.max_batch - self.running
            return self._waiting.popleft() if len(self._waiting[0].params) <= room else None

    def _begin(self, job: Job) -> News:
        try:
            if job.capture is not None:
                self._observed += [Observed(self.session, job, i) for i in range(len(job.params))]
                return []
            constraints = [job.constraint() for _ in job.params] if job.constraint else ()
            begun = self._batch.join(job.inputs, job.params, constraints, job.score)
        # as above
        except Exception as error:
            return [(job, error)]
        self._rows |= {row: (job, job.first + index) for index, (row, _) in enumerate(begun)}
        return [self._noted(row, step, row.prompt_steps) for row, step in begun]

    def _noted(
        self, row: Row, step: Step | LogitsError, prompt: Sequence[Step] = ()
    ) -> tuple[Job, Produced | Exception]:
        job, choice = self._rows[row]
        constraint = row.drawer.constraint
        error = step if isinstance(step, LogitsError) else None
        if constraint is not None and constraint.error:
            error = too_complex(constraint.error)
        if row.done or error:
            del self._rows[row]
        if error:
            if not row.done:
                self._batch.leave(row)
            job.cancelled = True
            return job, error
        return job, Produced(choice, step, prompt=prompt)

    def _attempt(self, one: Observed) -> Produced | Exception:
        try:
            produced = one.step()
        # as above
        except Exception as error:
            one.close()
            self._observed.remove(one)
            return error
        if produced.step.finish_reason is not None:
            self._observed.remove(one)
        return produced

    def _end_all(self, error: APIError) -> None:
        jobs = [job for job, _ in self._rows.values()] + [one.job for one in self._observed]
        for one in self._observed:
            one.close()
        self._tell([(job, error) for job in dict.fromkeys([*jobs, *self._waiting])], at_once=True)
        self._rows, self._observed = {}, []
        self._waiting.clear()


def _ends(item: Produced | Exception) -> bool:
    """Whether nothing of that answer comes after it."""
    return isinstance(item, Exception) or item.step.finish_reason is not None
