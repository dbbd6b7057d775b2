"""What training asks of the model: name what is in each cell, answer, look at the thing, spread the load.

None of it is part of the model: the parts are read at hook points from outside, and inference is plain
Llama 4.

B rows, T tokens, Q questions, G grounded words, E experts, N tiles
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.demo.batch import NO_LOSS, Batch
from model.demo.batched import batched_experts, branch_attention
from model.demo.company import MOST_PICTURES
from model.demo.languages import CODES
from model.demo.pictures import LABELS, UNCLEAR
from model.demo.spared import without_partners
from model.hooks import recorded
from model.llama4 import Llama4
from model.norms import rms_normalize

LABEL_WEIGHTS = {"shape": 1.0, "colour": 1.0, "digit": 1.0, "size": 0.5, "across": 0.5, "down": 0.5}
SHORT_ANSWER = 8  # tokens
REST = 2.0
BALANCE, ROUTER_SIZE = 0.01, 1e-4  # weights of the two router terms (Switch Transformer; ST-MoE)


class CellHead(nn.Linear):
    """A throw-away reader of picture tokens: is a thing's middle here, and what of LABELS is it."""

    parts = (1, *LABELS.values())

    def __init__(self, width: int):
        super().__init__(width, sum(self.parts))

    def loss(self, features: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Loss for `features` [N, cells, width] and `labels` [N, cells, 6]; the share right by label."""
        there, *read = self(features).float().split(self.parts, dim=-1)
        labels = labels.long()
        clear = labels[..., 0] != UNCLEAR
        full = labels[..., 0] >= 0
        total = 5 * F.binary_cross_entropy_with_logits(there[clear][:, 0], full[clear].float())
        right = {}
        for (name, _), logits, truth in zip(LABELS.items(), read, labels[full].unbind(-1), strict=True):
            known = truth >= 0
            if known.any():
                said = logits[full][known]
                measured = without_partners(name, said, labels[full][known])
                total = total + LABEL_WEIGHTS[name] * F.cross_entropy(measured, truth[known])
                right[name] = float((said.argmax(-1) == truth[known]).float().mean())
        return total, right


class PlaceHead(nn.Linear):
    """A throw-away reader of the text part's picture tokens: which picture is it, and all of that picture?

    Without it the model takes long to find out that pictures have numbers.
    """

    def __init__(self, width: int):
        super().__init__(width, MOST_PICTURES + 1)

    def loss(self, residual: Tensor, batch: Batch) -> Tensor:
        """Loss for the residual stream [B, P, width] of a packed batch's prefixes."""
        read = self(rms_normalize(residual, 1e-5)).float()
        patches = batch.image >= 0
        if not patches.any():
            return read.sum() * 0
        number = F.cross_entropy(read[patches][:, :MOST_PICTURES], batch.image[patches])
        return number + F.binary_cross_entropy_with_logits(read[patches][:, -1], batch.whole[patches].float())


class ThingHead(nn.Linear):
    """A throw-away reader of the text part's words: which thing has just been named?

    Where a name makes the model look, it learns from this to bring home what it saw there.
    """

    def __init__(self, width: int):
        super().__init__(width, sum(LABELS.values()))

    def loss(self, residual: Tensor, words: Tensor, labels: Tensor) -> Tensor:
        """Loss for the residual stream [B, T, width] at `words` [G, 2]; `labels` [G, 6], -1 for unknown."""
        read = self(rms_normalize(residual[words[:, 0], words[:, 1]], 1e-5)).float()
        total = read.sum() * 0
        for name, some, truth in zip(
            LABELS, read.split(tuple(LABELS.values()), dim=-1), labels.unbind(-1), strict=True
        ):
            known = truth >= 0
            if known.any():
                total = total + LABEL_WEIGHTS[name] * F.cross_entropy(some[known], truth[known])
        return total


class PartHead(nn.Linear):
    """A throw-away reader of the text part's words: is the thing just named asked about, or compared with?

    A verdict ("is X left of Y?") needs that. Without it the model learns it where X comes first, and guesses
    in languages that mark it otherwise.
    """

    def __init__(self, width: int):
        super().__init__(width, 2)

    def loss(self, residual: Tensor, words: Tensor, parts: Tensor) -> Tensor:
        """Loss for the residual stream [B, T, width] at `words` [G, 2]; `parts` [G], -1 for neither."""
        known = parts >= 0
        read = self(rms_normalize(residual[words[known, 0], words[known, 1]], 1e-5)).float()
        return F.cross_entropy(read, parts[known]) if known.any() else read.sum()


@dataclass(frozen=True)
class Heads:
    """The throw-away readers that training needs beside the model."""

    cell: CellHead
    place: PlaceHead
    mention: ThingHead
    reference: ThingHead
    part: PartHead

    @classmethod
    def of_width(cls, width: int) -> Heads:
        """Fresh ones for a model of that width."""
        return cls(CellHead(width), PlaceHead(width), ThingHead(width), ThingHead(width), PartHead(width))

    def to(self, *how: object) -> Heads:
        """In place, as `nn.Module.to`."""
        for head in vars(self).values():
            head.to(*how)
        return self


@dataclass(frozen=True)
class Answered:
    """Losses of one packed batch, and how it went."""

    answer: Tensor  # cross-entropy of an answer's tokens, mean over questions
    grounding: Tensor
    tiles: Tensor
    mention: Tensor
    reference: Tensor
    counting: Tensor
    balance: Tensor
    tongues: Tensor
    placing: Tensor
    naming: Tensor  # of the things that questions speak of
    parting: Tensor  # of those that are asked about from those that they are compared with
    loudness: Tensor  # of the feed-forward parts at patches
    right: Tensor  # bool [Q], every token of the answer right
    spread: float  # coefficient of variation of the experts' load, mean over layers


def answer_losses(llama: Llama4, heads: Heads, batch: Batch, features: Tensor) -> Answered:
    """Run the model on a packed batch whose pictures' vectors are `features` [N, cells, width]."""
    text = llama.config.text
    first_global, middle_global, *_, last_global = (
        layer for layer in range(text.num_hidden_layers) if not text.uses_rope(layer)
    )
    before = llama.blocks[middle_global].hook_resid_pre
    named, referred = (llama.blocks[layer + 1].hook_resid_pre for layer in (first_global, middle_global))
    routers = [llama.hook_points[f"blocks.{layer}.moe.hook_router_logits"] for layer in text.moe_layers]
    watched = branch_attention(llama, batch, (first_global, middle_global, last_global))
    ends = [(block.hook_resid_mid, block.hook_resid_post) for block in llama.blocks]
    reading = recorded([before, named, referred, *routers, *chain.from_iterable(ends)])
    with watched as seen, batched_experts(llama), reading as kept:
        hidden = llama.hidden(
            batch.token_ids, positions=batch.positions, image_features=features if len(features) else None
        )
    answer, right = _answers(llama, hidden, batch)
    logits = [kept[router.name].float() for router in routers]
    half = text.num_attention_heads // 2  # the other heads stay free
    real = batch.branch.flatten() >= 0
    # apart: in a chat most tokens are patches, in a packed batch most are words
    patches = F.pad(batch.image >= 0, (0, batch.positions.shape[1] - batch.prefix)).flatten()
    kinds = [some for some in (real & patches, real & ~patches) if some.any()]
    streams = [(kept[mid.name].flatten(0, 1), kept[post.name].flatten(0, 1)) for mid, post in ends]
    balances, spreads = zip(*(_balance(some[kind]) for some in logits for kind in kinds), strict=True)
    return Answered(
        answer=answer,
        grounding=_grounding(seen[last_global], batch.grounded, batch.boxes, batch.prefix),
        mention=_grounding(seen[first_global][:, :half], batch.mentions, batch.mentioned, batch.prefix),
        reference=_grounding(seen[middle_global][:, :half], batch.references, batch.referred, batch.prefix),
        tiles=_within_tiles(seen[last_global], batch),
        counting=_counting(seen[last_global], batch),
        balance=torch.stack(balances).sum(),
        tongues=-shared_information(logits[len(logits) // 2], batch.language.flatten(), len(CODES)),
        placing=heads.place.loss(kept[before.name][:, : batch.prefix], batch),
        naming=heads.mention.loss(kept[named.name], batch.mentions, batch.mention_labels)
        + heads.reference.loss(kept[referred.name], batch.references, batch.reference_labels),
        parting=heads.part.loss(kept[referred.name], batch.mentions, batch.mention_parts),
        loudness=_loudness(streams, (real & patches).nonzero()[:, 0]),
        right=right,
        spread=sum(spreads) / len(spreads),
    )


def _answers(llama: Llama4, hidden: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    rows = (batch.targets != NO_LOSS).flatten().nonzero()[:, 0]
    # always a multiple of 128 rows: every new shape costs the matrix library a compilation
    padded = F.pad(rows, (0, -len(rows) % 128))
    logits = llama.unembed(hidden.flatten(0, 1)[padded][None])[0, : len(rows)].float()
    targets, questions = batch.targets.flatten()[rows], batch.question.flatten()[rows]
    # so that a long answer does not drown the others, and its verdict, one token of many, still counts
    weights = (SHORT_ANSWER / torch.bincount(questions, minlength=len(batch.kinds))).clamp(max=1)[questions]
    loss = (F.cross_entropy(logits, targets, reduction="none") * weights).sum() / len(batch.kinds)
    wrong = torch.zeros(len(batch.kinds), device=rows.device).index_add(
        0, questions, (logits.argmax(-1) != targets).float()
    )
    return loss, wrong == 0


def _grounding(weights: Tensor, words: Tensor, boxes: Tensor, prefix: int) -> Tensor:
    """-log of the attention (mean over heads) of the tokens `words` [G, 2] to `boxes` [G, P].

    Boxes [G, pictures, P] are looked at evenly: who is to find the odd one out must have seen all of them.
    """
    if not len(words):
        return weights.sum() * 0
    looks = weights[words[:, 0], :, words[:, 1] - prefix, :prefix].float().mean(1)  # [G, P]
    boxes = boxes.view(len(words), -1, prefix)  # [G, pictures, P]
    seen, meant = torch.log((boxes * looks[:, None]).sum(-1) + 1e-6), boxes.any(-1)
    return -((seen * meant).sum(-1) / meant.sum(-1)).mean()


def _loudness(streams: Sequence[tuple[Tensor, Tensor]], patches: Tensor) -> Tensor:
    """How much the feed-forward parts add at the rows `patches` of the streams before and after them.

    The tower writes shape and colour as directions that add up, so that they can be read one by one even of
    pairs never shown; a feed-forward part that knows pairs by heart blurs that. Mean over layers of the
    squared length of what is added, by that of what was there.
    """
    if not len(patches):
        return streams[0][0].sum() * 0
    parts = []
    for before, after in streams:
        was, now = before[patches].float(), after[patches].float()
        parts.append(((now - was).square().sum(-1) / was.detach().square().sum(-1)).mean())
    return torch.stack(parts).mean()


def _within_tiles(weights: Tensor, batch: Batch) -> Tensor:
    """-log of the part of the attention to tiles of cut pictures that falls on the things.

    Else the model looks at the thumbnail alone, and what it does in the tiles is left to chance.
    """
    words, spots = batch.grounded, batch.spots
    cut = ((batch.image >= 0) & ~batch.whole)[words[:, 0]]  # [G, P]
    some = (spots & cut).any(-1)
    if not some.any():
        return weights.sum() * 0
    looks = weights[words[some, 0], :, words[some, 1] - batch.prefix, : batch.prefix].float().mean(1)
    looks = looks * cut[some]
    return -torch.log((looks * spots[some]).sum(-1) / (looks.sum(-1) + 1e-6) + 1e-3).mean()


def _counting(weights: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of every head that counts: one part to each thing, REST parts to the first token.

    So the number can be read from the first token's share, and one constant difference of logits does it for
    every number (a softmax cannot give each thing a fixed share). On its own the model finds this late.
    """
    if not len(batch.counting):
        return weights.sum() * 0
    at = batch.counting
    pattern = weights[at[:, 0], :, at[:, 1] - batch.prefix, : batch.prefix].float()  # [places, heads, P]
    share = batch.counted.any(-1).float()
    share = (share / (share.sum(-1, keepdim=True) + REST))[:, None]
    seen = torch.log(pattern @ batch.counted.float().mT + 1e-6)  # [places, heads, things]
    left = torch.log(pattern[..., 0] + 1e-6)
    return -((share * seen).sum(-1) + (1 - share.sum(-1)) * left).mean()


def shared_information(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """Mutual information in nats of expert and label, from the router's probabilities; a reward for experts
    that specialize.

    logits: [R, E]; labels: [R], below `count`, -1 for tokens left out.
    """
    known = labels >= 0
    chosen = F.one_hot(labels[known], count).float()
    sums = chosen.mT @ logits[known].softmax(-1)  # [labels, experts]
    joint = sums / sums.sum()
    apart = joint.sum(0, keepdim=True) * joint.sum(1, keepdim=True)
    return (joint * (torch.log(joint + 1e-9) - torch.log(apart + 1e-9))).sum()


def _balance(logits: Tensor) -> tuple[Tensor, float]:
    """Switch Transformer's load-balance term with ST-MoE's z-loss, and the spread of the load."""
    experts = logits.shape[-1]
    load = torch.bincount(logits.argmax(-1), minlength=experts).float() / len(logits)
    balance = experts * (load * logits.softmax(-1).mean(0)).sum()
    size = torch.logsumexp(logits, -1).square().mean()
    return BALANCE * balance + ROUTER_SIZE * size, float(load.std(unbiased=False) * experts)
