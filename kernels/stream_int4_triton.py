"""Some rows an expert, int4 weights: see stream_triton.py, and gemv_int4_triton.py for the order of inputs.

Each step takes one group of weights, so that its scale multiplies a row of the step's product. The codes are
whole numbers and exact in the activations' dtype.
"""

from __future__ import annotations

import triton
import triton.language as tl

from kernels.shared_triton import even, find_tile, odd, swiglu


@triton.jit
def group_product(p_w, p_scale, b_even, b_odd):
    """[BW, BT]: one group of BW weight rows times the inputs at its even and at its odd places."""
    b_w = tl.load(p_w)
    product = tl.dot(even(b_w).to(b_even.dtype), b_even, input_precision="ieee")
    product = tl.dot(odd(b_w).to(b_odd.dtype), b_odd, product, input_precision="ieee")
    return product * tl.load(p_scale)[:, None]


@triton.jit
def gate_up_stream_int4_kernel(
    p_x, p_w, p_w_scale, p_offsets, p_out, experts, K, F, s_expert, s_scale_expert, GROUP: tl.constexpr,
    BW: tl.constexpr, BT: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """SwiGLU's inner values, BW of them for BT pairs of one expert; even ones before odd ones."""
    i_expert, first, end = find_tile(p_offsets, experts, tl.program_id(0), BT, BE)
    if i_expert >= experts:
        return
    o_w = tl.program_id(1) * BW + tl.arange(0, BW)
    o_row = tl.minimum(o_w, F - 1).to(tl.int64)
    o_t = first + tl.arange(0, BT)
    o_pair = tl.minimum(o_t, end - 1).to(tl.int64)
    BYTES: tl.constexpr = GROUP // 2
    o_k = tl.arange(0, BYTES)
    i_expert = i_expert.to(tl.int64)
    half, groups = K // 2, K // GROUP
    p_gate = p_w + i_expert * s_expert + o_row[:, None] * half + o_k[None, :]
    p_up = p_gate + F.to(tl.int64) * half
    p_gate_scale = p_w_scale + i_expert * s_scale_expert + o_row * groups
    p_up_scale = p_gate_scale + F.to(tl.int64) * groups
    p_token = p_x + o_pair[None, :] * K + o_k[:, None]
    gate = tl.zeros([BW, BT], tl.float32)
    up = tl.zeros([BW, BT], tl.float32)
    for i_group in range(groups):
        k = i_group * BYTES
        b_even, b_odd = tl.load(p_token + k), tl.load(p_token + half + k)
        gate += group_product(p_gate + k, p_gate_scale + i_group, b_even, b_odd)
        up += group_product(p_up + k, p_up_scale + i_group, b_even, b_odd)
    inner = swiglu(gate, up).to(p_out.dtype.element_ty)
    o_to = (o_w % 2) * (F // 2) + o_w // 2
    m_out = (o_w < F)[:, None] & (o_t < end)[None, :]
    tl.store(p_out + o_pair[None, :] * F + o_to[:, None], inner, mask=m_out)


@triton.jit
def rows_stream_int4_kernel(
    p_x, p_w, p_w_scale, p_offsets, p_order, p_out, experts, K, N, s_expert, s_scale_expert,
    GROUP: tl.constexpr, BW: tl.constexpr, BT: tl.constexpr, BE: tl.constexpr,
):  # fmt: skip
    """BW outputs for BT pairs of one expert; with `p_order`, each goes back to the place of its pair."""
    i_expert, first, end = find_tile(p_offsets, experts, tl.program_id(0), BT, BE)
    if i_expert >= experts:
        return
    o_w = tl.program_id(1) * BW + tl.arange(0, BW)
    o_row = tl.minimum(o_w, N - 1).to(tl.int64)
    o_t = first + tl.arange(0, BT)
    o_pair = tl.minimum(o_t, end - 1).to(tl.int64)
    BYTES: tl.constexpr = GROUP // 2
    o_k = tl.arange(0, BYTES)
    i_expert = i_expert.to(tl.int64)
    half, groups = K // 2, K // GROUP
    p_weight = p_w + i_expert * s_expert + o_row[:, None] * half + o_k[None, :]
    p_scale = p_w_scale + i_expert * s_scale_expert + o_row * groups
    p_token = p_x + o_pair[None, :] * K + o_k[:, None]
    answer = tl.zeros([BW, BT], tl.float32)
    for i_group in range(groups):
        k = i_group * BYTES
        b_even, b_odd = tl.load(p_token + k), tl.load(p_token + half + k)
        answer += group_product(p_weight + k, p_scale + i_group, b_even, b_odd)
    o_to = o_pair
    if p_order is not None:
        o_to = tl.load(p_order + o_pair).to(tl.int64)
    m_out = (o_w < N)[:, None] & (o_t < end)[None, :]
    tl.store(p_out + o_to[None, :] * N + o_w[:, None], answer.to(p_out.dtype.element_ty), mask=m_out)
