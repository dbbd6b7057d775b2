"""Sorting pairs by expert on a card: a program for each expert, no atomics, the same order every time."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def sort_pairs_kernel(p_experts, p_order, p_offsets, pairs, BLOCK: tl.constexpr):
    """Count the pairs of earlier experts, then write this expert's own behind them."""
    i_expert = tl.program_id(0)
    o = tl.arange(0, BLOCK)
    earlier = tl.zeros([BLOCK], tl.int32)
    for start in range(0, pairs, BLOCK):
        b_expert = tl.load(p_experts + start + o, mask=start + o < pairs, other=i_expert)
        earlier += (b_expert < i_expert).to(tl.int32)
    at = tl.sum(earlier, axis=0)
    if i_expert == 0:
        tl.store(p_offsets, 0)
    for start in range(0, pairs, BLOCK):
        b_expert = tl.load(p_experts + start + o, mask=start + o < pairs, other=-1)
        m_own = b_expert == i_expert
        own = m_own.to(tl.int32)
        tl.store(p_order + at + tl.cumsum(own, axis=0) - 1, start + o, mask=m_own)
        at += tl.sum(own, axis=0)
    tl.store(p_offsets + i_expert + 1, at)


def sort_pairs(experts: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Twin of `kernels.routing.sort_pairs`."""
    pairs = len(experts)
    order = torch.empty(pairs, dtype=torch.int32, device=experts.device)
    offsets = torch.empty(count + 1, dtype=torch.int32, device=experts.device)
    block = min(1024, max(16, triton.next_power_of_2(pairs)))
    sort_pairs_kernel[(count,)](experts.contiguous(), order, offsets, pairs, BLOCK=block, num_warps=4)
    return order, offsets
