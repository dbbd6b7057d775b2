"""The server's benchmark measures what it says."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

import workbench as wb
from benchmarks import served, server
from benchmarks.core import Shape
from benchmarks.counted_server import held
from benchmarks.served import Server
from benchmarks.server_memory import Memory
from benchmarks.streamed import Line
from benchmarks.text_part import save_random
from model import SamplingParams, generate, load
from tests.apps.serving import ask_of_demo, running


def test_a_line_tells_rates_ratios_and_what_was_lost():
    plain = server.Load([100.0, 110.0, 90.0])
    load = server.Load([200.0, 220.0, 180.0], [0.01, 0.02], [0.001, 0.003], lost=1, other=2)
    cells = server.line("8 clients", load, plain).split()
    assert cells == [
        "8",
        "clients",
        "200",
        "2.00x",
        "(2.00",
        "to",
        "2.00)",
        "15.0",
        "19.9",
        "2.0",
        "3.0",
        "1",
        "2",
    ]


def test_what_passes_between_tokens_is_told_apart_from_the_first():
    load = server.Load()
    server.note(load, [1.0, 1.5, 1.75, 2.75])
    assert (load.first, load.between) == ([0.5], [0.25, 1.0])


async def answered(chunks: list[bytes], ask: Callable[[str], Awaitable], pieces: int = 20) -> object:
    """What `ask` makes of a server at that address, whose answer comes in pieces of so many bytes."""
    sent = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    sent += b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"POST /v1/") and await reader.readexactly(8) == b'{"a": 1}'
        for start in range(0, len(sent), pieces):
            writer.write(sent[start : start + pieces])
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        return await ask(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")


def test_a_stream_is_read_as_it_came_whatever_its_pieces():
    chunks = [b"data: {}\n\n", b"data: [DO", b"NE]\n\n"]

    async def post(url: str) -> list[tuple[float, bytes]]:
        async with Line(f"{url}/v1") as line:
            return await line.post("/x", {"a": 1})

    arrived = asyncio.run(answered(chunks, post))
    assert b"".join(piece for _, piece in arrived) == b"".join(chunks)
    assert [moment for moment, _ in arrived] == sorted(moment for moment, _ in arrived)


def test_a_connection_is_used_again_and_opened_again_where_a_server_ended_it():
    async def ends(url: str) -> list[bytes]:
        async with Line(f"{url}/v1") as line:
            return [b"".join(piece for _, piece in await line.post("/x", {"a": 1})) for _ in range(3)]

    assert asyncio.run(answered([b"data: 0\n\n"], ends)) == [b"data: 0\n\n"] * 3
    session, opened = wb.load("demo"), []

    async def stays(url: str) -> None:
        async with Line(url) as line:
            for _ in range(3):
                await line.post("/v1/chat/completions", ask_of_demo(2))
                opened.append(line._open)

    with running(session) as url:
        asyncio.run(stays(url))
    session.close()
    assert opened[0] is not None and opened[0] == opened[1] == opened[2]


@pytest.mark.parametrize(("end", "lost", "other", "tokens"), [(3, 0, 0, 2), (2, 1, 0, 0)])
def test_an_answer_is_whole_or_lost_whatever_fields_a_server_leaves_out(end, lost, other, tokens):
    events = [
        {"choices": [{"delta": {"role": "assistant"}}]},
        {"choices": [{"delta": {"content": "Red ball"}}]},
        {"choices": [{"delta": {}, "finish_reason": "length"}], "usage": {"completion_tokens": 2}},
    ]
    chunks = [b"data: %s\n\n" % json.dumps(event).encode() for event in events[:end]]
    questions = SimpleNamespace(body=lambda text, server: {"a": 1}, answers={"What?": ["Red", " ball"]})
    load = server.Load()

    async def ask(url: str) -> int:
        async with Line(url) as line:
            return await server.ask(line, Server("peer", url, "m", 0), questions, "What?", load)

    assert asyncio.run(answered(chunks, ask)) == tokens
    assert (load.lost, load.other, len(load.first)) == (lost, other, 1)
    assert load.between == [0.0]  # both tokens came with one event
    questions.answers["What?"] = ["Blue", " ball"]
    asyncio.run(answered(chunks, ask))
    assert load.other == (not lost)  # what never came whole is lost, and no more than that


def test_a_load_without_answers_is_told_and_not_divided_by():
    plain, none = server.Load([100.0], [0.1], [0.1]), server.Load([0.0], lost=3, other=None)
    assert server.line("3 clients", none, plain).split() == ["3", "clients", "no", "answers", "3", "-"]
    peer = Server("peer", "http://127.0.0.1:1", "m", 0)
    loads = {"3 clients": plain, "3 clients of peer": none}
    assert server.beside(3, peer, loads) == "3 clients, beside peer: no answers to compare"


def test_a_peer_is_told_of_in_ratios_of_the_same_round():
    us = server.Load([100.0, 90.0, 200.0], [0.1, 0.1], [0.01, 0.01])
    them = server.Load([50.0, 30.0, 100.0], [0.2, 0.2], [0.04, 0.04])
    loads = {"8 clients": us, "8 clients of peer": them}
    said = server.beside(8, Server("peer", "http://127.0.0.1:1", "m", 0), loads)
    assert said == (
        "8 clients, beside peer: 2.00x the tokens a second (2.00 to 2.50); "
        "first token after 0.50 of its time (p99: 0.50); next after 0.25 of its time (p99: 0.25)"
    )


def test_a_peer_that_is_not_installed_is_left_out_with_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr(served, "find_spec", lambda name: None)
    monkeypatch.setattr(server, "measure", lambda options: ({}, [], options.peers))
    monkeypatch.setattr(server, "report", lambda loads, costs, counts, others: print("peers:", others))
    server.main([])
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines == [
        "transformers is left out: accelerate and openai not installed; "
        "pip install 'transformers[serving]' accelerate",
        "llama.cpp is left out: xllamacpp and gguf not installed; pip install xllamacpp gguf",
        "peers: []",
    ]


def test_growth_is_told_of_the_second_half():
    memory = Memory(
        [100, 200, 300, 400, 500, 600], [50.0, 90.0, 100.0, 101.0, 102.0, 103.0], [7, 9, 9, 8, 7, 6]
    )
    assert memory.growth("resident") == pytest.approx(10)
    assert memory.growth("objects") == pytest.approx(-10)


def test_memory_is_watched_over_requests_of_every_kind(tmp_path, capsys, monkeypatch):
    kept = tmp_path / "now.json"

    @contextmanager
    def here(model: str, device: str, counted: bool) -> Iterator[Server]:
        session = wb.load(model, device)
        with running(session, name="served") as url:
            yield Server("this process", url, "served", os.getpid(), held=held if counted else None)
        session.close()

    monkeypatch.setattr(server, "ours", here)  # the next test starts a process
    server.main(["--requests", "18", "--json", str(kept)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith("; 0 failed")
    memory = json.loads(kept.read_text())["memory"]
    assert memory["requests"] == list(range(1, 19)) and min(memory["resident"]) > 100
    assert min(memory["objects"]) > 10_000 and min(memory["tensors"]) > 100 and memory["arenas"]


@pytest.mark.slow
def test_every_client_gets_the_plain_loops_answer_whole(tmp_path, capsys):
    kept = tmp_path / "now.json"
    asked = ["--rounds", "1", "--pairs", "2", "--tokens", "5", "--clients", "1", "3", "--peers"]
    server.main([*asked, "--json", str(kept)])
    lines = capsys.readouterr().out.splitlines()
    for name in ("1 client", "3 clients"):
        told = next(line for line in lines if line.startswith(name))
        assert told.split()[-2:] == ["0", "0"]
    assert "3 clients together: " in lines[-2] and lines[-1].endswith("; 2 pairs); the goal is at most 5 %")
    assert kept.read_text().startswith("{")


@pytest.mark.slow
@pytest.mark.parametrize("peer", served.PEERS)
def test_a_peer_answers_the_same_questions_whole(peer, capsys):
    if absent := served.left_out(peer, "cpu"):
        pytest.skip(absent)
    asked = ["--rounds", "1", "--pairs", "0", "--tokens", "4", "--clients", "2", "--peers", peer]
    server.main([*asked, "--device", "cpu"])
    lines = capsys.readouterr().out.splitlines()
    told = next(line for line in lines if line.startswith(f"2 clients of {peer}"))
    assert told.split()[-2:] in (["0", "0"], ["0", "-"])
    assert any(line.startswith(f"2 clients, beside {peer}") and "x the tokens" in line for line in lines)


@pytest.mark.slow
def test_a_random_model_has_the_demos_words(tmp_path):
    _, processor = load("demo")
    save_random(processor, tmp_path, Shape(layers=2, width=32, experts=4, expert_width=16, heads=4))
    llama, its = load(tmp_path)
    assert llama.config.text.vocab_size == processor.tokenizer.vocab_size
    inputs, params = its("What is there?"), SamplingParams(max_tokens=3, logit_bias={2: -100.0})
    assert inputs.token_ids.tolist() == processor("What is there?").token_ids.tolist()
    assert len(list(generate(llama, its, inputs, params))) == 3
