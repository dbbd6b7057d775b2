"""How fast the kernels are: shares of what the machine can do, and ratios against a peer in the same run.

    python -m benchmarks.kernels                     # on a card Maverick's shapes, else smaller ones
    python -m benchmarks.kernels --json now.json     # the same, and every single time in a file
    python -m benchmarks.kernels --only experts

The ceilings are measured in the same run. Inputs are random and larger than the caches; candidates take
turns; a number is the median of the rounds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import cycle
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Llama4TextConfig
from transformers.models.llama4.modeling_llama4 import Llama4TextExperts

from benchmarks import core
from benchmarks.bench import MAVERICK, ROUNDS, SMALL, Bench, Row, Shape, keep, peer_scaled_mm
from benchmarks.core import OURS, THEIRS, parse, take_turns
from kernels import attention_rows, fp8, int4, linear, routed_swiglu
from kernels.backend import Backend
from kernels.linear import Weight
from kernels.norm import rms_norm_rounded

# of a weight; FP8's scales are nothing
BYTES = {"bf16": 2.0, "fp8": 1.0, "fp8 blocks": 1.0, "int4": 0.5 + 4 / int4.GROUP}
AT_ONCE = 512  # tokens that transformers' experts are given: every expert has a copy of them


def experts_question(tokens: int, form: str) -> str:
    """Its name in what is printed and kept; so those below."""
    return f"experts, {tokens} tokens, {form}"


def layer_question(experts: int, tokens: int) -> str:
    """A whole layer."""
    return f"layer of {experts} experts, {tokens} tokens"


def linear_question(shape: Shape, rows: int) -> str:
    """One linear."""
    return f"linear {2 * shape.inner} x {shape.width}, {rows} rows"


def grouped_question(experts: int, rows: int, form: str) -> str:
    """Many rows an expert."""
    return f"{experts} experts x {rows} rows, {form}"


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


def random_peer(bench: Bench) -> Llama4TextExperts:
    """transformers' routed experts of one layer, in BF16."""
    shape = bench.shape
    config = Llama4TextConfig(
        hidden_size=shape.width, intermediate_size=shape.inner, num_local_experts=shape.experts
    )
    with torch.device("meta"):
        theirs = Llama4TextExperts(config)
    for name, meta in list(theirs.named_parameters()):
        room = torch.empty(meta.shape, dtype=torch.bfloat16, device=bench.device)
        setattr(theirs, name, nn.Parameter(room.normal_(std=0.02), requires_grad=False))
    return theirs


def peer_experts(theirs: Llama4TextExperts, x: Tensor, experts: Tensor, gates: Tensor) -> Tensor:
    """`routed_swiglu` as transformers does it; x [tokens, width], expert and gate of each [tokens]."""
    answers = []
    for some, chosen, of_chosen in zip(*(part.split(AT_ONCE) for part in (x, experts, gates)), strict=True):
        # as Llama4TextMoe.forward has it
        scores = x.new_zeros(theirs.num_experts, len(some)).scatter_(0, chosen[None], of_chosen[None])
        inputs = some.repeat(theirs.num_experts, 1) * scores.reshape(-1, 1)
        answers.append(theirs(inputs).view(theirs.num_experts, -1, theirs.hidden_size).sum(dim=0))
    return torch.cat(answers)


def experts(bench: Bench, tokens: tuple[int, ...]) -> Iterator[Row]:
    """Routed experts by format and number of tokens, uniformly routed; the peer asks all of them, in BF16."""
    shape = bench.shape
    one = 3 * shape.width * shape.inner
    theirs = random_peer(bench)
    for form in QUANTIZE:
        gate_up, down = random_experts(bench, form)
        for count in tokens:
            x = bench.draw(count, shape.width)
            rows, gates = torch.arange(count, device=bench.device), bench.draw(count).sigmoid()
            # other experts every time; many tokens meet nearly all of them anyway
            routings = 8 if count < AT_ONCE else 1
            chosen = torch.randint(shape.experts, (routings, count), device=bench.device)
            hit = sum(len(row.unique()) for row in chosen) / routings
            # on a card the graph holds all the routings, on a CPU they are gone through one by one
            at_once = routings if bench.on_card else 1
            ours = partial(routed_swiglu, x, gate_up, down, rows, gates=gates)
            yield bench.compare(
                experts_question(count, form),
                {
                    form: in_turns(bench, chosen, ours),
                    THEIRS: in_turns(bench, chosen, partial(peer_experts, theirs, x, gates=gates)),
                },
                bytes={form: one * BYTES[form] * hit * at_once},
                products=2 * one * count * at_once,
            )
        del gate_up, down, ours


def in_turns(bench: Bench, chosen: Tensor, run: Callable[..., Tensor]) -> Callable[[], object]:
    """`run` with the next routing, or, for a graph, with one after the other."""
    turns = cycle(chosen)
    return lambda: [run(experts=next(turns)) for _ in range(len(chosen) if bench.on_card else 1)]


def layers(bench: Bench, sizes: tuple[tuple[int, int], ...]) -> Iterator[Row]:
    """A whole layer (router, routed and shared experts) by number of experts and of tokens. For a CPU."""
    width, inner = bench.shape.width, bench.shape.inner
    one = 3 * width * inner
    for experts in sorted({experts for experts, _ in sizes}):
        shape = core.Shape(1, width, experts, inner, heads=16, vocabulary=512)
        peers = core.Peers(shape, torch.bfloat16, bench.device)
        for tokens in (tokens for of, tokens in sizes if of == experts):
            clocks = peers.experts(tokens)
            hit = min(tokens, experts)  # no fewer than nearly all, if tokens are many
            yield Row(
                layer_question(experts, tokens),
                take_turns({name: clocks[name] for name in (OURS, THEIRS)}, bench.rounds),
                bytes={OURS: 2.0 * ((hit + 1) * one + experts * width)},
                products=2.0 * tokens * (2 * one + experts * width),
            )


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
            linear_question(bench.shape, count), candidates,
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
        yield here.compare(grouped_question(experts, rows, form), candidates, products=products)
        del weights, candidates


def rows_of_attention(bench: Bench) -> Iterator[Row]:
    """One row of all heads, beside the fused attention of a decoding step, and of a whole prompt."""
    heads, groups, width, keys = (40, 8, 128, bench.keys) if bench.on_card else (16, 4, 64, bench.keys)
    size = groups * keys * width
    # the keys of so many layers wait in no cache
    copies = max(1, bench.beyond_cache // (2 * size))
    query, every = bench.draw(1, heads, keys, width), bench.draw(copies, 1, groups, keys, width)
    last = query[:, :, -1:]

    def attend(query: Tensor, key: Tensor, causal: bool = False) -> Tensor:
        return F.scaled_dot_product_attention(query, key, key, is_causal=causal, enable_gqa=True)

    def row(key: Tensor) -> Tensor:
        return attention_rows(last, key, width**-0.5)

    yield bench.compare(
        f"attention, {keys} keys, one token",
        {"one row": lambda: [*map(row, every)], "fused": lambda: [attend(last, key) for key in every]},
        bytes={"one row": 2.0 * copies * size},
    )
    yield bench.compare(
        f"attention, {keys} keys, all tokens",
        {"one row": lambda: row(every[0]), "fused": lambda: attend(query, every[0], True)},
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


def questions(bench: Bench) -> dict[str, Callable[[], Iterator[Row]]]:
    """What is asked on this device, by name."""
    if not bench.on_card:
        return {
            "experts": lambda: experts(bench, (1, 8, 256)),
            "layer": lambda: layers(bench, ((16, 1), (16, 256), (128, 1))),
            "linear": lambda: linears(bench, (1, 16, 256)),
            "attention": lambda: rows_of_attention(bench),
        }
    return {
        "experts": lambda: experts(bench, (1, 8, 64, 512, 4096)),
        "linear": lambda: linears(bench, (1, 16, 512, 8192)),
        "attention": lambda: rows_of_attention(bench),
        "grouped": lambda: grouped(bench, 16, 512),
        # the larger is beyond any cache
        "norm": lambda: norms(bench, (1, 32768)),
    }


@torch.no_grad()
def report(bench: Bench, only: str | None, json_path: Path | None) -> dict[str, object]:
    """Print each result as soon as it is there; what was taken, as it is written."""
    taken = bench.about() | {"shape": asdict(bench.shape)}
    print(taken["shape"])
    copy, peak = (taken["ceilings"][name] for name in ("copy", "matmul bf16"))
    kept = []
    for name, ask in questions(bench).items():
        if only in (None, name):
            for row in ask():
                in_fp8 = any(name.startswith("fp8") for name in row.seconds)
                ceiling = taken["ceilings"].get("matmul fp8", peak) if in_fp8 else peak
                print(row.line(copy, ceiling), flush=True)
                kept.append(asdict(row))
    taken["rows"] = kept
    if json_path:
        keep(json_path, taken)
    return taken


def bench_of(options: argparse.Namespace) -> Bench:
    """The device that was asked for, and the shapes that are measured there."""
    device = torch.device(options.device)
    return Bench(device, options.rounds, MAVERICK if device.type == "cuda" else SMALL)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["experts", "layer", "linear", "attention", "grouped", "norm"]
    parser.add_argument("--only", choices=names, help="one question; layer on a CPU, the last two on a card")
    options = parse(parser, arguments, rounds=ROUNDS)
    report(bench_of(options), options.only, options.json)


if __name__ == "__main__":
    main()
