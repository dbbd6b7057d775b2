"""Every Triton kernel in the shapes of Maverick, as the compiler is asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton

from kernels import launch_triton as launch
from kernels.attention_rows_triton import KEYS, ROWS, row_products_kernel
from kernels.fp8 import BLOCK
from kernels.fp8_triton import (
    gather_kernel,
    gather_quantized_kernel,
    quantize_rows_kernel,
    rms_norm_rounded_kernel,
)
from kernels.gemv_int4_triton import gate_up_gemv_int4_kernel, rows_gemv_int4_kernel
from kernels.gemv_triton import gate_up_gemv_kernel, rows_gemv_kernel
from kernels.int4 import GroupScaled
from kernels.launch_triton import Operand
from kernels.persistent_int4_triton import gate_up_persistent_int4_kernel, rows_persistent_int4_kernel
from kernels.persistent_triton import gate_up_persistent_kernel, rows_persistent_kernel
from kernels.routing_triton import sort_pairs_kernel
from kernels.stream_int4_triton import gate_up_stream_int4_kernel, rows_stream_int4_kernel
from kernels.stream_triton import gate_up_stream_kernel, rows_stream_kernel

# bytes of shared memory that a program may have
CARDS = {89: 101_376, 90: 232_448, 100: 232_448}
EXPERTS = 128
ELEMENT = {
    "fp8": ("*fp8e4nv", torch.float8_e4m3fn), "fp8 blocks": ("*fp8e4nv", torch.float8_e4m3fn),
    "bf16": ("*bf16", torch.bfloat16),
}  # fmt: skip
# of weights and activations: strides whose value the compiler is not told, and what it is told
SCALES: dict[str, tuple[str, dict[str, int]]] = {
    "fp8": ("s_scale_expert", {"s_x_scale": 1, "s_scale_row": 1, "BLOCK": 1}),
    "fp8 blocks": ("s_scale_expert s_x_scale s_scale_row", {"BLOCK": BLOCK}),
    "bf16": ("s_scale_expert s_x_scale s_scale_row", {"BLOCK": 1}),
}
# counts of scales, and of maxima
ANY = ("s_x_scale", "s_scale_row", "s_largest")


@dataclass(frozen=True)
class Case:
    """One kernel with the types and constants of one use of it."""

    name: str
    kernel: triton.JITFunction
    types: dict[str, str]  # of its arguments that are no constants
    fixed: dict[str, Any]  # constants, and arguments whose value the compiler is told (None, one)
    options: dict[str, int]
    product: str | None = None  # the format its tensor-core instructions should have
    reads_weights: bool = False
    cards: tuple[int, ...] = tuple(CARDS)
    whole: tuple[str, ...] = ()  # sizes that need not be multiples of 16

    def signature(self) -> dict[str, str]:
        """Every argument's type, as `ASTSource` wants it."""
        missing = set(self.kernel.arg_names) - set(self.types) - set(self.fixed)
        assert not missing, f"{self.name}: no type for {sorted(missing)}"
        return {name: self.types.get(name, "constexpr") for name in self.kernel.arg_names}

    def constants(self) -> dict[tuple[int, ...], Any]:
        """Values by position."""
        return {(i,): self.fixed[name] for i, name in enumerate(self.kernel.arg_names) if name in self.fixed}

    def attributes(self) -> dict[tuple[int, ...], list]:
        """Pointers and sizes are multiples of 16, as PyTorch's tensors and Llama 4's shapes are."""
        divided = [["tt.divisibility", 16]]
        names = enumerate(self.kernel.arg_names)
        return {(i,): divided for i, name in names if name in self.types and name not in self.whole}


def types(pointers: str, sizes: str) -> dict[str, str]:
    """`"p_x:*bf16 p_w:*fp8e4nv"` and `"K N"` as a dictionary; sizes are 32 bits."""
    return dict(pair.split(":") for pair in pointers.split()) | dict.fromkeys(sizes.split(), "i32")


def cases() -> list[Case]:
    """All of them."""
    return [
        *around(), *(case for form in ELEMENT for case in gemv(form)), *gemv_int4(),
        *(case for form in ELEMENT for tokens in (16, 64, 128) for case in stream(form, tokens)
          if form != "fp8 blocks" or tokens <= launch.TOKENS_BLOCKS[1]),
        *(case for tokens in (16, 32, 64) for case in stream_int4(tokens)),
        *(case for form in ELEMENT for case in persistent(form)), *persistent_int4(),
        attention_rows(),
    ]  # fmt: skip


def around() -> list[Case]:
    """What stands before and between the products."""
    gathered = "p_x:*bf16 p_gates:*bf16 p_rows:*i64 p_order:*i32 p_codes:*fp8e4nv p_scale:*fp32"
    made = []
    for name, tile in (("rows", {"BG": 1, "GROUP": 8192}), ("groups", {"BG": 64, "GROUP": BLOCK})):
        fixed = {**tile, "BY_HAND": False}
        made += [
            Case(
                f"quantize {name}", quantize_rows_kernel,
                types("p_x:*bf16 p_codes:*fp8e4nv p_scale:*fp32", "K"), fixed, {"num_warps": 8},
                reads_weights=True,
            ),
            Case(
                f"gather and quantize {name}", gather_quantized_kernel,
                types(f"{gathered} p_largest:*i32", "K s_largest"), fixed, {"num_warps": 8},
                reads_weights=True, whole=ANY,
            ),
        ]  # fmt: skip
    return [
        *made,
        Case(
            "norm and quantize rows", rms_norm_rounded_kernel,
            types("p_x:*bf16 p_weight:*bf16 p_out:*bf16 p_codes:*fp8e4nv p_scale:*fp32", "K")
            | {"eps": "fp32"},
            {"BK": 8192, "BY_HAND": False}, {"num_warps": 8}, reads_weights=True, whole=("eps",),
        ),
        Case(
            "sort pairs", sort_pairs_kernel, types("p_experts:*i64 p_order:*i32 p_offsets:*i32", "pairs"),
            {"BLOCK": 1024}, {"num_warps": 4}, whole=("pairs",),
        ),
        Case(
            "gather", gather_kernel,
            types("p_x:*bf16 p_gates:*bf16 p_rows:*i64 p_order:*i32 p_out:*bf16", "K"),
            {"BK": 8192, "SPLIT": True}, {"num_warps": 8}, reads_weights=True,
        ),
    ]  # fmt: skip


def gemv(form: str) -> list[Case]:
    """Few rows, FP8 or BF16."""
    element = ELEMENT[form][0]
    tile, options = apart({**launch.GEMV, "MASKED": False})
    scales, fixed = SCALES[form]
    scales = f"s_expert {scales}"
    if form == "fp8 blocks":
        largest, none, scales = " p_largest:*i32", {}, f"{scales} s_largest"
    elif form == "fp8":
        largest, none = " p_largest:*i32", {"s_largest": 1}
    else:
        largest, none = "", {"p_largest": None, "s_largest": 1}
    weights = f"p_w:{element} p_w_scale:*fp32 p_experts:*i64 p_out:*bf16{largest}"
    down = {name: value for name, value in fixed.items() if name != "s_x_scale"}
    return [
        Case(
            f"gate_up gemv {form}", gate_up_gemv_kernel,
            types(f"p_x:{element} p_x_scale:*fp32 {weights}", f"K F {scales}"),
            {**tile, **fixed, **none}, options, reads_weights=True, whole=ANY,
        ),
        Case(
            f"rows gemv {form}", rows_gemv_kernel,
            types(f"p_x:*bf16 p_rows:*i64 {weights}", f"pairs K N {scales.replace(' s_x_scale', '')}"),
            {**tile, **down, **none, "BY_HAND": False}, options, reads_weights=True, whole=("pairs", *ANY),
        ),
    ]  # fmt: skip


def gemv_int4() -> list[Case]:
    """Few rows, int4."""
    tile, options = apart({**launch.GEMV_INT4, "MASKED": False, "GROUP": 128})
    pointers = "p_x:*bf16 p_w:*u8 p_w_scale:*fp32 p_experts:*i64 p_out:*bf16"
    return [
        Case(
            "gate_up gemv int4", gate_up_gemv_int4_kernel,
            types(pointers, "K F s_expert s_scale_expert"), tile, options, reads_weights=True,
        ),
        Case(
            "rows gemv int4", rows_gemv_int4_kernel,
            types(f"{pointers} p_rows:*i64", "pairs K N s_expert s_scale_expert"), tile, options,
            reads_weights=True, whole=("pairs",),
        ),
    ]  # fmt: skip


def stream(form: str, tokens: int) -> list[Case]:
    """Some rows an expert, FP8 or BF16."""
    element, dtype = ELEMENT[form]
    scales, fixed = SCALES[form]
    weight = Operand(torch.empty(0, dtype=dtype), launch.one(torch.device("cpu")), fixed)
    pointers = f"p_x:{element} p_x_scale:*fp32 p_w:{element} p_w_scale:*fp32 p_offsets:*i32 p_out:*bf16"
    made = []
    for name, kernel, more, sizes, weights in (
        ("gate_up", gate_up_stream_kernel, "", "F", 2), ("rows", rows_stream_kernel, " p_order:*i32", "N", 1),
    ):  # fmt: skip
        tile, options = apart(launch.stream_tile(weight, tokens, EXPERTS, weights))
        made.append(
            Case(
                f"{name} stream {form} {tokens}", kernel,
                types(pointers + more, f"experts K {sizes} s_expert {scales}"),
                {**tile, **fixed, "MASKED": False}, options, form[:4].strip(), True, whole=ANY,
            )
        )  # fmt: skip
    return made


def stream_int4(tokens: int) -> list[Case]:
    """Some rows an expert, int4."""
    pointers = "p_x:*bf16 p_w:*u8 p_w_scale:*fp32 p_offsets:*i32 p_out:*bf16"
    weight = GroupScaled.empty((1, 128), "meta")
    made = []
    for name, kernel, more, sizes, weights in (
        ("gate_up", gate_up_stream_int4_kernel, "", "F", 2),
        ("rows", rows_stream_int4_kernel, " p_order:*i32", "N", 1),
    ):
        tile, options = apart(launch.stream_tile_int4(weight, tokens, EXPERTS, weights))
        made.append(
            Case(
                f"{name} stream int4 {tokens}", kernel,
                types(pointers + more, f"experts K {sizes} s_expert s_scale_expert"), tile, options, "bf16",
                True, cards=(90, 100) if tokens > launch.TOKENS_INT4_ADA[1] else tuple(CARDS),
            )
        )  # fmt: skip
    return made


def persistent(form: str) -> list[Case]:
    """Many rows an expert, FP8 or BF16; needs a copy engine, which Ada has not."""
    element, dtype = ELEMENT[form]
    scales, fixed = SCALES[form]
    blocks = form == "fp8 blocks"
    made = []
    for name, kernel, more, sizes, weights, cards in (
        *(("gate_up", gate_up_persistent_kernel, "", "F", 2, (card,)) for card in (90, 100)),
        ("rows", rows_persistent_kernel, " p_order:*i32", "N", 1, (90, 100)),
    ):
        made_for = torch.empty(0, dtype=dtype)
        tile, options = apart(launch.persistent_tile(made_for, weights, narrow=blocks or cards == (100,)))
        descriptors = {name: f"tensordesc<{element[1:]}[{tile[side]}, {tile['BK']}]>"
                  for name, side in (("d_x", "BM"), ("d_w", "BN"))}  # fmt: skip
        pointers = "p_x_scale:*fp32 p_w_scale:*fp32 p_offsets:*i32 p_out:*bf16"
        made.append(
            Case(
                f"{name} persistent {form}", kernel,
                descriptors | types(pointers + more, f"experts K most {sizes} {scales}"),
                {**tile, **fixed, "BE": EXPERTS}, options, form[:4].strip(), True,
                cards=cards, whole=("d_x", "d_w", "most", *ANY),
            )
        )  # fmt: skip
    return made


def persistent_int4() -> list[Case]:
    """Many rows an expert, int4."""
    weight = GroupScaled.empty((1, 1, 128), "meta")
    operand = Operand(weight.packed, weight.scale, {})
    pointers = "p_w_scale:*fp32 p_offsets:*i32 p_out:*bf16"
    made = []
    for name, kernel, more, sizes, weights in (
        ("gate_up", gate_up_persistent_int4_kernel, "", "F", 2),
        ("rows", rows_persistent_int4_kernel, " p_order:*i32", "N", 1),
    ):
        tile, options = apart(launch.persistent_tile_int4(operand, weights))
        descriptors = {
            "d_x": f"tensordesc<bf16[{tile['BM']}, {tile['BK']}]>",
            "d_w": f"tensordesc<u8[{tile['BN']}, {tile['BK']}]>",
        }
        made.append(
            Case(
                f"{name} persistent int4", kernel,
                descriptors | types(pointers + more, f"experts K most {sizes} s_scale_expert"),
                {**tile, "BE": EXPERTS}, options, "bf16", True, cards=(90, 100),
                whole=("d_x", "d_w", "most"),
            )
        )  # fmt: skip
    return made


def attention_rows() -> Case:
    """The last token's row of all heads."""
    pointers = "p_query:*bf16 p_key:*bf16 p_out:*fp32"
    strides = "s_batch s_head s_row s_key_batch s_key_head s_key"
    allowed = {f"s_allowed_{axis}": 1 for axis in ("batch", "head", "row", "key")}
    return Case(
        "attention rows", row_products_kernel,
        types(pointers, f"rows group keys {strides}") | {"scale": "fp32"},
        {"p_allowed": None, **allowed, "WIDTH": 128, "BD": 128, "BR": ROWS, "BS": KEYS}, {"num_warps": 4},
        reads_weights=True, whole=("rows", "group", "keys", "scale"),
    )  # fmt: skip


def apart(tile: dict[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """A tile's constants, and the compiler's options."""
    options = {name: tile[name] for name in ("num_warps", "num_stages") if name in tile}
    return {name: value for name, value in tile.items() if name not in options}, options
