"""How fast the kernels are: shares of what the machine can do, and ratios against a peer in the same run.

    python -m benchmarks.kernels                     # on a card Maverick's shapes, else smaller ones
    python -m benchmarks.kernels --json now.json     # the same, and every single time in a file
    python -m benchmarks.kernels --only experts

The ceilings (copying memory, multiplying matrices) are measured in the same run. Inputs are random and larger
than the caches; candidates take turns; a number is the median of the rounds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.core import machine, middle, parse, take_turns, timed
from kernels import attention_rows, fp8, int4, linear, routed_swiglu
from kernels.backend import Backend
from kernels.linear import Weight
from kernels.norm import rms_norm_rounded


@dataclass(frozen=True)
class Shape:
    """One layer's experts."""

    width: int
    inner: int
    experts: int


MAVERICK = Shape(width=5120, inner=8192, experts=128)
SMALL = Shape(width=1024, inner=2048, experts=16)  # a layer of benchmarks.core
# of a weight; FP8's scales are nothing
BYTES = {"bf16": 2.0, "fp8": 1.0, "fp8 blocks": 1.0, "int4": 0.5 + 4 / int4.GROUP}


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
        """Random numbers of the usual size."""
        return torch.randn(*size, device=self.device, dtype=dtype) * 0.02

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
        a, b = (torch.empty(size, dtype=torch.uint8, device=self.device).fill_(1) for _ in range(2))
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


def peer_scaled_mm(x: Tensor, w: fp8.RowScaled) -> Callable[[], Tensor]:
    """PyTorch's FP8 product; quantizing the activations is part of it, as it is of ours."""

    def work() -> Tensor:
        rows = fp8.nearest_rows(x)
        return torch._scaled_mm(rows.codes, w.codes.T, rows.scale, w.scale.T, out_dtype=torch.bfloat16)

    return work


def in_blocks(w: Tensor) -> fp8.BlockScaled:
    """E4M3 codes of `w`, and a scale a block: all the same, which does not matter to the clock."""
    made = fp8.BlockScaled.empty(tuple(w.shape), w.device)
    scale = w.abs().amax().float() / fp8.LARGEST
    made.codes.copy_((w.float() / scale).clamp(-fp8.LARGEST, fp8.LARGEST))
    made.scale.copy_(scale)
    return made


QUANTIZE: dict[str, Callable[[Tensor], Weight]] = {
    "bf16": lambda w: w,
    "fp8": fp8.quantize_rows,
    "fp8 blocks": in_blocks,
    "int4": int4.quantize_groups,
}


def random_experts(bench: Bench, form: str) -> tuple[Weight, Weight]:
    """gate_up and down of one layer, drawn and quantized an expert at a time: a card holds one format."""
    stacks = []
    for rows, inputs in ((2 * bench.shape.inner, bench.shape.width), (bench.shape.width, bench.shape.inner)):
        made = [QUANTIZE[form](bench.draw(rows, inputs)) for _ in range(bench.shape.experts)]
        if form == "bf16":
            stacks.append(torch.stack(made))
        else:
            parts = (torch.stack([getattr(one, name) for one in made]) for name in vars(made[0]))
            stacks.append(type(made[0])(*parts))
    return tuple(stacks)


def experts(bench: Bench, tokens: tuple[int, ...]) -> Iterator[Row]:
    """Routed experts by format and number of tokens, uniformly routed; the peer runs them one by one."""
    shape = bench.shape
    one = 3 * shape.width * shape.inner
    for form in QUANTIZE:
        gate_up, down = random_experts(bench, form)
        for count in tokens:
            x = bench.draw(count, shape.width)
            rows, gates = torch.arange(count, device=bench.device), bench.draw(count).sigmoid()
            chosen = torch.randint(shape.experts, (8, count), device=bench.device)
            hit = sum(len(row.unique()) for row in chosen) / len(chosen)
            # on a card the graph holds eight routings, on a CPU they are gone through one by one
            facts = {
                "bytes": {form: one * BYTES[form] * hit * (8 if bench.on_card else 1)},
                "products": 2 * one * count * (8 if bench.on_card else 1),
            }

            def ours(x=x, rows=rows, chosen=chosen, gates=gates, w=(gate_up, down)) -> None:
                turns = chosen if bench.on_card else chosen[time.perf_counter_ns() % 8][None]
                for turn in turns:
                    routed_swiglu(x, *w, rows, turn, gates)

            yield bench.compare(f"experts, {count} tokens, {form}", {form: ours}, **facts)
        del gate_up, down


def linears(bench: Bench, rows: tuple[int, ...]) -> Iterator[Row]:
    """One linear of a dense MLP in every format; the peer is PyTorch's BF16 product."""
    outputs, inputs = 2 * bench.shape.inner, bench.shape.width
    # several, so that none of them waits in the cache
    copies = max(2, bench.beyond_cache // (2 * outputs * inputs))
    plain = [bench.draw(outputs, inputs) for _ in range(copies)]
    weights = {form: [make(w) for w in plain] for form, make in QUANTIZE.items() if form != "bf16"}
    for count in rows:
        x = bench.draw(count, inputs)
        candidates: dict[str, Callable[[], object]] = {
            form: lambda x=x, kept=kept: [linear(x, w) for w in kept] for form, kept in weights.items()
        }
        if bench.on_card:
            every = [peer_scaled_mm(x, w) for w in weights["fp8"]]
            candidates["_scaled_mm"] = lambda every=every: [work() for work in every]
        candidates["bf16"] = lambda x=x: [F.linear(x, w) for w in plain]
        size = copies * outputs * inputs
        yield bench.compare(
            f"linear {outputs} x {inputs}, {count} rows", candidates,
            bytes={form: size * BYTES[form] for form in QUANTIZE}, products=2 * size * count,
        )  # fmt: skip


def grouped(bench: Bench, experts: int, rows: int) -> Iterator[Row]:
    """Many rows an expert; FP8 against PyTorch's grouped product of the same two matrices. Cards only."""
    shape = Shape(bench.shape.width, bench.shape.inner, experts)
    here = Bench(bench.device, bench.rounds, shape)
    count = experts * rows
    x = here.draw(count, shape.width)
    order = torch.arange(count, device=bench.device)
    chosen, gates = order % experts, here.draw(count).sigmoid()
    ends = torch.arange(rows, count + 1, rows, device=bench.device, dtype=torch.int32)

    def ours(gate_up: Weight, down: Weight) -> Tensor:
        return routed_swiglu(x, gate_up, down, order, chosen, gates)

    def product(q: fp8.RowScaled, w: fp8.RowScaled) -> Tensor:
        scales = q.scale[:, 0], w.scale[..., 0]
        return torch._scaled_grouped_mm(q.codes, w.codes.mT, *scales, offs=ends, out_dtype=torch.bfloat16)

    def peer(gate_up: fp8.RowScaled, down: fp8.RowScaled) -> Tensor:
        q = fp8.nearest_rows(x * gates[:, None])
        h = product(q, gate_up)
        gate, up = h.chunk(2, -1)
        q = fp8.nearest_rows(F.silu(gate) * up)
        return product(q, down)

    for form in QUANTIZE:
        weights = random_experts(here, form)
        candidates = {form: partial(ours, *weights)}
        if form == "fp8":
            candidates["_scaled_grouped_mm"] = partial(peer, *weights)
        products = 6 * count * shape.width * shape.inner
        yield here.compare(f"{experts} experts x {rows} rows, {form}", candidates, products=products)
        del weights, candidates


def rows_of_attention(bench: Bench) -> Iterator[Row]:
    """One row of all heads, beside the fused attention of a decoding step and of a whole prompt."""
    heads, groups, width, keys = (40, 8, 128, bench.keys) if bench.on_card else (16, 4, 64, bench.keys)
    query, key = bench.draw(1, heads, keys, width), bench.draw(1, groups, keys, width)
    last = query[:, :, -1:]

    def attend(query: Tensor, causal: bool) -> Tensor:
        return F.scaled_dot_product_attention(query, key, key, is_causal=causal, enable_gqa=True)

    yield bench.compare(
        f"attention, {keys} keys",
        {
            "one row": lambda: attention_rows(last, key, width**-0.5),
            "fused, one token": lambda: attend(last, False),
            "fused, all tokens": lambda: attend(query, True),
        },
    )


def norms(bench: Bench, rows: tuple[int, ...]) -> Iterator[Row]:
    """A norm with the codes of its output in one pass; the peer is the definition, operation by operation."""
    width = bench.shape.width
    weight = bench.draw(width)
    for count in rows:
        x = bench.draw(count, width)
        ways: dict[str, Backend | None] = {"one pass": None, "definition": "torch"}
        # in: two bytes; out: two, and one of the code
        yield bench.compare(
            f"norm and fp8 codes, {count} rows",
            {way: partial(rms_norm_rounded, x, weight, 1e-5, who) for way, who in ways.items()},
            bytes=dict.fromkeys(ways, 5.0 * count * width),
        )


def report(bench: Bench, only: str | None, json_path: Path | None) -> None:
    """Print each result as soon as it is there."""
    facts = machine(bench.device)
    print("  ".join(f"{name} {value}" for name, value in facts.items()), asdict(bench.shape), sep="\n")
    copy, peak = bench.copy(), bench.matmul()
    ceilings = {"copy": copy, "matmul bf16": peak}
    print(f"copy {copy / 1e9:.1f} GB/s   matmul bf16 {peak / 1e12:.2f} TFLOP/s", end="")
    if bench.on_card:
        ceilings["matmul fp8"] = bench.matmul("fp8")
        print(f"   fp8 {ceilings['matmul fp8'] / 1e12:.0f} TFLOP/s", end="")
    print()
    questions: dict[str, Callable[[], Iterator[Row]]] = {
        "experts": lambda: experts(bench, (1, 8, 64, 512, 4096) if bench.on_card else (1, 8, 256)),
        "linear": lambda: linears(bench, (1, 16, 512, 8192) if bench.on_card else (1, 16, 256)),
        "attention": lambda: rows_of_attention(bench),
    }
    if bench.on_card:
        questions["grouped"] = lambda: grouped(bench, 16, 512)
        # the larger is beyond any cache
        questions["norm"] = lambda: norms(bench, (1, 32768))
    kept = []
    for name, ask in questions.items():
        if only in (None, name):
            for row in ask():
                in_fp8 = any(name.startswith("fp8") for name in row.seconds)
                ceiling = ceilings.get("matmul fp8", peak) if in_fp8 else peak
                print(row.line(copy, ceiling), flush=True)
                kept.append(asdict(row))
    if json_path:
        taken = {"date": time.strftime("%Y-%m-%d"), "machine": facts, "ceilings": ceilings, "rows": kept}
        json_path.write_text(json.dumps(taken, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", choices=["experts", "linear", "attention", "grouped", "norm"], help="one question"
    )
    options = parse(parser, arguments, rounds=50)
    device = torch.device(options.device)
    with torch.no_grad():
        report(
            Bench(device, options.rounds, MAVERICK if device.type == "cuda" else SMALL),
            options.only,
            options.json,
        )


if __name__ == "__main__":
    main()
