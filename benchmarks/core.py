"""How fast the core is: ratios against `transformers` on the same random weights.

    python -m benchmarks.core                    # a few minutes on two cores
    python -m benchmarks.core --json now.json    # the same, and every single time in a file
    python -m benchmarks.core --experts 128 --layers 1

The candidates of a question take turns in one process, so that a busy machine is busy for all of them. A
ratio is the median of the rounds' ratios, with the middle half of them in brackets. Nothing here can fail on
a slow machine: a benchmark tells, a test judges.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from transformers import AutoModelForCausalLM, Llama4TextConfig

import workbench as wb
from kernels.pages import in_large_pages
from model import Llama4, Llama4Config, checkpoint, replaced

THEIRS, OURS = "transformers", "ours"


@dataclass(frozen=True)
class Shape:
    """The random model: Scout's architecture, smaller. Experts in every layer, query-key norm, chunks."""

    layers: int = 4
    width: int = 1024
    experts: int = 16
    expert_width: int = 2048
    heads: int = 16
    vocabulary: int = 32_000
    prompt: int = 256  # tokens, for the prefill
    batch: int = 256  # tokens, for the expert layer alone
    answer: int = 16  # tokens, for decoding


@dataclass
class Comparison:
    """One question, asked of several candidates in turn: seconds of every round, by candidate."""

    question: str
    dtype: str
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def ratios(self, slow: str, fast: str) -> list[float]:
        """How many times faster `fast` was, round by round."""
        return [a / b for a, b in zip(self.seconds[slow], self.seconds[fast], strict=True)]


def middle(values: list[float]) -> tuple[float, float, float]:
    """The median, and where the middle half begins and ends."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return median, low, high


def median_interval(values: list[float]) -> tuple[float, float, float]:
    """The median and its 95 % interval, from the order of the values alone; the range of five or fewer."""
    ordered, n = sorted(values), len(values)
    low, below = 0, 0.5**n  # the chance that the true median lies under the first value
    while low < n // 2 and below + math.comb(n, low + 1) * 0.5**n <= 0.025:
        low += 1
        below += math.comb(n, low) * 0.5**n
    return middle(values)[0], ordered[low], ordered[n - 1 - low]


def take_turns(candidates: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run every candidate once a round, every other round backwards, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for name in candidates:
        candidates[name]()
    for turn in range(rounds):
        for name in list(candidates)[:: -1 if turn % 2 else 1]:
            seconds[name].append(candidates[name]())
    return seconds


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds until the device has done the work."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def random_pair(shape: Shape, dtype: torch.dtype, device: torch.device) -> tuple[torch.nn.Module, Llama4]:
    """transformers' model and ours, with the same random weights."""
    config = Llama4TextConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.expert_width,
        intermediate_size_mlp=2 * shape.expert_width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=max(1, shape.heads // 4),
        head_dim=shape.width // shape.heads,
        num_local_experts=shape.experts,
        interleave_moe_layer_step=1,
        use_qk_norm=True,
        max_position_embeddings=131_072,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    theirs = AutoModelForCausalLM.from_config(config, dtype=dtype).to(device).eval()
    with torch.device("meta"):
        ours = Llama4(Llama4Config.from_dict(theirs.config.to_dict()))
    ours = ours.to(dtype).to_empty(device=device).eval().requires_grad_(False)  # as `load` leaves it
    weights = theirs.state_dict()
    with torch.no_grad():
        for parameter in ours.parameters():
            in_large_pages(parameter)
        for name, stored in checkpoint.stored_layout(ours).items():
            value = weights[stored.key]
            ours.get_parameter(name).copy_(value.transpose(1, 2) if stored.transposed else value)
    return theirs, ours


class Peers:
    """The two models, asked the same things."""

    def __init__(self, shape: Shape, dtype: torch.dtype, device: torch.device) -> None:
        self.shape, self.device = shape, device
        self.theirs, self.ours = random_pair(shape, dtype, device)
        self.prompt = torch.randint(3, shape.vocabulary, (1, shape.prompt), device=device)
        self.x = torch.randn(1, shape.batch, shape.width, device=device, dtype=dtype)
        self.said: dict[str, list[int]] = {}

    def experts(self, tokens: int) -> dict[str, Callable[[], float]]:
        """One expert layer: router, routed experts, shared expert."""
        x = self.x[:, :tokens]
        layers = {THEIRS: self.theirs.model.layers[0].feed_forward, OURS: self.ours.blocks[0].moe}
        return {
            name: lambda layer=layer: timed(lambda: layer(x), self.device) for name, layer in layers.items()
        }

    def prefill(self) -> dict[str, Callable[[], float]]:
        """The prompt, into an empty cache, up to the logits of its last token."""
        return {
            THEIRS: lambda: timed(lambda: self._start_theirs(), self.device),
            OURS: lambda: timed(lambda: self._start_ours(), self.device),
        }

    def decode(self) -> dict[str, Callable[[], float]]:
        """One token after another, greedily; the prompt before them is not timed."""
        return {THEIRS: self._decode_theirs, OURS: self._decode_ours}

    def _start_theirs(self) -> tuple[Tensor, object]:
        out = self.theirs(self.prompt, use_cache=True, logits_to_keep=1)
        return out.logits[:, -1:].argmax(-1), out.past_key_values

    def _start_ours(self) -> tuple[Tensor, object]:
        cache = self.ours.new_cache()
        hidden = self.ours.hidden(self.prompt, cache=cache)
        return self.ours.unembed(hidden[:, -1:]).argmax(-1), cache

    def _decode_theirs(self) -> float:
        token, cache = self._start_theirs()

        def step(token: Tensor) -> Tensor:
            return self.theirs(token, past_key_values=cache, use_cache=True).logits[:, -1:].argmax(-1)

        return self._decode(THEIRS, token, step)

    def _decode_ours(self) -> float:
        token, cache = self._start_ours()
        return self._decode(OURS, token, lambda token: self.ours(token, cache=cache).argmax(-1))

    def _decode(self, name: str, token: Tensor, step: Callable[[Tensor], Tensor]) -> float:
        said = [token]

        def answer() -> None:
            for _ in range(self.shape.answer):
                said.append(step(said[-1]))

        seconds = timed(answer, self.device)
        self.said[name] = torch.cat(said, 1)[0].tolist()
        return seconds / self.shape.answer


@torch.no_grad()
def compare(
    shape: Shape, dtype: torch.dtype, device: torch.device, rounds: int
) -> tuple[list[Comparison], str]:
    """All questions in one dtype, and a sentence on whether both said the same."""
    peers = Peers(shape, dtype, device)
    questions = {
        "expert layer, 1 token": peers.experts(1),
        f"expert layer, {shape.batch} tokens": peers.experts(shape.batch),
        f"prefill, {shape.prompt} tokens": peers.prefill(),
        "decode, a token": peers.decode(),
    }
    name = str(dtype).removeprefix("torch.")
    asked = [
        Comparison(question, name, take_turns(candidates, rounds))
        for question, candidates in questions.items()
    ]
    same = sum(a == b for a, b in zip(*peers.said.values(), strict=True))
    return asked, f"{name}: {same} of {shape.answer + 1} greedy tokens are the same"


@contextmanager
def endless(session: wb.Session) -> Iterator[None]:
    """While the block runs, no answer ends by itself: a few words could not be timed."""
    stops = torch.tensor(session.processor.tokenizer.stop_ids, device=session.llama.device)
    point = session.llama.hook_point("unembed.hook_logits")
    with replaced(point, lambda logits: logits.index_fill(-1, stops, -torch.inf)):
        yield


def pictures() -> list[Image.Image]:
    """Two plain scenes."""
    scenes = []
    for colour, box in (("red", (20, 20, 70, 70)), ("blue", (80, 60, 140, 120))):
        scenes.append(Image.new("RGB", (160, 160), "white"))
        ImageDraw.Draw(scenes[-1]).ellipse(box, fill=colour)
    return scenes


def machine(device: torch.device) -> dict[str, object]:
    """What the numbers depend on."""
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    versions = {}
    for package in ("torch", "triton", "transformers", "xllamacpp"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        **versions,
        "torch": torch.__version__,  # with the build
        "python": platform.python_version(),
    }


def against_peer(row: Comparison) -> str:
    """One line: both times, and how many times faster ours was."""
    theirs, ours = (f"{1e3 * middle(row.seconds[name])[0]:.2f} ms" for name in (THEIRS, OURS))
    ratio, low, high = middle(row.ratios(THEIRS, OURS))
    spread = f"({low:.1f} to {high:.1f})"
    return f"{row.question:<28}{row.dtype:<10}{theirs:>14}{ours:>14}{ratio:>8.1f}x  {spread}"


def parse(parser: argparse.ArgumentParser, arguments: list[str] | None, rounds: int) -> argparse.Namespace:
    """Read a command line, with the options that every benchmark has; the number of threads is set."""
    parser.add_argument(
        "--rounds", type=int, default=rounds, help="how often every candidate runs (default: %(default)s)"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="CPU threads (default: PyTorch's own choice)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every time to this file")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    return options


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experts", type=int, default=Shape.experts, help="of a layer (default: 16)")
    parser.add_argument("--layers", type=int, default=Shape.layers, help="of the model (default: 4)")
    options = parse(parser, arguments, rounds=9)
    report(options, Shape(experts=options.experts, layers=options.layers))


def report(options: argparse.Namespace, shape: Shape) -> None:
    """Print each result as soon as it is there."""
    device = torch.device(options.device)
    facts = machine(device)
    print("  ".join(f"{name} {value}" for name, value in facts.items()))
    kept: dict[str, object] = {
        "machine": facts,
        "rounds": options.rounds,
        "shape": asdict(shape),
        "comparisons": [],
    }
    print(f"\nScout's architecture with {asdict(shape)}")
    print(f"{'':<38}{THEIRS:>14}{OURS:>14}{'ratio':>9}")
    for dtype in (torch.bfloat16, torch.float32):
        rows, same = compare(shape, dtype, device, options.rounds)
        print("\n".join(map(against_peer, rows)), same, sep="\n")
        kept["comparisons"] += [asdict(row) for row in rows]
    if options.json:
        options.json.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
