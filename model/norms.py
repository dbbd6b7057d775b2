"""Root-mean-square norms, and what they give to products with FP8 weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kernels.fp8 import Rounded
from kernels.norm import rms_norm_rounded, rms_normalize
from model.module import Module


class RMSNorm(Module):
    """RMS norm with a learned weight (Zhang & Sennrich 2019), rounded as Llama does: cast, then weight."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, codes: bool = False) -> Tensor | Rounded:
        """[..., width] to [..., width]; with `codes` also rounded to E4M3, in the same pass on a card.

        Between a norm and the linears behind it there is no hook point, so nobody can ask for or replace what
        the codes were made of.
        """
        weight = self._parameters["weight"]  # as in `Linear`
        if codes:
            return rms_norm_rounded(x, weight, self.eps)
        return rms_normalize(x, self.eps) * weight
