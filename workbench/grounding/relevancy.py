"""Relevancy: attention weighted by how much a word's logit depends on it, carried down through the layers.

R = I; for every layer, R += mean over heads of (gradient * attention)+ times R. Only one row of R is asked
for, so the row is carried from the last layer to the first and R itself is never formed.
"""

from __future__ import annotations

import math
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor

from model.hooks import replaced
from model.quantize import QuantizedWeight
from workbench.grounding.maps import PatchMap
from workbench.grounding.passes import GIB, Asked, Case, Cost
from workbench.grounding.patches import GroundingError
from workbench.provenance import RECOMPUTED
from workbench.session import Session

BACKWARD = 3  # passes that one pass with its gradient counts as: going back is twice as much work


def relevancy(
    session: Session, asked: Asked | Case, word: int | str | None = None, budget: int = 2 * GIB
) -> PatchMap:
    """Gradient-weighted attention from a word of the answer or of the prompt down to the patches.

    What it means: how much of the word's logit came from each patch, by attention that the logit really
    depends on; 0 where more attention would have lowered it. When it misleads: experts and values
    take part in the gradient but not in the rule; the vision tower is not looked into (`through_vision`
    does); a saturated word has small gradients; what it adds up to is no share of anything, so compare
    patches and not words. Source: Chefer et al.
    2103.15679, the rule for self-attention.

    Args:
        session: the loaded model. asked: see `Case.of`. word: a token's number, a text, or None for the
            answer's first token. budget: bytes beyond the weights; `relevancy_cost` says what is needed.

    Raises:
        GroundingError: over the budget, before anything runs; or the weights are quantized, through which
            no true gradient goes.
    """
    case = Case.of(session, asked)
    found = case.word(word)
    relevancy_cost(session, case, word).within(budget, "relevancy")
    if any(isinstance(module, QuantizedWeight) for module in case.llama.modules()):
        raise GroundingError("the weights are quantized; load the model without quantize= for gradients")
    target = int(case.inputs.token_ids[found.start])
    row = case.apart(lambda: _row(case, found.start, target))
    keys = case.patches.token[case.patches.token < found.start]
    scores = np.zeros(len(case.patches))
    scores[: len(keys)] = row.double().cpu().numpy()[keys]
    made = f"gradient-weighted attention of row {found.start - 1}, {RECOMPUTED} (one pass and its gradient)"
    return PatchMap(case.patches, scores, found.text, found.start, made)


def relevancy_cost(session: Session, asked: Asked | Case, word: int | str | None = None) -> Cost:
    """What `relevancy` takes: the bytes that stay until the gradient is there, and its passes.

    What it means: an upper estimate from the shapes alone; nothing is run. When it misleads: allocators
    round up. Source: what each operation of a layer keeps for its gradient.
    """
    case = Case.of(session, asked)
    tokens, text = case.word(word).start, case.llama.config.text
    experts = 2 * text.num_experts_per_tok + 2  # the routed ones and the shared one, gate and up
    inner = max(experts * text.intermediate_size, 2 * text.intermediate_size_mlp)
    heads = text.num_attention_heads * text.head_dim
    # attention: softmax, pattern, their gradients and the mask; vectors in float32 and in the model's dtype
    squares = text.num_attention_heads * tokens * tokens * (4 * 4 + 1)
    vectors = tokens * (12 * text.hidden_size + 8 * heads + 3 * inner) * (4 + case.llama.dtype.itemsize)
    head = text.vocab_size * 4 * 3
    return Cost(
        BACKWARD,
        len(case.inputs.pixel_values),
        math.ceil(text.num_hidden_layers * (squares + vectors) + head),
    )


def _row(case: Case, stop: int, target: int) -> Tensor:
    """The row of R [stop] of the last of `stop` tokens, for the logit of `target`."""
    llama, features = case.llama, case.features_before(stop, case.features)
    patterns: list[Tensor] = []

    def followed(pattern: Tensor) -> Tensor:
        # the first layer's pattern depends on nothing that has a gradient: it becomes a beginning
        pattern = pattern if pattern.requires_grad else pattern.detach().requires_grad_()
        patterns.append(pattern)
        return pattern

    with torch.enable_grad(), ExitStack() as stack:
        for layer in range(llama.config.text.num_hidden_layers):
            stack.enter_context(replaced(llama.hook_point(f"blocks.{layer}.attn.hook_pattern"), followed))
        hidden = llama.hidden(case.ids(stop), image_features=features)[:, -1:]
        logit = llama.unembed(hidden)[0, -1, target].float()
        gradients = torch.autograd.grad(logit, patterns)
    row = torch.zeros(stop, device=llama.device)
    row[-1] = 1.0
    for pattern, gradient in zip(reversed(patterns), reversed(gradients), strict=True):
        row = row + row @ (pattern.detach() * gradient).clamp(min=0)[0].mean(0)
    return row
