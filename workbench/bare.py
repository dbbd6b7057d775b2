"""A trace that has nothing but routing: made by hand, drawn, or handed over by another engine.

T tokens, M MoE layers, K experts per token, E experts
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image

from workbench.layout import GENERATED, LAYOUT, NOT_CAPTURED, PROMPT, TraceError
from workbench.provenance import DERIVED, MISSING, REAL

if TYPE_CHECKING:
    from workbench.trace import Trace

    Made = TypeVar("Made", bound=Trace)

# the columns of a token that stands for no picture
_NOTHING = {
    "turn": 0, "role": -1, "modality": 0, "image_index": -1, "tile_index": -1, "is_thumbnail": False,
    "patch_row": -1, "patch_col": -1, "patch_box": np.nan,
}  # fmt: skip
_AT_ONCE = 1 << 22  # logits turned into gates in one go


def of_routing(
    made: type[Made],
    experts: np.ndarray,
    num_experts: int,
    weights: np.ndarray | None = None,
    logits: np.ndarray | None = None,
    moe_layers: Sequence[int] | None = None,
    token_ids: Sequence[int] | None = None,
    tokens: Sequence[str] | None = None,
    prompt: int | None = None,
    source: str = "by hand",
    meta: dict | None = None,
    **columns: np.ndarray,
) -> Made:
    """A trace whose tokens went to `experts`; everything else that it could have is absent and said to be.

    Args:
        made: Trace. experts: [T, M] or [T, M, K] whole numbers, -1 where not captured.
        num_experts: E, which cannot be told from the experts that were chosen.
        weights: [T, M, K] gates; without them the sigmoid of the chosen logits, or NaN without logits.
        logits: [T, M, E]. moe_layers: [M] true layer numbers; 0, 1, 2, ... by default.
        token_ids: [T]; counted by default. tokens: [T] display text; the ids by default.
        prompt: how many tokens are the prompt's, the others being generated; all by default.
        source: who chose the experts. meta, columns (turn, role, image_sizes, ...): as in `Trace`.

    Raises:
        TraceError: something does not fit; names it.
    """
    experts, logits = _checked(experts, logits, num_experts)
    count, layers = experts.shape[:2]
    ids = np.arange(count) if token_ids is None else _whole("token_ids", token_ids)
    if strange := columns.keys() - _NOTHING.keys() - {"image_sizes"}:
        raise TraceError(f"there is no column {sorted(strange)[0]}; there are {', '.join(_NOTHING)}")
    given = {"image_sizes": np.zeros((0, 2)), **columns}
    new = 0 if prompt is None else count - prompt
    if not 0 <= new <= count or len(ids) != count:
        raise TraceError(f"{len(ids)} token ids, {prompt} of them the prompt's, for {count} rows of experts")
    nothing = {name: np.full(count, value) for name, value in _NOTHING.items()}
    nothing["patch_box"] = np.full((count, 4), np.nan)
    arrays = nothing | given | {
        "token_ids": ids,
        "phase": np.repeat([PROMPT, GENERATED], [count - new, new]),
        "moe_layers": np.arange(layers) if moe_layers is None else moe_layers,
        "routed_experts": experts,
        "routed_weights": _gates(experts, weights, logits),
        **dict.fromkeys(("attention_layers", "attention_heads", "query_index"), ()),
        "generated_index": np.arange(count - new, count),
        "logprobs": np.full(new, np.nan),
        "topk_ids": np.zeros((new, 0)), "topk_logprobs": np.zeros((new, 0)),
    }  # fmt: skip
    return made(
        tokens=[str(token) for token in ids.tolist()] if tokens is None else list(tokens),
        num_experts=int(num_experts),
        **{name: np.asarray(array, LAYOUT[name][1]) for name, array in arrays.items()},
        router_logits=None if logits is None else np.asarray(logits, np.float16),
        attention=None,
        images=[Image.new("RGB", (8, 8), "#888888") for _ in given["image_sizes"]],
        provenance=_provenance(source, weights is not None, logits is not None, token_ids is not None, new),
        meta=meta or {},
    )


def _checked(
    experts: np.ndarray, logits: np.ndarray | None, num_experts: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Experts as [T, M, K], and logits as [T, M, E] where there are any."""
    experts = _whole("experts", experts)
    experts = experts[..., None] if experts.ndim == 2 else experts
    if experts.ndim != 3:
        raise TraceError(f"experts is {experts.shape}; expected [tokens, layers] or [tokens, layers, ranks]")
    if experts.size and not (experts.min() >= NOT_CAPTURED and experts.max() < num_experts < 2**15):
        raise TraceError(f"experts reach from {experts.min()} to {experts.max()} of {num_experts}")
    return experts, None if logits is None else _numbers(logits, (*experts.shape[:2], num_experts))


def _numbers(logits: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Logits as an array of this shape, [T, M, E]."""
    try:
        array = np.asarray(logits)
    except ValueError:  # rows of several lengths
        raise TraceError(f"logits are no array of numbers; expected {list(shape)}") from None
    if array.dtype.kind not in "fiu" or array.shape != shape:
        raise TraceError(f"logits is {array.dtype} {list(array.shape)}; expected numbers {list(shape)}")
    return array


def _gates(experts: np.ndarray, weights: np.ndarray | None, logits: np.ndarray | None) -> np.ndarray:
    if weights is not None:
        weights = np.asarray(weights, np.float16)
        return weights[..., None] if weights.ndim == 2 else weights
    gates = np.full(experts.shape, np.nan, np.float16)
    if logits is None:
        return gates
    step = max(1, _AT_ONCE // max(1, logits.shape[1] * logits.shape[2]))
    for start in range(0, len(experts), step):
        here = slice(start, start + step)
        chosen = np.take_along_axis(logits[here], np.clip(experts[here], 0, None).astype(np.intp), -1)
        own = 1 / (1 + np.exp(-np.clip(chosen.astype(np.float32), -80, 80)))
        gates[here] = np.where(experts[here] == NOT_CAPTURED, np.nan, own)
    return gates


def _whole(name: str, values: object) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" and array.size:
        raise TraceError(f"{name} is {array.dtype}; expected whole numbers")
    return array.astype(np.int64)


def _provenance(source: str, weights: bool, logits: bool, ids: bool, new: int) -> dict[str, str]:
    real = f"{REAL} ({source})"
    absent = f"{MISSING} (not told by {source})"
    gates = f"{DERIVED} (sigmoid of the chosen router logit)" if logits else absent
    told = dict.fromkeys(LAYOUT.keys() - {"router_logits", "attention"}, f"{DERIVED} ({source})")
    told |= {"routed_experts": real, "routed_weights": real if weights else gates}
    told |= {"token_ids": real if ids else f"{DERIVED} (counted: none were given)"}
    told |= {"logprobs": absent if new else told["logprobs"]}
    return told | {"router_logits": real if logits else absent, "attention": absent}
