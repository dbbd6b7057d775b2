"""How fast a quantized model generates: prefill and decoding, against `transformers` and llama.cpp.

    python -m benchmarks.generate                    # BF16, FP8, int4 of one random model, and the shard
    python -m benchmarks.generate --only shard       # four layers of Maverick in their real widths, on a card
    python -m benchmarks.generate --json now.json    # the same, and every single time in a file
    pip install xllamacpp gguf                       # to have llama.cpp beside them, on a CPU

All have the same random weights: the quantized ones are made from them, and llama.cpp gets them in BF16 and a
file of its own format. The candidates take turns in one process; a number is the median of the rounds.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import shard
from benchmarks.core import THEIRS, Comparison, Shape, machine, middle, parse, random_pair, take_turns, timed
from model import Llama4, recorded
from model.quantize import make_room, quantized, recipe

LLAMA_CPP = "llama.cpp"


class Ours:
    """Our model, generating greedily."""

    def __init__(self, llama: Llama4, prompt: Tensor, device: torch.device) -> None:
        self.llama, self.prompt, self.device = llama, prompt, device

    def start(self) -> tuple[Tensor, object]:
        """The prompt, into an empty cache, up to its last token's logits."""
        cache = self.llama.new_cache()
        hidden = self.llama.hidden(self.prompt, cache=cache)
        return self.llama.unembed(hidden[:, -1:]).argmax(-1), cache

    def prefill(self) -> float:
        """Seconds."""
        return timed(self.start, self.device)

    def step(self, token: Tensor, cache: object) -> Tensor:
        """The next token."""
        return self.llama(token, cache=cache).argmax(-1)

    def decode(self, answer: int) -> float:
        """Seconds a token."""
        token, cache = self.start()

        def go(token: Tensor = token) -> None:
            for _ in range(answer):
                token = self.step(token, cache)

        return timed(go, self.device) / answer

    def tokens(self, answer: int) -> list[int]:
        """What it says."""
        token, cache = self.start()
        said = [token]
        while len(said) < answer:
            said.append(self.step(said[-1], cache))
        return torch.cat(said, dim=1)[0].tolist()


class Theirs(Ours):
    """transformers' model, likewise."""

    def start(self) -> tuple[Tensor, object]:
        """The prompt, up to its last token's logits."""
        out = self.llama(self.prompt, use_cache=True, logits_to_keep=1)
        return out.logits[:, -1:].argmax(-1), out.past_key_values

    def step(self, token: Tensor, cache: object) -> Tensor:
        """The next token."""
        return self.llama(token, past_key_values=cache, use_cache=True).logits[:, -1:].argmax(-1)


def quantize(llama: Llama4, form: str) -> Llama4:
    """A copy with the weights that `load(..., quantize=form)` quantizes in that form."""
    made = copy.deepcopy(llama)
    weights = dict(made.named_parameters())
    forms = recipe(form, made)
    make_room(made, forms, made.device)
    for name, place in quantized(made).items():
        place.put(weights[name if name in weights else f"{name}.weight"])
    return made


def watched(llama: Llama4, run: Callable[[], float]) -> float:
    """`run` while the routing of every layer is recorded."""
    points = [
        point
        for name, point in llama.hook_points.items()
        if name.endswith(("moe.hook_expert_indices", "moe.hook_router_logits"))
    ]
    with recorded(points):
        return run()


def candidates(shape: Shape, device: torch.device) -> tuple[dict[str, Ours], nn.Module]:
    """The models by name, and transformers' own."""
    theirs, ours = random_pair(shape, torch.bfloat16, device)
    theirs.requires_grad_(False)
    ours.requires_grad_(False)
    prompt = torch.randint(3, shape.vocabulary, (1, shape.prompt), device=device)
    models = {form: Ours(quantize(ours, form), prompt, device) for form in ("fp8", "int4")}
    models = {"bf16": Ours(ours, prompt, device), **models, THEIRS: Theirs(theirs, prompt, device)}
    return models, theirs


def same_experts(models: dict[str, Ours]) -> str:
    """How often a quantized model chose the expert that BF16 chose, in the prompt: a check, not a speed."""
    chosen = {}
    for name, model in models.items():
        if name != THEIRS:
            points = [p for n, p in model.llama.hook_points.items() if n.endswith("moe.hook_expert_indices")]
            with recorded(points) as kept:
                model.start()
            chosen[name] = torch.cat([kept[point.name] for point in points])
    shares = [f"{n} {float((x == chosen['bf16']).float().mean()):.1%}" for n, x in chosen.items()]
    return "the expert that bf16 chose: " + ", ".join(shares)


def measure(shape: Shape, device: torch.device, rounds: int) -> tuple[list[Comparison], list[str]]:
    """Prefill, decoding, and decoding while the routing is recorded; and whether all computed the same."""
    models, theirs = candidates(shape, device)
    prefill = {name: model.prefill for name, model in models.items()}
    decode = {name: lambda model=model: model.decode(shape.answer) for name, model in models.items()}
    said = {name: models[name].tokens(shape.answer) for name in ("bf16", THEIRS)}
    with tempfile.TemporaryDirectory() as folder:
        if device.type == "cpu" and find_spec("xllamacpp") and find_spec("gguf"):
            from benchmarks.llama_cpp import LlamaCpp  # needs packages that nothing else needs

            peer = LlamaCpp(theirs, Path(folder), models["bf16"].prompt[0].tolist())
            prefill[LLAMA_CPP] = peer.prefill
            decode[LLAMA_CPP] = lambda: peer.decode(shape.answer)
            said[LLAMA_CPP] = peer.tokens(shape.answer)
        asked = ask(shape, models, prefill, decode, rounds)
    ours = said.pop("bf16")
    agreement = [
        f"{name}: {sum(a == b for a, b in zip(ours, theirs, strict=True))} of {len(ours)} greedy tokens are "
        "the same as ours in bf16"
        for name, theirs in said.items()
    ]
    return asked, [*agreement, same_experts(models)]


def ask(
    shape: Shape,
    models: dict[str, Ours],
    prefill: dict[str, Callable[[], float]],
    decode: dict[str, Callable[[], float]],
    rounds: int,
) -> list[Comparison]:
    """Every question of every candidate, in turns."""
    bf16 = models["bf16"]
    capture = {
        "unwatched": lambda: bf16.decode(shape.answer),
        "routing recorded": lambda: watched(bf16.llama, lambda: bf16.decode(shape.answer)),
    }
    return [
        Comparison(f"prefill, {shape.prompt} tokens", "all", take_turns(prefill, rounds)),
        Comparison("decode, a token", "all", take_turns(decode, rounds)),
        Comparison("decode, a token, bf16", "watching", take_turns(capture, rounds)),
    ]


def lines(row: Comparison) -> list[str]:
    """A line a candidate: its median, and how many times faster the first candidate was than it."""
    first = next(iter(row.seconds))
    words = [row.question]
    for name, seconds in row.seconds.items():
        ratio, low, high = middle(row.ratios(name, first))
        spread = f"({low:.2f} to {high:.2f})"
        words.append(
            f"  {name:<18}{1e3 * middle(seconds)[0]:>10.2f} ms   {first} is {ratio:.2f}x as fast  {spread}"
        )
    return words


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experts", type=int, default=Shape.experts, help="of a layer (default: 16)")
    parser.add_argument("--layers", type=int, default=Shape.layers, help="of the model (default: 4)")
    parser.add_argument("--only", choices=["models", "shard"], help="half of it")
    options = parse(parser, arguments, rounds=9)
    report(options, Shape(experts=options.experts, layers=options.layers))


@torch.no_grad()
def report(options: argparse.Namespace, shape: Shape) -> None:
    """Print what was measured."""
    device = torch.device(options.device)
    facts = machine(device)
    print("  ".join(f"{name} {value}" for name, value in facts.items()))
    kept: dict[str, object] = {"date": time.strftime("%Y-%m-%d"), "machine": facts}
    if options.only != "shard":
        print(asdict(shape))
        rows, agreement = measure(shape, device, options.rounds)
        for row in rows:
            print(*lines(row), sep="\n")
        print(*agreement, sep="\n")
        comparisons = [asdict(row) for row in rows]
        kept |= {"shape": asdict(shape), "comparisons": comparisons, "agreement": agreement}
    if options.only != "models":
        kept["shard"] = shard.report(device, options.rounds)
    if options.json:
        options.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
