"""Routing as it happened: what the routers' hook points carry, pass after pass, and the arrays made of it.

Where somebody edits the weights, choice and gate no longer follow from the logits: there the weights
themselves are recorded, after the edit, and every expert with a weight other than zero is one that ran.
Elsewhere the gate is the sigmoid of the chosen logit, rounded to the model's dtype as the model rounds it.

R tokens of a pass, M MoE layers, K experts per token, E experts
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor

from model.hooks import recorded
from model.llama4 import Llama4
from workbench.layout import NOT_CAPTURED
from workbench.options import CaptureError


class RoutingCapture:
    """Keeps what the routers of some layers carry.

    Args:
        llama: the model. layers: true numbers of MoE layers. prompt: tokens of the first pass.
        logits: whether the trace has them; if not, only those of the chosen experts are kept.
    """

    def __init__(self, llama: Llama4, layers: Sequence[int], prompt: int, logits: bool) -> None:
        self.llama = llama
        self.layers = list(layers)
        self.prompt = prompt
        self.logits = logits
        self.reweighted: list[int] = []  # layers whose weights are edited
        # per pass, per layer: logits [R, E] (or of the chosen [R, K]) and indices [R, K]; weights [R, E] in
        # place of the indices where they are edited
        self._passes: list[list[tuple[Tensor, Tensor]]] = []
        self._kept: dict[str, Tensor] = {}
        self._names: list[tuple[str, str]] = []

    @property
    def passes(self) -> int:
        """How many passes were noted."""
        return len(self._passes)

    def attach(self, stack: ExitStack) -> None:
        """Watch until `stack` ends; what is edited now is taken to be edited throughout."""
        points = self.llama.hook_points
        weights = {n: f"blocks.{n}.moe.hook_expert_weights" for n in self.layers}
        self.reweighted = [n for n in self.layers if points[weights[n]].edited]
        self._names = [
            (
                f"blocks.{n}.moe.hook_router_logits",
                weights[n] if n in self.reweighted else f"blocks.{n}.moe.hook_expert_indices",
            )
            for n in self.layers
        ]
        self._kept = stack.enter_context(recorded(points[name] for pair in self._names for name in pair))

    def add(self) -> None:
        """Note what one pass carried.

        Raises:
            CaptureError: a hook point carried nothing in this pass, or more or fewer rows than it had tokens.
        """
        if not self.layers:
            return
        # the first pass carries the whole prompt, every later one a token
        expected = 1 if self._passes else self.prompt
        carried = []
        for n, (logits_name, choice_name) in zip(self.layers, self._names, strict=True):
            logits, choice = taken(self._kept, logits_name), taken(self._kept, choice_name)
            carried_rows = [logits.shape[0], choice.shape[0]]
            if carried_rows != [expected, expected]:
                raise CaptureError(f"layer {n} routed {carried_rows} rows in a pass of {expected} tokens")
            if not self.logits and n not in self.reweighted:
                logits = logits.gather(1, choice)
            carried.append((logits, choice))
        self._passes.append(carried)

    def arrays(self, tokens: int, passes: int, top: int, experts: int) -> dict[str, np.ndarray | None]:
        """`routed_experts`, `routed_weights` and `router_logits` of the first `tokens` tokens.

        Args:
            tokens: of the trace. passes: that count for it. top: K of the model. experts: E.
        """
        seen = self._passes[:passes]
        columns = [self._column(column, seen, tokens) for column in range(len(self.layers) if seen else 0)]
        width = max([top, *(chosen.shape[1] for chosen, _, _ in columns)])
        ids = np.full((tokens, len(self.layers), width), NOT_CAPTURED, np.int16)
        gates = np.full(ids.shape, np.nan, np.float16)
        logits = None
        if self.layers and self.logits:
            logits = np.full((tokens, len(self.layers), experts), np.nan, np.float16)
        for column, (chosen, weights, raw) in enumerate(columns):
            rows, ranks = chosen.shape
            ids[:rows, column, :ranks], gates[:rows, column, :ranks] = chosen, weights
            if logits is not None:
                logits[:rows, column] = raw
        return {"routed_experts": ids, "routed_weights": gates, "router_logits": logits}

    def _column(
        self, column: int, seen: list[list[tuple[Tensor, Tensor]]], tokens: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Experts and gates [n, ranks] and logits of one layer."""
        raw = torch.cat([one[column][0] for one in seen]).float()[:tokens]
        choice = torch.cat([one[column][1] for one in seen])[:tokens]
        if self.layers[column] in self.reweighted:
            logits = raw.cpu().numpy()
            return *ran(choice.float().cpu().numpy(), logits), logits
        own = raw.gather(1, choice) if self.logits else raw
        # as the model rounds it: straight to float16 would be another number, and bfloat16 behind it a third
        gates = torch.sigmoid(own).to(self.llama.dtype).float()
        return choice.cpu().numpy(), gates.cpu().numpy(), raw.cpu().numpy()


def ran(weights: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every expert with a weight other than zero, and its weight, the largest first; -1 and NaN fill up.

    Args:
        weights: float32 [n, E] as applied. logits: [n, E], which decide between equal weights.
    """
    idle = weights == 0
    width = int((~idle).sum(-1).max(initial=0))
    order = np.lexsort((-logits, -weights, idle), axis=-1)[:, :width]
    none = np.take_along_axis(idle, order, -1)
    applied = np.take_along_axis(weights, order, -1)
    return np.where(none, NOT_CAPTURED, order), np.where(none, np.nan, applied)


def taken(kept: dict[str, Tensor], name: str) -> Tensor:
    """What the pass carried there; taken out, so that no later pass can be told the same again."""
    try:
        return kept.pop(name)
    except KeyError:
        raise CaptureError(f"the pass carried nothing through {name}; nothing can be told of it") from None
