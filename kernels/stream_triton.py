"""Some rows an expert: few enough that a card still waits for the weights, enough for its tensor cores.

The product is turned round: weights are the left operand (64 rows or more fill a Hopper instruction), tokens
the right one, which may be as few as 16. Tiles of one expert stand beside one another, so that the second
reads its weights from the cache. Where blocks of weights have scales, a tile's rows lie in one block. Plain
weights are FP8 weights whose scales are all one (a stride of zero).
"""

from __future__ import annotations

import triton
import triton.language as tl

from kernels.shared_triton import add_product, find_tile, load_below, swiglu


@triton.jit
def gate_up_stream_kernel(
    p_x, p_x_scale, p_w, p_w_scale, p_offsets, p_out, experts, K, F, s_expert, s_x_scale, s_scale_expert,
    s_scale_row, BLOCK: tl.constexpr, BW: tl.constexpr, BT: tl.constexpr, BK: tl.constexpr, BE: tl.constexpr,
    MASKED: tl.constexpr,
):  # fmt: skip
    """SwiGLU's inner values, BW of them for BT pairs of one expert."""
    i_expert, first, end = find_tile(p_offsets, experts, tl.program_id(0), BT, BE)
    if i_expert >= experts:
        return
    o_w = tl.program_id(1) * BW + tl.arange(0, BW)
    o_row = tl.minimum(o_w, F - 1).to(tl.int64)  # beyond the last one the last again, not stored
    o_t = first + tl.arange(0, BT)
    o_pair = tl.minimum(o_t, end - 1).to(tl.int64)
    o_k = tl.arange(0, BK)
    i_expert = i_expert.to(tl.int64)
    p_gate = p_w + i_expert * s_expert + o_row[:, None] * K + o_k[None, :]
    p_up = p_gate + F.to(tl.int64) * K
    p_token = p_x + o_pair[None, :] * K + o_k[:, None]
    p_w_scale += i_expert * s_scale_expert
    p_gate_block = p_w_scale + tl.program_id(1) * BW // BLOCK * s_scale_row
    p_up_block = p_w_scale + (F + tl.program_id(1) * BW) // BLOCK * s_scale_row
    p_tokens = (p_x_scale + o_pair * s_x_scale)[None, :]
    gate = tl.zeros([BW, BT], tl.float32)
    up = tl.zeros([BW, BT], tl.float32)
    for k in range(0, K, BK):
        b_x = load_below(p_token + k, (k + o_k)[:, None], K, MASKED)
        b_gate = load_below(p_gate + k, (k + o_k)[None, :], K, MASKED)
        gate = add_product(gate, b_gate, b_x, p_tokens, p_gate_block, k // BK, BLOCK)
        b_up = load_below(p_up + k, (k + o_k)[None, :], K, MASKED)
        up = add_product(up, b_up, b_x, p_tokens, p_up_block, k // BK, BLOCK)
    if BLOCK == 1:
        p_scale = p_w_scale + o_row * s_scale_row
        b_scale = tl.load(p_tokens)
        gate = gate * b_scale * tl.load(p_scale)[:, None]
        up = up * b_scale * tl.load(p_scale + F * s_scale_row)[:, None]
    inner = swiglu(gate, up).to(p_out.dtype.element_ty)
    m_out = (o_w < F)[:, None] & (o_t < end)[None, :]
    tl.store(p_out + o_pair[None, :] * F + o_w[:, None], inner, mask=m_out)


@triton.jit
def rows_stream_kernel(
    p_x, p_x_scale, p_w, p_w_scale, p_offsets, p_order, p_out, experts, K, N, s_expert, s_x_scale,
    s_scale_expert, s_scale_row, BLOCK: tl.constexpr, BW: tl.constexpr, BT: tl.constexpr, BK: tl.constexpr,
    BE: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """BW outputs for BT pairs of one expert; with `p_order`, each goes back to the place of its pair."""
    i_expert, first, end = find_tile(p_offsets, experts, tl.program_id(0), BT, BE)
    if i_expert >= experts:
        return
    o_w = tl.program_id(1) * BW + tl.arange(0, BW)
    o_row = tl.minimum(o_w, N - 1).to(tl.int64)
    o_t = first + tl.arange(0, BT)
    o_pair = tl.minimum(o_t, end - 1).to(tl.int64)
    o_k = tl.arange(0, BK)
    i_expert = i_expert.to(tl.int64)
    p_weight = p_w + i_expert * s_expert + o_row[:, None] * K + o_k[None, :]
    p_token = p_x + o_pair[None, :] * K + o_k[:, None]
    p_w_scale += i_expert * s_scale_expert
    p_block = p_w_scale + tl.program_id(1) * BW // BLOCK * s_scale_row
    p_tokens = (p_x_scale + o_pair * s_x_scale)[None, :]
    answer = tl.zeros([BW, BT], tl.float32)
    for k in range(0, K, BK):
        b_x = load_below(p_token + k, (k + o_k)[:, None], K, MASKED)
        b_w = load_below(p_weight + k, (k + o_k)[None, :], K, MASKED)
        answer = add_product(answer, b_w, b_x, p_tokens, p_block, k // BK, BLOCK)
    if BLOCK == 1:
        answer = answer * tl.load(p_tokens) * tl.load(p_w_scale + o_row * s_scale_row)[:, None]
    o_to = o_pair
    if p_order is not None:
        o_to = tl.load(p_order + o_pair).to(tl.int64)
    m_out = (o_w < N)[:, None] & (o_t < end)[None, :]
    tl.store(p_out + o_to[None, :] * N + o_w[:, None], answer.to(p_out.dtype.element_ty), mask=m_out)
