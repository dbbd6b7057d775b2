"""The check that needs nothing but the trace."""

from __future__ import annotations

import numpy as np

from model.config import TextConfig
from workbench.integrity import rest, reweighted, routing
from workbench.integrity.report import Integrity
from workbench.provenance import MISSING, kind
from workbench.trace import Trace


def check(trace: Trace, config: TextConfig | None = None) -> Integrity:
    """Hold every array of a trace to what it must be, and to the others.

    What it means: experts follow from the router logits without any tolerance (rounding keeps their order),
    gates are the sigmoids of the chosen logits, ids are distinct and in range, -1 and NaN stand exactly where
    nothing was routed, edited weights are ranked, no buffer repeats, attention rows are distributions that
    see nothing later, and every array says where it is from. When it misleads: a trace whose ids, gates and
    logits were all moved together (by one token, or from one layer to another) is consistent with itself;
    `recheck` asks the model. Without router logits, ids can only be looked at for the patterns of known
    faults, and the report says so; so can layers whose weights were edited.
    Source: faults reported for engines that return routing (all-zero ids of fused kernels, dense layers
    filled with zeros, prompt rows lost).

    Args:
        trace: any trace.
        config: of the model, to hold layer and expert counts to.
    """
    # a broken trace may hold anything, infinities too
    with np.errstate(all="ignore"):
        flaws = [
            *rest.provenance_flaws(trace),
            *rest.token_flaws(trace),
            *routing.routing_flaws(trace, config),
            *rest.attention_flaws(trace),
            *rest.logprob_flaws(trace),
        ]
    broken = {flaw.array for flaw in flaws}
    verified, unverified = [], {}
    if len(trace.moe_layers):
        if trace.router_logits is None:
            why = "there are no router logits to derive it from"
            unverified = dict.fromkeys(("routed_experts", "routed_weights"), why)
        else:
            edited = sorted(reweighted.edited(trace))
            weights = [name for name in edited if name.endswith("hook_expert_weights")]
            forced = [name for name in edited if name.endswith("hook_expert_indices")] + weights
            if forced:
                unverified["routed_experts"] = f"{', '.join(forced)} was edited"
            if weights:
                unverified["routed_weights"] = f"{', '.join(weights)} was edited"
            elif kind(trace.provenance.get("routed_weights", "")) == MISSING:
                unverified["routed_weights"] = "the gates are missing"
            verified = [name for name in ("routed_experts", "routed_weights") if name not in unverified]
            unverified["router_logits"] = "only the model can bear them out: see recheck"
    return Integrity(tuple(flaws), tuple(name for name in verified if name not in broken), unverified)
