"""Products of rows with a weight on a card: of one weight, or of each expert's rows with its own."""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from kernels import launch_triton as launch
from kernels import persistent_int4_triton, persistent_triton
from kernels.fp8 import BlockScaled, RowScaled
from kernels.fp8_triton import quantize_rows
from kernels.int4 import GroupScaled
from kernels.launch_triton import Operand, Rows
from kernels.stream_int4_triton import rows_stream_int4_kernel
from kernels.stream_triton import rows_stream_kernel


def linear(x: Tensor, w: RowScaled | BlockScaled | GroupScaled, codes: RowScaled | None = None) -> Tensor:
    """Twin of `kernels.linear` for x [rows, K]: one expert that all rows go to."""
    if not len(x):
        return x.new_empty(0, w.shape[0])
    offsets = torch.arange(0, 2 * len(x), len(x), dtype=torch.int32, device=x.device)
    if isinstance(w, GroupScaled):
        x = torch.cat([x[:, ::2], x[:, 1::2]], dim=1)
        return rows_product(x, GroupScaled(w.packed[None], w.scale[None]), offsets, None)
    return rows_product(x.contiguous(), type(w)(w.codes[None], w.scale[None]), offsets, None, codes)


def rows_product(
    x: Tensor,
    w: Tensor | RowScaled | BlockScaled | GroupScaled,
    offsets: Tensor,
    order: Tensor | None,
    codes: RowScaled | None = None,
) -> Tensor:
    """`x[i] @ w[e].T` for every row i of expert e's.

    Args:
        x: [rows, K] sorted by expert; beside int4 weights the even inputs of a row before its odd ones.
        w: [experts, N, K].
        offsets: [experts + 1] int32, where each expert's rows begin.
        order: [rows] int32, the place of every answer; None leaves them where the rows are.
        codes: of x, for FP8 rows, if they are there already.

    Returns:
        [rows, N] in x's dtype.
    """
    operand = Operand.of(w)
    rows, (experts, outputs) = len(x), operand.values.shape[:2]
    tokens = launch.tokens_of_a_tile(w, rows, experts)
    grid = (launch.tiles(rows, experts, tokens), triton.cdiv(outputs, launch.WEIGHT_ROWS))
    if isinstance(w, GroupScaled):
        if launch.takes_many_rows(operand, rows):
            return persistent_int4_triton.rows(x, operand, offsets, order)
        out = torch.empty(rows, outputs, dtype=x.dtype, device=x.device)
        rows_stream_int4_kernel[grid](
            x, operand.values, operand.scale, offsets, order, out, experts, x.shape[1], outputs,
            **operand.layout, **launch.stream_tile_int4(w, tokens, experts, weights=1),
        )  # fmt: skip
        return out
    if not isinstance(w, Tensor) and codes is None:
        codes = quantize_rows(x, operand.group)
    inputs = Rows.of(x if codes is None else codes)
    if launch.takes_many_rows(operand, rows):
        return persistent_triton.rows(inputs, operand, offsets, order, x.dtype)
    out = torch.empty(rows, outputs, dtype=x.dtype, device=x.device)
    tile = launch.stream_tile(operand, tokens, experts, weights=1)
    rows_stream_kernel[grid](
        inputs.values, inputs.scale, operand.values, operand.scale, offsets, order, out, experts,
        x.shape[1], outputs, s_x_scale=inputs.stride, **operand.layout, **tile,
        MASKED=x.shape[1] % tile["BK"] != 0,
    )  # fmt: skip
    return out
