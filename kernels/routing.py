"""Sorting (row, expert) pairs by expert, so that each expert meets all its rows at once."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.backend import Backend, pick


def sort_pairs(experts: Tensor, count: int, backend: Backend | None = None) -> tuple[Tensor, Tensor]:
    """The order that brings pairs of the same expert together, and where each expert's pairs begin.

    On a card the host does not learn who was chosen and does not wait, so it can stand in a CUDA graph.

    Args:
        experts: [pairs] int64, 0 to count - 1.
        count: how many experts there are.
        backend: who computes; None chooses.

    Returns:
        order [pairs] int32: `experts[order]` is sorted, equals keep their order; offsets [count + 1] int32.
    """
    if pick(backend, experts) == "triton":
        from kernels import routing_triton  # slow to import, and not to be had everywhere

        with torch.cuda.device_of(experts):
            return routing_triton.sort_pairs(experts, count)
    return sort_pairs_reference(experts, count)


def sort_pairs_reference(experts: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The definition of `sort_pairs`."""
    order = torch.argsort(experts, stable=True)
    ends = torch.bincount(experts, minlength=count).cumsum(0)
    return order.int(), torch.cat([ends.new_zeros(1), ends]).int()
