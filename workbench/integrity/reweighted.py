"""Layers whose expert weights were edited: choice and gate no longer follow from the logits.

Such a layer has every expert that ran, the largest weight first, and -1 and NaN after them; how many ran may
differ from token to token, and none may have.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from workbench.integrity.report import Flaw
from workbench.trace import NOT_CAPTURED, Trace, replace


def edited(trace: Trace) -> set[str]:
    """Hook points that were edited while the trace was made, by edits that were given or by anybody else."""
    named = {edit["hook_point"] for edit in trace.edits if isinstance(edit.get("hook_point"), str)}
    held = trace.meta.get("edited_hook_points")
    return named | {name for name in held if isinstance(name, str)} if isinstance(held, list) else named


def reweighted_columns(trace: Trace) -> np.ndarray:
    """[M] bool: where the weights were edited."""
    names = edited(trace)
    return np.array([f"blocks.{n}.moe.hook_expert_weights" in names for n in trace.moe_layers.tolist()], bool)


def without_columns(trace: Trace, columns: np.ndarray) -> Trace:
    """The trace without these layers, and without the ranks that only they have."""
    experts = trace.routed_experts[:, ~columns]
    ranks = max(1, int((experts != NOT_CAPTURED).any((0, 1)).sum()))
    logits = trace.router_logits
    return replace(
        trace,
        moe_layers=trace.moe_layers[~columns],
        routed_experts=experts[..., :ranks],
        routed_weights=trace.routed_weights[:, ~columns, :ranks],
        router_logits=None if logits is None else logits[:, ~columns],
    )


def reweighted_flaws(trace: Trace, columns: np.ndarray) -> Iterator[Flaw]:
    """Everything wrong with the layers whose weights were edited."""
    experts, weights = trace.routed_experts[:, columns], trace.routed_weights[:, columns]
    there = experts != NOT_CAPTURED
    layers = trace.moe_layers[columns]

    def place(wrong: np.ndarray) -> str:
        token, column = (int(axis[0]) for axis in np.nonzero(wrong.any(-1)))
        return f"token {token} in layer {layers[column]}, where the weights were edited,"

    if (gap := there[..., 1:] & ~there[..., :-1]).any():
        yield Flaw("routed_experts", f"{place(gap)} has an expert behind a missing one")
    ordered = np.sort(experts, axis=-1)
    twice = (ordered[..., 1:] == ordered[..., :-1]) & (ordered[..., 1:] != NOT_CAPTURED)
    if twice.any():
        yield Flaw("routed_experts", f"{place(twice)} has the same expert twice")
    if (alone := np.isnan(weights) == there).any():
        yield Flaw("routed_weights", f"{place(alone)} has a weight without an expert, or the other way round")
    if (rising := np.diff(weights.astype(np.float32), axis=-1) > 0).any():
        yield Flaw("routed_weights", f"{place(rising)} has a larger weight behind a smaller one")
    if trace.router_logits is not None:
        unrouted = np.isnan(trace.router_logits[:, columns]).any(-1, keepdims=True)
        if (ghost := there & unrouted).any():
            yield Flaw("router_logits", f"{place(ghost)} has experts but no logits")
