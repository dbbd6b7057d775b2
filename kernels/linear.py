"""`x @ w.T` for a weight in any format, by whatever is fastest where the tensors are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import cpu, fp8, int4
from kernels.backend import Backend, pick
from kernels.fp8 import BlockScaled, Rounded, RowScaled
from kernels.int4 import GroupScaled

Weight = Tensor | RowScaled | BlockScaled | GroupScaled


def linear_reference(x: Tensor, w: Weight, codes: RowScaled | None = None) -> Tensor:
    """The definition of `linear`; `codes` are those of x if they are there already."""
    if isinstance(w, GroupScaled):
        return int4.linear(x, w)
    return F.linear(x, w) if isinstance(w, Tensor) else fp8.linear(x, w, codes)


def linear(x: Tensor | Rounded, w: Weight, backend: Backend | None = None) -> Tensor:
    """`x @ w.T`; x [..., K] and w [N, K] give [..., N] in x's dtype.

    Beside E4M3 weights the activations are quantized too, with a scale a row, or for every 128 inputs of it
    if the weight's blocks have scales (W8A8); beside int4 weights they stay what they are (W4A16).

    Raises:
        BackendUnavailable: the backend that was asked for cannot serve these tensors.
    """
    x, codes = _with_codes(x, w) if isinstance(x, Rounded) else (x, None)
    if isinstance(w, Tensor) and backend is None:
        # straight to the product: at a single token the way there takes as long
        return cpu.linear(x, w) if w.dtype == torch.bfloat16 and fast_on_cpu(x, w) else F.linear(x, w)
    obstacle = "leaves plain products to PyTorch" if isinstance(w, Tensor) else lacks_kernel(w)
    rows = x.reshape(-1, x.shape[-1])
    if pick(backend, x, *parts(w), obstacle=obstacle) == "triton":
        from kernels import linear_triton  # slow to import, and not to be had everywhere

        with torch.cuda.device_of(x):
            y = linear_triton.linear(rows, w, codes)
    elif fast_on_cpu(x, w):
        y = cpu.linear(rows, w, rows=codes)
    else:
        y = linear_reference(rows, w, codes)
    return y.unflatten(0, x.shape[:-1])


def _with_codes(x: Rounded, w: Weight) -> tuple[Tensor, RowScaled | None]:
    """Plain activations, and their codes [rows, K] if `w` multiplies with them."""
    if not isinstance(w, RowScaled):
        return x.plain, None
    codes, scale = x.rows.codes, x.rows.scale
    return x.plain, RowScaled(codes.reshape(-1, codes.shape[-1]), scale.reshape(-1, 1))


def parts(w: Weight) -> tuple[Tensor, ...]:
    """The tensors a weight consists of."""
    if isinstance(w, Tensor):
        return (w,)
    return (w.packed if isinstance(w, GroupScaled) else w.codes, w.scale)


def lacks_kernel(w: Weight) -> str | None:
    """Why there is no Triton kernel for weights like `w`; None if there is one."""
    if isinstance(w, GroupScaled) and (w.group < 32 or w.group & (w.group - 1)):
        return f"needs int4 groups of 32 or a larger power of two, got {w.group}"
    return None


def fast_on_cpu(x: Tensor, *weights: Weight) -> bool:
    """Whether `kernels.cpu` can stand in: on a CPU, where nobody asks for gradients."""
    if not x.is_cpu:  # of a small product, to ask for the device by name takes a tenth
        return False
    if not torch.is_grad_enabled():
        return True
    return not any(tensor.requires_grad for tensor in (x, *(part for w in weights for part in parts(w))))
