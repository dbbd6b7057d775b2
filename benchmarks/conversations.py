"""Whether the chat page's memory stays flat: many visitors, one after the other.

    python -m benchmarks.conversations
    python -m benchmarks.conversations --conversations 200 --every 50

Each visitor does over HTTP what a browser does: opens a connection, shows a picture, asks two questions,
follows both answers, and goes away. What the process holds is printed as it goes: resident memory after a
collection, and the things that could pile up. The first answers fill what the page keeps on purpose (the
traces of the last answers); after that the numbers should stay where they are. Nothing here can fail on a
slow machine.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import torch

import workbench as wb
from benchmarks.core import machine, pictures
from workbench import Run, Trace

API = "gradio_api"
PATIENCE = 600.0  # seconds


class Guest:
    """Somebody at the page, without a browser.

    Args:
        client: on the page's address. demo: the page, which says what follows from what.
    """

    def __init__(self, client: httpx.Client, demo: object) -> None:
        self.client = client
        self.fns = demo.fns
        self.session = secrets.token_hex(5)

    @contextmanager
    def here(self) -> Iterator[Guest]:
        """The connection by which the page knows that somebody is there."""
        with self.client.stream("GET", f"{API}/heartbeat/{self.session}") as beat:
            alive = beat.iter_raw()  # one that is let go of hangs up
            next(alive)
            yield self

    def upload(self, name: str, data: bytes) -> dict:
        """A picture, as the composer holds it."""
        path = self.client.post(f"{API}/upload", files={"files": (name, data)}).raise_for_status().json()[0]
        return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    def ask(self, text: str, files: list[dict], words: int) -> None:
        """Send a message and follow its answer to the end."""
        begin = next(number for number, fn in self.fns.items() if fn.name == "send")
        self._run(begin, [{"text": text, "files": files}, "", 0, 1, words, ""])

    def _run(self, number: int, data: list[object]) -> None:
        """An event, and those that follow it."""
        body = {"data": data, "fn_index": number, "session_hash": self.session, "event_data": None}
        if self.fns[number].queue:
            self.client.post(f"{API}/queue/join", json=body).raise_for_status()
            self._follow()
        else:
            self.client.post(f"{API}/run/predict", json=body).raise_for_status()
        for after, fn in self.fns.items():
            if fn.trigger_after == number:
                self._run(after, [])

    def _follow(self) -> None:
        with self.client.stream("GET", f"{API}/queue/data", params={"session_hash": self.session}) as events:
            for line in events.iter_lines():
                if line.startswith("data:") and json.loads(line[5:])["msg"] == "process_completed":
                    return


def held(desk: object) -> dict[str, int]:
    """MiB that the process holds, and how many things of those that could pile up."""
    desk.session.in_turn(lambda: None)  # the engine has let go of what it wrote last
    gc.collect()
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    alive = gc.get_objects()
    return {
        "MiB": int(resident.split()[1]) // 1024,
        "conversations": len(desk.visitors),
        "answers kept": len(desk.shelf),
        "runs": sum(type(one) is Run for one in alive),
        "traces": sum(type(one) is Trace for one in alive),
    }


def measure(conversations: int, every: int, words: int) -> Iterator[tuple[int, dict[str, int]]]:
    """(conversations so far, what is held), from before the first one on."""
    from apps import chat  # as long to import as a page takes to open

    session, data = wb.load("demo"), io.BytesIO()
    pictures()[0].save(data, "PNG")
    demo = chat.build(session, longest_answer=words)
    url = chat.launch(demo, "127.0.0.1", 0)
    with httpx.Client(base_url=url, timeout=PATIENCE) as client:
        for number in range(conversations + 1):
            if number % every == 0 or number == conversations:
                yield number, held(demo.desk)
            if number < conversations:
                with Guest(client, demo).here() as guest:
                    guest.ask(
                        "What is in the picture?", [guest.upload(f"{number}.png", data.getvalue())], words
                    )
                    guest.ask("And what colour is it?", [], words)
    demo.close()
    session.close()


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.conversations", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--conversations", type=int, default=200, help="how many (default %(default)s)")
    parser.add_argument("--every", type=int, default=50, help="how often to look (default %(default)s)")
    parser.add_argument("--words", type=int, default=16, help="tokens of an answer (default %(default)s)")
    chosen = parser.parse_args(arguments)
    print(", ".join(f"{key} {value}" for key, value in machine(torch.device("cpu")).items()))
    print(f"{chosen.words} tokens an answer, two answers a conversation\n")
    for number, found in measure(chosen.conversations, chosen.every, chosen.words):
        print(
            f"after {number:4}: " + ", ".join(f"{value} {name}" for name, value in found.items()), flush=True
        )


if __name__ == "__main__":
    main()
