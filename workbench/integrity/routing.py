"""Routing: experts derived again from the logits, ids in range and distinct, and buffers nobody filled.

Kernels have reported expert 0 for every token while they ran others (a router fused into the kernel), engines
fill dense layers with zeros, and a buffer may hold the step before. Rounding keeps the order of logits, so
float16 logits of the pass itself must bear out its experts without any tolerance.

T tokens, M MoE layers, K experts per token, E experts
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from model.config import TextConfig
from workbench.integrity.report import Flaw
from workbench.integrity.reweighted import edited, reweighted_columns, reweighted_flaws, without_columns
from workbench.provenance import DERIVED, MISSING, kind
from workbench.trace import NOT_CAPTURED, PROMPT, Trace

ENOUGH_TOKENS = 16  # for a pattern of ids that no router makes by accident
ENOUGH_LOGITS = 16  # of one token in all layers: fewer may agree to the last bit by accident
ENOUGH_GATES = 4
_AT_ONCE = 1 << 22  # logits looked at in one go
_HALF = 2.0**-11  # half the distance of neighbouring float16 numbers, relative
_BFLOAT16 = 2.0**-8


def routing_flaws(trace: Trace, config: TextConfig | None = None) -> Iterator[Flaw]:
    """Everything wrong with experts, gates, logits and layers of one trace."""
    yield from _layers(trace, config)
    if not len(trace.moe_layers):
        return
    if (edited_weights := reweighted_columns(trace)).any():
        yield from reweighted_flaws(trace, edited_weights)
        # what is left is held to the routers' own rule
        trace = without_columns(trace, edited_weights)
        if not len(trace.moe_layers):
            return
    seen = (trace.routed_experts != NOT_CAPTURED).all((1, 2))
    gates = kind(trace.provenance.get("routed_weights", "")) != MISSING
    yield from _missing(trace, seen, gates)
    yield from _ids(trace, seen)
    if not seen.any():
        return
    if gates:
        yield from _gates(trace, seen)
    if trace.router_logits is None:
        yield from _unfilled_ids(trace, seen)
    else:
        yield from _logits(trace, seen)


def _layers(trace: Trace, config: TextConfig | None) -> Iterator[Flaw]:
    layers = trace.moe_layers
    if len(layers) and (layers[0] < 0 or (np.diff(layers) <= 0).any()):
        yield Flaw("moe_layers", f"{layers.tolist()} are not layer numbers in rising order")
    if config is None or not len(layers):
        return
    if layers.tolist() != list(_chosen_layers(trace) or config.moe_layers):
        yield Flaw("moe_layers", f"{layers.tolist()}; the model has experts in {list(config.moe_layers)}")
    if trace.num_experts != config.num_local_experts:
        yield Flaw(
            "routed_experts",
            f"chosen out of {trace.num_experts} experts; the model has {config.num_local_experts}",
        )
    ranks, more = trace.routed_experts.shape[-1], reweighted_columns(trace).any()
    if ranks != config.num_experts_per_tok and not (more and ranks > config.num_experts_per_tok):
        yield Flaw(
            "routed_experts",
            f"{trace.routed_experts.shape[-1]} for each token; the model asks {config.num_experts_per_tok}",
        )


def _missing(trace: Trace, seen: np.ndarray, gates: bool) -> Iterator[Flaw]:
    """A pass routes a token in every layer or not at all, and every token before a generated one."""
    part = (trace.routed_experts != NOT_CAPTURED).any((1, 2)) & ~seen
    if part.any():
        yield Flaw("routed_experts", f"token {_first(part)} has experts in some places and -1 in others")
    generated = trace.generated_index
    needed = np.zeros(len(trace), bool)
    if len(generated):
        needed[: generated[-1]] = True  # the last one predicts nothing: a pass of its own routes it later
    elif seen.any():
        needed[:] = True  # the prompt goes through the model in one pass
    if trace.meta.get("engine"):
        needed[trace.phase == PROMPT] = False  # other engines tell nothing of what came out of their cache
    if (gone := needed & ~seen).any():
        yield Flaw(
            "routed_experts", f"{gone.sum()} tokens were routed and have no experts, first {_first(gone)}"
        )
    here = np.broadcast_to(seen[:, None, None], trace.routed_weights.shape)
    if gates and (np.isnan(trace.routed_weights) == here).any():
        yield Flaw("routed_weights", "a gate is there where the expert is missing, or the other way round")
    if trace.router_logits is not None:
        for start, rows in _pieces(trace.router_logits):
            wrong = np.isnan(rows).any((1, 2)) == seen[start : start + len(rows)]
            wrong |= ~np.isnan(rows).all((1, 2)) & ~seen[start : start + len(rows)]
            if wrong.any():
                yield Flaw(
                    "router_logits", f"token {start + _first(wrong)} has logits or experts, but not both"
                )
                return


def _ids(trace: Trace, seen: np.ndarray) -> Iterator[Flaw]:
    experts = trace.routed_experts[seen]
    if experts.size and not (experts.min() >= 0 and experts.max() < trace.num_experts):
        yield Flaw("routed_experts", f"from {experts.min()} to {experts.max()} of {trace.num_experts}")
    ordered = np.sort(experts, axis=-1)
    if (twice := (ordered[..., 1:] == ordered[..., :-1]).any((1, 2))).any():
        token = np.flatnonzero(seen)[_first(twice)]
        yield Flaw("routed_experts", f"token {token} went to the same expert twice in one layer")


def _gates(trace: Trace, seen: np.ndarray) -> Iterator[Flaw]:
    gates = trace.routed_weights[seen].astype(np.float32)
    if (outside := ~((gates >= 0) & (gates <= 1)).all((1, 2))).any():
        token = np.flatnonzero(seen)[_first(outside)]
        yield Flaw("routed_weights", f"token {token} has a gate that is no sigmoid")
        return
    if trace.router_logits is None:
        if len(gates) >= ENOUGH_TOKENS:
            # near 0 and 1 many logits round to one gate
            free = ((gates > 0.01) & (gates < 0.99)).sum((1, 2)) >= ENOUGH_GATES
            again = (gates[1:] == gates[:-1]).all((1, 2)) & free[1:]
            if again.any():
                token = np.flatnonzero(seen)[_first(again) + 1]
                yield Flaw("routed_weights", f"token {token} repeats the gates before it to the bit", False)
        return
    chosen = _chosen_logits(trace)[seen]
    own = 1 / (1 + np.exp(-np.clip(chosen, -80, 80)))
    said = trace.provenance.get("routed_weights", "")
    # derived ones are rounded to the dtype that is named, and kept in float16
    coarse = _HALF if kind(said) == DERIVED and "bfloat16" not in said else _BFLOAT16
    # of the stored logit, of the stored gate, and below the smallest ordinary float16
    allowed = 2 * (np.abs(chosen) * _HALF * own * (1 - own) + coarse * own + 2.0**-24)
    if (wrong := (np.abs(gates - own) > allowed).any((1, 2))).any():
        token = np.flatnonzero(seen)[_first(wrong)]
        yield Flaw(
            "routed_weights",
            f"{wrong.sum()} tokens have gates that are not the sigmoid of their chosen logits, first {token}",
        )


def _logits(trace: Trace, seen: np.ndarray) -> Iterator[Flaw]:
    """The best K experts by logit are the ones that ran; no two tokens or layers have the same logits."""
    forced = {
        number
        for number in trace.moe_layers.tolist()
        if f"blocks.{number}.moe.hook_expert_indices" in edited(trace)
    }
    free = np.array([number not in forced for number in trace.moe_layers.tolist()])
    wrong = np.zeros(trace.routed_experts.shape[:2], bool)
    flat, level = np.zeros_like(wrong), np.zeros_like(wrong)
    marks = np.zeros(wrong.shape, np.uint64)
    odd = np.random.default_rng(0).integers(0, 2**63, trace.num_experts, np.uint64) * np.uint64(
        2
    ) + np.uint64(1)
    for start, rows in _pieces(trace.router_logits):
        here = slice(start, start + len(rows))
        values = np.nan_to_num(rows.astype(np.float32))
        chosen = np.clip(trace.routed_experts[here], 0, None).astype(np.intp)
        best = np.take_along_axis(values, chosen, -1)
        rising = (np.diff(best, axis=-1) > 0).any(-1)
        flat[here] = (values == 0).all(-1)
        level[here] = values.max(-1) == values.min(-1)
        np.put_along_axis(values, chosen, -np.inf, -1)
        wrong[here] = (values.max(-1) > best.min(-1)) | rising
        marks[here] = (np.ascontiguousarray(rows).view(np.uint16) * odd).sum(-1)
    wrong &= seen[:, None] & free
    if wrong.any():
        tokens, columns = np.nonzero(wrong)
        yield Flaw(
            "routed_experts",
            f"{len(tokens)} choices are not the best by logit, first of token {tokens[0]} in layer "
            f"{trace.moe_layers[columns[0]]}",
        )
    if edited(trace):
        return  # an edit may make layers equal, or logits flat
    # few experts may share a rounded logit by accident, but not for every token
    if trace.num_experts >= 4 and seen.sum() >= 4:
        flat |= level[seen].all(0)
    if (flat := flat & seen[:, None]).any():
        token, column = (int(axis[0]) for axis in np.nonzero(flat))
        yield Flaw(
            "router_logits",
            f"all experts have the same logit, first for token {token} in layer {trace.moe_layers[column]}: "
            "a buffer that nobody filled, or a layer without experts",
        )
    yield from _repeated(trace, seen, marks)


def _repeated(trace: Trace, seen: np.ndarray, marks: np.ndarray) -> Iterator[Flaw]:
    marks, numbers = marks[seen], np.flatnonzero(seen)
    if trace.num_experts >= ENOUGH_LOGITS // 2 and marks.shape[1] > 1:
        ordered = np.sort(marks, axis=1)
        if (same := (ordered[:, 1:] == ordered[:, :-1]).any(1)).any():
            yield Flaw("router_logits", f"token {numbers[_first(same)]} has the same logits in two layers")
    # layers that see their own chunk alone may well be told the same twice
    if trace.num_experts * marks.shape[1] >= ENOUGH_LOGITS and not _chosen_layers(trace):
        _, first, count = np.unique(marks, axis=0, return_index=True, return_counts=True)
        if (count > 1).any():
            token = numbers[first[count > 1].min()]
            yield Flaw("router_logits", f"token {token} and a later one have the same logits in every layer")


def _unfilled_ids(trace: Trace, seen: np.ndarray) -> Iterator[Flaw]:
    """Ids alone prove little; these patterns are those of known faults."""
    experts = trace.routed_experts[seen]
    if len(experts) < ENOUGH_TOKENS or edited(trace) or trace.num_experts < 2:
        return
    zeros = (experts[..., 0] == 0) & (np.diff(experts, axis=-1) <= 1).all(-1)
    for column in np.flatnonzero(zeros.all(0)):
        yield Flaw(
            "routed_experts",
            f"layer {trace.moe_layers[column]} sends every token to expert 0: a layer without experts, or a "
            "kernel that does not say",
            False,
        )
    whole = zeros.all(1)
    tail = len(whole) - (_first(~whole[::-1]) if not whole.all() else len(whole))
    if ENOUGH_TOKENS <= len(whole) - tail < len(whole) and experts.shape[1] > 1:
        yield Flaw("routed_experts", f"from token {tail} on every layer says expert 0", False)
    same = (experts[:, 1:] == experts[:, :-1]).all((0, 2))
    if (same & ~zeros.all(0)[1:]).any():
        column = _first(same & ~zeros.all(0)[1:])
        layers = trace.moe_layers[column : column + 2].tolist()
        yield Flaw("routed_experts", f"layers {layers} send every token to the same experts", False)


def _chosen_layers(trace: Trace) -> list[int]:
    """The layers that were asked for; empty where all of them were."""
    asked = trace.meta.get("capture")
    layers = asked.get("moe_layers") if isinstance(asked, dict) else None
    return layers if isinstance(layers, list) else []


def _chosen_logits(trace: Trace) -> np.ndarray:
    chosen = np.clip(trace.routed_experts, 0, None).astype(np.intp)
    return np.take_along_axis(trace.router_logits, chosen, -1).astype(np.float32)


def _pieces(logits: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    step = max(1, _AT_ONCE // max(1, logits[0].size if len(logits) else 1))
    for start in range(0, len(logits), step):
        yield start, logits[start : start + step]


def _first(mask: np.ndarray) -> int:
    return int(np.flatnonzero(mask)[0])
