"""The routed tokens of one trace or of many, in the form that counting wants.

Tokens whose routing was not captured are left out, and how many there were is kept. Left out, too, and named
are layers whose expert weights were edited: there a token has every expert that ran, more or fewer than the
router chose. Traces are put behind one another; a `unit` number says which token is of which trace, and no
question pairs tokens of two units.

N tokens, M MoE layers, K experts per token, E experts
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from workbench.provenance import absence
from workbench.routing.findings import BLOCKS, TOKENS_PER_BLOCK, RoutingError
from workbench.trace import NOT_CAPTURED, Trace

_AT_ONCE = 1 << 18  # logits that stay in a core's cache
RIVALS = 39  # routers with random weights: the least that put 5 % into both tails of a two-sided rank
RIVAL_WORK = 8e9  # multiplications that they may cost


@dataclass(frozen=True, eq=False, repr=False)
class Routed:
    """Routed tokens, unit after unit. Made by `gather`.

    Attributes:
        layers: [M] true layer numbers. num_experts: E.
        experts: int64 [M, N, K]. gates: float32 [M, N, K], the applied sigmoids.
        unit: [N] from 0, which trace a token is of. token: [N] its place there.
        columns: [N] of each: token_ids, modality, role, phase, turn and places in pictures, as in `Trace`.
        meta: of every unit's trace.
        logits: per unit float16 [n, M, E], or None where a trace has none; `no_logits` is why.
        left_out: tokens without routing, or with gaps in it. seed: of every null. rival_count: how many
            random routers. edited_layers: layers that are left out, since expert weights were edited there.
    """

    layers: np.ndarray
    num_experts: int
    experts: np.ndarray
    gates: np.ndarray
    unit: np.ndarray
    token: np.ndarray
    columns: dict[str, np.ndarray]
    meta: tuple[dict, ...]
    logits: tuple[np.ndarray, ...] | None
    left_out: int
    seed: int = 0
    rival_count: int = RIVALS
    no_logits: str = ""
    edited_layers: tuple[int, ...] = ()
    _made: dict[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.unit)

    def __repr__(self) -> str:
        units, edited = len(self.meta), told_edited(self.edited_layers)
        return (
            f"Routed({len(self):,} tokens of {units} {'trace' if units == 1 else 'traces'}, "
            f"{len(self.layers)} layers x {self.num_experts} experts, {self.left_out} tokens left out"
            f"{edited})"
        )

    @property
    def top(self) -> int:
        """Experts per token."""
        return self.experts.shape[-1]

    @cached_property
    def block(self) -> np.ndarray:
        """[N] which block of neighbours a token is of, for intervals: whole traces where there are many."""
        count = len(self)
        blocks = min(BLOCKS, max(1, count // TOKENS_PER_BLOCK))
        units = len(self.meta)
        if units >= blocks and blocks > 1:
            blocks = min(BLOCKS, units)
            starts = np.searchsorted(self.unit, np.arange(units))
            place = (starts[self.unit] * blocks) // max(1, count)
        else:
            place = (np.arange(count) * blocks) // max(1, count)
        return np.unique(place, return_inverse=True)[1] if count else place

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return int(self.block[-1]) + 1 if len(self) else 0

    @property
    def margin(self) -> np.ndarray | None:
        """[M, N] the lowest chosen logit less the highest that was not chosen; None without logits."""
        return self._preference().get("margin")

    @property
    def preference_entropy(self) -> np.ndarray | None:
        """[M, N] entropy of the softmax over all experts, 0 to 1; None without logits."""
        return self._preference().get("entropy")

    def _preference(self) -> dict[str, object]:
        if "margin" not in self._made and self.logits is not None and self.num_experts > self.top:
            margin, spread = (np.empty((len(self), len(self.layers)), np.float32) for _ in range(2))

            def look(piece: tuple[int, np.ndarray]) -> None:
                here = slice(piece[0], piece[0] + len(piece[1]))
                rows = piece[1].astype(np.float32)
                margin[here], spread[here] = looked_at(rows, self.experts[:, here].swapaxes(0, 1))

            # NumPy lets go of the interpreter while it computes
            with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
                list(pool.map(look, self._pieces()))
            self._made.update(margin=margin.T, entropy=spread.T)
        return self._made

    def _pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """Where some tokens stand, and their logits [n, M, E], in order."""
        step, at = max(1, _AT_ONCE // max(1, len(self.layers) * self.num_experts)), 0
        for unit in self.logits or ():
            for start in range(0, len(unit), step):
                yield at + start, unit[start : start + step]
            at += len(unit)

    def at(self, columns: Sequence[int]) -> Routed:
        """These columns of the layers alone, in this order; their logits come along."""
        return replace(
            self,
            layers=self.layers[columns],
            experts=self.experts[columns],
            gates=self.gates[columns],
            logits=None if self.logits is None else tuple(unit[:, columns] for unit in self.logits),
            _made={},
        )

    def subset(self, chosen: np.ndarray) -> Routed:
        """The tokens where `chosen` (bool [N]) holds; their logits come along."""
        logits = self.logits
        if logits is not None:
            parts = np.split(chosen, np.cumsum([len(unit) for unit in logits])[:-1])
            logits = tuple(unit[mine] for unit, mine in zip(logits, parts, strict=True))
        return replace(
            self,
            experts=np.ascontiguousarray(self.experts[:, chosen]),
            gates=np.ascontiguousarray(self.gates[:, chosen]),
            unit=self.unit[chosen],
            token=self.token[chosen],
            columns={name: column[chosen] for name, column in self.columns.items()},
            logits=logits,
            _made={},
        )


def looked_at(logits: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Margin and entropy (0 to 1) of logits float32 [..., E] that chose [..., K]; the logits are used up."""
    experts = logits.shape[-1]
    top = logits.max(-1, keepdims=True)
    logits -= top
    shares = np.exp(logits)
    total = shares @ np.ones(experts, np.float32)
    spread = np.log(total) - np.vecdot(shares, logits) / total
    lowest = np.take_along_axis(logits, chosen, -1).min(-1)
    np.put_along_axis(logits, chosen, -np.inf, -1)
    return lowest - logits.max(-1), np.clip(spread / np.log(experts), 0, 1)


def gather(traces: Trace | Sequence[Trace] | Routed, seed: int = 0, random_routers: int = RIVALS) -> Routed:
    """Routed tokens of one or several traces of the same model, ready to be asked.

    Args:
        traces: what to count; a Routed is handed back.
        seed: of every null that is drawn.
        random_routers: so many routers with random weights stand beside the traces' own; 0: none.

    Raises:
        RoutingError: no trace, no captured routing, traces of models that differ in layers or experts, or
            edited weights in every layer.
    """
    if isinstance(traces, Routed):
        return traces
    several = [traces] if isinstance(traces, Trace) else list(traces)
    if not several:
        raise RoutingError("there is no trace to ask")
    several, edited = without_edited(several)
    first = several[0]
    for trace in several:
        same = np.array_equal(trace.moe_layers, first.moe_layers) and trace.num_experts == first.num_experts
        if not same or trace.routed_experts.shape[1:] != first.routed_experts.shape[1:]:
            raise RoutingError(f"{trace!r} and {first!r} are of models that differ in layers or experts")
    seen = [(trace.routed_experts != NOT_CAPTURED).all((1, 2)) for trace in several]
    if not len(first.moe_layers) or not any(mask.any() for mask in seen):
        raise RoutingError(absence(first.provenance, "routed_experts", "capture with routing=True"))

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(trace, name)[mask] for trace, mask in zip(several, seen, strict=True)])

    names = ("token_ids", "modality", "role", "phase", "turn", "image_index", "tile_index", "patch_row")
    logits, without = None, [trace.provenance for trace in several if trace.router_logits is None]
    if not without:
        logits = tuple(
            trace.router_logits if mask.all() else trace.router_logits[mask]
            for trace, mask in zip(several, seen, strict=True)
        )
    return Routed(
        layers=first.moe_layers.astype(int),
        num_experts=first.num_experts,
        experts=np.ascontiguousarray(joined("routed_experts").swapaxes(0, 1)).astype(np.int64),
        gates=np.ascontiguousarray(joined("routed_weights").swapaxes(0, 1)).astype(np.float32),
        unit=np.repeat(np.arange(len(several)), [mask.sum() for mask in seen]),
        token=np.concatenate([np.flatnonzero(mask) for mask in seen]),
        columns={name: joined(name) for name in (*names, "patch_col", "is_thumbnail")},
        meta=tuple(trace.meta for trace in several),
        logits=logits,
        left_out=int(sum((~mask).sum() for mask in seen)),
        seed=seed,
        rival_count=random_routers,
        no_logits=absence(without[0], "router_logits", "capture with capture='routing'") if without else "",
        edited_layers=edited,
    )


def without_edited(traces: Sequence[Trace]) -> tuple[list[Trace], tuple[int, ...]]:
    """The traces without the layers whose expert weights were edited in any of them, and these layers.

    Raises:
        RoutingError: a trace has no other layers.
    """
    if not any(trace.edits or trace.meta.get("edited_hook_points") for trace in traces):
        return list(traces), ()
    # brings torch along, for which a trace without edits need not wait
    from workbench.integrity.reweighted import reweighted_columns, without_columns

    edited = sorted({n for trace in traces for n in trace.moe_layers[reweighted_columns(trace)].tolist()})
    if not edited:
        return list(traces), ()
    kept = [without_columns(trace, np.isin(trace.moe_layers, edited)) for trace in traces]
    if not all(len(trace.moe_layers) for trace in kept):
        raise RoutingError(
            f"expert weights were edited in layers {edited}, and no other is left; there a trace has every "
            "expert that ran, and not what the router chose: ask a trace of the answer without the edit"
        )
    return kept, tuple(edited)


def told_edited(layers: Sequence[int]) -> str:
    """Words on layers that were left out; none for none."""
    return f", layers {list(layers)} left out (their expert weights were edited)" if layers else ""
