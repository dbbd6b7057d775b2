"""Routed SwiGLU on a card: two products and what stands before, between and after them, all on the device.

The host knows how many pairs there are and chooses the regime by that; who was chosen it never learns, so
nothing waits and a CUDA graph can hold it all.
"""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from kernels import launch_triton as launch
from kernels import persistent_int4_triton, persistent_triton
from kernels.fp8 import BlockScaled, RowScaled
from kernels.fp8_triton import gather, gather_quantized
from kernels.gemv_int4_triton import gate_up_gemv_int4_kernel, rows_gemv_int4_kernel
from kernels.gemv_triton import gate_up_gemv_kernel, rows_gemv_kernel
from kernels.int4 import GroupScaled
from kernels.launch_triton import Operand, Rows
from kernels.linear_triton import rows_product
from kernels.routing_triton import sort_pairs
from kernels.shared_triton import by_hand
from kernels.stream_int4_triton import gate_up_stream_int4_kernel
from kernels.stream_triton import gate_up_stream_kernel

Weight = Tensor | RowScaled | BlockScaled | GroupScaled


def routed_swiglu(
    x: Tensor, gate_up: Weight, down: Weight, rows: Tensor, experts: Tensor, gates: Tensor
) -> Tensor:
    """Twin of `kernels.routed_swiglu`."""
    x, rows, experts, gates = (tensor.contiguous() for tensor in (x, rows, experts, gates))
    if not len(experts):
        return torch.zeros_like(x)
    if len(experts) <= launch.FEW_PAIRS:
        few = _few_int4 if isinstance(gate_up, GroupScaled) else _few
        return few(x, gate_up, down, rows, experts, gates)
    count = len(Operand.of(gate_up).values)
    order, offsets = sort_pairs(experts, count)
    inner = _inner(x, gate_up, rows, order, offsets, gates)
    answers = rows_product(inner, down, offsets, order)
    return torch.zeros_like(x).index_add_(0, rows, answers)


def _few(
    x: Tensor,
    gate_up: Tensor | RowScaled | BlockScaled,
    down: Tensor | RowScaled | BlockScaled,
    rows: Tensor,
    experts: Tensor,
    gates: Tensor,
) -> Tensor:
    """Three launches: gate (and quantize), gate_up with SwiGLU, down with the sum over a row's pairs."""
    w13, w2 = Operand.of(gate_up), Operand.of(down)
    (pairs, width), (_, model, inner_width) = (len(rows), x.shape[1]), w2.values.shape
    inner = torch.empty(pairs, inner_width, dtype=x.dtype, device=x.device)
    largest, maxima = None, 1
    if isinstance(gate_up, Tensor):
        gated = Rows.of(gather(x, rows, None, gates, split=False))
    else:
        # the largest inner value of a pair, or of each of its blocks, as the bits of a float32
        maxima = triton.cdiv(inner_width, w13.group) if w13.group else 1
        largest = torch.empty(pairs, maxima, dtype=torch.int32, device=x.device)
        gated = Rows.of(gather_quantized(x, rows, None, gates, largest, w13.group))
    tile = launch.GEMV
    gate_up_gemv_kernel[(triton.cdiv(inner_width, tile["BN"]), pairs)](
        gated.values, gated.scale, w13.values, w13.scale, experts, inner, largest, width, inner_width,
        s_x_scale=gated.stride, s_largest=maxima, **w13.layout, **tile, MASKED=width % tile["BK"] != 0,
    )  # fmt: skip
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    rows_gemv_kernel[(triton.cdiv(model, tile["BN"]), len(x))](
        inner, largest, w2.values, w2.scale, experts, rows, out, pairs, inner_width, model, s_largest=maxima,
        **w2.layout, **tile, MASKED=inner_width % tile["BK"] != 0, BY_HAND=by_hand(),
    )  # fmt: skip
    return out


def _few_int4(
    x: Tensor, gate_up: GroupScaled, down: GroupScaled, rows: Tensor, experts: Tensor, gates: Tensor
) -> Tensor:
    w13, w2 = Operand.of(gate_up), Operand.of(down)
    (pairs, width), (_, model, inner_width) = (len(rows), x.shape[1]), down.shape
    inner = torch.empty(pairs, inner_width, dtype=x.dtype, device=x.device)
    tile = launch.GEMV_INT4
    gate_up_gemv_int4_kernel[(triton.cdiv(inner_width, tile["BN"]), pairs)](
        gather(x, rows, None, gates, split=True), w13.values, w13.scale, experts, inner, width, inner_width,
        GROUP=gate_up.group, **w13.layout, **tile, MASKED=width % (gate_up.group * tile["BG"]) != 0,
    )  # fmt: skip
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    rows_gemv_int4_kernel[(triton.cdiv(model, tile["BN"]), len(x))](
        inner, w2.values, w2.scale, experts, rows, out, pairs, inner_width, model, GROUP=down.group,
        **w2.layout, **tile, MASKED=inner_width % (down.group * tile["BG"]) != 0,
    )  # fmt: skip
    return out


def _inner(x: Tensor, gate_up: Weight, rows: Tensor, order: Tensor, offsets: Tensor, gates: Tensor) -> Tensor:
    """SwiGLU's inner values [pairs, width] in sorted order; for int4 the even ones of a row first."""
    w = Operand.of(gate_up)
    pairs, experts, inner_width = len(rows), len(w.values), w.values.shape[1] // 2
    tokens = launch.tokens_of_a_tile(gate_up, pairs, experts)
    grid = (launch.tiles(pairs, experts, tokens), triton.cdiv(inner_width, launch.WEIGHT_ROWS))
    if isinstance(gate_up, GroupScaled):
        gated = gather(x, rows, order, gates, split=True)
        if launch.takes_many_rows(w, pairs):
            return persistent_int4_triton.gate_up(gated, w, offsets)
        inner = torch.empty(pairs, inner_width, dtype=x.dtype, device=x.device)
        gate_up_stream_int4_kernel[grid](
            gated, w.values, w.scale, offsets, inner, experts, x.shape[1], inner_width, **w.layout,
            **launch.stream_tile_int4(gate_up, tokens, experts, weights=2),
        )  # fmt: skip
        return inner
    if isinstance(gate_up, Tensor):
        gated = Rows.of(gather(x, rows, order, gates, split=False))
    else:
        gated = Rows.of(gather_quantized(x, rows, order, gates, group=w.group))
    if launch.takes_many_rows(w, pairs):
        return persistent_triton.gate_up(gated, w, offsets, x.dtype)
    inner = torch.empty(pairs, inner_width, dtype=x.dtype, device=x.device)
    tile = launch.stream_tile(w, tokens, experts, weights=2)
    gate_up_stream_kernel[grid](
        gated.values, gated.scale, w.values, w.scale, offsets, inner, experts, x.shape[1], inner_width,
        s_x_scale=gated.stride, **w.layout, **tile, MASKED=x.shape[1] % tile["BK"] != 0,
    )  # fmt: skip
    return inner
