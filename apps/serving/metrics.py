"""What the server counts, for Prometheus: requests, tokens, waiting, and how long tokens take."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "workbench_requests", "Requests answered.", ["path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "workbench_request_seconds", "From a request to its last byte.", ["path"],
            registry=self.registry, buckets=SECONDS,
        )  # fmt: skip
        self.tokens = Counter("workbench_tokens", "Tokens.", ["kind"], registry=self.registry)
        self.first_token = Histogram(
            "workbench_first_token_seconds", "From a request to its first token.",
            registry=self.registry, buckets=SECONDS,
        )  # fmt: skip
        self.next_token = Histogram(
            "workbench_next_token_seconds", "From a token of an answer to the next.",
            registry=self.registry, buckets=SECONDS,
        )  # fmt: skip
        self.cancelled = Counter(
            "workbench_cancelled", "Requests given up because the client was gone.", registry=self.registry
        )
        self.guarded = Counter(
            "workbench_guarded", "What the guard found unsafe, or could not judge.",
            ["stage", "result", "stopped"], registry=self.registry,
        )  # fmt: skip
        self.running = Gauge("workbench_running_answers", "Answers being given.", registry=self.registry)
        self.waiting = Gauge("workbench_waiting_requests", "Requests that wait.", registry=self.registry)

    def text(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self.registry)


class Counted:
    """Counts and times requests.

    Args:
        app: what comes next. metrics: where it is noted. known: paths that are named; all others are "other",
            or strangers could fill the memory with names.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, known: frozenset[str]) -> None:
        self.app = app
        self.metrics = metrics
        self.known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and note what came of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self.known else "other"
        begun, status = time.perf_counter(), "gone"

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            self.metrics.requests.labels(path, status).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - begun)
