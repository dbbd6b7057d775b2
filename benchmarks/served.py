"""Servers as processes of their own, for benchmarks: ours, and `transformers serve` as its peer.

The peer needs the packages transformers[serving], accelerate and torchvision (for its processor of pictures).
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from model.checkpoint import DEMO_WEIGHTS

SECONDS_TO_START = 300


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        name: for people. url: without /v1. model: the name that requests must give. process: its id.
        more: fields that its requests need beyond what every OpenAI server knows.
    """

    name: str
    url: str
    model: str
    process: int
    more: dict


@contextmanager
def ours(model: str, device: str) -> Iterator[Server]:
    """`workbench serve`, as long as the block runs."""
    command = [sys.executable, "-m", "apps.cli", "serve", "--model", model, "--served-name", "served"]
    command += ["--device", device, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = next(line for line in process.stdout if line.startswith("Serving "))
            url = line.split(" at ")[1].split()[0].removesuffix("/v1")
            yield Server("workbench", url, "served", process.pid, {"stream_options": {"include_usage": True}})
        finally:
            process.terminate()


@contextmanager
def transformers_serve(model: str, device: str) -> Iterator[Server]:
    """`transformers serve` on the same folder, as long as the block runs.

    Raises:
        RuntimeError: it ended before it answered; its own words stand above.
    """
    folder = str(DEMO_WEIGHTS if model == "demo" else Path(model).resolve())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", folder]
    command += ["--port", str(port), "--device", device, "--log-level", "error"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process)
            yield Server("transformers", url, folder, process.pid, {})
        finally:
            process.terminate()


def _wait(url: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    needed = "pip install 'transformers[serving]' accelerate torchvision"
    raise RuntimeError(f"transformers serve did not answer at {url}; {needed}")
