"""A linear layer that leaves its product to `kernels`, which knows the fastest way where its weight lies."""

from __future__ import annotations

from torch import Tensor, nn

from kernels import linear
from kernels.fp8 import Rounded
from model.module import Module


class Linear(Module, nn.Linear):
    """`nn.Linear` in everything else."""

    def forward(self, x: Tensor | Rounded) -> Tensor:
        """[..., K] to [..., N]."""
        # not self.weight: PyTorch's parameters are where Python looks last
        if self._parameters["bias"] is None:
            return linear(x, self._parameters["weight"])
        # a bias is added before the result is rounded, which only PyTorch's own product can
        return super().forward(x.plain if isinstance(x, Rounded) else x)
