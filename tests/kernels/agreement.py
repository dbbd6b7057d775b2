"""How far a kernel may be from its definition: a property of the number format, chosen nowhere else."""

import torch
from torch import Tensor

# relative to the largest value of the definition
LARGEST_ERROR = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
# where values are rounded to E4M3 on the way: the last bit of a sum can move one of them to the next code,
# which is an eighth of it away
ROUNDED_TO_E4M3 = 1 / 8


def assert_agrees(answer: Tensor, definition: Tensor, bound: float | None = None) -> None:
    """Compare in shape, dtype and value; NaN agrees with nothing."""
    assert answer.shape == definition.shape
    assert answer.dtype == definition.dtype
    if not definition.numel():
        return
    allowed = (bound or LARGEST_ERROR[definition.dtype]) * max(float(definition.abs().max()), 1e-6)
    difference = (answer.float() - definition.float()).abs()
    assert bool((difference <= allowed).all()), f"off by {float(difference.max()):.3g}, allowed {allowed:.3g}"
