"""Products with weights on a CPU: made once into the form a CPU multiplies fastest, and kept.

FP8 has no fast product on a CPU (`torch._scaled_mm` is tens of times slower than bfloat16's), but its codes
are exact in bfloat16; so they are expanded once, in the blocked order that oneDNN reads (a third faster than
rows, measured on an AMD EPYC). Int4 has a product of its own in PyTorch, in an order of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import fp8, int4
from kernels.fp8 import BlockScaled, RowScaled
from kernels.int4 import GroupScaled
from kernels.kept import KEPT

# the int4 product reads a quarter of the bytes but multiplies slowly: it pays up to this many rows
INT4_ROWS = 96
INT4_GROUPS = (32, 64, 128, 256)  # the ones PyTorch's int4 product takes
INT4_MULTIPLE = 16  # and of what the number of its rows must be a multiple
# oneDNN takes 14 us for its smallest bfloat16 product, PyTorch 5 for the same in float32, casts included
# (one thread of an AMD EPYC); weights of up to so many elements are kept in float32 too, for so few rows
SMALL_WEIGHT, SMALL_ROWS = 2**17, 4


def linear(
    x: Tensor,
    w: Tensor | RowScaled | BlockScaled | GroupScaled,
    expert: int | None = None,
    rows: RowScaled | None = None,
) -> Tensor:
    """`x @ w.T`, or `x @ w[expert].T`; x [rows, K] and w [N, K] give [rows, N] in x's dtype. No gradients.

    Beside a plain weight x may have any number of axes. Agrees with `fp8.linear` and `int4.linear`.
    """
    if isinstance(w, Tensor):  # first: the shortest product, where the way to it counts most
        if keeps(w) and x.dtype == w.dtype:
            return _product(x, w, expert, lambda: _one(w, expert))
        return F.linear(x, _one(w, expert))
    if isinstance(w, RowScaled):
        rows = fp8.nearest_rows(x) if rows is None else rows
        codes = fp8.expand(rows.codes, _exact(x.dtype))
        product = _product(codes, w.codes, expert, lambda: fp8.expand(_one(w.codes, expert), codes.dtype))
        # in place and at once: at a single row every operation counts
        return product.mul_(rows.scale * _one(w.scale, expert).squeeze(-1)).to(x.dtype)
    if isinstance(w, BlockScaled):
        rounded = fp8.rounded_in_groups(x).to(x.dtype)
        one = w if expert is None else w[expert]
        return _product(rounded, w.codes, expert, lambda: fp8.dequantize(one, x.dtype))
    return _int4(x, w, expert)


def rms_normalize(x: Tensor, eps: float) -> Tensor:
    """`kernels.norm.rms_normalize` of float32, in four operations instead of five. No gradients."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x * torch.addcmul(_scalar(eps), length, length, value=1 / x.shape[-1]).rsqrt_()


@cache
@torch.inference_mode(False)
def _scalar(value: float) -> Tensor:
    # whatever device and number type somebody has made the default: it is kept
    return torch.tensor(value, dtype=torch.float32, device="cpu")


def keeps(w: Tensor) -> bool:
    """Whether a plain weight gains by a second form: it is bfloat16, on a CPU that has one, and frozen."""
    return w.dtype == torch.bfloat16 and not w.requires_grad and w.device.type == "cpu" and _blocked()


def _one(stack: Tensor, expert: int | None) -> Tensor:
    return stack if expert is None else stack[expert]


def _exact(dtype: torch.dtype) -> torch.dtype:
    """In which products of codes are as good as the result's dtype asks."""
    return torch.bfloat16 if dtype == torch.bfloat16 else torch.float32


@cache
def _blocked() -> bool:
    """Whether oneDNN multiplies bfloat16 here, in an order of its own."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _product(x: Tensor, owner: Tensor, expert: int | None, weight: Callable[[], Tensor]) -> Tensor:
    """`x @ weight().T`, the weight kept beside its owner in the fastest form, if there is room."""
    elements = owner.shape[-2:].numel()
    if x.dtype == torch.bfloat16 and elements <= SMALL_WEIGHT and x.numel() <= SMALL_ROWS * x.shape[-1]:
        kept = KEPT.get(owner, (expert, torch.float32), 4 * elements, lambda: (weight().float(),))
        if kept is not None:
            return F.linear(x.float(), kept[0]).to(x.dtype)
    blocked = x.dtype == torch.bfloat16 and _blocked()

    def make() -> tuple[Tensor, ...]:
        made = weight()
        # the second argument is a guess of the rows to come: few, since many are fast either way
        return (torch.ops.mkldnn._reorder_linear_weight(made, 1) if blocked else made,)

    kept = KEPT.get(owner, (expert, x.dtype), elements * x.element_size(), make)
    if kept is None:
        return F.linear(x, weight())
    if blocked:
        return torch.ops.mkldnn._linear_pointwise(x, kept[0], None, "none", [], "")
    return F.linear(x, kept[0])


def _int4(x: Tensor, w: GroupScaled, expert: int | None) -> Tensor:
    one = w if expert is None else w[expert]
    own = x.dtype == torch.bfloat16 and one.group in INT4_GROUPS and one.shape[-2] % INT4_MULTIPLE == 0
    if not own or len(x) > INT4_ROWS:
        return int4.linear(x, one)

    def make() -> tuple[Tensor, ...]:
        # codes from 0 on, and for every group a scale and the value of code 8
        packed = torch._convert_weight_to_int4pack_for_cpu((int4.codes(one) + 8).to(torch.int32), 1)
        scale = one.scale.T.to(x.dtype)
        return packed, torch.stack([scale, torch.zeros_like(scale)], dim=-1)

    kept = KEPT.get(w.packed, (expert, x.dtype), one.packed.numel() + 4 * one.scale.numel(), make)
    if kept is None:
        return int4.linear(x, one)
    packed, scales = kept
    return torch._weight_int4pack_mm_for_cpu(x, packed, one.group, scales)
