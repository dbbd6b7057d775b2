"""Products with weights on a CPU: made once into the form a CPU multiplies fastest, and kept.

FP8 has no fast product on a CPU (`torch._scaled_mm` is tens of times slower than bfloat16's), but its codes
are exact in bfloat16; so they are expanded once. Plain weights are kept a second time for many rows, in the
blocked order that oneDNN reads (a third faster, measured on an AMD EPYC). A single row meets them as they are
or, on a CPU of Intel, in an order for single rows, which is kept as well (`one_row`). Int4 has a product of
its own in PyTorch, in an order of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import fp8, int4, one_row
from kernels.fp8 import BLOCK, BlockScaled, RowScaled
from kernels.int4 import GroupScaled
from kernels.kept import KEPT

# the int4 product reads a quarter of the bytes but multiplies slowly: it pays up to this many rows
INT4_ROWS = 96
INT4_GROUPS = (32, 64, 128, 256)  # the ones PyTorch's int4 product takes
INT4_MULTIPLE = 16  # and of what the number of its rows must be a multiple
# oneDNN takes 20 us for its smallest bfloat16 product, PyTorch 5 for one row and 10 for four (two threads of
# an AMD EPYC): up to so many elements and rows it has no part in it
SMALL_WEIGHT, SMALL_ROWS = 2**17, 4
INTEL_ALONE = 2**18  # there a single row is as fast either way
FEW_VALUES = 2**12  # for so few two casts are faster than six operations


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
        return _codes_product(x, w, expert, rows)
    if isinstance(w, BlockScaled):
        one = w if expert is None else w[expert]
        return _product(_rounded_in_groups(x), w.codes, expert, lambda: fp8.dequantize(one, x.dtype))
    return _int4(x, w, expert)


def _codes_product(x: Tensor, w: RowScaled, expert: int | None, rows: RowScaled | None) -> Tensor:
    """With both sides in E4M3; in place and at once, since at a single row every operation counts."""
    dtype = _exact(x.dtype)
    values, scale = _rounded(x, dtype) if rows is None else (fp8.expand(rows.codes, dtype), rows.scale)
    product = _product(values, w.codes, expert, lambda: fp8.expand(_one(w.codes, expert), dtype))
    return product.mul_(scale * _one(w.scale, expert).squeeze(-1)).to(x.dtype)


def _rounded(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """`fp8.nearest_rows(x)`: the values of the codes in `dtype`, and the scales."""
    scale = fp8.row_scale(x)
    return nearest(x / scale, dtype), scale


def _rounded_in_groups(x: Tensor) -> Tensor:
    """`fp8.rounded_in_groups(x)` in x's dtype."""
    width = x.shape[-1]
    values, scale = _rounded(F.pad(x, (0, -width % BLOCK)).unflatten(-1, (-1, BLOCK)), torch.float32)
    return values.mul_(scale).flatten(-2)[..., :width].to(x.dtype)


def nearest(x: Tensor, dtype: torch.dtype) -> Tensor:
    """The E4M3 number nearest to each float32 value of `x`, ties to even, in `dtype`; none is beyond 448.

    Without a cast to E4M3, which takes a CPU six times as long as these operations. Adding a number so large
    that its last bit is worth a step of E4M3 rounds to whole steps, and takes nothing away again.
    """
    if x.numel() <= FEW_VALUES:
        return x.to(torch.float8_e4m3fn).to(dtype)
    x = x.float()
    # a power of two at or below each magnitude; under 2**-6 E4M3's steps grow no finer
    power = x.abs().clamp_(min=2.0**-6).view(torch.int32).bitwise_and_(0x7F800000).view(torch.float32)
    power.mul_(1.5 * 2.0**20)
    return torch.add(x, power).sub_(power).to(dtype)


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


@cache
def _alone_up_to() -> float:
    """Elements of a weight up to which a single bfloat16 row meets it as it is; else in columns."""
    # by the maker, not by measuring: the same question has the same answer, to the bit, the next time
    facts = getattr(torch.cpu, "get_capabilities", dict)()
    return INTEL_ALONE if "Intel" in facts.get("cpu_name", "") else math.inf


def _product(x: Tensor, owner: Tensor, expert: int | None, weight: Callable[[], Tensor]) -> Tensor:
    """`x @ weight().T`; what is not the weight as it is, is kept beside its owner if there is room."""
    elements = owner.shape[-2:].numel()
    rows = x.numel() // x.shape[-1]
    short = x.dtype == torch.bfloat16 and _blocked()
    few = elements <= (SMALL_WEIGHT if rows > 1 else _alone_up_to())
    alone = short and few and rows <= SMALL_ROWS
    plain = owner.dtype == x.dtype
    if plain and alone:
        return one_row.product(x, weight())

    def kept(form: str, make: Callable[[Tensor], Tensor]) -> Tensor | None:
        size = elements * x.element_size()
        made = KEPT.get(owner, (expert, x.dtype, form), size, lambda: (make(weight()),))
        return None if made is None else made[0]

    if short and rows == 1 and not few:
        columns = kept("columns", one_row.in_columns)
        if columns is not None:
            return one_row.weighted_columns(x, columns, owner.shape[-2])
    # codes that are expanded for a row as they are serve many rows, too
    if plain or (short and elements > _alone_up_to()):
        # the second argument is a guess of the rows to come: few, since many are fast either way
        blocks = kept("blocks", lambda w: torch.ops.mkldnn._reorder_linear_weight(w, 1))
        if blocks is not None:
            return torch.ops.mkldnn._linear_pointwise(x, blocks, None, "none", [], "")
        made = weight()
    else:
        expanded = kept("expanded", lambda w: w)
        made = weight() if expanded is None else expanded
    return one_row.product(x, made) if alone else F.linear(x, made)


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
