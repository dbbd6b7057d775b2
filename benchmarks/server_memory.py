"""The server's memory over many requests of every kind: whole, streamed, left, with a picture, held to JSON.

python -m benchmarks.server --requests 2000
"""

from __future__ import annotations

import asyncio
import base64
import io
import time
from dataclasses import dataclass, field

import httpx
import numpy as np
import psutil
from PIL import Image

from benchmarks.served import Server

CLIENTS = 8
MIB = 2**20


@dataclass
class Memory:
    """What was seen.

    Attributes:
        requests: how many had been answered. resident: MiB of the server then. failed: unexpected answers.
    """

    requests: list[int] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def growth(self) -> float:
        """MiB a thousand requests, by a straight line through the second half: the first warms up."""
        half = len(self.requests) // 2
        return float(np.polyfit(self.requests[half:], self.resident[half:], 1)[0] * 1000)


def bodies() -> list[dict]:
    """One request of each kind."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((90, 60)).convert("RGB").save(file, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    picture = {"type": "image_url", "image_url": {"url": url}}
    asked = [{"role": "user", "content": "What is left?"}]
    shown = [{"role": "user", "content": [picture, {"type": "text", "text": "What is this?"}]}]
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    kinds = [
        {"messages": asked}, {"messages": asked, "stream": True}, {"messages": shown},
        {"messages": shown, "stream": True}, {"messages": asked, "n": 3, "temperature": 1},
        {"messages": asked, "response_format": {"type": "json_object"}}, {"messages": asked, "tools": [tool]},
        {"messages": asked, "trace": True}, {"messages": asked, "temperature": 9},
    ]  # fmt: skip
    return [{"model": "served", "max_tokens": 8} | kind for kind in kinds]


async def _ask(http: httpx.AsyncClient, number: int, kinds: list[dict], memory: Memory) -> None:
    body = kinds[number % len(kinds)]
    expected = 400 if body.get("temperature") == 9 else 200
    async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        memory.failed += answer.status_code != expected
        if number % 7:  # every seventh client leaves before it has read anything
            await answer.aread()


async def _client(http: httpx.AsyncClient, numbers: list[int], kinds: list[dict], memory: Memory) -> None:
    for number in numbers:
        await _ask(http, number, kinds, memory)


def watch(server: Server, requests: int) -> Memory:
    """Ask that many times, a few clients at once, and look at the server after every twentieth of them."""
    memory, kinds, process = Memory(), bodies(), psutil.Process(server.process)
    step = max(1, requests // 20)

    async def some(numbers: range) -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=600) as http:
            shares = [list(numbers)[client::CLIENTS] for client in range(CLIENTS)]
            await asyncio.gather(*(_client(http, share, kinds, memory) for share in shares))

    print(f"{'requests':>10}{'MiB':>10}{'a second':>10}")
    for start in range(0, requests, step):
        begun, numbers = time.perf_counter(), range(start, min(start + step, requests))
        asyncio.run(some(numbers))
        memory.requests.append(numbers.stop)
        memory.resident.append(process.memory_info().rss / MIB)
        rate = len(numbers) / (time.perf_counter() - begun)
        print(f"{numbers.stop:>10}{memory.resident[-1]:>10.1f}{rate:>10.1f}", flush=True)
    print(f"\nGrowth: {memory.growth:+.1f} MiB a thousand requests; {memory.failed} failed")
    return memory
