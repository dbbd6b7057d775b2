"""Edits of the choice itself: other router logits, or the routing of another trace.

n chosen tokens, E experts, K experts per token
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from model.llama4 import Llama4
from model.processor import Inputs
from workbench.edits import EditError
from workbench.interventions.changes import Described, layers_of, rows_changed
from workbench.interventions.experts import expert_layers
from workbench.interventions.tokens import (
    ALL,
    Tokens,
    check_tokens,
    function_to_json,
    mask_of,
    tokens_to_json,
)
from workbench.provenance import absence
from workbench.trace import NOT_CAPTURED, Trace

RAISE, FREE = "raise", "free"


@dataclass(frozen=True, repr=False)
class EditRouterLogits(Described):
    """Change the router's logits before the best are taken; choice and gates follow from the new ones.

    What it means: tokens are routed anew, by the model's own rule. When it misleads: a bias on an expert that
    is chosen anyway changes its gate and nothing else, and one that is too small to change a choice changes
    nothing at all; that is a result and no error. The trace holds the logits after the edit. Source: SteerMoE
    (arXiv:2509.09660) steers models so.

    Attributes:
        layers: a layer with experts, several, or "all".
        change: what is added to the logits of some experts, e.g. {3: 2.0}, or a function of logits [n, E] and
            the layer's number that gives logits [n, E].
        tokens: which tokens, see `Tokens`.
    """

    layers: int | Sequence[int] | str
    change: Mapping[int, float] | Callable[[Tensor, int], Tensor]
    tokens: Tokens = ALL

    def applied(self, llama: Llama4, inputs: Inputs) -> AbstractContextManager[None]:
        """Hold the edit while one answer is made; see `workbench.edits.Edit`."""
        layers = layers_of(self.layers, llama.config.text.moe_layers, "experts")
        if isinstance(self.change, Mapping):
            if not self.change:
                raise EditError("change names no expert; expected e.g. {3: 2.0}")
            for expert, bias in self.change.items():
                expert_layers(llama, layers, expert)
                if isinstance(bias, bool) or not math.isfinite(bias):
                    raise EditError(
                        f"the bias of expert {expert} is {bias!r}; expected a finite number "
                        "(to keep an expert out: SilenceExpert(instead='next'))"
                    )
        elif not callable(self.change):
            raise EditError(f"change is {self.change!r}; expected biases by expert, or a function")
        changes = {f"blocks.{n}.moe.hook_router_logits": partial(self._changed, layer=n) for n in layers}
        return rows_changed(self, llama, inputs, self.tokens, changes)

    def to_json(self) -> dict:
        """Plain values for `trace.edits`."""
        layers = self.layers if isinstance(self.layers, str) else np.atleast_1d(self.layers).tolist()
        change = (
            {str(int(expert)): float(bias) for expert, bias in self.change.items()}
            if isinstance(self.change, Mapping)
            else function_to_json(self.change)
        )
        return {
            "edit": type(self).__name__,
            "layers": layers,
            "change": change,
            "tokens": tokens_to_json(self.tokens),
        }

    def _changed(self, logits: Tensor, places: np.ndarray, layer: int) -> Tensor:
        if isinstance(self.change, Mapping):
            new = logits.clone()
            for expert, bias in self.change.items():
                new[:, expert] += bias
            return new
        new = self.change(logits.clone(), layer)
        if isinstance(new, Tensor) and not bool(new.isfinite().all()):
            raise EditError(f"{self} gave logits that are not finite in layer {layer}")
        return new


@dataclass(frozen=True, repr=False)
class ReplayRouting(Described):
    """Give every token the experts that it had in another trace.

    What it means: what of a difference between two runs (two formats, two pictures of one size, with and
    without another edit) comes from who answered, and what from what they heard. When it misleads: the
    trace's gates were made of other hidden states; by default only its experts are taken, each with the
    sigmoid of its logit in this run. With `weights` its gates are, too, as the trace keeps them: float16,
    so those of a bfloat16 model are exact from 2**-17 up and those of a float32 one are off by up to 2**-11;
    one below 3e-8 becomes 0, and its expert does not run. Source: routing replay as in reinforcement
    learning with experts (arXiv:2507.18071).

    Attributes:
        trace: whose routing. Token by token it must be this prompt and, as far as it goes, this answer.
        layers: layers with experts, or "all".
        tokens: which tokens are replayed.
        weights: whether its gates are replayed too.
        after: what to do where the answer leaves the trace's or goes on behind its end: "raise", or "free",
            which leaves the router alone from there on.
    """

    trace: Trace
    layers: int | Sequence[int] | str = "all"
    tokens: Tokens = ALL
    weights: bool = False
    after: str = RAISE

    def applied(self, llama: Llama4, inputs: Inputs) -> AbstractContextManager[None]:
        """Hold the edit while one answer is made; EditError if the trace is of another prompt or model."""
        layers = layers_of(self.layers, llama.config.text.moe_layers, "experts")
        self._check(llama, inputs)
        return self._replaying(llama, inputs, layers)

    def to_json(self) -> dict:
        """Plain values for `trace.edits`."""
        layers = self.layers if isinstance(self.layers, str) else np.atleast_1d(self.layers).tolist()
        return {
            "edit": type(self).__name__,
            "layers": layers,
            "tokens": tokens_to_json(self.tokens),
            "weights": self.weights,
            "after": self.after,
            "trace": {"tokens": len(self.trace), "routed_sha256": digest(self.trace.routed_experts)},
        }

    def _check(self, llama: Llama4, inputs: Inputs) -> None:
        text, trace = llama.config.text, self.trace
        if not isinstance(trace, Trace):
            raise EditError(f"trace is a {type(trace).__name__}; expected a Trace with routing")
        if self.after not in (RAISE, FREE):
            raise EditError(f"after is {self.after!r}; expected 'raise' or 'free'")
        have = (trace.moe_layers.tolist(), trace.num_experts, trace.routed_experts.shape[-1])
        want = (list(text.moe_layers), text.num_local_experts, text.num_experts_per_tok)
        if have != want:
            raise EditError(
                f"the trace has layers, experts and experts per token {have}, the model {want}; routing can "
                "only be replayed where all three are the same"
            )
        check_tokens(self.tokens, inputs, text.max_position_embeddings)
        ids = inputs.token_ids.numpy()
        prompt = trace.token_ids[: len(ids)]
        if len(prompt) < len(ids) or (prompt != ids).any():
            shared = min(len(prompt), len(ids))
            at = int(np.argmax(np.append(prompt[:shared] != ids[:shared], True)))
            raise EditError(f"the trace is of another prompt: token {at} is not the same")
        meant = mask_of(self.tokens, inputs, len(ids))
        missing = (trace.routed_experts[: len(ids)] == NOT_CAPTURED).any((1, 2)) & meant
        if missing.any():
            raise EditError(f"the trace has no experts for token {int(np.argmax(missing))} of the prompt")
        if self.weights and np.isnan(trace.routed_weights[: len(ids)][meant]).any():
            why = absence(trace.provenance, "routed_weights", "capture with routing=True")
            raise EditError(f"{why}; replay its experts alone, without weights=True")

    @contextmanager
    def _replaying(self, llama: Llama4, inputs: Inputs, layers: Sequence[int]) -> Iterator[None]:
        seen, left = 0, len(self.trace)  # tokens so far, and the first that is not the trace's
        ends = np.flatnonzero((self.trace.routed_experts == NOT_CAPTURED).any((1, 2)))
        ends = ends[ends >= len(inputs.token_ids)]
        left = int(ends[0]) if len(ends) else left

        def compare(module: torch.nn.Module, args: tuple[Tensor, ...]) -> None:
            nonlocal seen, left
            ids = args[0][0].cpu().numpy()
            theirs = self.trace.token_ids[seen : seen + len(ids)]
            if (other := np.flatnonzero(ids[: len(theirs)] != theirs)).size:
                left = min(left, seen + int(other[0]))
            seen += len(ids)

        def free(places: np.ndarray) -> np.ndarray:
            if self.after == RAISE and (late := places[places >= left]).size:
                raise EditError(
                    f"token {late[0]} is not in the trace: its answer is another one, or ended. "
                    "after='free' leaves the router alone from there on"
                )
            return places >= left

        def replay(value: Tensor, places: np.ndarray, column: int) -> Tensor:
            alone = free(places)
            known = torch.from_numpy(~alone).to(value.device)
            ids = torch.from_numpy(self.trace.routed_experts[places[~alone], column]).to(value.device).long()
            new = value.clone()
            if self.weights:
                gates = torch.from_numpy(self.trace.routed_weights[places[~alone], column]).to(value)
                new[known] = torch.zeros_like(value[known]).scatter(1, ids, gates)
            else:
                new[known] = ids
            return new

        leaf = "hook_expert_weights" if self.weights else "hook_expert_indices"
        columns = {n: self.trace.moe_layers.tolist().index(n) for n in layers}
        changes = {f"blocks.{n}.moe.{leaf}": partial(replay, column=columns[n]) for n in layers}
        with ExitStack() as stack:
            # the embedding is the one place that sees the ids themselves
            stack.callback(llama.embed.register_forward_pre_hook(compare).remove)
            stack.enter_context(rows_changed(self, llama, inputs, self.tokens, changes))
            yield


def digest(array: np.ndarray) -> str:
    """The SHA-256 of an array's values."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
