"""Mixture of experts, the Llama 4 way.

A linear router scores every expert; the best `K` are chosen by logit; the sigmoid of a chosen logit scales
the expert's INPUT (no softmax, no renormalizing); a shared expert sees every token unscaled and is added.

R tokens of all rows, E experts, K experts per token, M model width
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kernels import routed_swiglu
from kernels.fp8 import Rounded
from model.config import TextConfig
from model.feed_forward import FeedForward
from model.hooks import HookPoint
from model.linear import Linear
from model.module import Module
from model.quantize import held


class MixtureOfExperts(Module):
    """Router, routed experts and shared expert of one layer."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        width, inner, experts = config.hidden_size, config.intermediate_size, config.num_local_experts
        self.experts_per_token = config.num_experts_per_tok
        self.router = Linear(width, experts, bias=False)
        self.gate_up_proj = nn.Parameter(torch.empty(experts, 2 * inner, width))  # gate rows, then up rows
        self.down_proj = nn.Parameter(torch.empty(experts, width, inner))
        self.shared_expert = FeedForward(width, inner)
        self.hook_router_logits = HookPoint("RE")
        self.hook_expert_indices = HookPoint("RK")
        self.hook_expert_weights = HookPoint("RE")
        self.hook_routed_out = HookPoint("RM")
        self.hook_shared_out = HookPoint("RM")

    @property
    def takes_codes(self) -> bool:
        """Whether the norm before it should also round to E4M3: for the shared expert.

        A routed expert's codes are others: they have its gate in them, which the router first makes of the
        norm's output, and which may be edited.
        """
        return self.shared_expert.takes_codes

    def forward(self, x: Tensor | Rounded) -> Tensor:
        """[B, T, M] to [B, T, M]."""
        values = x.plain if isinstance(x, Rounded) else x
        flat = values.flatten(0, -2)
        rows, experts, gates = self.route(flat)
        routed = self.hook_routed_out(self.run_experts(flat, rows, experts, gates))
        shared = self.hook_shared_out(self.shared_expert(x).flatten(0, -2))
        return (shared + routed).view_as(values)

    def run_experts(self, x: Tensor, rows: Tensor, experts: Tensor, gates: Tensor) -> Tensor:
        """The chosen experts' answers to `x` [R, M], summed per row; training puts its own form here."""
        return routed_swiglu(x, held(self.gate_up_proj), held(self.down_proj), rows, experts, gates)

    def route(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Choose experts for `x` [R, M]: the row, the expert and the gate of every pair, each [pairs].

        Editing the logits routes anew. Editing the indices forces experts, each with the sigmoid of its own
        logit: the weight the router itself would have given it. Editing the weights replaces both: every
            expert
        with a weight other than zero runs, with that weight.
        """
        logits = self.hook_router_logits(self.router(x))
        # topk, not max: on ties the two choose differently, and the published models were run with topk
        chosen = self.hook_expert_indices(torch.topk(logits, self.experts_per_token, dim=-1).indices)
        gates = torch.sigmoid(logits.gather(1, chosen).float()).to(x.dtype)  # [R, K]
        if self.hook_expert_weights.watched:
            weights = self.hook_expert_weights(torch.zeros_like(logits).scatter(1, chosen, gates))
            if self.hook_expert_weights.edited:
                rows, experts = weights.nonzero(as_tuple=True)
                return rows, experts, weights[rows, experts]
        rows = torch.arange(x.shape[0], device=x.device)
        if chosen.shape[1] > 1:
            rows = rows.repeat_interleave(chosen.shape[1])
        return rows, chosen.flatten(), gates.flatten()
