"""What every launch of a product needs: a weight's tensors and strides, the tiles of its regime, its grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
import triton
from torch import Tensor

from kernels.fp8 import BLOCK, BlockScaled, RowScaled
from kernels.int4 import GroupScaled

# a program's weight rows and inputs; small enough for four programs a processor of an H100
GEMV = {"BN": 4, "BK": 1024, "STAGES": 3, "num_warps": 4}
GEMV_INT4 = {"BN": 4, "BG": 16, "STAGES": 3, "num_warps": 4}  # BG groups of inputs
WEIGHT_ROWS = 64  # of a streaming tile: the fewest that fill a Hopper instruction
STEP_BYTES = 128  # of a weight row, read by a streaming tile at a time
# the fewest and the most tokens of a streaming tile; where a scale belongs to a part of a sum larger ones
# spill, with int4 weights on Ada soonest
TOKENS, TOKENS_BLOCKS, TOKENS_INT4, TOKENS_INT4_ADA = (16, 128), (16, 64), (16, 64), (16, 32)
# shared memory of a program: what an Ada card has, and half of what a Hopper card has
SHARED = 96 * 1024

FEW_PAIRS = 4  # up to here every pair reads its expert's weights for itself
# rows an expert from which on the tensor cores, not the memory, take the time: on an H100, FP8 weights meet
# their products at about 230
MANY_ROWS = 192
# with int4 weights, which are half the bytes and meet products of 16 bits, at about 70
MANY_ROWS_INT4 = 96


@dataclass(frozen=True)
class Operand:
    """A weight [experts, rows, K] as kernels take it; `layout` holds the arguments that say how it lies."""

    values: Tensor
    scale: Tensor
    layout: dict[str, int]

    @classmethod
    def of(cls, w: Tensor | RowScaled | BlockScaled | GroupScaled) -> Operand:
        """The tensors of `w`.

        Raises:
            ValueError: they do not lie in memory row after row.
        """
        if isinstance(w, GroupScaled):
            values, scale = w.packed, w.scale
            layout = {"s_scale_expert": scale[0].numel()}
        elif isinstance(w, RowScaled | BlockScaled):
            values, scale = w.codes, w.scale
            block = BLOCK if isinstance(w, BlockScaled) else 1
            layout = {"s_scale_expert": scale[0].numel(), "s_scale_row": scale.shape[-1], "BLOCK": block}
        else:
            values, scale = w, one(w.device)
            layout = {"s_scale_expert": 0, "s_scale_row": 0, "BLOCK": 1}
        if not (values.is_contiguous() and scale.is_contiguous()):
            raise ValueError(
                f"the kernels take weights row after row, got strides {values.stride()}; "
                "give them `.contiguous()` ones"
            )
        return cls(values, scale, {"s_expert": values[0].numel(), **layout})

    @property
    def group(self) -> int | None:
        """How many inputs of a row share a scale beside this weight: those of a block; None if all do."""
        return BLOCK if self.layout.get("BLOCK", 1) > 1 else None


@dataclass(frozen=True)
class Rows:
    """Activations [rows, K] as kernels take them: values, scales, and how many scales a row has."""

    values: Tensor
    scale: Tensor
    stride: int

    @classmethod
    def of(cls, x: Tensor | RowScaled) -> Rows:
        """The tensors of `x`."""
        if isinstance(x, RowScaled):
            return cls(x.codes, x.scale, x.scale.shape[-1])
        return cls(x, one(x.device), 0)


@cache
def one(device: torch.device) -> Tensor:
    """The scale of what has none."""
    return torch.ones(1, device=device)


@cache
def generation(device: torch.device) -> int:
    """8 Ada, 9 Hopper, 10 and more Blackwell; 9 where Triton only interprets."""
    return torch.cuda.get_device_capability(device)[0] if device.type == "cuda" else 9


def stream_tile(w: Operand, tokens: int, experts: int, weights: int) -> dict[str, int]:
    """The tile of a streaming product: `weights` weight rows at once for one expert's `tokens`."""
    # two sums of 64 by 128 are more than four warps have registers for; as are sums beside their next part
    warps = 8 if weights * tokens > (64 if w.group else 128) else 4
    step = (weights * WEIGHT_ROWS + tokens) * STEP_BYTES
    return {"BK": STEP_BYTES // w.values.element_size(), **_tile(tokens, experts, warps, step)}


def stream_tile_int4(w: GroupScaled, tokens: int, experts: int, weights: int) -> dict[str, int]:
    """The tile of a streaming product with int4 weights; a step is a group, its inputs have 16 bits."""
    warps = 8 if weights * tokens > 64 else 4
    step = weights * WEIGHT_ROWS * w.group // 2 + 2 * tokens * w.group
    return {"GROUP": w.group, **_tile(tokens, experts, warps, step)}


def _tile(tokens: int, experts: int, warps: int, step: int) -> dict[str, int]:
    return {
        "BW": WEIGHT_ROWS, "BT": tokens, "BE": triton.next_power_of_2(experts), "num_warps": warps,
        "num_stages": max(2, min(4, SHARED // step)),
    }  # fmt: skip


def tokens_of_a_tile(w: Tensor | RowScaled | BlockScaled | GroupScaled, pairs: int, experts: int) -> int:
    """Twice the mean of an expert's pairs, so that most experts' weights are read once."""
    fewest, most = TOKENS_BLOCKS if isinstance(w, BlockScaled) else TOKENS
    if isinstance(w, GroupScaled):
        fewest, most = TOKENS_INT4_ADA if generation(w.packed.device) < 9 else TOKENS_INT4
    return min(most, max(fewest, triton.next_power_of_2(2 * triton.cdiv(pairs, experts))))


def tiles(pairs: int, experts: int, tokens: int) -> int:
    """The most tiles that `pairs` can need, whoever they go to; the host need not know who."""
    return min(pairs, experts) + pairs // tokens


def persistent_tile(w: Tensor, weights: int, narrow: bool = False) -> dict[str, int]:
    """The tile of a compute-bound product; two sums of 128 by 128, or one of 128 by 256, fill a Hopper card.

    A narrow tile has half the columns: on Blackwell two sums need more registers when they leave, and
    products that are scaled before they are added need registers of their own.
    """
    return {
        "BM": 128, "BN": 256 // weights // (2 if narrow else 1), "BK": STEP_BYTES // w.element_size(),
        "GROUP": 8, "num_warps": 8, "num_stages": 3,
    }  # fmt: skip


def persistent_tile_int4(w: Operand, weights: int) -> dict[str, int]:
    """The tile of a compute-bound product with int4 weights: BK bytes of a row are a group.

    Half the tokens where there are two sums, since values are made of the codes in registers.
    """
    return {
        "BM": 128 // weights, "BN": 128, "BK": w.values.shape[-1] // w.scale.shape[-1], "GROUP": 8,
        "num_warps": 8, "num_stages": 3,
    }  # fmt: skip


@cache
def processors(device: torch.device) -> int:
    """How many programs run at once, one each."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 4


def takes_many_rows(w: Operand, rows: int) -> bool:
    """Whether a product is one for the tensor cores, and its rows and steps fit a descriptor."""
    if w.values.dtype == torch.uint8:
        # a step's inputs are 128 bytes of bfloat16 or fewer
        many, fits = MANY_ROWS_INT4, persistent_tile_int4(w, weights=1)["BK"] <= 64
    else:
        many, fits = MANY_ROWS, w.values.shape[-1] * w.values.element_size() % 16 == 0
    return rows >= many * len(w.values) and fits and generation(w.values.device) >= 9
