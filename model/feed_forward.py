"""The dense SwiGLU MLP: a whole dense layer, or the shared expert of a routed one."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from kernels.fp8 import Rounded
from model.hooks import HookPoint
from model.linear import Linear
from model.module import Module
from model.quantize import takes_codes


class FeedForward(Module):
    """`down(silu(gate(x)) * up(x))`, without biases (Shazeer 2020).

    Args:
        width: model width.
        hidden: inner width.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj = Linear(width, hidden, bias=False)
        self.up_proj = Linear(width, hidden, bias=False)
        self.down_proj = Linear(hidden, width, bias=False)
        self.hook_post = HookPoint("BTF")
        self.hook_out = HookPoint("BTM")

    @property
    def takes_codes(self) -> bool:
        """Whether the norm before it should also round to E4M3."""
        return takes_codes(self.gate_proj, self.up_proj)

    def forward(self, x: Tensor | Rounded) -> Tensor:
        """[B, T, M] to [B, T, M]."""
        inner = self.hook_post(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return self.hook_out(self.down_proj(inner))
