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
from model.norms import rms_normalize

MOST_PICTURES = 3
SHORT_ANSWER = 3  # tokens
REST = 2.0
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


class PlaceHead(nn.Linear):
    """A throw-away reader of the text part's picture tokens: which picture is it, and all of that picture?

    Without it the model takes long to find out that pictures have numbers.
    """

    def __init__(self, width: int):
        super().__init__(width, MOST_PICTURES + 1)

    def loss(self, residual: Tensor, batch: Batch) -> Tensor:
        """Loss for the residual stream [B, T, width] of a packed batch."""
        read = self(rms_normalize(residual, 1e-5)).float()
        patches = batch.image >= 0
        if not patches.any():
            return read.sum() * 0
        number = F.cross_entropy(read[patches][:, :MOST_PICTURES], batch.image[patches])
        return number + F.binary_cross_entropy_with_logits(read[patches][:, -1], batch.whole[patches].float())


@dataclass(frozen=True)
class Answered:
    """Losses of one packed batch, and how it went."""

    answer: Tensor  # cross-entropy of an answer's tokens, mean over questions
    grounding: Tensor
    counting: Tensor
    balance: Tensor
    placing: Tensor
    right: Tensor  # bool [Q], every token of the answer right
    spread: float  # coefficient of variation of the experts' load, mean over layers


def answer_losses(llama: Llama4, place_head: PlaceHead, batch: Batch, features: Tensor) -> Answered:
    """Run the model on a packed batch whose pictures' vectors are `features` [N, cells, width]."""
    text = llama.config.text
    last_global = max(layer for layer in range(text.num_hidden_layers) if not text.uses_rope(layer))
    attention = llama.blocks[last_global].attn
    before = llama.blocks[last_global].hook_resid_pre
    routers = [llama.hook_points[f"blocks.{layer}.moe.hook_router_logits"] for layer in text.moe_layers]
    with plain_attention(llama), recorded([attention.hook_q, attention.hook_k, before, *routers]) as kept:
        hidden = llama.hidden(
            batch.token_ids,
            positions=batch.positions,
            attention_mask=batch.attention_mask(),
            image_features=features if len(features) else None,
        )
    answer, right = _answers(llama, hidden, batch)
    q, k = kept[attention.hook_q.name], kept[attention.hook_k.name]
    grounding = _grounding(q, k, batch, attention.scale)
    counting = _counting(q, k, batch, attention.scale)
    placing = place_head.loss(kept[before.name], batch)
    real = batch.branch.flatten() >= 0
    balances, spreads = zip(*(_balance(kept[router.name].float()[real]) for router in routers), strict=True)
    return Answered(
        answer, grounding, counting, torch.stack(balances).sum(), placing, right, sum(spreads) / len(spreads)
    )


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
    # an answer of many words weighs as much as one of a word, a full stop and the end
    weights = (SHORT_ANSWER / torch.bincount(questions, minlength=len(batch.kinds))).clamp(max=1)[questions]
    loss = (F.cross_entropy(logits, targets, reduction="none") * weights).sum() / len(batch.kinds)
    wrong = torch.zeros(len(batch.kinds)).index_add(0, questions, (logits.argmax(-1) != targets).float())
    return loss, wrong == 0


def _looking(q: Tensor, k: Tensor, batch: Batch, places: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Attention [places, heads, T] of the tokens at `places` [places, 2]; and their order in it."""
    patterns, order = [], []
    for row in range(len(q)):
        here = (places[:, 0] == row).nonzero()[:, 0]
        if not len(here):
            continue
        at, position, branch = places[here, 1], batch.positions[row], batch.branch[row]
        allowed = (position >= 0) & (position <= position[at, None])
        allowed &= (branch == 0) | (branch == branch[at, None])
        query, keys = q[row, at].transpose(0, 1)[None], k[row].transpose(0, 1)[None]
        patterns.append(attention_rows(query, keys, scale, allowed[None, None])[0].transpose(0, 1))
        order.append(here)
    return torch.cat(patterns), torch.cat(order)


def _grounding(q: Tensor, k: Tensor, batch: Batch, scale: float) -> Tensor:
    """-log of the attention of the row that predicts a word to the thing it speaks of."""
    if not len(batch.grounded):
        return q.sum() * 0
    pattern, order = _looking(q, k, batch, batch.grounded, scale)
    return -torch.log((pattern.mean(1) * batch.boxes[order]).sum(-1) + 1e-6).mean()


def _counting(q: Tensor, k: Tensor, batch: Batch, scale: float) -> Tensor:
    """Cross-entropy of every head that counts: one part to each thing, REST parts to the first token.

    So the number can be read from the first token's share, and one constant difference of logits does it for
    every number (a softmax cannot give each thing a fixed share). On its own the model finds this late.
    """
    if not len(batch.counting):
        return q.sum() * 0
    pattern, order = _looking(q, k, batch, batch.counting, scale)
    each = batch.counted[order]
    share = each.any(-1).float()
    share = (share / (share.sum(-1, keepdim=True) + REST))[:, None]
    seen = torch.log(pattern @ each.float().mT + 1e-6)  # [places, heads, things]
    left = torch.log(pattern[..., 0] + 1e-6)
    return -((share * seen).sum(-1) + (1 - share.sum(-1)) * left).mean()


def _balance(logits: Tensor) -> tuple[Tensor, float]:
    """Switch Transformer's load-balance term with ST-MoE's z-loss, and the spread of the load."""
    experts = logits.shape[-1]
    load = torch.bincount(logits.argmax(-1), minlength=experts).float() / len(logits)
    balance = experts * (load * logits.softmax(-1).mean(0)).sum()
    size = torch.logsumexp(logits, -1).square().mean()
    return BALANCE * balance + ROUTER_SIZE * size, float(load.std(unbiased=False) * experts)
