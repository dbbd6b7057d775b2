"""Row-wise FP8 quantization on a card, alone or while rows are gathered for their experts."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.fp8 import RowScaled
from kernels.shared_triton import by_hand, row_scale, to_e4m3


@triton.jit
def quantize_rows_kernel(p_x, p_codes, p_scale, K, BK: tl.constexpr, BY_HAND: tl.constexpr):
    """One row a program."""
    i_row = tl.program_id(0).to(tl.int64)
    o = tl.arange(0, BK)
    b_x = tl.load(p_x + i_row * K + o, mask=o < K, other=0.0).to(tl.float32)
    scale = row_scale(tl.max(tl.abs(b_x), axis=0))
    tl.store(p_codes + i_row * K + o, to_e4m3(tl.div_rn(b_x, scale), BY_HAND), mask=o < K)
    tl.store(p_scale + i_row, scale)


@triton.jit
def gated_row(p_x, p_gates, p_rows, p_order, i_at, K, o):
    """The input at offsets `o` of the pair that stands at `i_at` once sorted, times its gate; float32."""
    i_pair = i_at
    if p_order is not None:
        i_pair = tl.load(p_order + i_at).to(tl.int64)
    i_row = tl.load(p_rows + i_pair).to(tl.int64)
    gate = tl.load(p_gates + i_pair).to(tl.float32)
    return tl.load(p_x + i_row * K + o, mask=o < K, other=0.0).to(tl.float32) * gate


@triton.jit
def gather_quantized_kernel(
    p_x, p_gates, p_rows, p_order, p_codes, p_scale, p_largest, K, BK: tl.constexpr, BY_HAND: tl.constexpr
):
    """One pair a program: its row, gated, rounded to the row's own dtype, quantized."""
    i_at = tl.program_id(0).to(tl.int64)
    o = tl.arange(0, BK)
    b_x = gated_row(p_x, p_gates, p_rows, p_order, i_at, K, o).to(p_x.dtype.element_ty).to(tl.float32)
    scale = row_scale(tl.max(tl.abs(b_x), axis=0))
    tl.store(p_codes + i_at * K + o, to_e4m3(tl.div_rn(b_x, scale), BY_HAND), mask=o < K)
    tl.store(p_scale + i_at, scale)
    if p_largest is not None:  # the maximum that the next kernel takes begins here
        tl.store(p_largest + i_at, 0)


@triton.jit
def gather_kernel(p_x, p_gates, p_rows, p_order, p_out, K, SPLIT: tl.constexpr, BK: tl.constexpr):
    """One pair a program: its row, gated; with SPLIT the even inputs first, then the odd ones."""
    i_at = tl.program_id(0).to(tl.int64)
    o = tl.arange(0, BK)
    b_x = gated_row(p_x, p_gates, p_rows, p_order, i_at, K, o)
    o_to = (o % 2) * (K // 2) + o // 2 if SPLIT else o
    tl.store(p_out + i_at * K + o_to, b_x.to(p_out.dtype.element_ty), mask=o < K)


def quantize_rows(x: Tensor) -> RowScaled:
    """Twin of `kernels.fp8.nearest_rows` for x [rows, K]."""
    made = RowScaled.empty(tuple(x.shape), x.device)
    if len(x):
        block = _block(x)
        quantize_rows_kernel[(len(x),)](
            x.contiguous(), made.codes, made.scale, x.shape[1], **block, BY_HAND=by_hand()
        )
    return made


def gather_quantized(
    x: Tensor, rows: Tensor, order: Tensor | None, gates: Tensor, largest: Tensor | None = None
) -> RowScaled:
    """`nearest_rows((x[rows] * gates)[order])`; sets `largest` [pairs] to zero."""
    made = RowScaled.empty((len(rows), x.shape[1]), x.device)
    gather_quantized_kernel[(len(rows),)](
        x, gates, rows, order, made.codes, made.scale, largest, x.shape[1], **_block(x), BY_HAND=by_hand()
    )
    return made


def gather(x: Tensor, rows: Tensor, order: Tensor | None, gates: Tensor, split: bool) -> Tensor:
    """`(x[rows] * gates)[order]`; split puts the even inputs of each row before its odd ones."""
    out = torch.empty(len(rows), x.shape[1], dtype=x.dtype, device=x.device)
    gather_kernel[(len(rows),)](x, gates, rows, order, out, x.shape[1], SPLIT=split, **_block(x))
    return out


def _block(x: Tensor) -> dict[str, int]:
    """A whole row at once."""
    width = triton.next_power_of_2(x.shape[1])
    return {"BK": width, "num_warps": 4 if width <= 4096 else 8}
