"""The arrays of a trace: their axes, their types, and what points where. Needs neither model nor torch."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np

PROMPT, GENERATED = 0, 1
NOT_CAPTURED = -1
# names of the numbers in `role` and `modality`, as in `model.chat_template` and `model.spans`
ROLES = ("system", "user", "assistant", "tool")
MODALITIES = ("text", "patch", "marker")
PATCH = MODALITIES.index("patch")

# name -> (axes, dtype). t tokens, m MoE layers, k experts per token, e experts, q query rows, a attention
# layers,
# h heads, g generated tokens, c alternatives per step, i images
LAYOUT = {
    "token_ids": ("t", np.int32),
    "phase": ("t", np.int8),
    "turn": ("t", np.int16),
    "role": ("t", np.int8),
    "modality": ("t", np.int8),
    "image_index": ("t", np.int16),
    "tile_index": ("t", np.int16),
    "is_thumbnail": ("t", np.bool_),
    "patch_row": ("t", np.int16),
    "patch_col": ("t", np.int16),
    "patch_box": ("t4", np.float32),
    "image_sizes": ("i2", np.int32),
    "moe_layers": ("m", np.int16),
    "routed_experts": ("tmk", np.int16),
    "routed_weights": ("tmk", np.float16),
    "router_logits": ("tme", np.float16),
    "attention": ("qaht", np.float16),
    "attention_layers": ("a", np.int16),
    "attention_heads": ("h", np.int16),
    "query_index": ("q", np.int32),
    "generated_index": ("g", np.int32),
    "logprobs": ("g", np.float32),
    "topk_ids": ("gc", np.int32),
    "topk_logprobs": ("gc", np.float32),
}
# asked for by name, and never taken for the ordinary one
OTHER_DTYPES = {"attention": (np.float32,)}
OPTIONAL = {"router_logits", "attention"}
# arrays that point along an axis, and the lowest value that they may have: -1 where nothing is meant
POINTERS = {
    "routed_experts": ("e", NOT_CAPTURED),
    "image_index": ("i", -1),
    "query_index": ("t", 0),
    "generated_index": ("t", 0),
}


class TraceError(ValueError):
    """A file that is no trace, or a trace whose parts do not fit together."""


def check_layout(arrays: dict[str, np.ndarray | None], sizes: dict[str, int]) -> None:
    """Hold arrays to their axes and types, and to each other.

    Args:
        arrays: all of LAYOUT by name; None where an optional one is absent.
        sizes: of the axes "t", "i" and "e", which other parts of a trace give.

    Raises:
        TraceError: names the array, what it is, and what was expected.
    """
    sizes = dict(sizes)
    for name, (axes, dtype) in LAYOUT.items():
        array = arrays[name]
        if array is None and name in OPTIONAL:
            continue
        types = (dtype, *OTHER_DTYPES.get(name, ()))
        if not isinstance(array, np.ndarray) or array.dtype not in types or array.ndim != len(axes):
            seen = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            expected = " or ".join(str(np.dtype(one)) for one in types)
            raise TraceError(f"{name} is {seen}; expected {expected} with axes {axes}")
        for axis, size in zip(axes, array.shape, strict=True):
            expected = int(axis) if axis.isdigit() else sizes.setdefault(axis, size)
            if size != expected:
                raise TraceError(f"{name} has {size} along axis {axis!r} of {axes}; expected {expected}")
    for name, (axis, lowest) in POINTERS.items():
        values = arrays[name]
        if values.size and not (lowest <= values.min() and int(values.max()) < sizes[axis]):
            raise TraceError(f"{name} reaches from {values.min()} to {values.max()} of {sizes[axis]}")


def numbers(name: str, asked: Sequence[int] | None, there: Sequence[int]) -> list[int]:
    """Asked-for layer, head or token numbers in rising order; all that are there for None.

    Raises:
        ValueError: a number that is not there, twice the same, or none.
    """
    if asked is None:
        return list(there)
    try:
        wanted = sorted(operator.index(number) for number in asked)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {asked!r}; expected whole numbers") from None
    known = there if isinstance(there, range) else set(there)
    strange = [number for number in wanted if number not in known]
    if strange or len(set(wanted)) < len(wanted) or not wanted:
        said = f"{there[0]} to {there[-1]}" if isinstance(there, range) and len(there) else f"{list(there)}"
        raise ValueError(
            f"{name} is {str(list(asked))[:80]}; expected different numbers, at least one, out of {said}"
        )
    return wanted
