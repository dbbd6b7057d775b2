"""Four-bit integers with a scale for every group of a row's weights; activations keep their dtype.

This is the form that Meta's own code gives Llama 4 on the fly (`int4_mixed` in llama-models): symmetric,
group 128 along the input, `scale = max|w| / 8`, codes -8 to 7. The largest positive weight of a group is
therefore cut to 7/8 of itself. What stands here is the definition, in plain torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

GROUP = 128
SMALLEST = 1e-6  # the least largest weight of a group, as in Meta's code


@dataclass(frozen=True, eq=False)
class GroupScaled:
    """Two codes a byte, [..., N, K/2] uint8, and a float32 scale a group, [..., N, K/group].

    The low half of a byte is the even input, the high half the odd one after it; both in two's complement.
    """

    packed: Tensor
    scale: Tensor

    @classmethod
    def empty(
        cls, shape: tuple[int, ...], device: torch.device | str | None = None, group: int = GROUP
    ) -> GroupScaled:
        """Room for values of this shape.

        Raises:
            ValueError: the last axis is no multiple of `group`, or `group` is odd.
        """
        _refuse_torn_groups(shape, group)
        packed = torch.empty(*shape[:-1], shape[-1] // 2, dtype=torch.uint8, device=device)
        scale = torch.empty(*shape[:-1], shape[-1] // group, dtype=torch.float32, device=device)
        return cls(packed, scale)

    @property
    def shape(self) -> torch.Size:
        """Of the values."""
        return torch.Size((*self.packed.shape[:-1], 2 * self.packed.shape[-1]))

    @property
    def group(self) -> int:
        """Values that share a scale."""
        return self.shape[-1] // self.scale.shape[-1]

    def __getitem__(self, index: int | slice | Tensor) -> GroupScaled:
        """Along the first axis, as a tensor: one expert of many."""
        return GroupScaled(self.packed[index], self.scale[index])


def quantize_groups(w: Tensor, group: int = GROUP) -> GroupScaled:
    """The nearest codes for `w` [..., N, K].

    Raises:
        ValueError: K is no multiple of `group`, `group` is odd, or w has a value that is not finite.
    """
    _refuse_torn_groups(w.shape, group)
    groups = w.float().unflatten(-1, (-1, group))
    scale = groups.abs().amax(dim=-1).clamp(min=SMALLEST) / 8
    # a group's largest magnitude is NaN or infinite if any of its values is
    if not bool(torch.isfinite(scale).all()):
        raise ValueError("cannot quantize: there are values that are NaN or infinite")
    codes = (groups / scale[..., None]).round_().clamp_(-8, 7).to(torch.int8).flatten(-2)
    low, high = codes[..., ::2] & 0xF, codes[..., 1::2] << 4
    return GroupScaled((low | high).view(torch.uint8), scale)


def _refuse_torn_groups(shape: tuple[int, ...], group: int) -> None:
    if group < 2 or group % 2 or shape[-1] % group:
        raise ValueError(
            f"{list(shape)} does not fit int4 in groups of {group}; "
            "expected an even group that divides the last axis"
        )


def codes(w: GroupScaled) -> Tensor:
    """The codes one a byte, [..., N, K] int8, -8 to 7."""
    pairs = w.packed.view(torch.int8)
    # a shift to the right keeps the sign
    return torch.stack([(pairs << 4) >> 4, pairs >> 4], dim=-1).flatten(-2)


def dequantize(w: GroupScaled, dtype: torch.dtype) -> Tensor:
    """The values in `dtype`, multiplied in float32 and rounded once."""
    pairs = w.packed.view(torch.int8).unflatten(-1, (-1, w.group // 2))
    values = torch.empty(w.shape, dtype=torch.float32, device=w.packed.device)
    places = values.unflatten(-1, (-1, w.group // 2, 2))
    # both halves go to their places as they are multiplied: half the time of unpacking them first
    torch.mul((pairs << 4) >> 4, w.scale[..., None], out=places[..., 0])
    torch.mul(pairs >> 4, w.scale[..., None], out=places[..., 1])
    return values.to(dtype)


def linear(x: Tensor, w: GroupScaled) -> Tensor:
    """`x @ w.T` with the weights' values in x's dtype (W4A16); x [..., K] and w [N, K] give [..., N]."""
    return F.linear(x, dequantize(w, x.dtype))
