"""`routed_experts` as vLLM and SGLang hand them out, both ways.

vLLM: int16 [tokens, layers, ranks], with `enable_return_routed_experts`; the prompt's either in front or
apart as `prompt_routed_experts`. SGLang: base64 of int32 with the same axes, with `return_routed_experts`.
Neither routes the last generated token, which goes through the model no more; neither has gates or logits.
Here -1 stands for what is not known; they have no such sign, and fused kernels have filled in zeros (vLLM
#44116).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from workbench.bare import of_routing
from workbench.layout import NOT_CAPTURED, TraceError

if TYPE_CHECKING:
    from workbench.trace import Trace

    Made = TypeVar("Made", bound=Trace)

SHARED = 255  # SGLang's number for the slot of a shared expert


def to_vllm(trace: Trace) -> np.ndarray:
    """See `Trace.to_vllm`."""
    return trace.routed_experts.astype(np.int16)


def to_sglang(trace: Trace) -> str:
    """See `Trace.to_sglang`."""
    experts = trace.routed_experts[:-1] if len(trace.generated_index) else trace.routed_experts
    return base64.b64encode(np.ascontiguousarray(experts, "<i4").tobytes()).decode()


def from_vllm(
    made: type[Made],
    routed_experts: np.ndarray,
    token_ids: Sequence[int],
    num_experts: int,
    prompt_routed_experts: np.ndarray | None = None,
    tokens: Sequence[str] | None = None,
    moe_layers: Sequence[int] | None = None,
    prompt: int | None = None,
    source: str = "vLLM",
) -> Made:
    """See `Trace.from_vllm`."""
    rows = np.asarray(routed_experts)
    if prompt_routed_experts is not None:
        first = np.asarray(prompt_routed_experts)
        if first.ndim != 3 or rows.ndim != 3 or first.shape[1:] != rows.shape[1:]:
            raise TraceError(
                f"prompt_routed_experts is {first.shape} and routed_experts {rows.shape}; expected the same "
                "layers and ranks"
            )
        prompt = len(first) if prompt is None else prompt
        rows = np.concatenate([first, rows])
    if rows.ndim != 3 or rows.dtype.kind not in "iu":
        raise TraceError(
            f"routed_experts is {rows.dtype} {rows.shape}; expected whole numbers [tokens, layers, ranks]"
        )
    count = len(token_ids)
    if len(rows) not in (count, count - 1):
        raise TraceError(
            f"routed_experts has {len(rows)} rows for {count} tokens; expected one a token, or one less: the "
            "last generated token goes through the model no more"
        )
    if len(rows) < count:
        prompt = count - 1 if prompt is None else prompt
        if prompt == count:
            raise TraceError(f"{len(rows)} rows for a prompt of {count} tokens: one token's routing is lost")
        rows = np.concatenate([rows.astype(np.int64), np.full((1, *rows.shape[1:]), NOT_CAPTURED)])
    rows = _of_layers(rows, moe_layers)
    return of_routing(
        made, rows, num_experts, moe_layers=moe_layers, token_ids=token_ids, tokens=tokens, prompt=prompt,
        source=f"routed_experts of {source}", meta={"engine": source},
    )  # fmt: skip


def from_sglang(
    made: type[Made],
    routed_experts: str | bytes,
    token_ids: Sequence[int],
    num_experts: int,
    moe_layers: Sequence[int],
    layers: int | None = None,
    top: int | None = None,
    tokens: Sequence[str] | None = None,
    prompt: int | None = None,
) -> Made:
    """See `Trace.from_sglang`."""
    try:
        flat = np.frombuffer(base64.b64decode(routed_experts, validate=True), "<i4")
    except (binascii.Error, ValueError, TypeError) as error:
        raise TraceError(f"routed_experts is no base64 of int32: {error}") from None
    columns, count = len(moe_layers) if layers is None else layers, len(token_ids)
    fitting = [
        rows
        for rows in (count - 1, count)
        if rows * columns and flat.size and flat.size % (rows * columns) == 0
        if top is None or flat.size == rows * columns * top
    ]
    if len(fitting) != 1:
        said = "the number of ranks cannot be told: give top=" if fitting else "no number of ranks fits"
        raise TraceError(
            f"routed_experts has {flat.size:,} numbers for {count} tokens (or one less) and {columns} "
            f"layers; {said}"
        )
    experts = flat.reshape(fitting[0], columns, -1)
    if num_experts <= SHARED:
        experts = experts[..., ~(experts == SHARED).all((0, 1))]
    return from_vllm(made, experts, token_ids, num_experts, None, tokens, moe_layers, prompt, "SGLang")


def _of_layers(rows: np.ndarray, moe_layers: Sequence[int] | None) -> np.ndarray:
    """The MoE layers' columns; engines that report every decoder layer fill in those without experts."""
    if moe_layers is None or rows.shape[1] == len(moe_layers):
        return rows
    if rows.shape[1] < len(moe_layers) or max(moe_layers) >= rows.shape[1] or min(moe_layers) < 0:
        raise TraceError(f"routed_experts has {rows.shape[1]} layers; moe_layers names {list(moe_layers)}")
    return rows[:, list(moe_layers)]
