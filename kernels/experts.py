"""Routed SwiGLU: every token goes to its own experts and to no other.

Rows are sorted by expert, each expert multiplies its own group once, and the results return to their rows.
The gate scales the expert's INPUT, as in Llama 4: the expert is not linear, so scaling its output differs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# up to here a loop over single rows beats sorting them (a decoding step of a small batch)
FEW_ROWS = 4


def swiglu(x: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    """`down(silu(gate(x)) * up(x))`; x [rows, model], gate_up [2*width, model], down [model, width]."""
    gate, up = F.linear(x, gate_up).chunk(2, dim=-1)
    return F.linear(F.silu(gate) * up, down)


def routed_swiglu(
    x: Tensor, gate_up: Tensor, down: Tensor, rows: Tensor, experts: Tensor, gates: Tensor
) -> Tensor:
    """Sum of the chosen experts' answers for every row.

    Args:
        x: [rows, model] inputs.
        gate_up: [experts, 2*width, model], gate rows first, then up rows.
        down: [experts, model, width].
        rows: [pairs] int64, the row of each (row, expert) pair.
        experts: [pairs] int64, its expert.
        gates: [pairs] in x's dtype; multiplies the expert's input.

    Returns:
        [rows, model]; zero for a row without an expert.
    """
    if len(experts) <= FEW_ROWS:
        pairs = [
            (row, expert, slice(i, i + 1))
            for i, (row, expert) in enumerate(zip(rows.tolist(), experts.tolist(), strict=True))
        ]
        if len(pairs) == 1 == len(x):
            return swiglu(x * gates[:, None], gate_up[pairs[0][1]], down[pairs[0][1]])
        out = torch.zeros_like(x)
        for row, expert, here in pairs:
            out[row] += swiglu(x[row : row + 1] * gates[here, None], gate_up[expert], down[expert])[0]
        return out
    order = torch.argsort(experts, stable=True)
    sorted_rows = rows[order]
    inputs = x[sorted_rows] * gates[order, None]  # [pairs, model]
    counts = torch.bincount(experts, minlength=len(gate_up)).tolist()
    # unbind, not gate_up[e]: the gradient of an index is a zero tensor of the size of all experts
    weights = zip(gate_up.unbind(0), down.unbind(0), inputs.split(counts), strict=True)
    answers = torch.cat([swiglu(group, w13, w2) for w13, w2, group in weights if len(group)])
    return torch.zeros_like(x).index_add(0, sorted_rows, answers)


def routed_swiglu_reference(
    x: Tensor, gate_up: Tensor, down: Tensor, rows: Tensor, experts: Tensor, gates: Tensor
) -> Tensor:
    """The definition of `routed_swiglu`: one pair at a time."""
    out = torch.zeros_like(x)
    for row, expert, gate in zip(rows.tolist(), experts.tolist(), gates, strict=True):
        out[row] = out[row] + swiglu((x[row] * gate)[None], gate_up[expert], down[expert])[0]
    return out
