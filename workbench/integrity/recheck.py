"""The check that asks the model: one more pass over all tokens, and its routing beside the trace's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from model.hooks import recorded
from model.llama4 import Llama4
from model.processor import Inputs
from workbench.integrity.check import check
from workbench.integrity.report import Flaw, Integrity, IntegrityError
from workbench.integrity.reweighted import edited
from workbench.trace import NOT_CAPTURED, Trace

if TYPE_CHECKING:
    from workbench.session import Session

# distance of a token's logits from the model's, in spreads of its logits over the experts. Another token's or
# another layer's are 1.4 spreads away, those of one long pass in place of many short ones almost none
_EXACT, _ROUNDED = 0.05, 0.7


def recheck(
    trace: Trace, model: Session | Llama4, inputs: Inputs, tolerance: float | None = None
) -> Integrity:
    """`check`, and then the routing of one more pass over prompt and answer beside the captured one.

    What it means: the captured logits (or, without logits, the captured experts) are those that the model
    gives these tokens, so a consistent shift by a token, exchanged layers and a stale buffer show. When it
    misleads: in half precision one long pass rounds otherwise than many short ones, and an expert chosen by
    a hair in an early layer changes the later ones; the tolerance is then wide, and a fault that moves
    logits by less than that passes. It costs a prefill of the whole sequence.
    Source: ours; the measure is the distance of centred logits over their spread.

    Args:
        trace: of an answer of this model, without edits.
        model: the session, whose queued answers the pass waits for; or the bare model, which nobody else may
            use meanwhile. inputs: the prompt as the processor made it.
        tolerance: the largest distance allowed, in spreads; by default 0.05 in float32, else 0.7.

    Raises:
        IntegrityError: the trace was made with edits, or belongs to another prompt or model.
    """
    llama = model if isinstance(model, Llama4) else model.llama
    report = check(trace, llama.config.text)
    if trace.edits or edited(trace):
        said = sorted(edited(trace)) or trace.edits
        raise IntegrityError(f"the trace was made with edits {said}; without them it differs")
    prompt = len(inputs.token_ids)
    if trace.token_ids[:prompt].tolist() != inputs.token_ids.tolist():
        raise IntegrityError("the trace does not begin with these inputs")
    if not len(trace.moe_layers) or any(flaw.array == "moe_layers" for flaw in report.flaws):
        return report
    if tolerance is None:
        tolerance = _EXACT if llama.dtype == torch.float32 else _ROUNDED
    expected = _logits_again(trace, model, inputs)
    seen = (trace.routed_experts != NOT_CAPTURED).all((1, 2))
    spread = np.maximum(expected.std(-1), 1e-6)
    if trace.router_logits is None:
        chosen = np.clip(trace.routed_experts, 0, None).astype(np.intp)
        worst = np.take_along_axis(expected, chosen, -1).min(-1)
        best = np.sort(expected, axis=-1)[..., -chosen.shape[-1]]
        array, far = "routed_experts", (best - worst) / spread
    else:
        off = trace.router_logits.astype(np.float32) - expected
        array, far = "router_logits", np.sqrt((off * off).mean(-1)) / spread
    wrong = (far > tolerance) & seen[:, None]
    flaws, verified = list(report.flaws), [*report.verified]
    if wrong.any():
        token, column = (int(axis[0]) for axis in np.nonzero(wrong))
        flaws.append(
            Flaw(
                array,
                f"{wrong.sum()} of {wrong.size} are not what the model gives these tokens, first of {token} "
                f"in layer {trace.moe_layers[column]}, {far[token, column]:.2f} spreads away",
            )
        )
    else:
        verified.append(array)
    left = {name: why for name, why in report.unverified.items() if name not in verified}
    return Integrity(tuple(flaws), tuple(verified), left)


def _logits_again(trace: Trace, model: Session | Llama4, inputs: Inputs) -> np.ndarray:
    """Router logits [T, M, E] of one pass over all tokens of the trace."""
    llama = model if isinstance(model, Llama4) else model.llama
    points = [llama.hook_points[f"blocks.{n}.moe.hook_router_logits"] for n in trace.moe_layers]
    ids = torch.from_numpy(trace.token_ids)[None].long().to(llama.device)

    def work() -> dict[str, Tensor]:
        # attached in turn as well: outside, an answer that is being given would meet these hooks
        with torch.no_grad(), recorded(points) as kept:
            llama.hidden(ids, pixel_values=inputs.pixel_values)
        return kept

    kept = work() if model is llama else model.in_turn(work)
    return np.stack([kept[point.name].float().cpu().numpy() for point in points], 1)
