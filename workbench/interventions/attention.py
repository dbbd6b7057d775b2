"""Edits of where heads look: more at a picture, less, or not at all.

n chosen tokens, H heads, S tokens so far
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from model.llama4 import Llama4
from model.processor import Inputs
from workbench.edits import EditError
from workbench.interventions.changes import Described, layers_of, rows_changed
from workbench.interventions.tokens import (
    ANSWERING,
    Tokens,
    check_tokens,
    mask_of,
    positions,
    tokens_to_json,
)


@dataclass(frozen=True, repr=False)
class SteerAttention(Described):
    """Turn heads towards some tokens, or away from them.

    `strength` is added to these tokens' attention logits before the softmax. It is done by multiplying their
    probabilities by exp(strength) and dividing each row by its new sum, which is the same numbers: a softmax
    of logits plus b is proportional to the softmax times exp(b). What a row may not see (later tokens, other
    chunks) it does not see now.

    What it means: whether the answer follows these heads' eyes. When it misleads: a row that gives these
    tokens nothing (below 1e-45) cannot be turned, and many heads turned at once destroy the text rather than
    steer it; random heads are the comparison (see `ab`). Beside steering, an edited layer computes attention
    through its pattern, which rounds differently from the fused path (float32: about 1e-7); strength 0 edits
    nothing. Source: Gaze Heads (arXiv:2606.14703); knocking out, Geva et al. 2023.

    Attributes:
        layers: decoder layers, one, several, or "all".
        to: the tokens looked at: ImagePatches, or positions, or another of `Tokens`.
        strength: added to their logits, in nats; negative turns away, -inf lets nobody look.
        heads: which, or "all".
        tokens: the rows that look; by default those that predict the answer.
    """

    layers: int | Sequence[int] | str
    to: Tokens
    strength: float
    heads: int | Sequence[int] | str = "all"
    tokens: Tokens = ANSWERING

    def applied(self, llama: Llama4, inputs: Inputs) -> AbstractContextManager[None]:
        """Hold the edit while one answer is made; NothingChangedError if no row looks at these tokens."""
        text = llama.config.text
        layers = layers_of(self.layers, range(text.num_hidden_layers), "attention")
        heads = heads_of(self.heads, text.num_attention_heads)
        real = isinstance(self.strength, Real) and not isinstance(self.strength, bool)
        if not real or math.isnan(self.strength) or self.strength == math.inf:
            raise EditError(f"strength is {self.strength!r}; expected a finite number, or -inf")
        check_tokens(self.to, inputs, text.max_position_embeddings)
        changes = {
            f"blocks.{n}.attn.hook_pattern": partial(self._steer, inputs=inputs, heads=heads) for n in layers
        }
        nothing = "these rows give these tokens no attention in these layers and heads"
        if self.strength == 0:
            changes, nothing = {}, None
        return rows_changed(self, llama, inputs, self.tokens, changes, nothing)

    def to_json(self) -> dict:
        """Plain values for `trace.edits`."""

        def plain(which: int | Sequence[int] | str) -> object:
            return which if isinstance(which, str) else np.atleast_1d(which).tolist()

        return {
            "edit": type(self).__name__,
            "layers": plain(self.layers),
            "heads": plain(self.heads),
            "to": tokens_to_json(self.to),
            # JSON has no infinity
            "strength": "-inf" if self.strength == -math.inf else float(self.strength),
            "tokens": tokens_to_json(self.tokens),
        }

    def _steer(self, rows: Tensor, places: np.ndarray, inputs: Inputs, heads: tuple[int, ...]) -> Tensor:
        """Probabilities [n, H, S] of the rows at `places`."""
        mask = torch.from_numpy(mask_of(self.to, inputs, rows.shape[-1])).to(rows.device)
        index = torch.tensor(heads, device=rows.device)
        before = rows[:, index]
        # the larger of the two factors is 1, so that neither overflows
        mine, others = math.exp(min(self.strength, 0.0)), math.exp(-max(self.strength, 0.0))
        scaled = before * torch.where(mask, mine, others)
        total = scaled.sum(-1, keepdim=True)
        if bool((total == 0).any()):
            if self.strength == -math.inf:
                row = places[int((total == 0).any(1).flatten().nonzero()[0])]
                raise EditError(f"{self}: token {row} sees nothing else, so it cannot look away")
            # all of a row's attention on one side: shifting all its logits changes nothing
            scaled, total = torch.where(total == 0, before, scaled), torch.where(total == 0, 1, total)
        turned = scaled / total * before.sum(-1, keepdim=True)
        new = rows.clone()
        # rows that do not look there at all keep their bits
        looks = (before * mask).sum(-1, keepdim=True) > 0
        new[:, index] = torch.where(looks, turned, before)
        return new


def heads_of(heads: int | Sequence[int] | str, count: int) -> tuple[int, ...]:
    """Head numbers, or EditError."""
    if isinstance(heads, str):
        if heads != "all":
            raise EditError(f"heads is {heads!r}; expected a head, several, or 'all'")
        return tuple(range(count))
    chosen = tuple(positions(heads).tolist())
    if not chosen or chosen[0] < 0 or chosen[-1] >= count:
        raise EditError(f"heads is {heads!r}; this model has heads 0 to {count - 1} in every layer")
    return chosen
