"""The model's own arithmetic in the forms that train fast on a CPU; values stay the same.

A fused kernel takes several times longer going back than plain matrix products do, and every new shape costs
the matrix library a compilation: so attention is spelt out, and the rows of an expert come in a
round number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from kernels.experts import swiglu
from model.attention import Sight
from model.demo.batch import Batch
from model.llama4 import Llama4
from model.moe import MixtureOfExperts

_GROUP = 128  # an expert's rows are padded to a multiple of this


@contextmanager
def batched_experts(llama: Llama4) -> Iterator[None]:
    """Experts one after another, each with its rows padded to a multiple of 128 zeros."""

    def run(x: Tensor, rows: Tensor, experts: Tensor, gates: Tensor, moe: MixtureOfExperts) -> Tensor:
        order = torch.argsort(experts, stable=True)
        rows, experts, gates = rows[order], experts[order], gates[order]
        counts = torch.bincount(experts, minlength=len(moe.gate_up_proj))
        padded = (counts + _GROUP - 1) // _GROUP * _GROUP
        starts = (padded.cumsum(0) - padded) - (counts.cumsum(0) - counts)
        place = torch.arange(len(rows), device=x.device) + starts[experts]
        inputs = x.new_zeros(int(padded.sum()), x.shape[1]).index_copy(0, place, x[rows] * gates[:, None])
        weights = zip(moe.gate_up_proj.unbind(0), moe.down_proj.unbind(0), strict=True)
        answers = [
            swiglu(group, *some)
            for some, group in zip(weights, inputs.split(padded.tolist()), strict=True)
            if len(group)
        ]
        return torch.zeros_like(x).index_add(0, rows, torch.cat(answers)[place])

    with ExitStack() as stack:
        for block in llama.blocks:
            if block.is_moe:
                block.moe.run_experts = partial(run, moe=block.moe)
                stack.callback(delattr, block.moe, "run_experts")
        yield


@contextmanager
def branch_attention(llama: Llama4, batch: Batch, watched: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """Attention of a packed batch: every slot looks at its row's prefix and at its own branches.

    Several times less work than the square of a row's length. Yields the probabilities of `watched` layers as
    the pass makes them: [B, heads, slot tokens, prefix + slot].
    """
    seen: dict[int, Tensor] = {}
    prefix, slot = batch.prefix, batch.slot
    slots = (batch.positions.shape[1] - prefix) // slot
    biases = {chunked: _branch_biases(batch, llama, chunked) for chunked in (True, False)}

    def attend(q: Tensor, k: Tensor, v: Tensor, sight: Sight, layer: int) -> Tensor:
        del sight  # made for the whole square
        heads, width = q.shape[1], q.shape[-1]
        to_prefix, across, within = biases[llama.blocks[layer].attn.chunked]
        q = q * width**-0.5
        k, v = (x.repeat_interleave(heads // x.shape[1], dim=1) for x in (k, v))
        shared_k, shared_v = k[:, :, :prefix], v[:, :, :prefix]
        own_k, own_v = (x[:, :, prefix:].unflatten(2, (slots, slot)) for x in (k, v))
        first = ((q[:, :, :prefix] @ shared_k.mT) + to_prefix).softmax(-1) @ shared_v
        asking = q[:, :, prefix:]
        own = (asking.unflatten(2, (slots, slot)) @ own_k.mT) + within
        weights = torch.cat([asking @ shared_k.mT + across, own.flatten(2, 3)], dim=-1).softmax(-1)
        if layer in watched:
            seen[layer] = weights
        rest = weights[..., :prefix] @ shared_v
        own_rest = weights[..., prefix:].unflatten(2, (slots, slot)) @ own_v
        return torch.cat([first, rest + own_rest.flatten(2, 3)], dim=2)

    with ExitStack() as stack:
        for number, block in enumerate(llama.blocks):
            block.attn.fused = partial(attend, layer=number)
            stack.callback(delattr, block.attn, "fused")
        yield seen


def _branch_biases(batch: Batch, llama: Llama4, chunked: bool) -> tuple[Tensor, Tensor, Tensor]:
    """What may not be seen as large negative numbers: prefix to prefix, slots to prefix, within slots."""
    chunk = llama.config.text.attention_chunk_size

    def rule(query: Tensor, key: Tensor) -> Tensor:
        query, key = query[..., :, None], key[..., None, :]
        allowed = (key >= 0) & (key <= query)
        return allowed & (key // chunk == query // chunk) if chunked else allowed

    def bias(allowed: Tensor) -> Tensor:
        return torch.zeros(allowed.shape, dtype=llama.dtype, device=allowed.device).masked_fill_(
            ~allowed, -1e4
        )[:, None]

    first, rest = batch.positions[:, : batch.prefix], batch.positions[:, batch.prefix :]
    own, branch = (
        x[:, batch.prefix :].unflatten(1, (-1, batch.slot)) for x in (batch.positions, batch.branch)
    )
    within = rule(own, own) & (branch[..., :, None] == branch[..., None, :])
    return bias(rule(first, first)), bias(rule(rest, first)), bias(within)


@contextmanager
def plain_attention(llama: Llama4) -> Iterator[None]:
    """Attention as plain matrix products: a CPU's fused kernel takes several times longer going back.

    The text part's rule is added as numbers, made once for all layers of a kind.
    """
    biases: dict[int, Tensor] = {}

    def attend(q: Tensor, k: Tensor, v: Tensor, sight: Sight, chunked: bool) -> Tensor:
        segment = sight.segments[chunked][0]
        batch, heads, tokens, width = q.shape
        if chunked not in biases:
            hidden = torch.zeros_like(segment.mask, dtype=q.dtype).masked_fill_(~segment.mask, -1e4)
            biases[chunked] = hidden.expand(batch, heads, tokens, tokens).flatten(0, 1)
        groups = heads // k.shape[1]
        k, v = (x.repeat_interleave(groups, dim=1).flatten(0, 1) for x in (k, v))
        weights = torch.baddbmm(biases[chunked], q.flatten(0, 1) * width**-0.5, k.mT).softmax(-1)
        return torch.bmm(weights, v).view(batch, heads, tokens, width)

    before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    # for the vision tower; without this (its name notwithstanding) the products would be made in float32
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    with ExitStack() as stack:
        stack.enter_context(nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH))
        stack.callback(torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp, before)
        for block in llama.blocks:
            block.attn.fused = partial(attend, chunked=block.attn.chunked)
            stack.callback(delattr, block.attn, "fused")
        yield
