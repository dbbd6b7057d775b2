"""llama.cpp's HTTP server on a GGUF file; needs the package xllamacpp (llama.cpp itself, built for CPUs).

In a process of its own: in one with PyTorch, whose threads then are more than the cores, both decode a third
slower, though only one of them computes at a time (two cores of an Intel Xeon).

    python -m benchmarks.llama_cpp FILE --slots 32 --context 512 --threads 2    # until its input is closed
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import xllamacpp


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
