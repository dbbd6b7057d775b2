"""Attention rows on a card: the keys are read once for all the heads that share them, many blocks at a time.

The kernel writes the dot products and PyTorch's own softmax does the rest: next to the keys a few rows are
nothing, while one program that went along all keys would leave most of the card idle.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS, KEYS = 16, 64  # of a tile


@triton.jit
def row_products_kernel(
    p_query, p_key, p_allowed, p_out, rows, group, keys, scale, s_batch, s_head, s_row, s_key_batch,
    s_key_head, s_key, s_allowed_batch, s_allowed_head, s_allowed_row, s_allowed_key, WIDTH: tl.constexpr,
    BD: tl.constexpr, BR: tl.constexpr, BS: tl.constexpr,
):  # fmt: skip
    """BR rows (query rows of all heads of a group) times BS keys; minus infinity where a row may not look."""
    i_kv, i_batch = tl.program_id(1).to(tl.int64), tl.program_id(2).to(tl.int64)
    blocks = (keys + BS - 1) // BS
    o_r = tl.program_id(0) // blocks * BR + tl.arange(0, BR)
    o_s = tl.program_id(0) % blocks * BS + tl.arange(0, BS)
    o_d = tl.arange(0, BD)
    o_head, o_row = i_kv * group + o_r // rows, (o_r % rows).to(tl.int64)
    m_row, m_key, m_d = o_r < group * rows, o_s < keys, o_d < WIDTH
    p_query += i_batch * s_batch + (o_head * s_head + o_row * s_row)[:, None] + o_d[None, :]
    b_query = tl.load(p_query, mask=m_row[:, None] & m_d[None, :], other=0.0)
    p_key += i_batch * s_key_batch + i_kv * s_key_head + o_s.to(tl.int64)[None, :] * s_key + o_d[:, None]
    b_key = tl.load(p_key, mask=m_key[None, :] & m_d[:, None], other=0.0)
    # two bfloat16 multiply exactly in float32, so nothing has to be widened first
    b = tl.dot(b_query, b_key, input_precision="ieee") * scale
    m_out = m_row[:, None] & m_key[None, :]
    if p_allowed is not None:
        o_allowed = (o_head * s_allowed_head + o_row * s_allowed_row)[:, None] + o_s[None, :] * s_allowed_key
        allowed = tl.load(p_allowed + i_batch * s_allowed_batch + o_allowed, mask=m_out, other=0)
        b = tl.where(allowed != 0, b, float("-inf"))
    o_out = ((i_batch * tl.num_programs(1) * group + o_head) * rows + o_row)[:, None] * keys + o_s[None, :]
    tl.store(p_out + o_out, b, mask=m_out)


def attention_rows(query: Tensor, key: Tensor, scale: float, allowed: Tensor | None) -> Tensor:
    """Twin of `kernels.attention_rows`."""
    batch, heads, rows, width = query.shape
    kv_heads, keys = key.shape[1:3]
    products = torch.empty(batch, heads, rows, keys, dtype=torch.float32, device=query.device)
    if not products.numel():
        return products
    query, key = (x if x.stride(-1) == 1 else x.contiguous() for x in (query, key))
    strides = (0, 0, 0, 0)
    if allowed is not None:
        allowed = allowed.expand(batch, heads, rows, keys).view(torch.uint8)
        strides = allowed.stride()
    group = heads // kv_heads
    grid = (triton.cdiv(group * rows, ROWS) * triton.cdiv(keys, KEYS), kv_heads, batch)
    row_products_kernel[grid](
        query, key, allowed, products, rows, group, keys, scale, *query.stride()[:3], *key.stride()[:3],
        *strides, WIDTH=width, BD=max(16, triton.next_power_of_2(width)), BR=ROWS, BS=KEYS, num_warps=4,
    )  # fmt: skip
    return torch.softmax(products, dim=-1)
