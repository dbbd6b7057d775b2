"""How far a kernel may be from its definition: a property of the number format, chosen nowhere else."""

import torch
from torch import Tensor

# relative to the largest value of the definition
LARGEST_ERROR = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def assert_agrees(answer: Tensor, definition: Tensor) -> None:
    """Compare in shape, dtype and value; NaN agrees with nothing."""
    assert answer.shape == definition.shape
    assert answer.dtype == definition.dtype
    allowed = LARGEST_ERROR[definition.dtype] * max(float(definition.abs().max()), 1e-6)
    difference = (answer.float() - definition.float()).abs()
    assert bool((difference <= allowed).all()), f"off by {float(difference.max()):.3g}, allowed {allowed:.3g}"
