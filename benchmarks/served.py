"""Servers in processes of their own: ours, and as its peers `transformers serve` and llama.cpp."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import torch

from benchmarks.text_part import save_text_part
from model import Llama4, Processor
from model.checkpoint import DEMO_WEIGHTS

SECONDS_TO_START = 300
SECONDS_TO_END = 30
USAGE = {"stream_options": {"include_usage": True}}
# what they are called, the packages that each imports, and what brings them
PEERS = {
    "transformers": (("accelerate", "openai"), "pip install 'transformers[serving]' accelerate"),
    "llama.cpp": (("xllamacpp", "gguf"), "pip install xllamacpp gguf"),
}


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        name: for people. url: without /v1. model: the name that requests must give.
        process: its id.
        more: fields that its requests need beyond what every OpenAI server knows.
        other_words: why its answers are not the plain loop's, if they cannot be.
        held: counts what it holds, if it can be asked; see `counted_server`.
    """

    name: str
    url: str
    model: str
    process: int
    more: dict = field(default_factory=dict)
    other_words: str = ""
    held: Callable[[], dict[str, int]] | None = None


def left_out(peer: str, device: str) -> str:
    """Why a peer cannot be measured here, and what to do about it; empty if it can be."""
    packages, command = PEERS[peer]
    missing = [package for package in packages if not find_spec(package)]
    if missing:
        return f"{peer} is left out: {' and '.join(missing)} not installed; {command}"
    if peer == "llama.cpp" and device != "cpu":
        return f"llama.cpp is left out: its package computes on CPUs, this is {device}; --device cpu"
    return ""


@contextmanager
def ours(model: str, device: str, counted: bool = False) -> Iterator[Server]:
    """`workbench serve`, as long as the block runs; `counted` if it shall tell what it holds."""
    program = "benchmarks.counted_server" if counted else "apps.cli"
    command = ["-m", program, "serve", "--model", model, "--served-name", "served"]
    with _started([*command, "--device", device, "--port", "0"]) as process:
        line = next((line for line in process.stdout if line.startswith("Serving ")), "")
        if not line:
            raise RuntimeError("workbench serve ended before it served; its own words stand above")
        url = line.split(" at ")[1].split()[0].removesuffix("/v1")

        def held() -> dict[str, int]:
            process.stdin.write("?")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield Server("workbench", url, "served", process.pid, USAGE, held=held if counted else None)


@contextmanager
def peers(
    names: list[str], source: str, llama: Llama4, processor: Processor, slots: int, tokens: int
) -> Iterator[list[Server]]:
    """Those servers on the text part of the same checkpoint, in the dtype that we compute in.

    Args:
        names: of `PEERS`. source: the checkpoint, or demo. llama, processor: what we read from it.
        slots: answers at a time, where a server has to be told. tokens: of each, the question included.
    """
    with ExitStack() as running:
        if not names:
            yield []
            return
        folder = Path(running.enter_context(TemporaryDirectory()))
        source = str(DEMO_WEIGHTS) if source == "demo" else source
        theirs = save_text_part(source, processor, folder, llama.dtype)
        servers = []
        if "transformers" in names:
            servers.append(transformers_serve(folder, llama.device))
        if "llama.cpp" in names:
            file = _as_gguf(theirs, processor, folder, llama.dtype)
            servers.append(llama_cpp(file, slots, tokens, _other_words(llama, tokens)))
        del theirs
        yield [running.enter_context(server) for server in servers]


@contextmanager
def transformers_serve(folder: Path, device: torch.device) -> Iterator[Server]:
    """`transformers serve` on a checkpoint folder.

    It answers one after the other: its continuous batching refuses Llama 4's chunked attention.

    Raises:
        RuntimeError: it ended, or did not answer in time; its own words stand above.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["-m", "transformers.cli.transformers", "serve", str(folder), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--device", str(device), "--log-level", "error"]
    with _started(command, subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process)
        yield Server("transformers serve", url, str(folder), process.pid)


@contextmanager
def llama_cpp(file: Path, slots: int, tokens: int, other_words: str) -> Iterator[Server]:
    """llama.cpp's server on a GGUF file, with continuous batching.

    Raises:
        RuntimeError: it ended before it answered; its own words stand above.
    """
    command = ["-m", "benchmarks.llama_cpp", str(file), "--slots", str(slots), "--context", str(tokens)]
    with _started([*command, "--threads", str(torch.get_num_threads())]) as process:
        line = next((line for line in process.stdout if line.startswith("Serving at ")), "")
        if not line:
            raise RuntimeError("llama.cpp ended before it served; its own words stand above")
        # a question that comes again is read again, as the others do
        more = USAGE | {"cache_prompt": False}
        yield Server("llama.cpp", line.split()[-1], "served", process.pid, more, other_words)


def _as_gguf(theirs: torch.nn.Module, processor: Processor, folder: Path, dtype: torch.dtype) -> Path:
    from benchmarks import gguf_file  # needs a package that nothing else needs

    tokenizer = processor.tokenizer
    end = tokenizer.special_id("<|eot|>")
    words = gguf_file.Words.from_folder(folder, theirs.config.vocab_size, tokenizer.bos_id, end)
    gguf_file.write(theirs, folder / "model.gguf", words, dtype)
    return folder / "model.gguf"


def _other_words(llama: Llama4, tokens: int) -> str:
    """Why llama.cpp cannot say what we say, if it cannot: two things of Llama 4 are fixed in it."""
    text = llama.config.text
    if text.rope_layers != tuple(layer % 4 != 3 for layer in range(text.num_hidden_layers)):
        return "llama.cpp turns the positions of three layers in four, whatever a file says"
    if text.attention_chunk_size != 8192 and tokens > text.attention_chunk_size:
        return f"llama.cpp looks back 8192 positions, the model {text.attention_chunk_size}"
    return ""


@contextmanager
def _started(command: list[str], stdout: int = subprocess.PIPE) -> Iterator[subprocess.Popen]:
    """A Python process with as many threads as we have, ended with the block."""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    with subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stdout=stdout, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(url: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError(f"transformers serve did not answer at {url}; its own words stand above")
