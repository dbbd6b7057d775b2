"""Quantized weights in the model: what holds them, and which weights `quantize=` turns into which form.

A form is one of the types of `kernels`: `RowScaled` and `BlockScaled` (FP8), `GroupScaled` (int4). In a
quantized model, a module of the same name stands where a parameter stood, and holds codes and scales and
nothing else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import fields

import torch
from torch import Tensor, nn

from kernels import fp8, int4
from kernels.fp8 import BlockScaled, Rounded, RowScaled
from kernels.int4 import GroupScaled
from kernels.linear import linear
from kernels.pages import in_large_pages
from model.module import Module

Quantized = RowScaled | BlockScaled | GroupScaled
Form = type[RowScaled] | type[BlockScaled] | type[GroupScaled]

_ROUTED = r"\.moe\.(gate_up_proj|down_proj)"
_SHARED = r"\.moe\.shared_expert\.(gate|up|down)_proj\.weight"
# fp8 as Maverick is published: the routed experts. int4 as Meta's code does it on the fly: the shared too.
RECIPES: dict[str, tuple[Form, re.Pattern]] = {
    "fp8": (RowScaled, re.compile(_ROUTED + "$")),
    "int4": (GroupScaled, re.compile(f"({_ROUTED}|{_SHARED})$")),
}
_QUANTIZE: dict[Form, Callable[[Tensor], Quantized]] = {
    RowScaled: fp8.quantize_rows,
    GroupScaled: int4.quantize_groups,
}
_DEQUANTIZE: dict[Form, Callable[[Quantized, torch.dtype], Tensor]] = {
    RowScaled: fp8.dequantize,
    BlockScaled: fp8.dequantize,
    GroupScaled: int4.dequantize,
}
_NAMES: dict[Form, str] = {RowScaled: "FP8", BlockScaled: "FP8 in blocks", GroupScaled: "int4"}


class QuantizedWeight(nn.Module):
    """One weight, as codes and scales in buffers; `value` gives them to the kernels."""

    def __init__(self, value: Quantized) -> None:
        super().__init__()
        self.form = type(value)
        for part in fields(value):
            self.register_buffer(part.name, in_large_pages(getattr(value, part.name)))

    @property
    def value(self) -> Quantized:
        """What `kernels` computes with."""
        return self.form(**self._buffers)

    def put(self, weights: Tensor) -> None:
        """Quantize `weights` [rows, K] or [experts, rows, K] into the buffers, an expert at a time.

        Raises:
            ValueError: there are values that are not finite.
        """
        for place, one in _experts(self.value, weights):
            made = _QUANTIZE[self.form](one.to(self.scale.device))
            for part in fields(place):
                getattr(place, part.name).copy_(getattr(made, part.name))

    def plain(self, dtype: torch.dtype) -> Tensor:
        """The values of the codes, made an expert at a time."""
        values = torch.empty(self.value.shape, dtype=dtype, device=self.scale.device)
        for one, place in _experts(self.value, values):
            place.copy_(_DEQUANTIZE[self.form](one, dtype))
        return values

    def extra_repr(self) -> str:
        """For `print(llama)`."""
        return f"{list(self.value.shape)} as {self.form.__name__}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> QuantizedWeight:
        # `model.to(dtype)` is about activations: codes and scales follow to the device and stay what they are
        for name, buffer in self._buffers.items():
            self._buffers[name] = buffer.to(fn(buffer.new_empty(0)).device)
        return self


def _experts(held: Quantized, plain: Tensor) -> list[tuple[Quantized, Tensor]]:
    """Both, expert by expert: float32 copies of a whole layer would take many times its memory."""
    if plain.dim() == 2:
        return [(held, plain)]
    return [(held[expert], plain[expert]) for expert in range(len(plain))]


class QuantizedLinear(Module):
    """`nn.Linear` on a quantized weight."""

    def __init__(self, weight: QuantizedWeight, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.weight = weight
        self.bias = bias

    def forward(self, x: Tensor | Rounded) -> Tensor:
        """[..., K] to [..., N], in x's dtype."""
        y = linear(x, self.weight.value)
        return y if self.bias is None else y + self.bias


def takes_codes(*linears: nn.Module) -> bool:
    """Whether one of these linears multiplies with E4M3 codes of its input that have a scale a row."""
    # a loop, since every norm asks: `any` of a generator takes four times as long
    for one in linears:  # noqa: SIM110
        if isinstance(one, QuantizedLinear) and one.weight.form is RowScaled:
            return True
    return False


def held(weight: Tensor | QuantizedWeight) -> Tensor | Quantized:
    """What the kernels take for a weight that may be quantized."""
    return weight.value if isinstance(weight, QuantizedWeight) else weight


def recipe(name: str, llama: nn.Module) -> dict[str, Form]:
    """The form of each parameter that `quantize=name`, one of RECIPES, quantizes."""
    form, wanted = RECIPES[name]
    return {parameter: form for parameter, _ in llama.named_parameters() if wanted.search(parameter)}


def make_room(llama: nn.Module, forms: dict[str, Form], device: torch.device) -> None:
    """Put an empty `QuantizedWeight` in the place of each parameter that has a form.

    Raises:
        ValueError: a weight's shape cannot have its form; names it.
    """
    for name, form in forms.items():
        try:
            weight = QuantizedWeight(form.empty(llama.get_parameter(name).shape, device))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        owner, _, leaf = name.rpartition(".")
        module = llama.get_submodule(owner)
        if isinstance(module, nn.Linear):
            llama.set_submodule(owner, QuantizedLinear(weight, module.bias))
        else:
            delattr(module, leaf)
            setattr(module, leaf, weight)


def dequantize(llama: nn.Module, dtype: torch.dtype | None = None) -> None:
    """Turn every quantized weight of `llama` back into a plain parameter, in place.

    The values are the codes' own, so that is what to save, to train further, or to compare kernels with.

    Args:
        llama: the model.
        dtype: of the weights; by default the model's.
    """
    dtype = dtype or llama.dtype
    for owner, module in list(llama.named_modules()):
        for leaf, weight in list(module.named_children()):
            if not isinstance(weight, QuantizedWeight):
                continue
            plain = nn.Parameter(weight.plain(dtype), requires_grad=False)
            if isinstance(module, QuantizedLinear):
                again = nn.Linear(*reversed(plain.shape), bias=False, device="meta")
                again.weight, again.bias = plain, module.bias
                llama.set_submodule(owner, again)
            else:
                delattr(module, leaf)
                setattr(module, leaf, plain)


def quantized(llama: nn.Module) -> dict[str, QuantizedWeight]:
    """The quantized weights of a model by name."""
    return {name: module for name, module in llama.named_modules() if isinstance(module, QuantizedWeight)}


def held_as(llama: nn.Module) -> str:
    """How the weights are held, in words: "float32", or "bfloat16, 48 weights in FP8"."""
    forms = Counter(_NAMES[weight.form] for weight in quantized(llama).values())
    held = [f"{count} weights in {form}" for form, count in forms.items()]
    return ", ".join([str(llama.dtype).removeprefix("torch."), *held])
