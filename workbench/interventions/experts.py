"""Edits of who answers: force an expert, silence it, or weigh it differently.

A gate multiplies its expert's INPUT, and the expert is not linear: twice the gate is not twice the answer.
"Force expert 3" says nothing until it says with which gate; forced with the gate that a top-k left at zero,
an expert is silent. All three work on the router's choice alone, so experts in FP8 or int4 are no different.

n chosen tokens, E experts, K experts per token
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from model.llama4 import Llama4
from model.processor import Inputs
from workbench.edits import EditError
from workbench.interventions.changes import Described, layers_of, rows_changed
from workbench.interventions.tokens import ALL, Tokens, tokens_to_json

SILENCE, FORCE, SCALE = "silence", "force", "scale"
OWN, REPLACED = "own", "replaced"
NOTHING, NEXT = "nothing", "next"


@dataclass(frozen=True, repr=False)
class ForceExpert(Described):
    """Send tokens to one expert, in place of the chosen one with the lowest router logit.

    What it means: from these rows on, the model goes on as if its router had chosen this expert. Where it is
    among the chosen anyway, `gate="own"` changes nothing, bit for bit. When it misleads: other experts may do
    as much; only a difference from forcing others like it says something of this one (see `ab`). Source:
    the choice of gates is what tools differ in (TransformerLens forces with a gate of zero, which silences).

    Attributes:
        layers: a layer with experts, several, or "all".
        expert: which expert.
        tokens: which tokens, see `Tokens`.
        gate: "own" (the sigmoid of its own router logit: what the router would have applied), "replaced" (the
            gate of the expert that gives way), or a value above 0. Sigmoids stay below 1.
    """

    layers: int | Sequence[int] | str
    expert: int
    tokens: Tokens = ALL
    gate: str | float = OWN

    def applied(self, llama: Llama4, inputs: Inputs) -> AbstractContextManager[None]:
        """Hold the edit while one answer is made; see `workbench.edits.Edit`."""
        layers = expert_layers(llama, self.layers, self.expert)
        if self.gate not in (OWN, REPLACED) and not _positive(self.gate):
            raise EditError(
                f"gate is {self.gate!r}; expected 'own', 'replaced' or a number above 0 "
                "(an expert with gate 0 is silent: SilenceExpert)"
            )
        leaf, how = (
            ("hook_expert_indices", self._choose)
            if self.gate == OWN
            else ("hook_expert_weights", self._weigh)
        )
        return rows_changed(self, llama, inputs, self.tokens, {f"blocks.{n}.moe.{leaf}": how for n in layers})

    def to_json(self) -> dict:
        """Plain values for `trace.edits`."""
        return expert_json(self, gate=self.gate)

    def _choose(self, chosen: Tensor, places: np.ndarray) -> Tensor:
        """[n, K] expert numbers, the best first."""
        new = chosen.clone()
        new[:, -1] = torch.where((chosen == self.expert).any(1), chosen[:, -1], self.expert)
        return new

    def _weigh(self, gates: Tensor, places: np.ndarray) -> Tensor:
        """[n, E] gates, 0 for those that were not chosen."""
        if bool((gates == 0).all(1).any()):
            raise EditError(f"{self}: a token has no expert left that could give way")
        new, row = gates.clone(), torch.arange(len(gates), device=gates.device)
        there = gates[:, self.expert] != 0
        lowest = gates.masked_fill(gates == 0, math.inf).argmin(1)
        given = gates[row, lowest]
        new[row, lowest] = torch.where(there, given, 0)
        if self.gate == REPLACED:
            new[:, self.expert] = torch.where(there, gates[:, self.expert], given)
        else:
            new[:, self.expert] = float(self.gate)
        return new


@dataclass(frozen=True, repr=False)
class SilenceExpert(Described):
    """Take an expert away from tokens that would have gone to it.

    What it means: what the answer loses without it. When it misleads: with `instead="nothing"` those tokens
    get less than any token in training (only the shared expert, if the model asks one expert per token), so
    part of the effect is of the emptiness; with "next" it is the difference between this expert and the
    router's second choice. Load does not predict either (arXiv:2606.10703): compare with experts of the same
    load (see `ab`). Source: the lowered logit of "next" is SteerMoE's (arXiv:2509.09660).

    Attributes:
        layers, expert, tokens: as in ForceExpert.
        instead: "nothing" (its gate becomes 0, no expert takes its place) or "next" (its router logit falls
            below all others, so the router's next choice runs, with that one's own gate).
    """

    layers: int | Sequence[int] | str
    expert: int
    tokens: Tokens = ALL
    instead: str = NOTHING

    def applied(self, llama: Llama4, inputs: Inputs) -> AbstractContextManager[None]:
        """Hold the edit while one answer is made; NothingChangedError if no token went to the expert."""
        layers = expert_layers(llama, self.layers, self.expert)
        if self.instead not in (NOTHING, NEXT):
            raise EditError(f"instead is {self.instead!r}; expected 'nothing' or 'next'")
        text = llama.config.text
        if self.instead == NEXT and text.num_experts_per_tok == text.num_local_experts:
            raise EditError(f"every token goes to all {text.num_local_experts} experts; there is no next one")
        if self.instead == NEXT:
            top = text.num_experts_per_tok

            def how(logits: Tensor, places: np.ndarray) -> Tensor:
                return lowered(logits, self.expert, top)

            leaf = "hook_router_logits"
        else:
            leaf, how = "hook_expert_weights", self._weigh
        return rows_changed(
            self,
            llama,
            inputs,
            self.tokens,
            {f"blocks.{n}.moe.{leaf}": how for n in layers},
            nothing=f"none of these tokens goes to expert {self.expert} of these layers",
        )

    def to_json(self) -> dict:
        """Plain values for `trace.edits`."""
        return expert_json(self, instead=self.instead)

    def _weigh(self, gates: Tensor, places: np.ndarray) -> Tensor:
        return gates.index_fill(1, gates.new_tensor([self.expert], dtype=torch.int64), 0)


@dataclass(frozen=True, repr=False)
class ScaleExpert(Described):
    """Multiply an expert's gate where it was chosen.

    What it means: how the answer moves when the expert hears its tokens louder or softer. The gate multiplies
    the expert's input, so a factor of 2 does not double its output, and a gate above 1 is one that no router
    gives. When it misleads: as SilenceExpert. Source: the applied gate of Llama 4 (model/moe.py).

    Attributes:
        layers, expert, tokens: as in ForceExpert.
        factor: above 0; 1 changes nothing, bit for bit.
    """

    layers: int | Sequence[int] | str
    expert: int
    factor: float
    tokens: Tokens = ALL

    def applied(self, llama: Llama4, inputs: Inputs) -> AbstractContextManager[None]:
        """Hold the edit while one answer is made; NothingChangedError if no token went to the expert."""
        layers = expert_layers(llama, self.layers, self.expert)
        if not _positive(self.factor):
            raise EditError(f"factor is {self.factor!r}; expected a number above 0 (0: SilenceExpert)")
        none = f"none of these tokens goes to expert {self.expert} of these layers"
        changes = {f"blocks.{n}.moe.hook_expert_weights": self._weigh for n in layers}
        nothing = None if self.factor == 1 else none
        return rows_changed(self, llama, inputs, self.tokens, changes, nothing)

    def to_json(self) -> dict:
        """Plain values for `trace.edits`."""
        return expert_json(self, factor=self.factor)

    def _weigh(self, gates: Tensor, places: np.ndarray) -> Tensor:
        new = gates.clone()
        new[:, self.expert] *= self.factor
        return new


def expert_edit(
    action: str,
    layer: int,
    expert: int,
    tokens: Tokens = ALL,
    instead: str = NOTHING,
    gate: str | float = OWN,
    factor: float = 2.0,
) -> ForceExpert | SilenceExpert | ScaleExpert:
    """The edit that a form with these fields asks for; fields of the other actions are not read.

    Args:
        action: "silence" (reads instead), "force" (reads gate) or "scale" (reads factor).
        layer, expert, tokens, instead, gate, factor: as in the edits.

    Raises:
        EditError: another action.
    """
    if action == SILENCE:
        return SilenceExpert(layer, expert, tokens, instead)
    if action == FORCE:
        return ForceExpert(layer, expert, tokens, gate)
    if action == SCALE:
        return ScaleExpert(layer, expert, factor, tokens)
    raise EditError(f"action is {action!r}; expected {SILENCE!r}, {FORCE!r} or {SCALE!r}")


def lowered(logits: Tensor, expert: int, top: int) -> Tensor:
    """Router logits [n, E] with `expert` below all others, in the rows where it is among the best `top`."""
    chosen = (logits.topk(top, dim=1).indices == expert).any(1)
    least = logits.amin(1)
    # a step that is one in half precision too
    below = least - least.abs() * 0.125 - 1
    new = logits.clone()
    new[:, expert] = torch.where(chosen, below, logits[:, expert])
    return new


def expert_layers(llama: Llama4, layers: int | Sequence[int] | str, expert: int) -> tuple[int, ...]:
    """True layer numbers; EditError unless all have experts, and that one."""
    text = llama.config.text
    chosen = layers_of(layers, text.moe_layers, "experts")
    if isinstance(expert, bool) or not isinstance(expert, int | np.integer):
        raise EditError(f"expert is {expert!r}; expected a whole number from 0")
    if not 0 <= expert < text.num_local_experts:
        raise EditError(f"expert is {expert}; this model has experts 0 to {text.num_local_experts - 1}")
    return chosen


def expert_json(edit: ForceExpert | SilenceExpert | ScaleExpert, **more: object) -> dict:
    """Plain values of an edit of one expert."""
    layers = edit.layers if isinstance(edit.layers, str) else np.atleast_1d(edit.layers).tolist()
    about = {"edit": type(edit).__name__, "layers": layers, "expert": int(edit.expert)}
    return about | {"tokens": tokens_to_json(edit.tokens)} | more


def _positive(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < value < math.inf
