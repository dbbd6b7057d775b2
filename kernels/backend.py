"""Who answers a call: plain PyTorch anywhere, or Triton on a card that speaks the formats."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Backend = Literal["torch", "triton"]

# 8.9 (Ada) is the first with E4M3 in its tensor cores; before it Triton cannot even load the format
OLDEST_CARD = (8, 9)


class BackendUnavailable(RuntimeError):
    """The implementation that was asked for cannot serve this call; says why, and which one can."""


def pick(wanted: Backend | None, *tensors: Tensor, obstacle: str | None = None) -> Backend:
    """`wanted` if it can serve these tensors, or, if None, the fastest that can.

    Args:
        wanted: what the caller asked for.
        tensors: what it is to compute with.
        obstacle: what keeps Triton from serving the call, if the caller knows of something.

    Raises:
        BackendUnavailable: `wanted` cannot; the message says why.
        ValueError: there is no such backend.
    """
    if wanted == "torch":
        return wanted
    if wanted not in (None, "triton"):
        raise ValueError(f"backend={wanted!r}: expected 'torch', 'triton' or None")
    obstacle = obstacle or _obstacle(tensors, wanted)
    if wanted and obstacle:
        raise BackendUnavailable(f"backend='triton' {obstacle}; backend='torch' can serve this call")
    return "torch" if obstacle else "triton"


def _obstacle(tensors: tuple[Tensor, ...], wanted: Backend | None) -> str | None:
    """What keeps Triton from serving these tensors; None if nothing does."""
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return "has no gradients and one is asked for (torch.no_grad() asks for none)"
    device = tensors[0].device
    if device.type == "cpu" and wanted and _interpreting():
        return None
    if device.type != "cuda":
        return f"needs tensors on a CUDA device, got {device}"
    card = torch.cuda.get_device_capability(device)
    if card < OLDEST_CARD:
        needed, has = (".".join(map(str, version)) for version in (OLDEST_CARD, card))
        return f"needs a card of compute capability {needed} or newer, got {has}"
    try:
        import triton  # noqa: F401
    except ImportError:
        return "needs the package triton, which is not installed"
    return None


def _interpreting() -> bool:
    """Whether Triton runs its kernels in Python (TRITON_INTERPRET=1), as tests do without a card."""
    try:
        from triton import knobs
    except ImportError:
        return False
    return knobs.runtime.interpret
