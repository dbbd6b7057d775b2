"""The same random weights in every format, for the tests of what multiplies them."""

from collections.abc import Callable

import torch
from torch import Tensor

from kernels import fp8, int4
from kernels.linear import Weight


def blocks(w: Tensor) -> fp8.BlockScaled:
    """E4M3 with a scale a block, no two alike."""
    tiles = [-(-size // fp8.BLOCK) for size in w.shape[-2:]]
    count = w.shape[:-2].numel() * tiles[0] * tiles[1]
    # neighbours differ by more than any bound forgives
    scale = torch.linspace(0.2, 1.8, count)[torch.randperm(count, generator=torch.Generator().manual_seed(0))]
    return fp8.BlockScaled(w.to(torch.float8_e4m3fn), scale.view(*w.shape[:-2], *tiles).to(w.device))


def groups(w: Tensor) -> int4.GroupScaled:
    """Int4 in the largest usual groups that fit."""
    return int4.quantize_groups(w, next(g for g in (128, 32, 4) if w.shape[-1] % g == 0))


# a plain weight takes the dtype of what it meets
QUANTIZED: dict[str, Callable[[Tensor], Weight]] = {
    "fp8": fp8.quantize_rows,
    "fp8 blocks": blocks,
    "int4": groups,
}


def in_format(name: str, w: Tensor, dtype: torch.dtype) -> Weight:
    """`w` in the format of that name."""
    return w.to(dtype) if name == "plain" else QUANTIZED[name](w)
