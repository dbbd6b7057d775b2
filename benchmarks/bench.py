"""What the benchmarks of kernels and of generation share: a device's ceilings, rounds, rows, a file to keep.

The ceilings (copying memory, multiplying matrices) are measured in the run that they are held against.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.core import machine, middle, take_turns, timed
from kernels import fp8
from kernels.pages import in_large_pages

ROUNDS = 50  # a median is that of so many or more


@dataclass(frozen=True)
class Shape:
    """One layer's experts."""

    width: int
    inner: int
    experts: int


MAVERICK = Shape(width=5120, inner=8192, experts=128)
SMALL = Shape(width=1024, inner=2048, experts=16)  # a layer of benchmarks.core


@dataclass
class Row:
    """One question: seconds of every round, by candidate, and what the work amounts to."""

    question: str
    seconds: dict[str, list[float]]
    bytes: dict[str, float] = field(default_factory=dict)  # that a candidate cannot but read
    products: float = 0.0  # floating-point operations

    def line(self, copy: float, peak: float) -> str:
        """The medians, the shares of the ceilings, and how much faster than the last candidate, the peer."""
        times = {name: middle(seconds)[0] for name, seconds in self.seconds.items()}
        peer = list(times)[-1]
        words = []
        for name, seconds in times.items():
            word = f"{name} {1e6 * seconds:.0f} us"
            if name in self.bytes:
                word += f" {self.bytes[name] / seconds / copy:.2f} of copy"
            if self.products:
                word += f" {self.products / seconds / peak:.2f} of matmul"
            if name != peer:
                ratios = [a / b for a, b in zip(self.seconds[peer], self.seconds[name], strict=True)]
                word += f" {middle(ratios)[0]:.2f}x"
            words.append(word)
        return f"{self.question:<34}" + "   ".join(words)


class Bench:
    """A device, its rounds, and how work is timed there."""

    def __init__(self, device: torch.device, rounds: int, shape: Shape) -> None:
        self.device, self.rounds, self.shape = device, rounds, shape
        self.on_card = device.type == "cuda"
        self.beyond_cache = 1 << (29 if self.on_card else 28)  # bytes that no cache holds
        self.keys = 4096 if self.on_card else 1024  # of attention

    def draw(self, *size: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
        """Random numbers of the usual size; on a CPU they lie as a model's weights do."""
        return in_large_pages(torch.randn(*size, device=self.device, dtype=dtype) * 0.02)

    def compare(self, question: str, candidates: dict[str, Callable[[], object]], **facts: object) -> Row:
        """Time the candidates in turns; on a card as CUDA graphs, so that no launch is waited for."""
        ready = {name: self.graphed(work) if self.on_card else work for name, work in candidates.items()}
        clocks = {name: lambda work=work: timed(work, self.device) for name, work in ready.items()}
        return Row(question, take_turns(clocks, self.rounds), **facts)

    def graphed(self, work: Callable[[], object]) -> Callable[[], object]:
        """`work` as one CUDA graph."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                work()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
        return graph.replay

    def copy(self) -> float:
        """Bytes a second, read and written."""
        size = 1 << (30 if self.on_card else 28)
        a, b = (torch.empty(size, dtype=torch.uint8, device=self.device) for _ in range(2))
        a, b = (in_large_pages(part).fill_(1) for part in (a, b))
        row = self.compare("copy", {"copy": lambda: a.copy_(b)})
        return 2 * size / middle(row.seconds["copy"])[0]

    def matmul(self, form: str = "bf16") -> float:
        """Operations a second of PyTorch's own product: BF16, or FP8 with a scale a row."""
        n = 8192 if self.on_card else 1024
        a, b = self.draw(n, n), self.draw(n, n)
        work = lambda: a @ b.T  # noqa: E731
        if form == "fp8":
            work = peer_scaled_mm(a, fp8.quantize_rows(b))
        return 2 * n**3 / middle(self.compare("matmul", {form: work}).seconds[form])[0]

    @cached_property
    def ceilings(self) -> dict[str, float]:
        """Copying, and multiplying in each format that the device multiplies; printed as they are known."""
        found = {"copy": self.copy(), "matmul bf16": self.matmul()}
        words = f"copy {found['copy'] / 1e9:.1f} GB/s   matmul bf16 {found['matmul bf16'] / 1e12:.2f} TFLOP/s"
        if self.on_card:
            found["matmul fp8"] = self.matmul("fp8")
            words += f"   fp8 {found['matmul fp8'] / 1e12:.0f} TFLOP/s"
        print(words)
        return found

    def about(self) -> dict[str, object]:
        """Date, machine, versions and ceilings, printed, and for the file."""
        facts = machine(self.device)
        print("  ".join(f"{name} {value}" for name, value in facts.items()))
        return {"date": time.strftime("%Y-%m-%d"), "machine": facts, "rounds": self.rounds,
                "ceilings": self.ceilings}  # fmt: skip


def peer_scaled_mm(x: Tensor, w: fp8.RowScaled) -> Callable[[], Tensor]:
    """PyTorch's FP8 product; quantizing the activations is part of it, as it is of ours."""

    def work() -> Tensor:
        rows = fp8.nearest_rows(x)
        return torch._scaled_mm(rows.codes, w.codes.T, rows.scale, w.scale.T, out_dtype=torch.bfloat16)

    return work


def keep(path: Path, taken: dict[str, object]) -> None:
    """Write what was taken as JSON: times to a tenth of a microsecond, those of one candidate on one line."""
    text = json.dumps(_rounded(taken), indent=1)
    text = re.sub(r"\[\s+([^][{}\"]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return round(value, 7) if isinstance(value, float) else value
