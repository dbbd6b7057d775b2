"""FP8 quantization on a card, a scale a row or a group of it; alone, behind a norm, or while gathering."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.fp8 import Rounded, RowScaled
from kernels.shared_triton import by_hand, row_scale, to_e4m3


@triton.jit
def store_quantized(
    b_x, o, p_codes, p_scale, i_row, K, BG: tl.constexpr, GROUP: tl.constexpr, BY_HAND: tl.constexpr
):
    """Codes and scales of one row [BG, GROUP]; a row that is one group has one scale."""
    b_scale = row_scale(tl.max(tl.abs(b_x), axis=1))
    b_codes = to_e4m3(tl.div_rn(b_x, b_scale[:, None]), BY_HAND)
    tl.store(p_codes + i_row * K + o, b_codes, mask=o < K)
    o_group = tl.arange(0, BG)
    tl.store(p_scale + i_row * ((K + GROUP - 1) // GROUP) + o_group, b_scale, mask=o_group * GROUP < K)


@triton.jit
def quantize_rows_kernel(
    p_x, p_codes, p_scale, K, BG: tl.constexpr, GROUP: tl.constexpr, BY_HAND: tl.constexpr
):
    """One row a program."""
    i_row = tl.program_id(0).to(tl.int64)
    o = tl.arange(0, BG)[:, None] * GROUP + tl.arange(0, GROUP)[None, :]
    b_x = tl.load(p_x + i_row * K + o, mask=o < K, other=0.0).to(tl.float32)
    store_quantized(b_x, o, p_codes, p_scale, i_row, K, BG, GROUP, BY_HAND)


@triton.jit
def rms_norm_rounded_kernel(
    p_x, p_weight, p_out, p_codes, p_scale, K, eps, BK: tl.constexpr, BY_HAND: tl.constexpr
):
    """One row a program: normed, rounded to its dtype, weighted, rounded again, quantized."""
    i_row = tl.program_id(0).to(tl.int64)
    o = tl.arange(0, BK)[None, :]
    b_x = tl.load(p_x + i_row * K + o, mask=o < K, other=0.0).to(tl.float32)
    mean = tl.sum(b_x * b_x, axis=1) / K
    b_x = (b_x * tl.rsqrt(mean + eps)[:, None]).to(p_out.dtype.element_ty).to(tl.float32)
    b_x = b_x * tl.load(p_weight + o, mask=o < K, other=0.0).to(tl.float32)
    b_out = b_x.to(p_out.dtype.element_ty)
    tl.store(p_out + i_row * K + o, b_out, mask=o < K)
    store_quantized(b_out.to(tl.float32), o, p_codes, p_scale, i_row, K, 1, BK, BY_HAND)


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
    p_x, p_gates, p_rows, p_order, p_codes, p_scale, p_largest, K, s_largest, BG: tl.constexpr,
    GROUP: tl.constexpr, BY_HAND: tl.constexpr,
):  # fmt: skip
    """One pair a program: its row, gated, rounded to the row's own dtype, quantized."""
    i_at = tl.program_id(0).to(tl.int64)
    o = tl.arange(0, BG)[:, None] * GROUP + tl.arange(0, GROUP)[None, :]
    b_x = gated_row(p_x, p_gates, p_rows, p_order, i_at, K, o).to(p_x.dtype.element_ty).to(tl.float32)
    store_quantized(b_x, o, p_codes, p_scale, i_at, K, BG, GROUP, BY_HAND)
    if p_largest is not None:  # the maxima that the next kernel takes begin here
        for i in range(s_largest):
            tl.store(p_largest + i_at * s_largest + i, 0)


@triton.jit
def gather_kernel(p_x, p_gates, p_rows, p_order, p_out, K, SPLIT: tl.constexpr, BK: tl.constexpr):
    """One pair a program: its row, gated; with SPLIT the even inputs first, then the odd ones."""
    i_at = tl.program_id(0).to(tl.int64)
    o = tl.arange(0, BK)
    b_x = gated_row(p_x, p_gates, p_rows, p_order, i_at, K, o)
    o_to = (o % 2) * (K // 2) + o // 2 if SPLIT else o
    tl.store(p_out + i_at * K + o_to, b_x.to(p_out.dtype.element_ty), mask=o < K)


def quantize_rows(x: Tensor, group: int | None = None) -> RowScaled:
    """Twin of `kernels.fp8.nearest_rows` for x [rows, K]; with a group, every so many values have a scale.

    Returns:
        codes [rows, K]; scale [rows, 1], or [rows, ceil(K/group)].
    """
    made = _room(*x.shape, group, x.device)
    if len(x):
        quantize_rows_kernel[(len(x),)](
            x.contiguous(), made.codes, made.scale, x.shape[1], **_tile(x, group), BY_HAND=by_hand()
        )
    return made


def rms_norm_rounded(x: Tensor, weight: Tensor, eps: float) -> Rounded:
    """Twin of `kernels.norm.rms_norm_rounded`."""
    rows = x.reshape(-1, x.shape[-1]).contiguous()
    plain = torch.empty(rows.shape, dtype=x.dtype, device=x.device)
    made = _room(*rows.shape, None, x.device)
    if len(rows):
        rms_norm_rounded_kernel[(len(rows),)](
            rows, weight.contiguous(), plain, made.codes, made.scale, rows.shape[1], eps, **_block(rows),
            BY_HAND=by_hand(),
        )  # fmt: skip
    return Rounded(
        plain.view(x.shape), RowScaled(made.codes.view(x.shape), made.scale.view(*x.shape[:-1], 1))
    )


def gather_quantized(
    x: Tensor,
    rows: Tensor,
    order: Tensor | None,
    gates: Tensor,
    largest: Tensor | None = None,
    group: int | None = None,
) -> RowScaled:
    """`quantize_rows((x[rows] * gates)[order], group)`; sets `largest` [pairs, any] to zero."""
    made = _room(len(rows), x.shape[1], group, x.device)
    gather_quantized_kernel[(len(rows),)](
        x, gates, rows, order, made.codes, made.scale, largest, x.shape[1],
        0 if largest is None else largest.shape[1], **_tile(x, group), BY_HAND=by_hand(),
    )  # fmt: skip
    return made


def gather(x: Tensor, rows: Tensor, order: Tensor | None, gates: Tensor, split: bool) -> Tensor:
    """`(x[rows] * gates)[order]`; split puts the even inputs of each row before its odd ones."""
    out = torch.empty(len(rows), x.shape[1], dtype=x.dtype, device=x.device)
    gather_kernel[(len(rows),)](x, gates, rows, order, out, x.shape[1], SPLIT=split, **_block(x))
    return out


def _room(rows: int, width: int, group: int | None, device: torch.device) -> RowScaled:
    codes = torch.empty(rows, width, dtype=torch.float8_e4m3fn, device=device)
    scales = 1 if group is None else triton.cdiv(width, group)
    return RowScaled(codes, torch.empty(rows, scales, dtype=torch.float32, device=device))


def _block(x: Tensor) -> dict[str, int]:
    """A whole row at once."""
    width = triton.next_power_of_2(x.shape[1])
    return {"BK": width, "num_warps": 4 if width <= 4096 else 8}


def _tile(x: Tensor, group: int | None) -> dict[str, int]:
    """A whole row at once, in its groups."""
    whole = _block(x)
    width = group or whole["BK"]
    groups = triton.next_power_of_2(triton.cdiv(x.shape[1], width))
    return {"BG": groups, "GROUP": width, "num_warps": whole["num_warps"]}
