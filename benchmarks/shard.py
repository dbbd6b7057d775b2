"""Four of Maverick's layers in their real widths: one token, and its share of the bytes that it has to read.

The routed experts are FP8, as Maverick is published; the rest is BF16. A card that holds 40 GB runs the step
as a CUDA graph, the same token at the same place every time, while nothing is recorded, while the routing is,
and while the last attention row is, too. The floor is what the step cannot but read (the weights of one
token, its keys and values) at the speed with which the same run copies memory. `benchmarks.generate` asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.bench import MAVERICK, ROUNDS, Bench, Row
from benchmarks.core import middle
from benchmarks.floors import bytes_of_a_token
from kernels.backend import BackendUnavailable, pick
from model import Llama4, Llama4Config, recorded
from model.hooks import LAST_ROW
from model.published import published
from model.quantize import make_room, quantized, recipe

LAYERS = 4  # two dense, two routed; three rotary, one without positions
CONTEXT = 1024  # tokens before the one that is timed
TITLE = "four layers of Maverick, a token under a CUDA graph"


def shard_config(layers: int = LAYERS, **sizes: int) -> Llama4Config:
    """Maverick's first layers, text alone; `sizes` replace fields of the text's config."""
    text = published("maverick").text
    routed = tuple(layer for layer in text.moe_layers if layer < layers)
    kept = {"num_hidden_layers": layers, "moe_layers": routed, "rope_layers": text.rope_layers[:layers]}
    return Llama4Config(replace(text, **kept, **sizes))


def random_shard(config: Llama4Config, device: torch.device) -> Llama4:
    """Random weights in BF16, routed experts in FP8: in a layer all the same, which memory does not see."""
    with torch.device("meta"):
        llama = Llama4(config).to(torch.bfloat16)
    make_room(llama, recipe("fp8", llama), device)
    llama = llama.to_empty(device=device).eval().requires_grad_(False)
    llama.reset_parameters()
    if device.type != "meta":
        for weight in quantized(llama).values():
            experts, *shape = weight.value.shape
            weight.put((torch.randn(shape, device=device) * 0.02).expand(experts, -1, -1))
    return llama


class Step:
    """One token behind a random prompt; it is forgotten again, so that every run is the same."""

    def __init__(self, llama: Llama4, context: int) -> None:
        self.llama, self.context = llama, context
        ids = torch.randint(llama.config.text.vocab_size, (1, context + 1), device=llama.device)
        self.prompt, self.token = ids[:, :-1], ids[:, -1:]
        self.cache = llama.new_cache()
        llama.hidden(self.prompt, cache=self.cache)
        self.logits: dict[str, Tensor] = {}

    def run(self, name: str, watched: Iterable[tuple[list, slice]] = ()) -> Tensor:
        """Logits [1, 1, V], also kept under `name`, while points are recorded."""
        with ExitStack() as stack:
            for points, rows in watched:
                stack.enter_context(recorded(points, rows))
            self.logits[name] = self.llama(self.token, cache=self.cache)
        self.cache.length = self.context
        return self.logits[name]


def watching(llama: Llama4) -> dict[str, list[tuple[list, slice]]]:
    """What is recorded in each candidate."""

    def points(*endings: str) -> list:
        return [point for name, point in llama.hook_points.items() if name.endswith(endings)]

    routing = (points("moe.hook_router_logits", "moe.hook_expert_indices"), slice(None))
    last_row = (points("attn.hook_pattern"), LAST_ROW)
    return {"nothing": [], "routing": [routing], "routing and attention": [routing, last_row]}


def missing(device: torch.device, needed: int) -> str | None:
    """What keeps the step from being measured here; None if nothing does."""
    if device.type != "cuda":
        return "needs a GPU"
    try:
        pick("triton", torch.empty(0, device=device))
    except BackendUnavailable as error:
        return f"needs kernels that stay on the GPU: {error}"
    free, _ = torch.cuda.mem_get_info(device)
    if free < needed:
        return f"needs {needed / 1e9:.0f} GB of free memory on the GPU, which has {free / 1e9:.0f}"
    return None


@torch.no_grad()
def measure(bench: Bench, config: Llama4Config, context: int = CONTEXT) -> tuple[Row, str]:
    """The step, in turns while more and more is recorded; and whether it said the same in all of them."""
    llama = random_shard(config, bench.device)
    step = Step(llama, context)
    floor = float(bytes_of_a_token(llama, context))
    candidates = watching(llama)
    work = {name: lambda name=name, asked=asked: step.run(name, asked) for name, asked in candidates.items()}
    row = bench.compare(TITLE, work, bytes=dict.fromkeys(work, floor))
    said = {int(logits.argmax()) for logits in step.logits.values()} | {int(step.run("eager").argmax())}
    return row, "the same token in all, and without a graph" if len(said) == 1 else f"tokens differ: {said}"


def lines(row: Row, copy: float) -> list[str]:
    """The floor, and each candidate's time and share of it; the first is the one that records nothing."""
    plain = next(iter(row.seconds))
    floor = row.bytes[plain] / copy
    words = [f"{row.question}: {row.bytes[plain] / 1e9:.2f} GB, at least {1e6 * floor:.0f} us"]
    for name, seconds in row.seconds.items():
        slower = [a / b - 1 for a, b in zip(seconds, row.seconds[plain], strict=True)]
        more = "" if name == plain else f"   {middle(slower)[0]:+.1%}"
        time = middle(seconds)[0]
        words.append(f"  recording {name:<24}{1e6 * time:>8.0f} us {floor / time:>6.2f} of the floor{more}")
    return words


def report(device: torch.device, rounds: int) -> dict[str, object] | None:
    """Print what was measured, or what it would need; what was measured, for a file."""
    config = shard_config()
    # counted without memory, and a tenth more for what is made on the way
    empty = random_shard(config, torch.device("meta"))
    needed = sum(held.nbytes for held in (*empty.parameters(), *empty.buffers()))
    if reason := missing(device, needed * 11 // 10):
        print(f"{TITLE}: not measured: {reason}")
        return None
    bench = Bench(device, max(ROUNDS, rounds), MAVERICK)
    row, said = measure(bench, config)
    copy = bench.ceilings["copy"]
    print(*lines(row, copy), f"  {said}", sep="\n")
    return {"question": TITLE, "seconds": row.seconds, "bytes": row.bytes, "copy": copy, "said": said}
