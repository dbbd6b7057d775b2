"""Everything that a device has to show, measured at one go: kernels, generation, and which goals they reach.

    python -m benchmarks.goals                  # on a card if there is one; make gpu runs its tests, too
    python -m benchmarks.goals --read benchmarks/results/amd-epyc.json    # what was measured before

What was measured is kept in `benchmarks/results/`, one file a device, with its date. A goal whose peer or
device was not at hand is not measured: it has no number.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import torch

from benchmarks import generate, kernels
from benchmarks.bench import MAVERICK, ROUNDS, keep
from benchmarks.core import OURS, THEIRS, Shape, middle, parse

RESULTS = Path(__file__).with_name("results")
# dense FP8 operations a second, from the makers' data sheets
PEAKS = {"H100 80GB HBM3": 1979e12, "H200": 1979e12}
Taken = dict[str, dict]  # "kernels" and "generate", as these two write them


@dataclass(frozen=True)
class Goal:
    """In words, its number, how it is measured, and whether the number is the most, not the least."""

    words: str
    number: float
    measured: Callable[[Taken], float]
    most: bool = False

    def line(self, taken: Taken) -> str:
        """What was measured, beside the goal."""
        wanted = f"{'at most' if self.most else 'at least'} {self.number:g}"
        try:
            found = self.measured(taken)
        except LookupError:
            return f"{self.words:<58}{wanted:<16}not measured"
        reached = found <= self.number if self.most else found >= self.number
        return f"{self.words:<58}{wanted:<16}{found:<8.3g}{'reached' if reached else 'missed'}"


def row(taken: Taken, question: str) -> dict:
    """What was measured for a question of `benchmarks.kernels`."""
    return {row["question"]: row for row in taken["kernels"]["rows"]}[question]


def faster(row: dict, name: str, peer: str) -> float:
    """How many times faster than a peer, round by round."""
    ratios = [a / b for a, b in zip(row["seconds"][peer], row["seconds"][name], strict=True)]
    return middle(ratios)[0]


def of_copy(row: dict, name: str, copy: float) -> float:
    """The bytes that had to be read, in the time of copying as many."""
    return row["bytes"][name] / middle(row["seconds"][name])[0] / copy


def on_a_card() -> list[Goal]:
    """For one H100."""
    return [
        *(
            Goal(f"routed experts in FP8, {tokens} tokens, of copy", least, partial(_experts_of_copy, tokens))
            for tokens, least in ((1, 0.88), (8, 0.85), (64, 0.85), (512, 0.85), (4096, 0.85))
        ),
        Goal("compute-bound FP8 product, of the peak", 0.66, _of_peak),
        Goal("the same for each expert, of _scaled_grouped_mm", 1.3, lambda taken: faster(
            row(taken, kernels.grouped_question(16, 512, "fp8")), "fp8", "_scaled_grouped_mm")),
        Goal("four layers' token under a graph, of its floor", 0.80, lambda taken: of_copy(
            _shard(taken), "nothing", _shard(taken)["copy"])),
        Goal("routing recorded, more time", 0.01, partial(_slower, "routing"), most=True),
        Goal("and the last attention row, more time", 0.03, partial(_slower, "routing and attention"),
             most=True),
        Goal("all of these say the same token", 1, lambda taken: float(
            _shard(taken)["said"].startswith("the same"))),
    ]  # fmt: skip


def on_a_cpu() -> list[Goal]:
    """For the processor that a newcomer has."""
    return [
        *(
            Goal(
                f"layer of {experts} experts, {tokens} tokens, of transformers", least,
                partial(_layer_of_peer, experts, tokens),
            )
            for experts, tokens, least in ((16, 1, 15.0), (16, 256, 3.5), (128, 1, 40.0))
        ),
        Goal("decoding, of llama.cpp", 0.8, partial(_generated, "decode", generate.LLAMA_CPP, "bf16")),
        Goal("prefill, of llama.cpp", 1.5, partial(_generated, "prefill", generate.LLAMA_CPP, "bf16")),
        Goal("decoding in FP8, of BF16", 1.0, partial(_generated, "decode", "bf16", "fp8")),
    ]  # fmt: skip


def _experts_of_copy(tokens: int, taken: Taken) -> float:
    asked = row(taken, kernels.experts_question(tokens, "fp8"))
    return of_copy(asked, "fp8", taken["kernels"]["ceilings"]["copy"])


def _layer_of_peer(experts: int, tokens: int, taken: Taken) -> float:
    return faster(row(taken, kernels.layer_question(experts, tokens)), OURS, THEIRS)


def _of_peak(taken: Taken) -> float:
    device = taken["kernels"]["machine"]["device"]
    peak = [peak for name, peak in PEAKS.items() if name in device]
    found = row(taken, kernels.linear_question(MAVERICK, 8192))
    return (
        found["products"] / middle(found["seconds"]["fp8"])[0] / peak[0]
    )  # a LookupError where none is known


def _shard(taken: Taken) -> dict:
    found = taken["generate"].get("shard")
    if found is None:
        raise LookupError("the shard was not measured")
    return found


def _slower(name: str, taken: Taken) -> float:
    return 1 / faster(_shard(taken), name, "nothing") - 1


def _generated(question: str, peer: str, name: str, taken: Taken) -> float:
    # of two that begin alike the first one
    asked = {row["question"].split(",")[0]: row for row in reversed(taken["generate"]["comparisons"])}
    return faster(asked[question], name, peer)


def goals(taken: Taken) -> list[str]:
    """A line for each goal of the device that was measured."""
    on_card = "matmul fp8" in taken["kernels"]["ceilings"]
    return [goal.line(taken) for goal in (on_a_card() if on_card else on_a_cpu())]


def measure(options: argparse.Namespace) -> Taken:
    """Ask both benchmarks everything, and keep what they took."""
    taken = {"kernels": kernels.report(kernels.bench_of(options), None, None)}
    asked = SimpleNamespace(**vars(options) | {"json": None, "only": None})
    taken["generate"] = generate.report(asked, Shape())
    device = str(taken["kernels"]["machine"]["device"]).lower()
    keep(options.json or RESULTS / f"{re.sub('[^a-z0-9]+', '-', device).strip('-')}.json", taken)
    return taken


def main(arguments: list[str] | None = None) -> None:
    """Measure or read, and print the goals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--read", type=Path, metavar="PATH", help="judge these results instead of measuring")
    options = parse(parser, arguments, rounds=ROUNDS)
    if not options.read and options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device here: nothing was measured, and there is no number")
    taken = json.loads(options.read.read_text()) if options.read else measure(options)
    print(*goals(taken), sep="\n")


if __name__ == "__main__":
    main()
