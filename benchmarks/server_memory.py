"""The server's memory over many requests of every kind: whole, streamed, left, with a picture, held to JSON.

    python -m benchmarks.server --requests 2000

Resident memory can grow although nothing is kept: an allocator holds what it may need again, in an arena for
each of many threads (MALLOC_ARENA_MAX says of how many, glibc takes eight a core by default). So what the
process holds is counted, too.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
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
        requests: how many had been answered. resident: MiB of the server then.
        objects, tensors: that it held then. threads: that it had. failed: unexpected answers.
        arenas: what MALLOC_ARENA_MAX says.
    """

    requests: list[int] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    objects: list[int] = field(default_factory=list)
    tensors: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    failed: int = 0
    arenas: str = field(default_factory=lambda: os.environ.get("MALLOC_ARENA_MAX", "not set"))

    def growth(self, of: str) -> float:
        """Of one of them, a thousand requests: a line through the second half; the first warms up."""
        half = len(self.requests) // 2
        return float(np.polyfit(self.requests[half:], getattr(self, of)[half:], 1)[0] * 1000)

    def look(self, requests: int, server: Server) -> None:
        """Note what the server has now, after so many requests."""
        process = psutil.Process(server.process)
        self.requests.append(requests)
        self.resident.append(process.memory_info().rss / MIB)  # before it counts, which takes some itself
        self.threads.append(process.num_threads())
        for name, count in server.held().items():
            getattr(self, name).append(count)


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
    """Ask that many times, a few clients at once, and look at the server after every twentieth of them.

    Args:
        server: one that can be asked what it holds. requests: at least 4.
    """
    memory, kinds = Memory(), bodies()
    step = max(1, requests // 20)

    async def some(numbers: range) -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=600) as http:
            shares = [list(numbers)[client::CLIENTS] for client in range(CLIENTS)]
            await asyncio.gather(*(_client(http, share, kinds, memory) for share in shares))

    print(f"MALLOC_ARENA_MAX {memory.arenas}")
    print(f"{'requests':>10}{'MiB':>10}{'objects':>10}{'tensors':>10}{'threads':>10}{'a second':>10}")
    for start in range(0, requests, step):
        begun, numbers = time.perf_counter(), range(start, min(start + step, requests))
        asyncio.run(some(numbers))
        rate = len(numbers) / (time.perf_counter() - begun)
        memory.look(numbers.stop, server)
        seen = memory.objects[-1], memory.tensors[-1], memory.threads[-1]
        cells = "".join(f"{value:>10}" for value in seen)
        print(f"{numbers.stop:>10}{memory.resident[-1]:>10.1f}{cells}{rate:>10.1f}", flush=True)
    told = f"{memory.growth('resident'):+.1f} MiB, {round(memory.growth('objects')):+d} objects, "
    told += f"{round(memory.growth('tensors')):+d} tensors"
    print(f"\nGrowth a thousand requests, in the second half: {told}; {memory.failed} failed")
    return memory
