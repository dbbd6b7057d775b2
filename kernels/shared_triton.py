"""What several Triton kernels share: finding their tile of a sorted batch, SwiGLU, rounding to E4M3.

In a kernel `p_x` points, `b_x` is a block that was loaded, `m_x` masks it, `o_x` are offsets, `i_x` an index.
Tiles: BW weight rows, BT tokens (pairs), BK inputs; BE is the number of experts rounded up to a power of two.
BLOCK is 128 if so many weight rows and inputs share a scale, else 1.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton import knobs


@triton.jit
def find_tile(p_offsets, experts, i_tile, BT: tl.constexpr, BE: tl.constexpr):
    """The expert of the tile with this number, and the first and the last + 1 of its pairs.

    Tiles are numbered expert by expert, BT pairs each; an expert number that is too large says that there
    are fewer tiles.
    """
    o = tl.arange(0, BE)
    b_first = tl.load(p_offsets + o, mask=o < experts, other=0)
    b_end = tl.load(p_offsets + o + 1, mask=o < experts, other=0)
    b_tiles = (b_end - b_first + BT - 1) // BT
    m_earlier = tl.cumsum(b_tiles, axis=0) <= i_tile
    expert = tl.sum(m_earlier.to(tl.int32), axis=0)
    tile = i_tile - tl.sum(tl.where(m_earlier, b_tiles, 0), axis=0)
    here = o == expert
    first = tl.sum(tl.where(here, b_first, 0), axis=0) + tile * BT
    return expert, first, tl.sum(tl.where(here, b_end, 0), axis=0)


@triton.jit
def load_below(p, o, end, MASKED: tl.constexpr):
    """The block at `p`, zero where the offset `o` reaches `end`. Loads without a mask are wider."""
    if MASKED:
        return tl.load(p, mask=o < end, other=0.0)
    return tl.load(p)


@triton.jit
def add_product(total, b_left, b_right, p_tokens, p_block, i_block, BLOCK: tl.constexpr):
    """`total + b_left @ b_right`; with blocks the product times the scales of its inputs and of its weights.

    `p_tokens` points at a scale for every token, already a row or a column; `p_block` at one. Without blocks
    neither is read: what a row has for all its inputs multiplies the sum, after the last product.
    """
    if BLOCK == 1:
        return tl.dot(b_left, b_right, total, input_precision="ieee")
    b_scale = tl.load(p_tokens + i_block) * tl.load(p_block + i_block)
    return total + tl.dot(b_left, b_right, input_precision="ieee") * b_scale


@triton.jit
def even(packed):
    """The low halves of bytes, -8 to 7."""
    return (packed.to(tl.int8, bitcast=True) << 4) >> 4


@triton.jit
def odd(packed):
    """The high halves of bytes, -8 to 7."""
    return packed.to(tl.int8, bitcast=True) >> 4


@triton.jit
def swiglu(gate, up):
    """`silu(gate) * up` in float32."""
    return gate * tl.sigmoid(gate) * up


@triton.jit
def row_scale(largest):
    """The scale that brings a row's largest magnitude to 448; never zero."""
    return tl.maximum(tl.div_rn(largest, 448.0), 1.1754943508222875e-38)


@triton.jit
def to_e4m3(x, BY_HAND: tl.constexpr):
    """The nearest E4M3 to float32 values, ties to even; beyond 448 it is 448."""
    x = tl.minimum(tl.maximum(x, -448.0), 448.0)
    if not BY_HAND:
        return x.to(tl.float8e4nv)
    # Triton's interpreter loses the carry of this cast
    bits = x.to(tl.int32, bitcast=True)
    sign = (bits >> 24) & 0x80
    bits = bits & 0x7FFFFFFF
    normal = ((bits + 0x7FFFF + ((bits >> 20) & 1)) >> 20) - (120 << 3)
    # below 2**-6 E4M3 counts in steps of 2**-9; adding 2**23 rounds to whole steps
    steps = (tl.abs(x) * 512.0 + 8388608.0).to(tl.int32, bitcast=True) - 0x4B000000
    code = tl.where(bits < 0x3C800000, steps, normal) | sign
    return code.to(tl.uint8).to(tl.float8e4nv, bitcast=True)


def by_hand() -> bool:
    """Whether kernels run in Triton's interpreter, which rounds to E4M3 wrongly."""
    return bool(knobs.runtime.interpret)
