"""Where each array of a trace comes from: read from the running model, computed again, derived, or nowhere.

REAL was carried by the pass that answered; RECOMPUTED was computed once more from what that pass carried;
DERIVED follows from something else in the trace, or from the messages alone; MISSING has -1 or NaN
throughout, or is not there at all, because whoever made the trace does not tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

REAL, RECOMPUTED, DERIVED, MISSING = "REAL", "RECOMPUTED", "DERIVED", "MISSING"
KINDS = (REAL, RECOMPUTED, DERIVED, MISSING)

MESSAGES = "the messages, cut into tokens and tiles"
_ORDER = f"{DERIVED} (the order of prompt and answer)"
_CONFIG = f"{DERIVED} (the model's own config)"


def of_capture(backend: str, reweighted: Sequence[int] = ()) -> dict[str, str]:
    """The provenance of every array that a capture makes, where no pattern was edited (see `of_attention`).

    Args:
        backend: what computed it, and in which dtype. reweighted: layers whose expert weights were edited.
    """
    real = f"{REAL} ({backend})"
    layers = ", ".join(map(str, reweighted))
    also_ran = f"; in layers {layers} every expert that ran with an edited weight" if reweighted else ""
    applied = f"; in layers {layers} the edited weights, as applied" if reweighted else ""
    messages = ("turn", "role", "modality", "image_index", "tile_index", "is_thumbnail", "patch_row")
    return {
        "token_ids": f"{REAL} (the prompt as given to the model, the answer as it chose it)",
        "phase": _ORDER,
        **dict.fromkeys((*messages, "patch_col", "patch_box", "image_sizes"), f"{DERIVED} ({MESSAGES})"),
        "moe_layers": _CONFIG,
        "routed_experts": f"{REAL} ({backend}{also_ran})",
        "routed_weights": f"{DERIVED} (sigmoid of the chosen router logit, {backend}{applied})",
        "router_logits": real,
        "attention": of_attention(backend),
        "attention_layers": _CONFIG,
        "attention_heads": _CONFIG,
        "query_index": _ORDER,
        "generated_index": _ORDER,
        "logprobs": real,
        "topk_ids": real,
        "topk_logprobs": real,
    }


def of_attention(backend: str, edited: Sequence[int] = (), others: bool = True) -> str:
    """The provenance of attention rows, which are kept as they flowed where the pattern was edited.

    Args:
        backend: as for `of_capture`. edited: layers whose pattern was edited. others: whether there are more.
    """
    kept = f"in layers {', '.join(map(str, edited))} the edited pattern, as applied"
    if edited and not others:
        return f"{REAL} ({backend}; {kept})"
    also = f"; {REAL} {kept}" if edited else ""
    return f"{RECOMPUTED} (softmax of the pass's own queries and keys, {backend}{also})"


def missing(stated: Mapping[str, str], name: str) -> str:
    """Why an array is MISSING, as the trace states it; empty if it does not."""
    said = stated.get(name, "")
    return said.removeprefix(f"{MISSING} (").removesuffix(")") if kind(said) == MISSING else ""


def absence(stated: Mapping[str, str], name: str, advice: str) -> str:
    """The sentence for an array that is not there: why, if the trace states it, else what to do."""
    what, why = f"the trace has no {name.replace('_', ' ')}", missing(stated, name)
    return f"{what}: {why}" if why else f"{what}; {advice}"


def kind(stated: str) -> str | None:
    """REAL, RECOMPUTED, DERIVED or MISSING out of what a trace states of an array; None for anything else."""
    word = stated.split(" ", 1)[0] if isinstance(stated, str) else ""
    return word if word in KINDS else None
