"""A server that is killed with -9 and started again: what was in flight is lost, with an error; only that."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from openai import APIConnectionError, AsyncOpenAI, AsyncStream, OpenAIError

from tests.apps.serving import QUESTION, ask_of_demo

SHORT = {"model": "demo", "messages": QUESTION, "max_tokens": 6, "temperature": 0}
LONG = ask_of_demo(4000)


@contextmanager
def process(port: int) -> Iterator[tuple[subprocess.Popen, str]]:
    """The server as users start it, and where it answers; 0 is any port."""
    command = [sys.executable, "-m", "apps.cli", "serve", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        try:
            line = next(line for line in started.stdout if line.startswith("Serving "))
            yield started, line.split(" at ")[1].split()[0]
        finally:
            started.kill()


def client(url: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=300)


async def rest(stream: AsyncStream) -> int:
    return len([chunk async for chunk in stream])


async def in_flight(url: str, count: int) -> None:
    """Until the server is giving so many answers."""
    async with httpx.AsyncClient() as asking, asyncio.timeout(300):
        while (await asking.get(url.replace("/v1", "/health"))).json()["running"] < count:
            await asyncio.sleep(0.02)


async def killed() -> tuple[str, str]:
    """What it answered before, and where; all that was in flight has ended with an error."""
    with process(0) as (server, url):
        async with client(url) as openai:
            before = await openai.chat.completions.create(**SHORT)
            streams = [await openai.chat.completions.create(**LONG) for _ in range(2)]
            for stream in streams:
                await anext(stream)
            whole = asyncio.create_task(openai.chat.completions.create(**LONG | {"stream": False}))
            await in_flight(url, 3)
            server.kill()
            server.wait(60)
            async with asyncio.timeout(300):  # none of it waits for somebody who is gone
                ended = await asyncio.gather(*map(rest, streams), whole, return_exceptions=True)
                with pytest.raises(APIConnectionError):
                    await openai.chat.completions.create(**SHORT)
    assert [isinstance(one, OpenAIError | httpx.TransportError) for one in ended] == [True] * 3, ended
    return before.choices[0].message.content, url


async def started_again(url: str) -> str:
    """What it answers then, at the same address."""
    with process(httpx.URL(url).port) as (_, again):
        assert again == url
        async with client(url) as openai:
            after = await openai.chat.completions.create(**SHORT)
            assert await rest(await openai.chat.completions.create(**SHORT, stream=True)) > 1
    return after.choices[0].message.content


@pytest.mark.slow
def test_a_kill_and_a_restart_lose_only_what_was_in_flight_and_its_clients_get_an_error():
    before, url = asyncio.run(killed())
    assert asyncio.run(started_again(url)) == before
