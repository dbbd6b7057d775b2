"""Exact attention probabilities of chosen query rows, beside a fused attention that never forms them."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.backend import Backend, pick


def attention_rows(
    query: Tensor,
    key: Tensor,
    scale: float,
    allowed: Tensor | None = None,
    backend: Backend | None = None,
) -> Tensor:
    """Softmax rows of grouped-query attention, computed in float32.

    Args:
        query: [batch, heads, rows, width], only the rows that are wanted.
        key: [batch, kv_heads, keys, width]; head h reads kv head `h // (heads // kv_heads)`.
        scale: factor on the dot products.
        allowed: bool, broadcastable to [batch, heads, rows, keys]; None allows every key.
        backend: who computes; None chooses.

    Returns:
        [batch, heads, rows, keys] float32; every row sums to one.

    Raises:
        BackendUnavailable: the backend that was asked for cannot serve these tensors.
    """
    if pick(backend, query, key) == "triton":
        from kernels import attention_rows_triton  # slow to import, and not to be had everywhere

        with torch.cuda.device_of(query):
            return attention_rows_triton.attention_rows(query, key, scale, allowed)
    return attention_rows_reference(query, key, scale, allowed)


def attention_rows_reference(query: Tensor, key: Tensor, scale: float, allowed: Tensor | None) -> Tensor:
    """The definition of `attention_rows`."""
    batch, heads, rows, width = query.shape
    kv_heads = key.shape[1]
    grouped = (query.float() * scale).reshape(batch, kv_heads, (heads // kv_heads) * rows, width)
    weights = (grouped @ key.float().transpose(-1, -2)).view(batch, heads, rows, -1)
    if allowed is not None:
        weights.masked_fill_(~allowed, float("-inf"))
    return torch.softmax(weights, dim=-1)
