"""Root-mean-square norms. The division happens in float32; the weight multiplies after the cast back."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def rms_normalize(x: Tensor, eps: float) -> Tensor:
    """`x / sqrt(mean(x^2) + eps)` over the last axis, in float32, cast back to x's dtype.

    Without a weight this is Llama 4's query-key norm (called L2Norm in `transformers`, yet a mean, not a
    sum).
    """
    return F.rms_norm(x.float(), x.shape[-1:], eps=eps).type_as(x)


class RMSNorm(nn.Module):
    """RMS norm with a learned weight (Zhang & Sennrich 2019), rounded as Llama does: cast, then weight."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to [..., width]."""
        return rms_normalize(x, self.eps) * self.weight
