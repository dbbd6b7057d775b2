"""Root-mean-square norm, alone or together with the E4M3 codes that the products behind it take.

Rounded as Llama does: the division in float32, back to the input's dtype, then the weight.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import cpu
from kernels.backend import Backend, pick
from kernels.fp8 import Rounded, nearest_rows
from kernels.linear import fast_on_cpu


def rms_normalize(x: Tensor, eps: float) -> Tensor:
    """`x / sqrt(mean(x^2) + eps)` over the last axis, in float32, cast back to x's dtype.

    Zhang & Sennrich 2019, without the weight.
    """
    if x.dtype != torch.float32:
        return rms_normalize(x.float(), eps).to(x.dtype)
    return cpu.rms_normalize(x, eps) if fast_on_cpu(x) else F.rms_norm(x, x.shape[-1:], eps=eps)


def rms_norm_rounded(x: Tensor, weight: Tensor, eps: float, backend: Backend | None = None) -> Rounded:
    """The norm of `x` [..., K] times `weight` [K], and its codes with a scale a row, in one pass.

    Raises:
        BackendUnavailable: the backend that was asked for cannot serve these tensors.
    """
    obstacle = None if weight.dtype == x.dtype else f"takes a weight in the dtype of x, got {weight.dtype}"
    if pick(backend, x, weight, obstacle=obstacle) == "triton":
        from kernels import fp8_triton  # slow to import, and not to be had everywhere

        with torch.cuda.device_of(x):
            return fp8_triton.rms_norm_rounded(x, weight, eps)
    return rms_norm_rounded_reference(x, weight, eps)


def rms_norm_rounded_reference(x: Tensor, weight: Tensor, eps: float) -> Rounded:
    """The definition of `rms_norm_rounded`."""
    plain = rms_normalize(x, eps) * weight
    return Rounded(plain, nearest_rows(plain))
