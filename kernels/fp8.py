"""Eight-bit floats (E4M3): weights with one scale a row or a block, and products with activations in the same
format.

E4M3 has three bits of mantissa, reaches 448, has no infinity, and two codes for NaN. A scale stretches it
over the values it stands for; since a row's scale is one number, it leaves the product and multiplies its
result ("FP8 Formats for Deep Learning", arXiv:2209.05433; row-wise scales as in FBGEMM). What stands here is
the definition, in plain torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

LARGEST = 448.0  # of E4M3
SMALLEST_SCALE = torch.finfo(torch.float32).tiny  # a row of zeros has this one, and codes of zero
BLOCK = 128


@dataclass(frozen=True, eq=False)
class RowScaled:
    """E4M3 codes [..., rows, K] with a float32 scale [..., rows, 1]; `codes * scale` are the values."""

    codes: Tensor
    scale: Tensor

    @classmethod
    def empty(cls, shape: tuple[int, ...], device: torch.device | str | None = None) -> RowScaled:
        """Room for values of this shape."""
        codes = torch.empty(shape, dtype=torch.float8_e4m3fn, device=device)
        return cls(codes, torch.empty(*shape[:-1], 1, device=device, dtype=torch.float32))

    @property
    def shape(self) -> torch.Size:
        """Of the values."""
        return self.codes.shape

    def __getitem__(self, index: int | slice | Tensor) -> RowScaled:
        """Along the first axis, as a tensor: one expert of many."""
        return RowScaled(self.codes[index], self.scale[index])


@dataclass(frozen=True, eq=False)
class BlockScaled:
    """E4M3 codes [..., N, K] and a float32 scale a block of 128 by 128, [..., ceil(N/128), ceil(K/128)]."""

    codes: Tensor
    scale: Tensor

    @classmethod
    def empty(cls, shape: tuple[int, ...], device: torch.device | str | None = None) -> BlockScaled:
        """Room for values of this shape."""
        codes = torch.empty(shape, dtype=torch.float8_e4m3fn, device=device)
        blocks = [-(-size // BLOCK) for size in shape[-2:]]
        return cls(codes, torch.empty(*shape[:-2], *blocks, device=device, dtype=torch.float32))

    @property
    def shape(self) -> torch.Size:
        """Of the values."""
        return self.codes.shape

    def __getitem__(self, index: int | slice | Tensor) -> BlockScaled:
        """Along the first of three axes, as a tensor: one expert of many."""
        return BlockScaled(self.codes[index], self.scale[index])


@dataclass(frozen=True, eq=False)
class Rounded:
    """Activations `plain` [..., K] beside their codes, made once for several products.

    What multiplies with FP8 rows takes the codes; everything else takes the plain ones.
    """

    plain: Tensor
    rows: RowScaled


def quantize_rows(x: Tensor) -> RowScaled:
    """The nearest codes for `x` [..., K], with each row's largest magnitude at 448.

    Raises:
        ValueError: x has a value that is not finite. (`linear` does not look at activations, which would wait
            for the device; there a NaN or infinity makes its row NaN.)
    """
    rows = nearest_rows(x)
    # a row's largest magnitude is NaN or infinite if any of its values is
    if not bool(torch.isfinite(rows.scale).all()):
        raise ValueError("cannot quantize: there are values that are NaN or infinite")
    return rows


def nearest_rows(x: Tensor) -> RowScaled:
    """`quantize_rows` without its look at the values: the device is not waited for."""
    scale = row_scale(x)
    # the largest quotient is 448 but for the rounding of a division, and its nearest code is 448
    return RowScaled((x / scale).to(torch.float8_e4m3fn), scale)


def row_scale(x: Tensor) -> Tensor:
    """The float32 scale [..., 1] that brings the largest magnitude of each row of `x` [..., K] to 448."""
    return (x.abs().amax(dim=-1, keepdim=True).float() / LARGEST).clamp(min=SMALLEST_SCALE)


def expand(codes: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """The values of finite E4M3 codes, exactly, without a scale; for a CPU, where `.to` is five times slower.

    An E4M3 number is a bfloat16 with the same bits moved to its fields, 2**120 times too small; bfloat16's
    subnormals make E4M3's right as well (unless `torch.set_flush_denormal` is on). The two NaN codes become
    480 and -480: they must have been refused before.
    """
    bits = codes.view(torch.int8).to(torch.int16)
    # sign to bit 15, which sign extension has kept; exponent and mantissa to bits 4 to 10
    bits.bitwise_left_shift_(4).bitwise_and_(-0x7810)
    return bits.view(torch.bfloat16).mul_(2.0**120).to(dtype)


def dequantize(w: RowScaled | BlockScaled, dtype: torch.dtype) -> Tensor:
    """The values in `dtype`, multiplied in float32 and rounded once."""
    if isinstance(w, BlockScaled):
        return (w.codes.float() * _spread(w)).to(dtype)
    return (w.codes.float() * w.scale).to(dtype)


def linear(x: Tensor, w: RowScaled | BlockScaled, rows: RowScaled | None = None) -> Tensor:
    """`x @ w.T` with both sides in E4M3 (W8A8); x [..., K] and w [N, K] give [..., N] in x's dtype.

    The activations get a scale a row, or, beside blocks, a scale for every 128 values of a row. Products and
    sums are float32. With row scales the codes are multiplied first and the scales after; `rows` are those of
    x, if they are there already.
    """
    if isinstance(w, BlockScaled):
        return F.linear(rounded_in_groups(x), dequantize(w, torch.float32)).to(x.dtype)
    rows = nearest_rows(x) if rows is None else rows
    product = F.linear(rows.codes.float(), w.codes.float())
    return (product * rows.scale * w.scale.squeeze(-1)).to(x.dtype)


def _spread(w: BlockScaled) -> Tensor:
    """A scale for every value; blocks at the lower and right edge may be cut short."""
    rows, columns = w.codes.shape[-2:]
    scale = w.scale.repeat_interleave(BLOCK, dim=-2)[..., :rows, :]
    return scale.repeat_interleave(BLOCK, dim=-1)[..., :columns]


def rounded_in_groups(x: Tensor) -> Tensor:
    """`x` as float32, every 128 values of a row rounded to E4M3 with a scale of their own."""
    width = x.shape[-1]
    groups = F.pad(x, (0, -width % BLOCK)).unflatten(-1, (-1, BLOCK))
    return dequantize(nearest_rows(groups), torch.float32).flatten(-2)[..., :width]
