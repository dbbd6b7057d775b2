"""llama.cpp as a peer: in this process by its own clock, and as an HTTP server of its own.

Needs the packages xllamacpp (llama.cpp itself, built for CPUs) and gguf (its file format).

    python -m benchmarks.llama_cpp FILE --slots 32 --context 512 --threads 2    # until its input is closed
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import torch
import xllamacpp
from torch import nn

from benchmarks import gguf_file


class LlamaCpp:
    """The model served by llama.cpp, in this process and on as many threads as PyTorch has."""

    def __init__(self, theirs: nn.Module, folder: Path, prompt: list[int]) -> None:
        file = folder / "random.gguf"
        gguf_file.write(theirs, file, gguf_file.Words.numbers(theirs.config.vocab_size))
        self.server = served(file, slots=1, context=1024, threads=torch.get_num_threads())
        self.prompt = prompt

    def prefill(self) -> float:
        """Seconds for the prompt."""
        return self._ask(1)["timings"]["prompt_ms"] / 1e3

    def decode(self, answer: int) -> float:
        """Seconds a token."""
        # its first token comes with the prompt, and it counts the others
        return self._ask(answer + 1)["timings"]["predicted_per_token_ms"] / 1e3

    def tokens(self, answer: int) -> list[int]:
        """What it says, greedily; the vocabulary's words are their own numbers."""
        return [int(number) for number in re.findall(r"<(\d+)>", self._ask(answer)["choices"][0]["text"])]

    def _ask(self, tokens: int) -> dict:
        asked = {
            "prompt": self.prompt, "n_predict": tokens, "temperature": 0.0, "cache_prompt": False,
            "ignore_eos": True, "stream": False,
        }  # fmt: skip
        return self.server.handle_completions(asked)


def served(file: Path, slots: int, context: int, threads: int) -> xllamacpp.Server:
    """llama.cpp's server on a free port, for `slots` answers at a time of `context` tokens each."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.n_ctx = slots * context
    parameters.n_parallel = slots
    parameters.n_gpu_layers = 0
    parameters.verbosity = 0
    parameters.cache_ram_mib = 0  # it would keep the prompts of answers that are over
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    return xllamacpp.Server(parameters)


def main(arguments: list[str] | None = None) -> None:
    """Serve a file, say where, and end with the standard input: nobody is left who asks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="a model in GGUF")
    for name in ("slots", "context", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args(arguments)
    server = served(options.file, options.slots, options.context, options.threads)
    print(f"Serving at {server.listening_address}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
