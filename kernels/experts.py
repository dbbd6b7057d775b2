"""Routed SwiGLU: every token goes to its own experts and to no other.

Rows are sorted by expert, each expert multiplies its own group once, and the results return to their rows.
The gate scales the expert's INPUT, as in Llama 4: the expert is not linear, so scaling its output differs.
The weights may be plain, FP8 or int4. On a card all experts run in one launch, without asking the host who
was chosen; on a CPU the experts that were chosen multiply one after another, each with all its rows.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import cpu
from kernels.backend import Backend, pick
from kernels.fp8 import BLOCK, BlockScaled
from kernels.linear import Weight, fast_on_cpu, lacks_kernel, linear_reference, parts
from kernels.routing import sort_pairs

# up to here a loop over single rows beats sorting them (a decoding step of a small batch)
FEW_ROWS = 4

# x [rows, K] times one expert's weight: (x, weights, expert) to [rows, N]
Product = Callable[[Tensor, Weight, int], Tensor]


def routed_swiglu(
    x: Tensor,
    gate_up: Weight,
    down: Weight,
    rows: Tensor,
    experts: Tensor,
    gates: Tensor,
    backend: Backend | None = None,
) -> Tensor:
    """Sum of the chosen experts' answers for every row.

    Args:
        x: [rows, model] inputs.
        gate_up: [experts, 2*width, model], gate rows first, then up rows.
        down: [experts, model, width].
        rows: [pairs] int64, the row of each (row, expert) pair.
        experts: [pairs] int64, its expert.
        gates: [pairs] in x's dtype; multiplies the expert's input.
        backend: who computes; None chooses.

    Returns:
        [rows, model]; zero for a row without an expert.

    Raises:
        BackendUnavailable: the backend that was asked for cannot serve these tensors.
    """
    tensors = x, gates, *parts(gate_up), *parts(down)
    # on a CPU only who asks for Triton gets it, interpreted; the question alone takes as long as a product
    if (backend or x.is_cuda) and pick(backend, *tensors, obstacle=_lacks_kernel(gate_up, down)) == "triton":
        from kernels import experts_triton  # slow to import, and not to be had everywhere

        with torch.cuda.device_of(x):
            return experts_triton.routed_swiglu(x, gate_up, down, rows, experts, gates)
    fast = fast_on_cpu(x, gate_up, down)
    if len(experts) <= FEW_ROWS:
        return _pair_by_pair(x, gate_up, down, rows, experts, gates, cpu.linear if fast else _slice)
    order, offsets = sort_pairs(experts, len(parts(gate_up)[0]), backend="torch")
    sorted_rows = rows[order]
    inputs = x[sorted_rows] * gates[order, None]  # [pairs, model]
    counts = offsets.diff().tolist()
    product = cpu.linear if fast else _unbound(gate_up, down)
    answers = torch.cat(
        [
            _swiglu(group, gate_up, down, expert, product)
            for expert, group in enumerate(inputs.split(counts))
            if len(group)
        ]
    )
    return torch.zeros_like(x).index_add(0, sorted_rows, answers)


def _lacks_kernel(gate_up: Weight, down: Weight) -> str | None:
    # a parameter is as plain as a tensor
    formats = {Tensor if isinstance(w, Tensor) else type(w) for w in (gate_up, down)}
    if len(formats) > 1:
        return "takes both weights of an expert in the same format"
    if isinstance(gate_up, BlockScaled) and gate_up.shape[1] % (2 * BLOCK):
        return f"takes FP8 blocks that hold gate rows or up rows, not both of {gate_up.shape[1] // 2}"
    return lacks_kernel(gate_up) or lacks_kernel(down)


def _pair_by_pair(
    x: Tensor, gate_up: Weight, down: Weight, rows: Tensor, experts: Tensor, gates: Tensor, product: Product
) -> Tensor:
    if experts.shape[0] == 1 == x.shape[0]:
        return _swiglu(x * gates, gate_up, down, experts.item(), product)
    out = torch.zeros_like(x)
    for i, (row, expert) in enumerate(zip(rows.tolist(), experts.tolist(), strict=True)):
        out[row] += _swiglu(x[row : row + 1] * gates[i : i + 1, None], gate_up, down, expert, product)[0]
    return out


def _swiglu(x: Tensor, gate_up: Weight, down: Weight, expert: int, product: Product) -> Tensor:
    gate, up = product(x, gate_up, expert).chunk(2, dim=-1)
    return product(F.silu(gate) * up, down, expert)


def _slice(x: Tensor, w: Weight, expert: int) -> Tensor:
    return linear_reference(x, w[expert])


def _unbound(*weights: Weight) -> Product:
    """The definition's product, on experts taken apart at once."""
    # unbind, not w[e]: the gradient of an index is a zero tensor of the size of all experts
    apart = {id(w): w.unbind(0) for w in weights if isinstance(w, Tensor)}
    return lambda x, w, expert: linear_reference(x, apart[id(w)][expert] if id(w) in apart else w[expert])


def swiglu(x: Tensor, gate_up: Weight, down: Weight) -> Tensor:
    """`down(silu(gate(x)) * up(x))`; x [rows, model], gate_up [2*width, model], down [model, width]."""
    gate, up = linear_reference(x, gate_up).chunk(2, dim=-1)
    return linear_reference(F.silu(gate) * up, down)


def routed_swiglu_reference(
    x: Tensor, gate_up: Weight, down: Weight, rows: Tensor, experts: Tensor, gates: Tensor
) -> Tensor:
    """The definition of `routed_swiglu`: one pair at a time."""
    out = torch.zeros_like(x)
    for row, expert, gate in zip(rows.tolist(), experts.tolist(), gates, strict=True):
        out[row] = out[row] + swiglu((x[row] * gate)[None], gate_up[expert], down[expert])[0]
    return out
