"""vLLM: what it is asked for, and `routed_experts` as it hands them out, both ways.

Started with `--enable-return-routed-experts` it tells the experts of every answer that comes whole, none in a
stream: base64 of a .npy file in each choice, [tokens - 1, layers, experts a token] of prompt and answer
(`ChatCompletionResponseChoice.routed_experts` in vllm/entrypoints/openai/chat_completion/protocol.py;
docs.vllm.ai/en/latest/training/routed_experts). Version 0.21 documents nested lists of int16 of MoE layers
alone, the prompt's apart as `prompt_routed_experts`, -1 where the prompt came out of the cache
(docs.vllm.ai/en/v0.21.0/training/routed_experts_replay). The last generated token goes through the model no
more. There are neither gates nor logits, and fused kernels have filled in zeros (vLLM #44116).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from workbench.bare import of_routing
from workbench.engines.decode import decoded, of_moe_layers, placed, read
from workbench.engines.dialect import Dialect

if TYPE_CHECKING:
    from workbench.trace import Trace

    Made = TypeVar("Made", bound=Trace)

VLLM = Dialect(
    name="vLLM",
    owner="vllm",
    whole={"return_token_ids": True},
    streamed={"return_token_ids": True},
    # "token_id:17" in place of the text, which two tokens may share
    with_tokenizer={"return_tokens_as_token_ids": True},
    alone="vLLM tells which experts were chosen; no router logits, no gates, no attention",
    how="start it with --enable-return-routed-experts",
    never_streamed=True,
)


def to_vllm(trace: Trace) -> np.ndarray:
    """See `Trace.to_vllm`."""
    return trace.routed_experts.astype(np.int16)


def from_vllm(
    made: type[Made],
    routed_experts: object,
    token_ids: Sequence[int],
    num_experts: int,
    prompt_routed_experts: object = None,
    tokens: Sequence[str] | None = None,
    moe_layers: Sequence[int] | None = None,
    prompt: int | None = None,
    source: str = "vLLM",
) -> Made:
    """See `Trace.from_vllm`."""
    rows, count = read(routed_experts, prompt_routed_experts, len(token_ids)), len(token_ids)
    if prompt is None and prompt_routed_experts is not None:
        prompt = len(decoded(prompt_routed_experts))
    if prompt is None and len(rows) == count - 1:
        prompt = count - 1
    rows = of_moe_layers(placed(rows, count, prompt), moe_layers)
    return of_routing(
        made, rows, num_experts, moe_layers=moe_layers, token_ids=token_ids, tokens=tokens, prompt=prompt,
        source=f"routed_experts of {source}", meta={"engine": source},
    )  # fmt: skip
