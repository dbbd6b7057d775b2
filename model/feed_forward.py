"""The dense SwiGLU MLP: a whole dense layer, or the shared expert of a routed one."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from model.hooks import HookPoint
from model.linear import Linear


class FeedForward(nn.Module):
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

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, M] to [B, T, M]."""
        inner = self.hook_post(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return self.hook_out(self.down_proj(inner))
