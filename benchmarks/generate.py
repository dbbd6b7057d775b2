"""How fast a quantized model generates: prefill and decoding, against `transformers` and llama.cpp.

    python -m benchmarks.generate                    # BF16, FP8, int4 of one random model, and the shard
    python -m benchmarks.generate --only shard       # four layers of Maverick in their real widths, on a card
    python -m benchmarks.generate --json now.json    # the same, and every single time in a file
    pip install xllamacpp gguf                       # to have llama.cpp beside them, on a CPU

All have the same random weights: the quantized ones are made from them, and llama.cpp gets them in BF16 and a
file of its own format. The candidates take turns, llama.cpp in a process of its own and by its own clock; a
number is the median of the rounds, beside its share of what the machine copies or multiplies in the same run.
"""

from __future__ import annotations

import argparse
import copy
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import httpx
import torch
from torch import Tensor, nn

from benchmarks import served, shard
from benchmarks.bench import ROUNDS, SMALL, Bench, keep
from benchmarks.core import THEIRS, Comparison, Shape, middle, parse, random_pair, take_turns, timed
from benchmarks.floors import bytes_of_a_token, products_of_a_prompt
from model import Llama4, recorded
from model.quantize import make_room, quantized, recipe

LLAMA_CPP = "llama.cpp"
WATCHED = ("unwatched", "routing recorded")
CEILINGS = ("matmul", "copy", "copy")  # of the three questions


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


class LlamaCpp:
    """llama.cpp's server, likewise."""

    def __init__(self, url: str, prompt: list[int]) -> None:
        self.url, self.prompt = url, prompt

    def prefill(self) -> float:
        """Seconds."""
        return self._ask(1)["timings"]["prompt_ms"] / 1e3

    def decode(self, answer: int) -> float:
        """Seconds a token."""
        # its first token comes with the prompt, and it counts the others
        return self._ask(answer + 1)["timings"]["predicted_per_token_ms"] / 1e3

    def tokens(self, answer: int) -> list[int]:
        """What it says; the vocabulary's words are their own numbers."""
        return [int(number) for number in re.findall(r"<(\d+)>", self._ask(answer)["choices"][0]["text"])]

    def _ask(self, tokens: int) -> dict:
        asked = {
            "prompt": self.prompt, "max_tokens": tokens, "temperature": 0.0, "cache_prompt": False,
            "ignore_eos": True,
        }  # fmt: skip
        return httpx.post(f"{self.url}/v1/completions", json=asked, timeout=600).raise_for_status().json()


@contextmanager
def llama_cpp(theirs: nn.Module, prompt: list[int]) -> Iterator[LlamaCpp]:
    """llama.cpp on the weights of transformers' model, as long as the block runs."""
    from benchmarks import gguf_file  # needs a package that nothing else needs

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "random.gguf"
        gguf_file.write(theirs, file, gguf_file.Words.numbers(theirs.config.vocab_size))
        with served.llama_cpp(file, slots=1, tokens=1024, other_words="") as server:
            yield LlamaCpp(server.url, prompt)


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


def measure(shape: Shape, bench: Bench) -> tuple[list[Comparison], list[dict[str, float]], list[str]]:
    """Prefill, decoding, and decoding while the routing is recorded; and whether all computed the same.

    Returns:
        The questions' times, the least that each could take, and sentences.
    """
    device = bench.device
    models, theirs = candidates(shape, device)
    prefill = {name: model.prefill for name, model in models.items()}
    decode = {name: lambda model=model: model.decode(shape.answer) for name, model in models.items()}
    said = {name: models[name].tokens(shape.answer) for name in ("bf16", THEIRS)}
    absent = served.left_out(LLAMA_CPP, device.type)
    with ExitStack() as running:
        if not absent:
            peer = running.enter_context(llama_cpp(theirs, models["bf16"].prompt[0].tolist()))
            prefill[LLAMA_CPP] = peer.prefill
            decode[LLAMA_CPP] = lambda: peer.decode(shape.answer)
            said[LLAMA_CPP] = peer.tokens(shape.answer)
        asked = ask(shape, models, prefill, decode, bench.rounds)
    ours = said.pop("bf16")
    agreement = [
        f"{name}: {sum(a == b for a, b in zip(ours, theirs, strict=True))} of {len(ours)} greedy tokens are "
        "the same as ours in bf16"
        for name, theirs in said.items()
    ]
    told = [*agreement, same_experts(models), *([absent] if absent else [])]
    return asked, at_least(shape, models, bench.ceilings), told


def ask(
    shape: Shape,
    models: dict[str, Ours],
    prefill: dict[str, Callable[[], float]],
    decode: dict[str, Callable[[], float]],
    rounds: int,
) -> list[Comparison]:
    """Every question of every candidate, in turns."""
    bf16 = models["bf16"]
    plain, recording = WATCHED
    capture = {
        plain: lambda: bf16.decode(shape.answer),
        recording: lambda: watched(bf16.llama, lambda: bf16.decode(shape.answer)),
    }
    return [
        Comparison(f"prefill, {shape.prompt} tokens", "all", take_turns(prefill, rounds)),
        Comparison("decode, a token", "all", take_turns(decode, rounds)),
        Comparison("decode, a token, bf16", "watching", take_turns(capture, rounds)),
    ]


def at_least(shape: Shape, models: dict[str, Ours], ceilings: dict[str, float]) -> list[dict[str, float]]:
    """For each of `ask`'s questions the seconds that a candidate's weights alone need at the ceilings."""
    llamas = {name: model.llama for name, model in models.items() if name != THEIRS}
    prefill = {n: products_of_a_prompt(x, shape.prompt) / ceilings["matmul bf16"] for n, x in llamas.items()}
    decode = {n: bytes_of_a_token(x, shape.prompt) / ceilings["copy"] for n, x in llamas.items()}
    for floor in (prefill, decode):  # the peers compute the same as BF16
        floor |= dict.fromkeys((THEIRS, LLAMA_CPP), floor["bf16"])
    return [prefill, decode, dict.fromkeys(WATCHED, decode["bf16"])]


def lines(row: Comparison, floor: dict[str, float], ceiling: str) -> list[str]:
    """A line a candidate: its median, its share of the ceiling, and how many times faster the first was."""
    first = next(iter(row.seconds))
    words = [row.question]
    for name, seconds in row.seconds.items():
        ratio, low, high = middle(row.ratios(name, first))
        time = middle(seconds)[0]
        share = f"{floor[name] / time:.2f} of {ceiling}"
        spread = f"({low:.2f} to {high:.2f})"
        words.append(f"  {name:<18}{1e3 * time:>10.2f} ms   {share}   {first} {ratio:.2f}x as fast  {spread}")
    return words


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experts", type=int, default=Shape.experts, help="of a layer (default: 16)")
    parser.add_argument("--layers", type=int, default=Shape.layers, help="of the model (default: 4)")
    parser.add_argument("--only", choices=["models", "shard"], help="half of it")
    options = parse(parser, arguments, rounds=ROUNDS)
    report(options, Shape(experts=options.experts, layers=options.layers))


@torch.no_grad()
def report(options: argparse.Namespace, shape: Shape) -> dict[str, object]:
    """Print what was measured; the same, as it is written."""
    bench = Bench(torch.device(options.device), options.rounds, SMALL)
    taken = bench.about()
    if options.only != "shard":
        print(asdict(shape))
        rows, floors, agreement = measure(shape, bench)
        for row, floor, ceiling in zip(rows, floors, CEILINGS, strict=True):
            print(*lines(row, floor, ceiling), sep="\n")
        print(*agreement, sep="\n")
        taken |= {"shape": asdict(shape), "comparisons": [asdict(row) for row in rows]}
        taken |= {"at_least": floors, "agreement": agreement}
    if options.only != "models":
        taken["shard"] = shard.report(bench.device, options.rounds)
    if options.json:
        keep(options.json, taken)
    return taken


if __name__ == "__main__":
    main()
