"""A few rows, each with its own expert: the regime in which a card only reads weights.

A program multiplies BN weight rows with the whole input of one pair, in float32 on the ordinary cores, and
adds up once, at the end. Plain weights are FP8 weights whose scales are all one (a stride of zero).
"""

from __future__ import annotations

import triton
import triton.language as tl

from kernels.shared_triton import load_below, row_scale, swiglu, to_e4m3


@triton.jit
def gate_up_gemv_kernel(
    p_x, p_x_scale, p_w, p_w_scale, p_experts, p_out, p_largest, K, F, s_expert, s_x_scale, s_scale_expert,
    s_scale_row, BN: tl.constexpr, BK: tl.constexpr, MASKED: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """SwiGLU's inner values of one pair, BN of them; and, where asked for, their largest magnitude."""
    i_pair = tl.program_id(1).to(tl.int64)
    i_expert = tl.load(p_experts + i_pair).to(tl.int64)
    o_n = tl.program_id(0) * BN + tl.arange(0, BN)
    o_row = tl.minimum(o_n, F - 1).to(tl.int64)  # beyond the last row the last one again, not stored
    o_k = tl.arange(0, BK)
    p_gate = p_w + i_expert * s_expert + o_row[:, None] * K + o_k[None, :]
    p_up = p_gate + F.to(tl.int64) * K
    gate = tl.zeros([BN, BK], tl.float32)
    up = tl.zeros([BN, BK], tl.float32)
    for k in tl.range(0, K, BK, num_stages=STAGES):
        b_x = load_below(p_x + i_pair * K + k + o_k, k + o_k, K, MASKED).to(tl.float32)[None, :]
        gate += load_below(p_gate + k, (k + o_k)[None, :], K, MASKED).to(tl.float32) * b_x
        up += load_below(p_up + k, (k + o_k)[None, :], K, MASKED).to(tl.float32) * b_x
    p_scale = p_w_scale + i_expert * s_scale_expert + o_row * s_scale_row
    x_scale = tl.load(p_x_scale + i_pair * s_x_scale)
    gate = tl.sum(gate, axis=1) * x_scale * tl.load(p_scale)
    up = tl.sum(up, axis=1) * x_scale * tl.load(p_scale + F * s_scale_row)
    inner = swiglu(gate, up).to(p_out.dtype.element_ty)
    tl.store(p_out + i_pair * F + o_n, inner, mask=o_n < F)
    if p_largest is not None:
        largest = tl.max(tl.abs(inner.to(tl.float32)), axis=0)
        # floats that are not negative are in the order of their bits
        tl.atomic_max(p_largest + i_pair, largest.to(tl.int32, bitcast=True))


@triton.jit
def rows_gemv_kernel(
    p_x, p_largest, p_w, p_w_scale, p_experts, p_rows, p_out, pairs, K, N, s_expert, s_scale_expert,
    s_scale_row, BN: tl.constexpr, BK: tl.constexpr, MASKED: tl.constexpr, STAGES: tl.constexpr,
    BY_HAND: tl.constexpr,
):  # fmt: skip
    """BN outputs of one row: the sum over its pairs. With `p_largest`, inputs are quantized on the way."""
    i_row = tl.program_id(1).to(tl.int64)
    o_n = tl.program_id(0) * BN + tl.arange(0, BN)
    o_weight = tl.minimum(o_n, N - 1).to(tl.int64)
    o_k = tl.arange(0, BK)
    total = tl.zeros([BN], tl.float32)
    for i_pair in range(pairs):
        if tl.load(p_rows + i_pair) == i_row:
            i_expert = tl.load(p_experts + i_pair).to(tl.int64)
            p_weight = p_w + i_expert * s_expert + o_weight[:, None] * K + o_k[None, :]
            x_scale = 1.0
            if p_largest is not None:
                x_scale = row_scale(tl.load(p_largest + i_pair).to(tl.float32, bitcast=True))
            products = tl.zeros([BN, BK], tl.float32)
            for k in tl.range(0, K, BK, num_stages=STAGES):
                b_x = load_below(p_x + i_pair * K + k + o_k, k + o_k, K, MASKED).to(tl.float32)
                if p_largest is not None:
                    b_x = to_e4m3(tl.div_rn(b_x, x_scale), BY_HAND).to(tl.float32)
                b_w = load_below(p_weight + k, (k + o_k)[None, :], K, MASKED)
                products += b_w.to(tl.float32) * b_x[None, :]
            scale = tl.load(p_w_scale + i_expert * s_scale_expert + o_weight * s_scale_row)
            answer = tl.sum(products, axis=1) * x_scale * scale
            total += answer.to(p_out.dtype.element_ty).to(tl.float32)
    tl.store(p_out + i_row * N + o_n, total.to(p_out.dtype.element_ty), mask=o_n < N)
