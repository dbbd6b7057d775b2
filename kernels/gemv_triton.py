"""A few rows, each with its own expert: the regime in which a card only reads weights.

A program multiplies BN weight rows with the whole input of one pair, in float32 on the ordinary cores, and
adds up once, at the end. Where blocks of weights have scales, these multiply the inputs; so the BN rows have
to lie in one block, which the launch sees to. Plain weights are FP8 weights whose scales are all one (a
stride of zero).
"""

from __future__ import annotations

import triton
import triton.language as tl

from kernels.shared_triton import load_below, row_scale, swiglu, to_e4m3


@triton.jit
def scaled(b_x, p_scale, o_k, K, BLOCK: tl.constexpr, MASKED: tl.constexpr):
    """Inputs times the scales of their blocks, if there are blocks."""
    if BLOCK == 1:
        return b_x
    return b_x * load_below(p_scale + o_k // BLOCK, o_k, K, MASKED)


@triton.jit
def gate_up_gemv_kernel(
    p_x, p_x_scale, p_w, p_w_scale, p_experts, p_out, p_largest, K, F, s_expert, s_x_scale, s_scale_expert,
    s_scale_row, s_largest, BLOCK: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, MASKED: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """SwiGLU's inner values of one pair, BN of them; and, where asked for, the largest magnitude."""
    i_pair = tl.program_id(1).to(tl.int64)
    i_expert = tl.load(p_experts + i_pair).to(tl.int64)
    i_first = tl.program_id(0) * BN
    o_n = i_first + tl.arange(0, BN)
    o_row = tl.minimum(o_n, F - 1).to(tl.int64)  # beyond the last row the last one again, not stored
    o_k = tl.arange(0, BK)
    p_gate = p_w + i_expert * s_expert + o_row[:, None] * K + o_k[None, :]
    p_up = p_gate + F.to(tl.int64) * K
    p_expert_scale = p_w_scale + i_expert * s_scale_expert
    p_gate_block = p_expert_scale + i_first // BLOCK * s_scale_row
    p_up_block = p_expert_scale + (i_first + F) // BLOCK * s_scale_row
    p_pair_scale = p_x_scale + i_pair * s_x_scale
    gate = tl.zeros([BN, BK], tl.float32)
    up = tl.zeros([BN, BK], tl.float32)
    for k in tl.range(0, K, BK, num_stages=STAGES):
        b_x = load_below(p_x + i_pair * K + k + o_k, k + o_k, K, MASKED).to(tl.float32)
        b_x = scaled(b_x, p_pair_scale, k + o_k, K, BLOCK, MASKED)
        b_gate = load_below(p_gate + k, (k + o_k)[None, :], K, MASKED).to(tl.float32)
        gate += b_gate * scaled(b_x, p_gate_block, k + o_k, K, BLOCK, MASKED)[None, :]
        b_up = load_below(p_up + k, (k + o_k)[None, :], K, MASKED).to(tl.float32)
        up += b_up * scaled(b_x, p_up_block, k + o_k, K, BLOCK, MASKED)[None, :]
    gate, up = tl.sum(gate, axis=1), tl.sum(up, axis=1)
    if BLOCK == 1:
        p_scale = p_expert_scale + o_row * s_scale_row
        x_scale = tl.load(p_pair_scale)
        gate = gate * x_scale * tl.load(p_scale)
        up = up * x_scale * tl.load(p_scale + F * s_scale_row)
    inner = swiglu(gate, up).to(p_out.dtype.element_ty)
    tl.store(p_out + i_pair * F + o_n, inner, mask=o_n < F)
    if p_largest is not None:
        largest = tl.max(tl.abs(inner.to(tl.float32)), axis=0)
        p_largest += i_pair * s_largest
        if BLOCK > 1:
            p_largest += i_first // BLOCK
        # floats that are not negative are in the order of their bits
        tl.atomic_max(p_largest, largest.to(tl.int32, bitcast=True))


@triton.jit
def rows_gemv_kernel(
    p_x, p_largest, p_w, p_w_scale, p_experts, p_rows, p_out, pairs, K, N, s_expert, s_scale_expert,
    s_scale_row, s_largest, BLOCK: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, MASKED: tl.constexpr,
    STAGES: tl.constexpr, BY_HAND: tl.constexpr,
):  # fmt: skip
    """BN outputs of one row: the sum over its pairs. With `p_largest`, inputs are quantized on the way."""
    i_row = tl.program_id(1).to(tl.int64)
    i_first = tl.program_id(0) * BN
    o_n = i_first + tl.arange(0, BN)
    o_weight = tl.minimum(o_n, N - 1).to(tl.int64)
    o_k = tl.arange(0, BK)
    total = tl.zeros([BN], tl.float32)
    for i_pair in range(pairs):
        if tl.load(p_rows + i_pair) == i_row:
            i_expert = tl.load(p_experts + i_pair).to(tl.int64)
            p_weight = p_w + i_expert * s_expert + o_weight[:, None] * K + o_k[None, :]
            p_expert_scale = p_w_scale + i_expert * s_scale_expert
            p_block = p_expert_scale + i_first // BLOCK * s_scale_row
            x_scale = 1.0
            if p_largest is not None and BLOCK == 1:
                x_scale = row_scale(tl.load(p_largest + i_pair).to(tl.float32, bitcast=True))
            products = tl.zeros([BN, BK], tl.float32)
            for k in tl.range(0, K, BK, num_stages=STAGES):
                b_x = load_below(p_x + i_pair * K + k + o_k, k + o_k, K, MASKED).to(tl.float32)
                if p_largest is not None and BLOCK == 1:
                    b_x = to_e4m3(tl.div_rn(b_x, x_scale), BY_HAND).to(tl.float32)
                if BLOCK > 1:
                    p_bits = p_largest + i_pair * s_largest + (k + o_k) // BLOCK
                    b_bits = load_below(p_bits, k + o_k, K, MASKED)
                    b_scale = row_scale(b_bits.to(tl.float32, bitcast=True))
                    b_x = to_e4m3(tl.div_rn(b_x, b_scale), BY_HAND).to(tl.float32) * b_scale
                    b_x = scaled(b_x, p_block, k + o_k, K, BLOCK, MASKED)
                b_w = load_below(p_weight + k, (k + o_k)[None, :], K, MASKED)
                products += b_w.to(tl.float32) * b_x[None, :]
            answer = tl.sum(products, axis=1)
            if BLOCK == 1:
                answer = answer * x_scale * tl.load(p_expert_scale + o_weight * s_scale_row)
            total += answer.to(p_out.dtype.element_ty).to(tl.float32)
    tl.store(p_out + i_row * N + o_n, total.to(p_out.dtype.element_ty), mask=o_n < N)
