"""How many bytes a trace will take, before anything runs; and a refusal where a budget does not hold them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.config import TextConfig
from workbench.layout import LAYOUT, numbers
from workbench.options import ALL, CaptureError, CaptureOptions

_WORDS = {
    "t": "tokens", "m": "MoE layers", "k": "experts a token", "e": "experts", "q": "rows", "a": "layers",
    "h": "heads", "g": "generated tokens", "c": "alternatives", "i": "pictures",
}  # fmt: skip
# arrays that a person thinks of together
_PARTS = {
    "routing": ("routed_experts", "routed_weights"),
    "router_logits": ("router_logits",),
    "attention": ("attention",),
    "probabilities": ("logprobs", "topk_ids", "topk_logprobs"),
}


@dataclass(frozen=True, repr=False)
class Estimate:
    """What a trace takes if the answer gets as long as it may.

    Attributes:
        prompt, new: tokens of the prompt, and the most that can be generated.
        parts: bytes by part, the pictures without compression. arithmetic: how the large ones came about.
        moe_layers, attention_layers, attention_heads: true numbers of what will be kept.
        rows: the tokens whose attention rows will be kept.

    While the answer grows the model's own tensors are kept as well: count it twice on one device.
    """

    prompt: int
    new: int
    parts: dict[str, int]
    arithmetic: dict[str, str]
    moe_layers: list[int]
    attention_layers: list[int]
    attention_heads: list[int]
    rows: Sequence[int]

    @property
    def total(self) -> int:
        """Bytes of everything."""
        return sum(self.parts.values())

    def __repr__(self) -> str:
        lines = [
            f"Estimate: at most {in_words(self.total)} for {self.prompt + self.new:,} tokens "
            f"({self.prompt:,} of the prompt, up to {self.new:,} generated)"
        ]
        for name, size in sorted(self.parts.items(), key=lambda part: -part[1]):
            said = self.arithmetic.get(name, "")
            lines.append(f"  {name:<14}{in_words(size):>11}  {said}".rstrip())
        lines.append(f"  attention of layers {self.attention_layers or 'none'}")
        return "\n".join(lines)


def in_words(size: int) -> str:
    """Bytes as people read them: 3.2 MiB."""
    steps = min(4, max(0, (max(int(size), 1).bit_length() - 1) // 10))
    return f"{size:,} B" if not steps else f"{size / 2 ** (10 * steps):,.1f} {'KMGT'[steps - 1]}iB"


def rows_asked_for(rows: str | Sequence[int], prompt: int, new: int) -> Sequence[int]:
    """The tokens whose rows `CaptureOptions.rows` means, if `new` tokens follow `prompt`.

    Raises:
        ValueError: a row that no pass of this answer can have.
    """
    reachable = range(prompt - 1 + max(new, 1))
    if isinstance(rows, str):
        named = {"last": reachable[prompt - 1 : prompt], "prompt": range(prompt), ALL: reachable}
        return named.get(rows, reachable[prompt - 1 : prompt - 1 + new])
    return numbers("rows", rows, reachable)


def attention_layers(text: TextConfig, per_layer: int, budget: int) -> list[int]:
    """Layers of `per_layer` bytes that fit: all, else the position-free ones, else the last of them."""
    every = list(range(text.num_hidden_layers))
    if len(every) * per_layer <= budget:
        return every
    free = [layer for layer in every if not text.uses_rope(layer)]
    affordable = max(0, budget) // per_layer
    return free[-affordable:] if affordable else []


def estimate(
    text: TextConfig,
    prompt: int,
    new: int,
    options: CaptureOptions,
    alternatives: int = 5,
    image_sizes: Sequence[tuple[int, int]] = (),
) -> Estimate:
    """Bytes by part, before anything runs; the same arithmetic decides which attention layers are kept.

    What it means: the size of the trace's arrays for an answer of `new` tokens. When it misleads: an answer
    that ends sooner takes less; an edit that gives a token more experts than the model would takes more.
    Source: the axes of `workbench.layout`, multiplied out.

    Args:
        text: the decoder's shape. prompt, new: tokens. options: what is to be kept.
        alternatives: `SamplingParams.top_logprobs`. image_sizes: of the pictures as a trace keeps them.

    Raises:
        CaptureError: the budget cannot hold what was asked for; says which array, its axes multiplied out,
            and what to leave out.
        ValueError: layers, heads or rows that this model or prompt does not have.
    """
    layers = numbers("moe_layers", options.moe_layers, text.moe_layers) if options.routing else []
    heads = numbers("attention_heads", options.attention_heads, range(text.num_attention_heads))
    rows = rows_asked_for(options.rows, prompt, new) if options.attention else range(0)
    absent = set() if options.routing and options.router_logits else {"router_logits"}
    sums = _Sums(
        {
            "t": prompt + new, "m": len(layers), "k": text.num_experts_per_tok, "e": text.num_local_experts,
            "q": len(rows), "a": 1, "h": len(heads), "g": new, "c": min(alternatives, text.vocab_size),
            "i": len(image_sizes),
        },
        np.dtype(options.attention_dtype).itemsize,
    )  # fmt: skip
    pictures = sum(3 * width * height for width, height in image_sizes)
    rest = pictures + sum(sums.bytes(name) for name in LAYOUT.keys() - {"attention"} - absent)
    if options.budget is not None and rest > options.budget:
        largest = max({*_PARTS["routing"], "router_logits"} - absent, key=sums.bytes)
        raise CaptureError(
            f"{largest}: {sums.arithmetic(largest)}; with all but the attention that is {in_words(rest)}, "
            f"and the budget is {in_words(options.budget)}. Leave out the router logits "
            "(capture='routing:ids'), choose moe_layers, give a smaller max_tokens, or raise budget"
        )
    kept = _fitting(text, options, rest, sums) if options.attention and len(rows) else []
    rows, heads = (rows, heads) if kept else (range(0), [])
    absent |= set() if kept else {"attention"}
    sums.sizes |= {"a": len(kept), "q": len(rows), "h": len(heads)}
    return Estimate(
        prompt=prompt,
        new=new,
        parts=_by_part(sums, absent) | {"pictures": pictures},
        arithmetic={
            name: sums.arithmetic(name) for name in ("attention", "router_logits") if name not in absent
        },
        moe_layers=layers,
        attention_layers=kept,
        attention_heads=heads,
        rows=rows,
    )


class _Sums:
    """Axes multiplied out."""

    def __init__(self, sizes: dict[str, int], attention_itemsize: int) -> None:
        self.sizes = sizes
        self.itemsize = {name: np.dtype(dtype).itemsize for name, (_, dtype) in LAYOUT.items()}
        self.itemsize["attention"] = attention_itemsize

    def bytes(self, name: str) -> int:
        """Of one array."""
        axes = LAYOUT[name][0]
        return (
            math.prod(int(axis) if axis.isdigit() else self.sizes[axis] for axis in axes)
            * self.itemsize[name]
        )

    def arithmetic(self, name: str) -> str:
        """The same for people."""
        factors = [f"{self.sizes[axis]:,} {_WORDS[axis]}" for axis in LAYOUT[name][0]]
        return f"{' x '.join(factors)} x {self.itemsize[name]} bytes = {in_words(self.bytes(name))}"


def _by_part(sums: _Sums, absent: set[str]) -> dict[str, int]:
    grouped = {name for names in _PARTS.values() for name in names}
    parts = _PARTS | {"the rest": tuple(name for name in LAYOUT if name not in grouped)}
    return {
        part: sum(sums.bytes(name) for name in names if name not in absent) for part, names in parts.items()
    }


def _fitting(text: TextConfig, options: CaptureOptions, rest: int, sums: _Sums) -> list[int]:
    """The attention layers to keep."""
    left = math.inf if options.budget is None else options.budget - rest
    per_layer = sums.bytes("attention")
    if not options.certain:
        return attention_layers(text, per_layer, int(min(options.attention_budget, left)))
    asked = None if options.attention_layers == ALL else options.attention_layers
    layers = numbers("attention_layers", asked, range(text.num_hidden_layers))
    limit = options.attention_budget if options.budget is None else options.budget - rest
    if len(layers) * per_layer <= limit:
        return layers
    which = "attention_budget" if options.budget is None else "budget"
    sums.sizes |= {"a": len(layers)}
    raise CaptureError(
        f"attention: {sums.arithmetic('attention')}; the {which} leaves {in_words(limit)}, which holds "
        f"{limit // per_layer} of these layers. Choose fewer attention_layers, attention_heads or rows, give "
        f"a smaller max_tokens, or raise {which}"
    )
