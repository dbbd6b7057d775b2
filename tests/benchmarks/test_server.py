"""The server's benchmark measures what it says."""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import workbench as wb
from benchmarks import server
from benchmarks.served import Server
from benchmarks.server_memory import Memory
from benchmarks.streamed import streamed
from tests.apps.serving import running


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


def test_a_stream_is_read_as_it_came_whatever_its_pieces():
    chunks = [b"data: {}\n\n", b"data: [DO", b"NE]\n\n"]
    sent = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    sent += b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"POST /v1/x HTTP/1.1\r\n") and await reader.readexactly(8) == b'{"a": 1}'
        for start in range(0, len(sent), 20):
            writer.write(sent[start : start + 20])
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    async def ask() -> list[tuple[float, bytes]]:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            return await streamed(f"http://127.0.0.1:{port}/v1/x", {"a": 1})

    arrived = asyncio.run(ask())
    assert b"".join(piece for _, piece in arrived) == b"".join(chunks)
    assert [moment for moment, _ in arrived] == sorted(moment for moment, _ in arrived)


def test_growth_is_told_of_the_second_half():
    memory = Memory([100, 200, 300, 400, 500, 600], [50.0, 90.0, 100.0, 101.0, 102.0, 103.0])
    assert memory.growth == pytest.approx(10)


def test_memory_is_watched_over_requests_of_every_kind(tmp_path, capsys, monkeypatch):
    kept = tmp_path / "now.json"

    @contextmanager
    def here(model: str, device: str) -> Iterator[Server]:
        session = wb.load(model, device)
        with running(session, name="served") as url:
            yield Server("this process", url, "served", os.getpid(), {})
        session.close()

    monkeypatch.setattr(server, "ours", here)  # the next test starts a process
    server.main(["--requests", "18", "--json", str(kept)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith("; 0 failed")
    memory = json.loads(kept.read_text())["memory"]
    assert memory["requests"] == list(range(1, 19)) and min(memory["resident"]) > 100


@pytest.mark.slow
def test_every_client_gets_the_plain_loops_answer_whole(tmp_path, capsys):
    kept = tmp_path / "now.json"
    server.main(["--rounds", "1", "--tokens", "5", "--clients", "1", "3", "--json", str(kept)])
    lines = capsys.readouterr().out.splitlines()
    for name in ("1 client", "3 clients"):
        told = next(line for line in lines if line.startswith(name))
        assert told.split()[-2:] == ["0", "0"]
    assert "3 clients together: " in lines[-1]
    assert kept.read_text().startswith("{")
