"""How long the statistics of a long trace's routing take: load, preference, repetition, transitions.

    python -m benchmarks.routing
    python -m benchmarks.routing --tokens 20000 --json now.json

The trace is drawn: 100,000 tokens, 48 layers, 128 experts, neighbouring tokens alike. Each row is a question
asked of tokens that were gathered once; the logits are looked at, and random routers made, by the first that
needs them. Beside the whole stands the plain NumPy line for the mutual information of all neighbouring
layers, without chance level or interval, in the same run. Nothing here can fail on a slow machine.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from workbench import routing
from workbench.trace import Trace

GOAL = 5.0  # seconds for everything, at the default size


def drawn_trace(tokens: int, layers: int, experts: int, top: int = 1, seed: int = 0) -> Trace:
    """A trace of routers with random weights, with neighbours alike."""
    rng = np.random.default_rng(seed)
    logits = np.empty((tokens, layers, experts), np.float16)
    # the same thousand tokens in ever other order: drawing anew would take longer than all questions
    noise = rng.standard_normal((1000, layers, experts), np.float32)
    for start in range(0, tokens, 1000):
        rows = logits[start : start + 1000]
        alike = rng.standard_normal((1, layers, experts), np.float32)
        rows[:] = noise[rng.permutation(1000)[: len(rows)]] + alike
    chosen = np.empty((tokens, layers, top), np.int16)
    for start in range(0, tokens, 1000):
        rows = logits[start : start + 1000].astype(np.float32)
        best = np.argsort(-rows, axis=-1)[..., :top] if top > 1 else rows.argmax(-1)[..., None]
        chosen[start : start + 1000] = best
    return Trace.of_routing(
        chosen,
        experts,
        logits=logits,
        token_ids=rng.integers(0, 1000, tokens),
        role=np.ones(tokens),
        modality=np.arange(tokens) // 500 % 2,
    )


def plain_information(trace: Trace) -> list[float]:
    """What a notebook would write: mutual information of neighbouring layers by `np.histogram2d`."""
    told = []
    edges = np.arange(trace.num_experts + 1)
    for column in range(len(trace.moe_layers) - 1):
        one, other = trace.routed_experts[:, column, 0], trace.routed_experts[:, column + 1, 0]
        table = np.histogram2d(one, other, bins=(edges, edges))[0] / len(one)
        apart = table.sum(1, keepdims=True) * table.sum(0, keepdims=True)
        there = table > 0
        told.append(float((table[there] * np.log2(table[there] / apart[there])).sum()))
    return told


def clocked(ask: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the wall and of this process's own work."""
    wall, own = time.perf_counter(), time.process_time()
    ask()
    return time.perf_counter() - wall, time.process_time() - own


def measure(trace: Trace) -> dict[str, tuple[float, float]]:
    """Seconds of every question, by the wall and of work."""
    rows = {"statistics, from the trace on": clocked(lambda: routing.statistics(trace))}
    tokens = routing.gather(trace)
    rows |= {
        "gather": clocked(lambda: routing.gather(trace)),
        "preference (looks at all logits, makes random routers)": clocked(lambda: routing.preference(tokens)),
        "load": clocked(lambda: routing.load(tokens)),
        "repetition": clocked(lambda: routing.repetition(tokens)),
        "transitions": clocked(lambda: routing.transitions(tokens)),
    }
    rows["plain mutual information, no chance level"] = clocked(lambda: plain_information(trace))
    if len(np.unique(trace.modality)) > 1:
        rows["besides: specialization by modality"] = clocked(
            lambda: routing.specialization(tokens, "modality")
        )
    return rows


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing", description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=100_000, help="default %(default)s")
    parser.add_argument("--layers", type=int, default=48, help="default %(default)s")
    parser.add_argument("--experts", type=int, default=128, help="default %(default)s")
    parser.add_argument("--top", type=int, default=1, help="experts per token (default %(default)s)")
    parser.add_argument("--json", type=Path, help="write the seconds there, too")
    chosen = parser.parse_args(arguments)
    trace = drawn_trace(chosen.tokens, chosen.layers, chosen.experts, chosen.top)
    rows = measure(trace)
    print(f"numpy {np.__version__}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(
        f"{chosen.tokens:,} tokens, {chosen.layers} layers, {chosen.experts} experts, {chosen.top} a token\n"
    )
    print(f"{'':58}{'wall':>9}{'work':>9}")
    for name, (wall, own) in rows.items():
        print(f"{name:58}{wall:7.2f} s{own:7.2f} s")
    print(f"\nthe goal for the statistics is {GOAL:g} s at the default size")
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
