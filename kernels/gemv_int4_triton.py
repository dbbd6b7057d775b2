"""A few rows, each with its own expert, int4 weights: see gemv_triton.py.

A step takes BG groups of weights, a byte holds two. So that neither half of a byte has to be moved, the even
inputs of a row stand before the odd ones, in what is read and in what the first kernel writes for the second.
"""

from __future__ import annotations

import triton
import triton.language as tl

from kernels.shared_triton import even, load_below, odd, swiglu


@triton.jit
def products(p_w, p_scale, b_even, b_odd, o_group, groups, MASKED: tl.constexpr):
    """[BN, BG, bytes] products of weights with their inputs, both halves of a byte added up."""
    b_w = load_below(p_w, o_group[None, :, None], groups, MASKED)
    b_scale = load_below(p_scale + o_group[None, :], o_group[None, :], groups, MASKED)
    return (even(b_w).to(tl.float32) * b_even + odd(b_w).to(tl.float32) * b_odd) * b_scale[:, :, None]


@triton.jit
def gate_up_gemv_int4_kernel(
    p_x, p_w, p_w_scale, p_experts, p_out, K, F, s_expert, s_scale_expert, GROUP: tl.constexpr,
    BN: tl.constexpr, BG: tl.constexpr, MASKED: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """SwiGLU's inner values of one pair, BN of them."""
    i_pair = tl.program_id(1).to(tl.int64)
    i_expert = tl.load(p_experts + i_pair).to(tl.int64)
    o_n = tl.program_id(0) * BN + tl.arange(0, BN)
    o_row = tl.minimum(o_n, F - 1).to(tl.int64)
    BYTES: tl.constexpr = GROUP // 2
    o_byte = tl.arange(0, BG)[:, None] * BYTES + tl.arange(0, BYTES)[None, :]
    half, groups = K // 2, K // GROUP
    p_gate = p_w + i_expert * s_expert + (o_row * half)[:, None, None] + o_byte[None]
    p_up = p_gate + F.to(tl.int64) * half
    p_gate_scale = p_w_scale + i_expert * s_scale_expert + (o_row * groups)[:, None]
    p_up_scale = p_gate_scale + F.to(tl.int64) * groups
    gate = tl.zeros([BN, BG, BYTES], tl.float32)
    up = tl.zeros([BN, BG, BYTES], tl.float32)
    for g in tl.range(0, groups, BG, num_stages=STAGES):
        o_group = g + tl.arange(0, BG)
        p_even = p_x + i_pair * K + g * BYTES + o_byte
        b_even = load_below(p_even, o_group[:, None], groups, MASKED).to(tl.float32)[None]
        b_odd = load_below(p_even + half, o_group[:, None], groups, MASKED).to(tl.float32)[None]
        gate += products(p_gate + g * BYTES, p_gate_scale, b_even, b_odd, o_group, groups, MASKED)
        up += products(p_up + g * BYTES, p_up_scale, b_even, b_odd, o_group, groups, MASKED)
    inner = swiglu(tl.sum(tl.sum(gate, axis=2), axis=1), tl.sum(tl.sum(up, axis=2), axis=1))
    o_to = (o_n % 2) * (F // 2) + o_n // 2
    tl.store(p_out + i_pair * F + o_to, inner.to(p_out.dtype.element_ty), mask=o_n < F)


@triton.jit
def rows_gemv_int4_kernel(
    p_x, p_w, p_w_scale, p_experts, p_rows, p_out, pairs, K, N, s_expert, s_scale_expert,
    GROUP: tl.constexpr, BN: tl.constexpr, BG: tl.constexpr, MASKED: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """BN outputs of one row: the sum over its pairs."""
    i_row = tl.program_id(1).to(tl.int64)
    o_n = tl.program_id(0) * BN + tl.arange(0, BN)
    o_weight = tl.minimum(o_n, N - 1).to(tl.int64)
    BYTES: tl.constexpr = GROUP // 2
    o_byte = tl.arange(0, BG)[:, None] * BYTES + tl.arange(0, BYTES)[None, :]
    half, groups = K // 2, K // GROUP
    total = tl.zeros([BN], tl.float32)
    for i_pair in range(pairs):
        if tl.load(p_rows + i_pair) == i_row:
            i_expert = tl.load(p_experts + i_pair).to(tl.int64)
            p_weight = p_w + i_expert * s_expert + (o_weight * half)[:, None, None] + o_byte[None]
            p_scale = p_w_scale + i_expert * s_scale_expert + (o_weight * groups)[:, None]
            answer = tl.zeros([BN, BG, BYTES], tl.float32)
            for g in tl.range(0, groups, BG, num_stages=STAGES):
                o_group = g + tl.arange(0, BG)
                p_even = p_x + i_pair * K + g * BYTES + o_byte
                b_even = load_below(p_even, o_group[:, None], groups, MASKED).to(tl.float32)[None]
                b_odd = load_below(p_even + half, o_group[:, None], groups, MASKED).to(tl.float32)[None]
                answer += products(p_weight + g * BYTES, p_scale, b_even, b_odd, o_group, groups, MASKED)
            answer_n = tl.sum(tl.sum(answer, axis=2), axis=1)
            total += answer_n.to(p_out.dtype.element_ty).to(tl.float32)
    tl.store(p_out + i_row * N + o_n, total.to(p_out.dtype.element_ty), mask=o_n < N)
