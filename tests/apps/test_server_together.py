"""Several clients at once: nobody's answer is another's, nobody is held up, and who leaves is forgotten."""

import asyncio
import gc
import http.client
import json
import os
import re
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import torch
from openai import APIError, APIStatusError, AsyncOpenAI, OpenAI
from PIL import Image

from apps import cli
from apps.serving.forms import Form
from apps.serving.jobs import Job
from apps.serving.observed import Observed
from model import replaced
from model.generate import Row
from tests.apps.conftest import held
from tests.apps.serving import QUESTION, ask_of_demo, data_url, metric, running, started, until


def questions() -> list[dict]:
    """Eight requests that differ in prompt, pictures, length, drawing and what they ask to be told."""
    picture = Image.linear_gradient("L").resize((90, 60)).convert("RGB")
    part = {"type": "image_url", "image_url": {"url": data_url(picture)}}
    looking = [{"role": "user", "content": [part, {"type": "text", "text": "And this?"}]}]
    texts = ["Red?", "What is left of it, and where does it go?", "blue " * 30, "1", "One. Two."]
    asked = [{"messages": [{"role": "user", "content": text}], "temperature": 0} for text in texts]
    asked += [{"messages": looking, "temperature": 0}, {"messages": QUESTION, "seed": 3, "temperature": 1.2}]
    asked += [{"messages": QUESTION, "temperature": 0, "extra_body": {"return_routed_experts": True}}]
    return [one | {"model": "demo", "max_tokens": 4 + 2 * i} for i, one in enumerate(asked)]


async def one(client: AsyncOpenAI, asked: dict) -> tuple[str, object]:
    stream = await client.chat.completions.create(**asked, stream=True)
    chunks = [chunk async for chunk in stream]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    return said, getattr(chunks[-1].choices[0], "routed_experts", None)


def test_eight_clients_at_once_get_the_answers_that_each_gets_alone(url):
    async def both() -> tuple[list, list]:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as client:
            alone = [await one(client, asked) for asked in questions()]
            together = await asyncio.gather(*(one(client, asked) for asked in questions()))
        return alone, list(together)

    alone, together = asyncio.run(both())
    assert together == alone
    assert len({said for said, _ in alone}) == 8


def test_they_really_share_the_model(session):
    with running(session) as url, held(session, passes=0) as gate, ThreadPoolExecutor(4) as pool:
        ask = {"model": "demo", "messages": QUESTION, "max_tokens": 12, "temperature": 0}
        asking = [
            pool.submit(httpx.post, f"{url}/v1/chat/completions", json=ask, timeout=60) for _ in range(4)
        ]
        assert gate.arrived.wait(60)
        until(lambda: httpx.get(f"{url}/health").json()["waiting"] == 3)
        gate.open()
        said = {answer.result().json()["choices"][0]["message"]["content"] for answer in asking}
    assert len(said) == 1
    # four prompts and twelve steps for all, not twelve for each
    assert -gate.left < 4 + 20


ENDED = 'workbench_requests_total{path="/v1/chat/completions",status="200"}'


@pytest.mark.parametrize("extra", [{}, {"trace": True}], ids=["in the batch", "observed"])
def test_a_client_that_leaves_a_stream_stops_its_answer_within_two_tokens(session, extra):
    ask = {"model": "demo", "messages": QUESTION, "max_tokens": 1000, "stream": True} | extra
    with running(session) as url, held(session, passes=5) as gate:
        chat = f"{url}/v1/chat/completions"
        with httpx.stream("POST", chat, json=ask, timeout=60) as answer:
            lines = answer.iter_lines()
            while "content" not in next(lines):
                pass
            assert gate.arrived.wait(60)
        until(lambda: metric(url, ENDED) == 1)  # the server has seen it
        gate.open()
        until(lambda: httpx.get(f"{url}/health").json()["running"] == 0)
        assert -gate.left <= 3
        httpx.post(chat, json=ask | {"max_tokens": 2}, timeout=60)  # one that is read to its end
        until(lambda: metric(url, ENDED) == 2)
        assert metric(url, "workbench_cancelled_total") == 1


def test_a_client_that_waits_for_a_whole_answer_and_leaves_stops_it_too(session):
    ask = json.dumps({"model": "demo", "messages": QUESTION, "max_tokens": 1000})
    with running(session) as url, held(session, passes=5) as gate:
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        connection.request("POST", "/v1/chat/completions", ask, {"Content-Type": "application/json"})
        assert gate.arrived.wait(60)
        connection.close()
        until(lambda: metric(url, "workbench_cancelled_total") == 1)
        gate.open()
        until(lambda: httpx.get(f"{url}/health").json()["running"] == 0)
        assert -gate.left <= 3


def test_a_client_that_does_not_read_holds_nobody_up(url):
    ask = json.dumps({"model": "demo", "messages": QUESTION, "max_tokens": 300, "stream": True}).encode()
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as lazy:
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        lazy.sendall(f"{head}Content-Length: {len(ask)}\r\n\r\n".encode() + ask)
        until(lambda: httpx.get(f"{url}/health").json()["running"] == 1)
        with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as client:
            answer = client.chat.completions.create(model="demo", messages=QUESTION, max_tokens=3)
        assert answer.usage.completion_tokens == 3
    until(lambda: httpx.get(f"{url}/health").json()["running"] == 0)


def test_a_full_queue_says_so_and_waiting_requests_get_their_turn(session):
    ask = {"model": "demo", "messages": QUESTION, "max_tokens": 4}
    with (
        running(session, max_batch=1, max_waiting=1) as url,
        held(session, passes=2) as gate,
        ThreadPoolExecutor(2) as pool,
    ):
        chat = f"{url}/v1/chat/completions"
        first = pool.submit(httpx.post, chat, json=ask, timeout=60)
        assert gate.arrived.wait(60)
        second = pool.submit(httpx.post, chat, json=ask, timeout=60)
        until(lambda: httpx.get(f"{url}/health").json()["waiting"] == 1)
        refused = httpx.post(chat, json=ask)
        assert refused.status_code == 429 and refused.headers["retry-after"]
        assert refused.json()["error"]["code"] == "busy"
        gate.open()
        assert first.result().status_code == second.result().status_code == 200


def test_an_error_inside_the_model_reaches_its_clients_and_the_server_goes_on(session, url, caplog):
    def broken(value):
        raise RuntimeError("a secret of the machine")

    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        ask = {"model": "demo", "messages": QUESTION, "max_tokens": 5}
        with replaced(session.llama.hook_points["blocks.0.hook_resid_pre"], broken):
            with pytest.raises(APIStatusError) as whole:
                client.chat.completions.create(**ask)
            with pytest.raises(APIError) as streamed:
                list(client.chat.completions.create(**ask, stream=True))
        assert whole.value.status_code == 500
        for error in (whole.value, streamed.value):
            assert "its log says why" in str(error) and "secret" not in str(error)
        assert client.chat.completions.create(**ask).usage.completion_tokens == 5
    assert "a secret of the machine" in caplog.text


def test_a_model_whose_logits_are_not_numbers_says_so_without_a_traceback(session, url, caplog):
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        ask = {"model": "demo", "messages": QUESTION, "max_tokens": 5}
        with replaced(session.llama.hook_points["unembed.hook_logits"], lambda x: x * torch.nan):
            for more in ({}, {"extra_body": {"trace": True}}):
                with pytest.raises(APIStatusError, match=r"logits are not numbers \(NaN\)") as refused:
                    client.chat.completions.create(**ask, **more)
                assert (refused.value.status_code, refused.value.code) == (500, "model_failed")
            with pytest.raises(APIError, match="logits are not numbers"):
                list(client.chat.completions.create(**ask, stream=True))
        assert client.chat.completions.create(**ask).usage.completion_tokens == 5
    assert "logits are not numbers" in caplog.text and "Traceback" not in caplog.text


def alive() -> int:
    """Objects of requests that the process still holds."""
    gc.collect()
    # by type(): some objects of other libraries warn when they are asked for their __class__
    return sum(issubclass(type(one), (Job, Row, Form, Observed)) for one in gc.get_objects())


def test_requests_that_are_over_leave_nothing_in_memory(url):
    ask = {"model": "demo", "messages": QUESTION, "max_tokens": 3}
    kinds = [{}, {"stream": True}, {"n": 2}, {"trace": True}, {"response_format": {"type": "json_object"}}]
    chat = f"{url}/v1/chat/completions"
    for kind in [*kinds, {"top_p": 2}]:
        httpx.post(chat, json=ask | kind, timeout=60)
    with httpx.stream("POST", chat, json=ask | {"stream": True, "max_tokens": 1000}, timeout=60) as left:
        next(left.iter_lines())
    until(lambda: alive() == 0)


def test_answers_that_have_begun_are_ended_before_the_server_is(session):
    ask = {"model": "demo", "messages": QUESTION, "max_tokens": 8, "stream": True}
    with (
        started(session, None) as (url, server),
        held(session, passes=3) as gate,
        httpx.stream("POST", f"{url}/v1/chat/completions", json=ask, timeout=60) as answer,
    ):
        assert gate.arrived.wait(60)
        server.handle_exit(signal.SIGTERM, None)
        until(lambda: not accepts(url))
        gate.open()
        *_, last, done = filter(None, answer.iter_lines())
    assert (json.loads(last[6:])["choices"][0]["finish_reason"], done) == ("length", "data: [DONE]")


def accepts(url: str) -> bool:
    """Whether a server takes new connections."""
    try:
        socket.create_connection(url.removeprefix("http://").split(":"), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_signal_ends_the_command_when_its_answers_have_ended(capsys):
    assert threading.current_thread() is threading.main_thread()  # which is the one that gets signals
    told, said, ended = [], "", threading.Event()

    def url() -> str:
        nonlocal said
        said += capsys.readouterr().out
        found = re.search(r"Serving 'demo' at (\S+) .*\n", said)
        return found[1] if found else ""

    def client() -> str:
        try:
            until(url, 300)
            ask = ask_of_demo(4)
            with httpx.stream("POST", f"{url()}/chat/completions", json=ask, timeout=60) as answer:
                lines = filter(None, answer.iter_lines())
                next(lines)
                os.kill(os.getpid(), signal.SIGTERM)
                return list(lines)[-1]
        finally:
            while not ended.wait(5):  # whatever went wrong, the command must not go on for ever
                os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(client)
            try:
                cli.main(["serve", "--port", "0"])
            finally:
                ended.set()
            assert asked.result() == "data: [DONE]"
    finally:
        signal.signal(signal.SIGTERM, before)
    assert signal.SIGTERM in told, "who started the process is told of the signal, too"
