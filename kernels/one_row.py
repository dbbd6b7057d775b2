"""One row times a large weight on a CPU: in float16, where PyTorch has a faster product for it.

oneDNN's bfloat16 product is made for many rows. With a single one, as in every step of decoding, it takes a
quarter longer than PyTorch's own float16 product (4096 x 1024, one thread of an AMD EPYC: 524 and 420 us).
Bfloat16 has fewer bits of mantissa than float16, and E4M3 has fewer of everything, so both fit once a power
of two has moved them to where float16 is; sums are float32. Only the result is rounded, to more bits than
bfloat16 has. What lies below 2**-17 of the largest input or weight is off by 2**-25 of it at most.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import fp8

# elements from which on it pays; a plain row has to be measured and moved first, codes are where they are
LARGE_WEIGHT, LARGE_CODES = 2**22, 2**20
CODES_SHIFT = 2.0**15  # E4M3's least number over this is float16's
MOST_INPUTS = int(65504 * CODES_SHIFT / fp8.LARGEST**2)  # of codes: so many products stay below 65504


@cache
def fast() -> bool:
    """Whether PyTorch has that product here."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


def takes(x: Tensor, weight: torch.Size) -> bool:
    """Whether `x` is one row of bfloat16, and a plain weight [N, K] is large."""
    return x.numel() == weight[-1] and weight[-2] * weight[-1] >= LARGE_WEIGHT and _here(x)


def takes_codes(x: Tensor, weight: torch.Size) -> bool:
    """The same of a weight of E4M3 codes."""
    large = x.numel() == weight[-1] <= MOST_INPUTS and weight[-2] * weight[-1] >= LARGE_CODES
    return large and _here(x)


def _here(x: Tensor) -> bool:
    return x.dtype == torch.bfloat16 and fast()


def in_float16(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight [N, K] in float16, and the power of two that it has been divided by."""
    # inputs are below one, so that not even K products of the largest pass 2**15
    power = 2.0 ** (_exponent(weight) + math.ceil(math.log2(weight.shape[-1])) - 15)
    return (weight.float() / power).half(), torch.tensor(power, dtype=torch.float64)


def product(x: Tensor, weight: Tensor, power: Tensor) -> Tensor:
    """`x @ w.T` in bfloat16 from what `in_float16` made of `w`."""
    exponent = _exponent(x)
    y = F.linear((x * 2.0**-exponent).half(), weight)
    return y.bfloat16().mul_(2.0**exponent * float(power))


def codes_in_float16(codes: Tensor) -> tuple[Tensor]:
    """The values of E4M3 codes [N, K] over CODES_SHIFT."""
    return (fp8.expand(codes, torch.float16).div_(CODES_SHIFT),)


def codes_product(values: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """`values @ codes.T * scale` in bfloat16; values [1, K] of codes in float16, scale [1, N] in float32."""
    return (F.linear(values, weight) * (scale * CODES_SHIFT)).bfloat16()


def _exponent(values: Tensor) -> int:
    """Of the power of two above every magnitude; 0 for what is not finite, which stays so."""
    return math.frexp(float(values.abs().amax()))[1]
