"""SGLang: what it is asked for, and `routed_experts` as it hands them out, both ways.

Started with `--enable-return-routed-experts` and asked with `return_routed_experts`, it gives base64 of bare
int32, flat [tokens - 1, decoder layers, experts a token], of prompt and answer: `sglext.routed_experts`
beside the choices, in a stream with the last event (`SglExt` in
python/sglang/srt/entrypoints/openai/protocol.py; PRs #12162, #17434), in the native /generate
`meta_info.routed_experts`. The slot of a fused shared expert holds 255 (#9499). Newer versions tell token ids
where `return_token_ids` asks for them, though not in a stream (#30917). There are neither gates nor logits.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from workbench.engines.decode import read
from workbench.engines.dialect import Dialect
from workbench.engines.vllm import from_vllm

if TYPE_CHECKING:
    from workbench.trace import Trace

    Made = TypeVar("Made", bound=Trace)

SGLANG = Dialect(
    name="SGLang",
    owner="sglang",
    whole={"return_routed_experts": True, "return_token_ids": True},
    streamed={"return_routed_experts": True},
    alone="SGLang tells which experts were chosen; no router logits, no gates, no attention",
    how="start it with --enable-return-routed-experts",
)


def to_sglang(trace: Trace) -> str:
    """See `Trace.to_sglang`."""
    experts = trace.routed_experts[:-1] if len(trace.generated_index) else trace.routed_experts
    return base64.b64encode(np.ascontiguousarray(experts, "<i4").tobytes()).decode()


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
    columns = len(moe_layers) if layers is None else layers
    tops = () if top is None else (top,)
    rows = read(routed_experts, None, len(token_ids), (columns,), tops, num_experts)
    return from_vllm(made, rows, token_ids, num_experts, None, tokens, moe_layers, prompt, "SGLang")
