"""A trace as small messages for a screen, the same for every page that hosts the view.

A screen is told `reset` (what the run looks like), then `append` (tokens from an absolute offset), then
`end`; a `batch` holds several. The offsets make every message harmless to repeat: what arrives twice, late or
not at all is repaired by asking for the gap (`answer_pull`). Attention over pictures is large, so it is sent
only when asked for: what one word looked at (`attn`), or which words looked at one place (`looks`).
Everything is JSON; arrays travel as base64 of little-endian bytes. Nothing here knows Jupyter or Gradio.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.layout import PATCH, ROLES
from workbench.provenance import missing
from workbench.trace import NOT_CAPTURED, PROMPT, Trace
from workbench.view.picture_url import picture_url

Message = dict[str, Any]

GENERATED_FLAG = 4  # beside the two bits of the modality
MEAN_HEAD = -1
FULL_GATE = 65535  # the uint16 that stands for a gate of 1


class Feed:
    """What one screen has been told of a growing trace, and what to tell it next.

    The last token of a running answer has no experts yet: they are known when it is fed back to write the
    next. So tokens count as `settled` one step later, and each message begins where the settled ones end.
    """

    def __init__(self, run_id: str, started: int = 0) -> None:
        self.run_id = run_id
        self.started = started
        self.settled: int | None = None

    def next(self, trace: Trace, done: bool = False) -> Message:
        """What is new since the last call, as one `batch`. Call it once more with `done=True` at the end."""
        items = []
        if self.settled is None:
            items.append(reset_message(trace, self.run_id, self.started))
        items.append(append_message(trace, self.run_id, self.settled or 0, done))
        self.settled = items[-1]["settled"]
        if done:
            items.append(end_message(trace, self.run_id))
        return {"op": "batch", "run": self.run_id, "items": items}


def reset_message(trace: Trace, run_id: str, started: int = 0) -> Message:
    """What a screen must know before the first token: layers, experts, pictures, the boxes of their patches.

    `started` orders runs (any growing number, such as a clock): a screen that shows a newer run ignores an
    older reset. `gated` says whether gates are told; `no_attention`, why there can be none.
    """
    return {
        "op": "reset",
        "run": run_id,
        "started": started,
        "layers": trace.moe_layers.tolist(),
        "experts": int(trace.num_experts),
        "rank": int(trace.routed_experts.shape[2]),
        "roles": list(ROLES),
        "margin": _has_margin(trace),
        "gated": not missing(trace.provenance, "routed_weights"),
        "attention": attention_info(trace),
        "no_attention": missing(trace.provenance, "attention"),
        "images": [_picture(trace, index) for index in range(len(trace.images))],
    }


def append_message(trace: Trace, run_id: str, start: int = 0, done: bool = False) -> Message:
    """The tokens from number `start` on. `settled` is how many from the first on will not change any more.

    `margin` is there only where router logits were captured: [token, layer] the upper halves of float32.
    """
    flags = trace.modality[start:] + GENERATED_FLAG * (trace.phase[start:] != PROMPT)
    gates = np.nan_to_num(trace.routed_weights[start:].astype(np.float32)).clip(0, 1)
    message = {
        "op": "append",
        "run": run_id,
        "from": start,
        "settled": _settled(trace, done),
        "text": [
            "" if modality == PATCH else text
            for text, modality in zip(trace.tokens[start:], trace.modality[start:], strict=True)
        ],
        "flags": _bytes(flags, np.uint8),
        "role": _bytes(trace.role[start:], np.int8),
        "turn": _bytes(trace.turn[start:], np.int16),
        "image": _bytes(trace.image_index[start:], np.int16),
        "logprob": _bytes(_logprobs(trace)[start:], np.float32),
        "experts": _bytes(trace.routed_experts[start:], np.int16),
        "gates": _bytes(np.round(gates * FULL_GATE), np.uint16),
        "attention": attention_info(trace),
    }
    if _has_margin(trace):
        message["margin"] = _bytes(_upper_halves(_margins(trace, start)), np.uint16)
    return message


def end_message(trace: Trace, run_id: str) -> Message:
    """The run is over, with this many tokens. Always send it: nothing else reveals that the tail was lost."""
    return {"op": "end", "run": run_id, "n": len(trace)}


def snapshot(trace: Trace, run_id: str, started: int = 0, done: bool = True) -> Message:
    """The whole trace so far as one `batch`: for a page that opens late, or for a file."""
    return Feed(run_id, started).next(trace, done)


def attention_message(
    trace: Trace,
    run_id: str,
    token: int,
    layer: int | None = None,
    head: int | Sequence[int] | None = None,
) -> Message:
    """How much the row that wrote `token` attended to every patch of every picture.

    Args:
        token: its number in the trace.
        layer: a true layer number; by default the one the trace recommends.
        head: a head's number, several for their mean; None or -1 for the mean of all.

    Returns:
        An `attn` message. `values` holds uint8 [patches] per picture, 255 standing for `peak`; `images` the
        sums over the tiles and over the thumbnail of each picture, `rest` what went elsewhere. If nothing was
        captured for this token, `missing` says why instead.

    Raises:
        ValueError: the trace has no such token, layer or head.
    """
    if not 0 <= token < len(trace):
        raise ValueError(f"token {token} is not in this trace; expected 0 to {len(trace) - 1}")
    head = MEAN_HEAD if head is None else head
    message = {"op": "attn", "run": run_id, "token": token, "layer": layer, "head": head}
    info = attention_info(trace)
    if info is None:
        return message | {"missing": "No attention was captured in this trace."}
    message["layer"] = layer = info["default"] if layer is None else layer
    heads = _heads(info, layer, head)
    if trace.phase[token] == PROMPT:
        return message | {"missing": "Only generated words have captured attention."}
    rows = trace.attention_row(token)
    if rows is None:
        return message | {"missing": "The attention of this word was not captured."}
    return message | _on_pictures(trace, rows[info["layers"].index(layer), heads].mean(0, dtype=np.float32))


def looks_message(
    trace: Trace,
    run_id: str,
    image: int,
    patch: int | None = None,
    layer: int | None = None,
    head: int | Sequence[int] | None = None,
    start: int = 0,
) -> Message:
    """How much every written word from token `start` on attended to a picture, or to one patch of it.

    Args:
        image: a picture's number. patch: the token that is the patch; None or -1 for the whole picture.
        layer, head: as in `attention_message`.

    Returns:
        A `looks` message: `token` int32 and `share` float32 of the words whose row was captured; it speaks of
        all tokens before number `until`.

    Raises:
        ValueError: the trace has no attention, or no such picture, patch, layer or head.
    """
    info = attention_info(trace)
    if info is None or not 0 <= image < len(trace.images):
        raise ValueError(f"no attention to picture {image} was captured; pictures: {len(trace.images)}")
    layer = info["default"] if layer is None else layer
    head = MEAN_HEAD if head is None else head
    patch = -1 if patch is None else patch
    heads = _heads(info, layer, head)
    places = _patches(trace, image)
    if patch != -1 and patch not in places:
        raise ValueError(f"token {patch} is no patch of picture {image}; these are: {places[:3]} and so on")
    places = places if patch == -1 else np.array([patch])
    token = trace.query_index + 1
    wanted = (token >= start) & (token < len(trace))
    wanted[wanted] = trace.phase[token[wanted]] != PROMPT
    rows = trace.attention[wanted, info["layers"].index(layer)][:, heads]
    return {
        "op": "looks",
        "run": run_id,
        "image": image,
        "patch": patch,
        "layer": layer,
        "head": head,
        "from": start,
        "until": len(trace),
        "token": _bytes(token[wanted], np.int32),
        "share": _bytes(rows[..., places].sum(-1, dtype=np.float32).mean(-1), np.float32),
    }


def answer_pull(trace: Trace, run_id: str, start: object, started: int = 0, done: bool = False) -> Message:
    """What a screen lacks that has `start` settled tokens of this run; everything if `start` is no number."""
    if not _is_number(start) or not 0 < start <= len(trace):
        return snapshot(trace, run_id, started, done)
    feed = Feed(run_id, started)
    feed.settled = start
    return feed.next(trace, done)


def answer_attention(trace: Trace, run_id: str, question: Mapping[str, object]) -> Message | None:
    """What a screen asked for; None for a question without sense.

    {token, layer, head} asks for an `attn` message, {want: "looks", image, patch, layer, head, from} for a
    `looks` message. The question comes from a browser and may hold anything.
    """
    looks = question.get("want") == "looks"
    asked = [question.get(name) for name in (("image", "patch", "from") if looks else ("token",))]
    layer, head = question.get("layer"), question.get("head")
    several = isinstance(head, list) and all(map(_is_number, head))
    if not all(map(_is_number, [*asked, layer])) or not (several or _is_number(head)):
        return None
    try:
        if looks:
            image, patch, start = asked
            return looks_message(trace, run_id, image, patch, layer, head, start)
        return attention_message(trace, run_id, *asked, layer, head)
    except ValueError:
        return None


def attention_info(trace: Trace) -> Message | None:
    """Which layers and heads have captured attention, and the layer to show first; None if none."""
    if trace.attention is None or not trace.attention.shape[1]:
        return None
    layers = trace.attention_layers.tolist()
    default = trace.meta.get("default_attention_layer")
    return {
        "layers": layers,
        "heads": trace.attention_heads.tolist(),
        "default": default if default in layers else layers[-1],
    }


def _settled(trace: Trace, done: bool) -> int:
    if done:
        return len(trace)
    return len(trace) - 1 if len(trace.generated_index) else 0


def _heads(info: Message, layer: int, head: int | Sequence[int]) -> list[int]:
    """The heads that are meant, as places in the array."""
    if layer not in info["layers"]:
        raise ValueError(f"layer {layer} has no captured attention; these have: {info['layers']}")
    captured = info["heads"]
    if head == MEAN_HEAD:
        return list(range(len(captured)))
    heads = [head] if isinstance(head, int) else list(head)
    # each once: a browser may ask, and every mention costs a copy of that head's rows
    if not heads or len(set(heads)) < len(heads) or not set(heads) <= set(captured):
        expected = f"some of {captured}, each once, or {MEAN_HEAD} for the mean"
        raise ValueError(f"no head {str(head)[:60]}; expected {expected}")
    return [captured.index(one) for one in heads]


def _has_margin(trace: Trace) -> bool:
    return trace.router_logits is not None and trace.num_experts > trace.routed_experts.shape[2]


def _margins(trace: Trace, start: int) -> np.ndarray:
    """[token, layer] how far the lowest chosen logit lies above the highest other; NaN where unknown."""
    from workbench.routing.tokens import looked_at  # the questions about routing, which few traces need here

    chosen = trace.routed_experts[start:].astype(np.int64)
    margin, _ = looked_at(trace.router_logits[start:].astype(np.float32), chosen.clip(0))
    return np.where((chosen == NOT_CAPTURED).any(-1), np.nan, margin)


def _upper_halves(values: np.ndarray) -> np.ndarray:
    """float32 as the 16 bits that carry sign, exponent and two digits and a half, rounded."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return (bits + np.uint32(0x8000)) >> np.uint32(16)


def _patches(trace: Trace, index: int) -> np.ndarray:
    """Token numbers of one picture's patches, in prompt order."""
    return np.flatnonzero((trace.image_index == index) & (trace.modality == PATCH))


def _picture(trace: Trace, index: int) -> Message:
    tokens = _patches(trace, index)
    width, height = trace.image_sizes[index].tolist()
    return {
        "label": f"image {index + 1}",
        "src": picture_url(trace.images[index]),
        "width": width,
        "height": height,
        "token": _bytes(tokens, np.int32),
        "box": _bytes(trace.patch_box[tokens], np.float32),
        "thumbnail": _bytes(trace.is_thumbnail[tokens], np.uint8),
    }


def _on_pictures(trace: Trace, row: np.ndarray) -> Message:
    patches = [_patches(trace, index) for index in range(len(trace.images))]
    peak = max((float(row[tokens].max(initial=0)) for tokens in patches), default=0.0)
    scaled = np.round(row * (255 / peak)) if peak > 0 else np.zeros_like(row)
    sums = []
    for tokens in patches:
        small = trace.is_thumbnail[tokens]
        sums.append({"tiles": float(row[tokens[~small]].sum()), "thumbnail": float(row[tokens[small]].sum())})
    rest = float(row.sum()) - sum(share["tiles"] + share["thumbnail"] for share in sums)
    return {
        "peak": peak,
        "values": [_bytes(scaled[tokens], np.uint8) for tokens in patches],
        "images": sums,
        "rest": max(rest, 0.0),
    }


def _logprobs(trace: Trace) -> np.ndarray:
    """Per token the log-probability with which it was chosen; NaN for the prompt."""
    values = np.full(len(trace), np.nan, np.float32)
    values[trace.generated_index] = trace.logprobs
    return values


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _bytes(array: np.ndarray, dtype: type[np.generic]) -> str:
    little_endian = np.asarray(array).astype(np.dtype(dtype).newbyteorder("<"))
    return base64.b64encode(little_endian.tobytes()).decode()
