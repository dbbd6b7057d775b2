"""Many rows an expert: the regime in which the tensor cores, not the memory, take the time.

As many programs as the card has processors walk over all tiles of all experts; tiles come through Hopper's
copy engine, by descriptors. A tile may begin at any row and run over into the next expert's rows: those it
computes in vain and does not store. Neighbouring programs share tokens and weights (GROUP tiles of tokens go
along all the weights together), so that most reads come from the cache.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from kernels import launch_triton as launch
from kernels.launch_triton import Operand, Rows
from kernels.shared_triton import add_product, swiglu


@triton.jit
def find_tile_of_both(
    p_offsets, experts, i_tile, columns, BM: tl.constexpr, BE: tl.constexpr, GROUP: tl.constexpr
):
    """The expert of the tile with this number, its first pair, the last + 1, and its column of weights."""
    o = tl.arange(0, BE)
    b_first = tl.load(p_offsets + o, mask=o < experts, other=0)
    b_end = tl.load(p_offsets + o + 1, mask=o < experts, other=0)
    b_tiles = (b_end - b_first + BM - 1) // BM
    m_earlier = tl.cumsum(b_tiles, axis=0) * columns <= i_tile
    expert = tl.sum(m_earlier.to(tl.int32), axis=0)
    tile = i_tile - tl.sum(tl.where(m_earlier, b_tiles, 0), axis=0) * columns
    here = o == expert
    rows = tl.sum(tl.where(here, b_tiles, 0), axis=0)
    group = tile // (GROUP * columns)
    high = tl.maximum(tl.minimum(rows - group * GROUP, GROUP), 1)
    within = tile - group * GROUP * columns
    first = tl.sum(tl.where(here, b_first, 0), axis=0) + (group * GROUP + within % high) * BM
    return expert, first, tl.sum(tl.where(here, b_end, 0), axis=0), within // high


@triton.jit
def token_scales(p_x_scale, first, end, s_x_scale, BM: tl.constexpr):
    """A column of pointers to the (first) scale of each token of a tile."""
    o_pair = tl.minimum(first + tl.arange(0, BM), end - 1).to(tl.int64)
    return (p_x_scale + o_pair * s_x_scale)[:, None]


@triton.jit
def gate_up_persistent_kernel(
    d_x, p_x_scale, d_w, p_w_scale, p_offsets, p_out, experts, K, F, most, s_x_scale, s_scale_expert,
    s_scale_row, BLOCK: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, BE: tl.constexpr,
    GROUP: tl.constexpr,
):  # fmt: skip
    """SwiGLU's inner values."""
    columns = (F + BN - 1) // BN
    for i_tile in tl.range(tl.program_id(0), most, tl.num_programs(0)):
        i_expert, first, end, column = find_tile_of_both(p_offsets, experts, i_tile, columns, BM, BE, GROUP)
        if i_expert < experts:
            i_row = i_expert * 2 * F + column * BN  # of the gate; the up row stands F further
            p_tokens = token_scales(p_x_scale, first, end, s_x_scale, BM)
            p_scale = p_w_scale + i_expert.to(tl.int64) * s_scale_expert
            p_gate_block = p_scale + column * BN // BLOCK * s_scale_row
            p_up_block = p_scale + (F + column * BN) // BLOCK * s_scale_row
            gate = tl.zeros([BM, BN], tl.float32)
            up = tl.zeros([BM, BN], tl.float32)
            for k in range(0, K, BK):
                b_x = d_x.load([first, k])
                b_gate = d_w.load([i_row, k]).T
                gate = add_product(gate, b_x, b_gate, p_tokens, p_gate_block, k // BK, BLOCK)
                b_up = d_w.load([i_row + F, k]).T
                up = add_product(up, b_x, b_up, p_tokens, p_up_block, k // BK, BLOCK)
            o_m = first + tl.arange(0, BM)
            o_pair = tl.minimum(o_m, end - 1).to(tl.int64)
            x_scale = 1.0
            if BLOCK == 1:
                x_scale = tl.load(token_scales(p_x_scale, first, end, s_x_scale, BM))
            # one half of the columns after the other: scales for all of them are too many registers
            gates = gate.reshape(BM, 2, BN // 2).permute(0, 2, 1).split()
            ups = up.reshape(BM, 2, BN // 2).permute(0, 2, 1).split()
            for half in tl.static_range(2):
                o_n = column * BN + half * (BN // 2) + tl.arange(0, BN // 2)
                b_gate, b_up = gates[half], ups[half]
                if BLOCK == 1:
                    p_row = p_scale + tl.minimum(o_n, F - 1) * s_scale_row
                    b_gate = b_gate * x_scale * tl.load(p_row)[None, :]
                    b_up = b_up * x_scale * tl.load(p_row + F * s_scale_row)[None, :]
                m_out = (o_m < end)[:, None] & (o_n < F)[None, :]
                p_to = p_out + o_pair[:, None] * F + o_n[None, :]
                tl.store(p_to, swiglu(b_gate, b_up).to(p_out.dtype.element_ty), mask=m_out)


@triton.jit
def rows_persistent_kernel(
    d_x, p_x_scale, d_w, p_w_scale, p_offsets, p_order, p_out, experts, K, N, most, s_x_scale, s_scale_expert,
    s_scale_row, BLOCK: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, BE: tl.constexpr,
    GROUP: tl.constexpr,
):  # fmt: skip
    """Each expert's rows times its weights; with `p_order`, each goes back to the place of its pair."""
    columns = (N + BN - 1) // BN
    for i_tile in tl.range(tl.program_id(0), most, tl.num_programs(0)):
        i_expert, first, end, column = find_tile_of_both(p_offsets, experts, i_tile, columns, BM, BE, GROUP)
        if i_expert < experts:
            i_row = i_expert * N + column * BN
            p_tokens = token_scales(p_x_scale, first, end, s_x_scale, BM)
            p_scale = p_w_scale + i_expert.to(tl.int64) * s_scale_expert
            p_block = p_scale + column * BN // BLOCK * s_scale_row
            answer = tl.zeros([BM, BN], tl.float32)
            for k in range(0, K, BK):
                b_x, b_w = d_x.load([first, k]), d_w.load([i_row, k]).T
                answer = add_product(answer, b_x, b_w, p_tokens, p_block, k // BK, BLOCK)
            o_m, o_n = first + tl.arange(0, BM), column * BN + tl.arange(0, BN)
            o_pair = tl.minimum(o_m, end - 1).to(tl.int64)
            if BLOCK == 1:
                answer = answer * tl.load(token_scales(p_x_scale, first, end, s_x_scale, BM))
                answer = answer * tl.load(p_scale + tl.minimum(o_n, N - 1) * s_scale_row)[None, :]
            o_to = o_pair
            if p_order is not None:
                o_to = tl.load(p_order + o_pair).to(tl.int64)
            m_out = (o_m < end)[:, None] & (o_n < N)[None, :]
            tl.store(p_out + o_to[:, None] * N + o_n[None, :], answer.to(p_out.dtype.element_ty), mask=m_out)


def gate_up(x: Rows, w: Operand, offsets: Tensor, dtype: torch.dtype) -> Tensor:
    """SwiGLU's inner values [pairs, width] of sorted pairs."""
    width = w.values.shape[1] // 2
    out = torch.empty(len(x.values), width, dtype=dtype, device=x.values.device)
    narrow = launch.generation(out.device) > 9 or w.group is not None
    tile = launch.persistent_tile(w.values, weights=2, narrow=narrow)
    grid, arguments = arguments_of(x.values, w, offsets, width, tile)
    gate_up_persistent_kernel[grid](p_x_scale=x.scale, s_x_scale=x.stride, p_out=out, F=width, **arguments)
    return out


def rows(x: Rows, w: Operand, offsets: Tensor, order: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Each expert's rows times its weights [pairs, N], each at its place in `order`."""
    outputs = w.values.shape[1]
    out = torch.empty(len(x.values), outputs, dtype=dtype, device=x.values.device)
    tile = launch.persistent_tile(w.values, weights=1, narrow=w.group is not None)
    grid, arguments = arguments_of(x.values, w, offsets, outputs, tile)
    rows_persistent_kernel[grid](
        p_x_scale=x.scale, s_x_scale=x.stride, p_out=out, N=outputs, p_order=order, **arguments
    )
    return out


def arguments_of(
    x: Tensor, w: Operand, offsets: Tensor, outputs: int, tile: dict[str, int]
) -> tuple[tuple[int], dict[str, object]]:
    """One program a processor, and the arguments that all these kernels take."""
    experts = len(w.values)
    most = launch.tiles(len(x), experts, tile["BM"]) * triton.cdiv(outputs, tile["BN"])
    layout = {name: value for name, value in w.layout.items() if name != "s_expert"}
    return (min(most, launch.processors(offsets.device)),), {
        "d_x": TensorDescriptor.from_tensor(x, [tile["BM"], tile["BK"]]),
        "d_w": TensorDescriptor.from_tensor(w.values.flatten(0, 1), [tile["BN"], tile["BK"]]),
        "p_w_scale": w.scale, "p_offsets": offsets, "experts": experts, "K": x.shape[1], "most": most,
        **layout, **tile, "BE": triton.next_power_of_2(experts),
    }  # fmt: skip
