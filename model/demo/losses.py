"""What training asks of the model: name what is in each cell, answer, look at the thing, spread the load.

None of it is part of the model: the parts are read at hook points from outside, and inference is plain
Llama 4.

B rows, T tokens, Q questions, G grounded words, E experts, N tiles
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels import attention_rows
from model.attention import Sight
from model.demo.packing import NO_LOSS, Batch
from model.demo.pictures import CELLS, UNCLEAR
from model.demo.scenes import COLOURS, SHAPES
from model.hooks import recorded
from model.llama4 import Llama4

BALANCE, ROUTER_SIZE = 0.01, 1e-4  # weights of the two router terms (Switch Transformer; ST-MoE)


class CellHead(nn.Linear):
    """A throw-away reader of picture tokens: is a thing's middle here, which shape, colour and cell is it."""

    parts = (1, len(SHAPES), len(COLOURS), CELLS**2)

    def __init__(self, width: int):
        super().__init__(width, sum(self.parts))

    def loss(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss for `features` [N, cells, width] and `labels` [N, cells, 2]; shares right."""
        there, shape, colour, cell = self(features).float().split(self.parts, dim=-1)
        labels = labels.long()
        clear = labels[..., 0] != UNCLEAR
        full = labels[..., 0] >= 0
        presence = F.binary_cross_entropy_with_logits(there[clear][:, 0], full[clear].float())
        shapes, colours = labels[full].unbind(-1)
        cells = torch.arange(CELLS**2).expand(full.shape)[full]
        named = F.cross_entropy(shape[full], shapes) + F.cross_entropy(colour[full], colours)
        total = 5 * presence + named + 0.2 * F.cross_entropy(cell[full], cells)
        right = (
            (shape[full].argmax(-1) == shapes).float().mean(),
            (colour[full].argmax(-1) == colours).float().mean(),
        )
        return total, *right


@dataclass(frozen=True)
class Answered:
    """Losses of one packed batch, and how it went."""

    answer: Tensor  # cross-entropy, summed over an answer's tokens, mean over questions
    grounding: Tensor
    balance: Tensor
    right: Tensor  # bool [Q], every token of the answer right
    spread: float  # coefficient of variation of the experts' load, mean over layers


def answer_losses(llama: Llama4, batch: Batch, features: Tensor) -> Answered:
    """Run the model on a packed batch whose pictures' vectors are `features` [N, cells, width]."""
    text = llama.config.text
    last_global = max(layer for layer in range(text.num_hidden_layers) if not text.uses_rope(layer))
    attention = llama.blocks[last_global].attn
    routers = [llama.hook_points[f"blocks.{layer}.moe.hook_router_logits"] for layer in text.moe_layers]
    with plain_attention(llama), recorded([attention.hook_q, attention.hook_k, *routers]) as kept:
        hidden = llama.hidden(
            batch.token_ids,
            positions=batch.positions,
            attention_mask=batch.attention_mask(),
            image_features=features if len(features) else None,
        )
    answer, right = _answers(llama, hidden, batch)
    grounding = _grounding(kept[attention.hook_q.name], kept[attention.hook_k.name], batch, attention.scale)
    real = batch.branch.flatten() >= 0
    balances, spreads = zip(*(_balance(kept[router.name].float()[real]) for router in routers), strict=True)
    return Answered(answer, grounding, torch.stack(balances).sum(), right, sum(spreads) / len(spreads))


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
            hidden = torch.zeros(segment.mask.shape, dtype=q.dtype).masked_fill_(~segment.mask, -1e4)
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


def _answers(llama: Llama4, hidden: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    rows = (batch.targets != NO_LOSS).flatten().nonzero()[:, 0]
    # always a multiple of 128 rows: every new shape costs the matrix library a compilation
    padded = F.pad(rows, (0, -len(rows) % 128))
    logits = llama.unembed(hidden.flatten(0, 1)[padded][None])[0, : len(rows)].float()
    targets, questions = batch.targets.flatten()[rows], batch.question.flatten()[rows]
    loss = F.cross_entropy(logits, targets, reduction="sum") / len(batch.kinds)
    wrong = torch.zeros(len(batch.kinds)).index_add(0, questions, (logits.argmax(-1) != targets).float())
    return loss, wrong == 0


def _grounding(q: Tensor, k: Tensor, batch: Batch, scale: float) -> Tensor:
    """-log of the attention (mean over heads) of the row predicting a word to the thing it speaks of."""
    masses = []
    for row in range(len(q)):
        here = batch.grounded[:, 0] == row
        at = batch.grounded[here, 1]
        if not len(at):
            continue
        position, branch = batch.positions[row], batch.branch[row]
        allowed = (position >= 0) & (position <= position[at, None])
        allowed &= (branch == 0) | (branch == branch[at, None])
        pattern = attention_rows(
            q[row, at].transpose(0, 1)[None], k[row].transpose(0, 1)[None], scale, allowed[None, None]
        )
        masses.append((pattern[0].mean(0) * batch.boxes[here]).sum(-1))
    return -torch.log(torch.cat(masses) + 1e-6).mean() if masses else q.sum() * 0


def _balance(logits: Tensor) -> tuple[Tensor, float]:
    """Switch Transformer's load-balance term with ST-MoE's z-loss, and the spread of the load."""
    experts = logits.shape[-1]
    load = torch.bincount(logits.argmax(-1), minlength=experts).float() / len(logits)
    balance = experts * (load * logits.softmax(-1).mean(0)).sum()
    size = torch.logsumexp(logits, -1).square().mean()
    return BALANCE * balance + ROUTER_SIZE * size, float(load.std(unbiased=False) * experts)
