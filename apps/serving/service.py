"""One model being served: takes jobs to the scheduler and hands on what they produce, whole or streamed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from apps.serving.errors import as_api_error
from apps.serving.forms import Form, as_json, event
from apps.serving.grammars import Grammars
from apps.serving.guarding import Guarding
from apps.serving.jobs import Job, Produced
from apps.serving.metrics import Metrics
from apps.serving.scheduler import News, Scheduler
from apps.serving.settings import Settings
from apps.serving.trace_store import TraceStore
from workbench import Session

CLIENT_GONE = 499  # nobody reads it; nginx's number, for the metrics

Given = TypeVar("Given")


class EventStream(StreamingResponse):
    """Server-sent events.

    Args:
        events: what is sent. give_up: called when they end, for whatever reason: nobody wants the jobs any
            more. left: called before that if the client was gone before the end.
    """

    def __init__(
        self, events: AsyncIterator[str], give_up: Callable[[], None], left: Callable[[], None]
    ) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._give_up = give_up
        self._left = left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, or until the client is gone."""
        try:
            if not await unless_gone(receive, self._sent(send)):
                self._left()
        finally:
            self._give_up()

    async def _sent(self, send: Send) -> bool:
        await self.stream_response(send)
        return True


class Service:
    """What the routes share.

    Args:
        session: whose model answers. settings: what is allowed.
    """

    def __init__(self, session: Session, settings: Settings) -> None:
        self.session = session
        self.settings = settings
        self.name = settings.name or session.name
        self.created = int(time.time())
        self.grammars = Grammars(session)
        self.metrics = Metrics()
        self.traces = TraceStore(settings.max_traces, settings.trace_seconds)
        self.guarding = Guarding(settings.guard, self.metrics, session.processor.tokenizer.stop_ids[0])
        self.scheduler: Scheduler | None = None

    def open(self) -> None:
        """Begin to answer; called in the server's event loop."""
        loop = asyncio.get_running_loop()

        def put(news: News) -> None:
            for job, item in news:
                job.outbox.put(item)

        def deliver(news: News) -> None:
            # one wake-up a round, however many answers there are
            loop.call_soon_threadsafe(put, news)

        settings = self.settings
        limits = settings.max_batch, settings.max_waiting
        self.scheduler = Scheduler(self.session, deliver, *limits, settings.stream_interval)
        self.metrics.running.set_function(lambda: self.scheduler.running)
        self.metrics.waiting.set_function(lambda: self.scheduler.waiting)

    async def close(self) -> None:
        """End what is running, and forget the traces."""
        await run_in_threadpool(self.scheduler.close)
        self.traces.close()

    async def respond(self, request: Request, form: Form) -> Response:
        """The answer to a request, as a stream if one is asked for.

        Raises:
            APIError: the server is too busy or shutting down, or the guard refuses what is asked. Also what
                ended the answer, unless it streams.
        """
        jobs, wanted = form.jobs, form.request
        form.tell(await self.guarding.admit(jobs, form.param))
        self.scheduler.submit(jobs)
        self.metrics.tokens.labels("prompt").inc(sum(len(job.inputs.token_ids) for job in jobs))
        if wanted.stream:
            return EventStream(self._events(form), lambda: self._give_up(jobs), self.metrics.cancelled.inc)
        try:
            done = await unless_gone(request.receive, self._complete(form))
        finally:
            self._give_up(jobs)
        if done is None:
            self.metrics.cancelled.inc()
            return Response(status_code=CLIENT_GONE)
        return Response(as_json(done), media_type="application/json")

    async def _complete(self, form: Form) -> Any:
        async for some in self.guarding.judged(form.jobs, self._produced(form), whole=True):
            for produced, trace_id in some:
                form.add(produced, trace_id)
        return form.complete()

    async def _events(self, form: Form) -> AsyncIterator[str]:
        yield "".join(form.opening())
        try:
            async for some in self.guarding.judged(form.jobs, self._produced(form), whole=False):
                if body := form.events(some):
                    yield body
            yield "".join([*form.closing(), event("[DONE]")])
        # the answer has begun, so its status has been sent: the error is an event, and never a traceback
        except Exception as error:
            yield event(as_api_error(error).to_json())

    async def _produced(self, form: Form) -> AsyncGenerator[list[tuple[Produced, str | None]], None]:
        """What the jobs produce, as much at a time as there is, until all their answers have ended."""
        outbox = form.jobs[0].outbox
        left = len(form.answers)
        seen: dict[int, float] = {}  # when each answer's newest token was produced
        said = self.metrics.tokens.labels("generated")
        while left:
            items, some = await outbox.take(), []
            for item in items:
                if isinstance(item, Exception):
                    raise as_api_error(item) from item
                if item.choice in seen:
                    self.metrics.next_token.observe(item.at - seen[item.choice])
                else:
                    self.metrics.first_token.observe(item.at - form.begun)
                seen[item.choice] = item.at
                left -= item.step.finish_reason is not None
                wanted = item.trace is not None and form.request.trace
                some.append((item, await run_in_threadpool(self.traces.keep, item.trace) if wanted else None))
            said.inc(len(items))
            yield some

    def _give_up(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            job.cancelled = True


async def unless_gone(receive: Receive, work: Awaitable[Given]) -> Given | None:
    """What some work gives; None, and the work is given up, when the client has gone before."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    doing, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        doing.cancel()
        leaving.cancel()
