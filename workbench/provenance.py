"""Where each array of a trace comes from: read from the running model, computed again, or derived.

REAL was carried by the pass that answered; RECOMPUTED was computed once more from what that pass carried;
DERIVED follows from something else in the trace, or from the messages alone.
"""

from __future__ import annotations

REAL, RECOMPUTED, DERIVED = "REAL", "RECOMPUTED", "DERIVED"
KINDS = (REAL, RECOMPUTED, DERIVED)

_MESSAGES = f"{DERIVED} (the messages, cut into tokens and tiles)"
_ORDER = f"{DERIVED} (the order of prompt and answer)"
_CONFIG = f"{DERIVED} (the model's own config)"


def of_capture(backend: str) -> dict[str, str]:
    """The provenance of every array that a capture makes; `backend` says what computed it."""
    real = f"{REAL} ({backend})"
    messages = ("turn", "role", "modality", "image_index", "tile_index", "is_thumbnail", "patch_row")
    return {
        "token_ids": f"{REAL} (the prompt as given to the model, the answer as it chose it)",
        "phase": _ORDER,
        **dict.fromkeys((*messages, "patch_col", "patch_box", "image_sizes"), _MESSAGES),
        "moe_layers": _CONFIG,
        "routed_experts": real,
        "routed_weights": f"{DERIVED} (sigmoid of the chosen router logit)",
        "router_logits": real,
        "attention": f"{RECOMPUTED} (softmax of the pass's own queries and keys, {backend})",
        "attention_layers": _CONFIG,
        "query_index": _ORDER,
        "generated_index": _ORDER,
        "logprobs": real,
        "topk_ids": real,
        "topk_logprobs": real,
    }


def kind(stated: str) -> str | None:
    """REAL, RECOMPUTED or DERIVED out of what a trace states of an array; None if it states neither."""
    word = stated.split(" ", 1)[0] if isinstance(stated, str) else ""
    return word if word in KINDS else None
