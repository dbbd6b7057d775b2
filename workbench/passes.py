"""One forward pass, with what flowed through chosen hook points and a Trace of it: TransformerLens' way in.

B batch (always one), T tokens, V vocabulary
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model.hooks import HookPoint, find_hook_point, recorded, replaced
from model.llama4 import Llama4
from model.processor import Inputs, Processor, Spans
from workbench.capture import Capture, planned
from workbench.estimate import in_words
from workbench.hook_names import NamesFilter, alias, chosen, short
from workbench.options import CaptureError, CaptureOptions
from workbench.trace import Trace

HookFunction = Callable[..., Tensor | None]
CACHE_BUDGET = 4 * 2**30


class ActivationCache(Mapping[str, Tensor]):
    """What flowed through hook points in one pass, by name, in forward order.

    `cache["blocks.3.attn.hook_pattern"]`, and as in TransformerLens `cache["pattern", 3]`, `cache["embed"]`
    and `cache["blocks.1.mlp.hook_expert_weights"]`. The tensors are those of the pass itself, not copies.

    Attributes:
        trace: the same pass as a Trace without generated tokens, with whatever `capture` asked for.
    """

    def __init__(self, llama: Llama4, tensors: dict[str, Tensor], trace: Trace) -> None:
        self._llama = llama
        self._tensors = {name: tensors[name] for name in llama.hook_points if name in tensors}
        self.trace = trace

    def __getitem__(self, key: str | tuple[str, int]) -> Tensor:
        """The tensor of a point.

        Raises:
            UnknownHookError: there is no such point, or it was not chosen; says the nearest that was.
        """
        if isinstance(key, tuple):
            name = short(self._llama, *key)
        else:
            name = alias(self._llama, key)
            name = name if name in self._llama.hook_points else short(self._llama, key)
        if name in self._tensors:
            return self._tensors[name]
        # an unknown name is told by the names that there are; one that was not chosen, by those that were
        known = name in self._llama.hook_points
        find_hook_point(self._tensors if known else self._llama.hook_points, name if known else str(key))
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        try:
            return isinstance(key, str | tuple) and self[key] is not None
        except (KeyError, TypeError):
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self._tensors.values())

    def __repr__(self) -> str:
        return f"ActivationCache({len(self)} hook points, {in_words(self.nbytes)}, {self.trace!r})"


@dataclass(frozen=True)
class Pass:
    """What one pass gave: logits [1, T, V], the cache, and its trace (which the cache has as well)."""

    logits: Tensor
    cache: ActivationCache
    trace: Trace


def as_inputs(llama: Llama4, processor: Processor, given: Inputs | Tensor | str | Sequence[dict]) -> Inputs:
    """A prompt out of what people have: processed inputs, token ids [T] or [1, T], a question, messages.

    Raises:
        ValueError: several rows, no tokens, ids that the vocabulary does not have, or more than the context.
    """
    if isinstance(given, Inputs):
        inputs = given
    elif isinstance(given, Tensor):
        ids = given[0] if given.dim() == 2 and len(given) == 1 else given
        size = llama.config.text.vocab_size
        if ids.dim() != 1 or not len(ids) or ids.is_floating_point():
            raise ValueError(
                f"token ids are {tuple(given.shape)} {given.dtype}; expected whole numbers [tokens] or "
                "[1, tokens]; give several prompts one after the other"
            )
        if int(ids.min()) < 0 or int(ids.max()) >= size:
            raise ValueError(f"token ids reach from {int(ids.min())} to {int(ids.max())} of {size}")
        inputs = Inputs(ids.long().cpu(), None, Spans.of_text(len(ids), 0, ""), ())
    else:
        inputs = processor(given)
    context = llama.config.text.max_position_embeddings
    if len(inputs.token_ids) > context:
        raise ValueError(f"{len(inputs.token_ids)} tokens are more than this model's context of {context}")
    return inputs


def one_pass(
    llama: Llama4,
    processor: Processor,
    inputs: Inputs,
    options: CaptureOptions,
    meta: dict,
    points: Sequence[HookPoint] = (),
    hooks: Sequence[tuple[HookPoint, HookFunction]] = (),
) -> Pass:
    """Run the prompt once, without a cache, edited by `hooks` and watched at `points`.

    Raises:
        CaptureError: a hook point that was asked for carried nothing.
    """
    if options.rows == "generated":
        options = replace(options, rows="last")  # the row behind the next word, as there is no other
    capture = Capture(llama, processor, inputs, options, planned(llama, inputs, options, 0), meta)
    fired: set[str] = set()
    with torch.no_grad(), ExitStack() as stack:
        for point, function in hooks:
            stack.enter_context(replaced(point, _calling(point, function, fired)))
        stack.enter_context(capture.watching())
        kept = stack.enter_context(recorded(points))
        logits = llama(inputs.token_ids[None].to(llama.device), pixel_values=inputs.pixel_values)
        capture.add_pass()
    idle = [point.name for point, _ in hooks if point.name not in fired]
    if idle := idle + [point.name for point in points if point.name not in kept]:
        raise CaptureError(f"the pass carried nothing through {idle[0]}; nothing was read or edited there")
    trace = capture.trace(0, passes=1)
    return Pass(logits, ActivationCache(llama, kept, trace), trace)


def hooked(
    llama: Llama4, fwd_hooks: Sequence[tuple[NamesFilter, HookFunction]], pictures: bool
) -> list[tuple[HookPoint, HookFunction]]:
    """Points and functions out of TransformerLens' `fwd_hooks`.

    Raises:
        TypeError: an entry is no pair of a name or filter and a function.
        UnknownHookError, ValueError: see `workbench.hook_names.chosen`.
    """
    pairs = []
    for number, entry in enumerate(fwd_hooks):
        if not isinstance(entry, tuple | list) or len(entry) != 2 or not callable(entry[1]):
            raise TypeError(
                f"fwd_hooks[{number}] is {entry!r}; expected (name or filter, function of tensor and hook)"
            )
        pairs += [(point, entry[1]) for point in chosen(llama, entry[0], pictures)]
    return pairs


def check_budget(llama: Llama4, points: Sequence[HookPoint], inputs: Inputs, budget: int | None) -> None:
    """Nothing, where the values of all `points` fit.

    Raises:
        CaptureError: they do not; names the largest, its axes multiplied out, and what to do.
    """
    shapes = {point.name: _shape(llama, point, inputs) for point in points}
    sizes = {point.name: math.prod(shapes[point.name]) * _itemsize(llama, point) for point in points}
    if budget is None or sum(sizes.values()) <= budget:
        return
    largest = max(sizes, key=sizes.get)
    factors = " x ".join(f"{size:,}" for size in shapes[largest])
    raise CaptureError(
        f"{len(points)} hook points carry {in_words(sum(sizes.values()))} in a pass of "
        f"{len(inputs.token_ids):,} tokens, the budget is {in_words(budget)}. The largest is {largest}: "
        f"{factors} values = {in_words(sizes[largest])}. Choose fewer with names_filter, or raise budget"
    )


def _calling(point: HookPoint, function: HookFunction, fired: set[str]) -> Callable[[Tensor], Tensor]:
    def edit(value: Tensor) -> Tensor:
        fired.add(point.name)
        # by keyword, as TransformerLens does: `partial(f, head=3)` of `f(value, head, hook)` works
        new = function(value, hook=point)
        return value if new is None else new

    return edit


def _shape(llama: Llama4, point: HookPoint, inputs: Inputs) -> list[int]:
    """Sizes of what flows through a point in one pass over the prompt (model.hooks names the axes)."""
    text, vision, tokens = llama.config.text, llama.config.vision, len(inputs.token_ids)
    sizes = {
        "B": 1, "T": tokens, "S": tokens, "R": tokens, "H": text.num_attention_heads,
        "G": text.num_key_value_heads, "D": text.head_dim, "M": text.hidden_size, "V": text.vocab_size,
        "E": text.num_local_experts, "K": text.num_experts_per_tok,
        "F": text.intermediate_size if ".moe." in point.name else text.intermediate_size_mlp,
    }  # fmt: skip
    if vision is not None:
        tiles = 0 if inputs.pixel_values is None else len(inputs.pixel_values)
        sizes |= {"N": tiles, "P": vision.tokens_per_tile, "W": vision.hidden_size}
        sizes |= {"C": vision.num_channels, "X": vision.image_size}
        if point.name.startswith("vision."):
            sizes |= {"P": vision.patches_per_side**2 + 1, "H": vision.num_attention_heads}
    return [sizes[letter] for letter in point.letters]


def _itemsize(llama: Llama4, point: HookPoint) -> int:
    own = {"hook_pattern": 4, "hook_expert_indices": 8}
    return own.get(point.name.rsplit(".", 1)[-1], llama.dtype.itemsize)
