"""What the server allows: names, keys, and the limits that a request is held to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.keys import header_key

if TYPE_CHECKING:
    from workbench.guards import Policy

MIB = 2**20


@dataclass(frozen=True)
class Settings:
    """What one server allows.

    Attributes:
        name: the model's name for clients; by default the session's.
        api_keys: one of them must come as `Authorization: Bearer KEY` with everything under /v1; none: open.
        max_body: bytes of a request, and of all pictures that are fetched for it.
        body_seconds: within which a request's body must have come.
        max_images: pictures of a request.
        max_pixels: of one picture; where a trace keeps them, of all together.
        max_prompt: tokens of a prompt, pictures included; None: the model's context.
        max_answer: the most tokens that may be asked for; None: the model's context.
        max_batch: answers given at a time; with 1 every answer is computed exactly as alone.
        max_waiting: requests that may wait for their turn.
        image_urls: fetch pictures from public http(s) addresses; otherwise only data URLs are taken.
        stream_interval: seconds; tokens that follow each other faster are sent together. 0: each at once.
        trace_seconds, max_traces: how long, and how many, asked-for traces can be fetched.
        guard: judges what is asked and answered; None: nobody does.
    """

    name: str | None = None
    api_keys: tuple[str, ...] = ()
    max_body: int = 64 * MIB
    body_seconds: float = 120
    max_images: int = 10
    max_pixels: int = 40_000_000
    max_prompt: int | None = None
    max_answer: int | None = None
    max_batch: int = 32
    max_waiting: int = 256
    image_urls: bool = False
    stream_interval: float = 0.05
    trace_seconds: float = 600
    max_traces: int = 32
    guard: Policy | None = None

    def __post_init__(self) -> None:
        for name in ("max_body", "max_images", "max_pixels", "max_batch", "max_waiting", "max_traces"):
            least = int(name in ("max_batch", "max_waiting"))
            if (value := getattr(self, name)) < least:
                raise ValueError(f"{name} is {value}; expected a whole number from {least} up")
        for name in ("max_prompt", "max_answer"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} is {value}; expected a whole number from 1 up")
        if not 0 <= self.stream_interval < 1:
            raise ValueError(
                f"stream_interval is {self.stream_interval}; expected seconds, from 0 up, below 1"
            )
        for name in ("body_seconds", "trace_seconds"):
            if not 0 < (value := getattr(self, name)) < float("inf"):
                raise ValueError(f"{name} is {value}; expected a finite number above 0")
        keys = tuple(header_key(key, "an API key") for key in self.api_keys)
        object.__setattr__(self, "api_keys", keys)
