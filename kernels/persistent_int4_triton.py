"""Many rows an expert, int4 weights: see persistent_triton.py, and gemv_int4_triton.py for the order of
inputs.

The weights are the left operand: that one may come from registers, where codes become the values that the
definition multiplies with, rounded to the activations' dtype. A step is a group, BK bytes of a weight row.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import launch_triton as launch
from kernels.launch_triton import Operand
from kernels.persistent_triton import arguments_of, find_tile_of_both
from kernels.shared_triton import even, odd, swiglu


@triton.jit
def add_group(total, b_w, p_scale, b_even, b_odd):
    """`total` [BN, BM] and one group of BN weight rows times the inputs at its even and at its odd places."""
    b_scale = tl.load(p_scale)[:, None]
    b_left = (even(b_w).to(tl.float32) * b_scale).to(b_even.dtype)
    total = tl.dot(b_left, b_even.T, total, input_precision="ieee")
    b_left = (odd(b_w).to(tl.float32) * b_scale).to(b_odd.dtype)
    return tl.dot(b_left, b_odd.T, total, input_precision="ieee")


@triton.jit
def gate_up_persistent_int4_kernel(
    d_x, d_w, p_w_scale, p_offsets, p_out, experts, K, F, most, s_scale_expert, BM: tl.constexpr,
    BN: tl.constexpr, BK: tl.constexpr, BE: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """SwiGLU's inner values; even ones before odd ones."""
    columns = (F + BN - 1) // BN
    groups = K // (2 * BK)
    for i_tile in tl.range(tl.program_id(0), most, tl.num_programs(0)):
        i_expert, first, end, column = find_tile_of_both(p_offsets, experts, i_tile, columns, BM, BE, GROUP)
        if i_expert < experts:
            i_row = i_expert * 2 * F + column * BN  # of the gate; the up row stands F further
            o_n = column * BN + tl.arange(0, BN)
            p_gate_scale = p_w_scale + i_expert.to(tl.int64) * s_scale_expert
            p_gate_scale += tl.minimum(o_n, F - 1) * groups
            p_up_scale = p_gate_scale + F * groups
            gate = tl.zeros([BN, BM], tl.float32)
            up = tl.zeros([BN, BM], tl.float32)
            for i_group in range(groups):
                k = i_group * BK
                b_even, b_odd = d_x.load([first, k]), d_x.load([first, K // 2 + k])
                gate = add_group(gate, d_w.load([i_row, k]), p_gate_scale + i_group, b_even, b_odd)
                up = add_group(up, d_w.load([i_row + F, k]), p_up_scale + i_group, b_even, b_odd)
            o_m = first + tl.arange(0, BM)
            p_to = p_out + tl.minimum(o_m, end - 1).to(tl.int64)[None, :] * F
            o_to = (o_n % 2) * (F // 2) + o_n // 2
            m_out = (o_n < F)[:, None] & (o_m < end)[None, :]
            tl.store(p_to + o_to[:, None], swiglu(gate, up).to(p_out.dtype.element_ty), mask=m_out)


@triton.jit
def rows_persistent_int4_kernel(
    d_x, d_w, p_w_scale, p_offsets, p_order, p_out, experts, K, N, most, s_scale_expert, BM: tl.constexpr,
    BN: tl.constexpr, BK: tl.constexpr, BE: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """Each expert's rows times its weights; with `p_order`, each goes back to the place of its pair."""
    columns = (N + BN - 1) // BN
    groups = K // (2 * BK)
    for i_tile in tl.range(tl.program_id(0), most, tl.num_programs(0)):
        i_expert, first, end, column = find_tile_of_both(p_offsets, experts, i_tile, columns, BM, BE, GROUP)
        if i_expert < experts:
            i_row = i_expert * N + column * BN
            o_n = column * BN + tl.arange(0, BN)
            p_scale = p_w_scale + i_expert.to(tl.int64) * s_scale_expert + tl.minimum(o_n, N - 1) * groups
            answer = tl.zeros([BN, BM], tl.float32)
            for i_group in range(groups):
                k = i_group * BK
                b_even, b_odd = d_x.load([first, k]), d_x.load([first, K // 2 + k])
                answer = add_group(answer, d_w.load([i_row, k]), p_scale + i_group, b_even, b_odd)
            o_m = first + tl.arange(0, BM)
            o_to = tl.minimum(o_m, end - 1).to(tl.int64)
            if p_order is not None:
                o_to = tl.load(p_order + o_to).to(tl.int64)
            m_out = (o_n < N)[:, None] & (o_m < end)[None, :]
            tl.store(p_out + o_to[None, :] * N + o_n[:, None], answer.to(p_out.dtype.element_ty), mask=m_out)


def gate_up(x: Tensor, w: Operand, offsets: Tensor) -> Tensor:
    """SwiGLU's inner values [pairs, width] of sorted pairs; in x and in them, even ones before odd ones."""
    width = w.values.shape[1] // 2
    out = torch.empty(len(x), width, dtype=x.dtype, device=x.device)
    grid, arguments = arguments_of(x, w, offsets, width, launch.persistent_tile_int4(w, weights=2))
    gate_up_persistent_int4_kernel[grid](p_out=out, F=width, **arguments)
    return out


def rows(x: Tensor, w: Operand, offsets: Tensor, order: Tensor | None) -> Tensor:
    """Each expert's rows times its weights [pairs, N], each at its place in `order`."""
    outputs = w.values.shape[1]
    out = torch.empty(len(x), outputs, dtype=x.dtype, device=x.device)
    grid, arguments = arguments_of(x, w, offsets, outputs, launch.persistent_tile_int4(w, weights=1))
    rows_persistent_int4_kernel[grid](p_out=out, N=outputs, p_order=order, **arguments)
    return out
