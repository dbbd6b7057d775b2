"""Tokens, pictures, attention rows, log-probabilities and provenance of a trace.

An attention row is a distribution over the tokens up to its own. A row shifted by one either sees the future
or has no weight on itself, as all rows of its buffer then do; a row that was not refreshed repeats another to
the bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch

from workbench.integrity.report import Flaw
from workbench.integrity.reweighted import edited
from workbench.provenance import KINDS, MISSING, kind
from workbench.trace import GENERATED, LAYOUT, PROMPT, Trace

TEXT, PATCH = 0, 1  # of the modalities: as in `model.spans`
ENOUGH_WEIGHTS = 4  # of one row, neither 0 nor 1: fewer may agree to the bit by accident
ENOUGH_HEADS = 4  # of one row, in all layers: fewer may all look away from their own token
ENOUGH_ROWS = 4  # of a trace: most of fewer may look away so far that float16 has nothing left
_SUM = 5e-3  # float16 weights of some thousand keys add up to one within this
_LOG = 1e-3
_AT_ONCE = 2**18  # weights that are looked at together: they stay in a core's own cache


def provenance_flaws(trace: Trace) -> Iterator[Flaw]:
    """Every array that is there says where it is from."""
    for name in LAYOUT:
        array, said = getattr(trace, name), trace.provenance.get(name)
        if array is not None and kind(said) is None:
            yield Flaw(name, f"its provenance is {said!r}; expected one of {', '.join(KINDS)}")
        elif array is not None and kind(said) == MISSING and not _nothing(array):
            yield Flaw(name, "it is said to be missing, and has values")


def _nothing(array: np.ndarray) -> bool:
    """Whether there are but -1 and NaN."""
    return bool((np.isnan(array) if array.dtype.kind == "f" else array == -1).all())


def token_flaws(trace: Trace) -> Iterator[Flaw]:
    """Ids, phases, and which token is which patch of which picture."""
    if (trace.token_ids < 0).any():
        yield Flaw("token_ids", f"reaches down to {trace.token_ids.min()}")
    if not np.isin(trace.phase, (PROMPT, GENERATED)).all() or (np.diff(trace.phase) < 0).any():
        yield Flaw("phase", "is not a prompt and then an answer")
    if not np.array_equal(np.flatnonzero(trace.phase == GENERATED), trace.generated_index):
        yield Flaw("generated_index", "does not point at the generated tokens")
    patch = trace.modality == PATCH
    for name in ("tile_index", "patch_row", "patch_col"):
        if not np.array_equal(getattr(trace, name) >= 0, patch):
            yield Flaw(name, "is there for a token that is no patch, or missing for one that is")
    if (trace.image_index[patch] < 0).any() or (trace.image_index[trace.modality == TEXT] >= 0).any():
        yield Flaw("image_index", "is missing for a patch, or there for a word")
    if (trace.is_thumbnail & ~patch).any():
        yield Flaw("is_thumbnail", "marks a token that is no patch")
    places = np.stack([trace.image_index, trace.tile_index, trace.patch_row, trace.patch_col], 1)[patch]
    if len(np.unique(places, axis=0)) < len(places):
        yield Flaw("patch_row", "two tokens are the same patch of the same tile")
    yield from _boxes(trace, patch)


def _boxes(trace: Trace, patch: np.ndarray) -> Iterator[Flaw]:
    there = ~np.isnan(trace.patch_box).any(1)
    if (there & ~patch).any() or (np.isnan(trace.patch_box).any(1) & ~np.isnan(trace.patch_box).all(1)).any():
        yield Flaw("patch_box", "a token that is no patch has a rectangle, or a rectangle is incomplete")
        return
    x0, y0, x1, y1 = trace.patch_box[there].T
    width, height = trace.image_sizes[trace.image_index[there]].T
    inside = (x0 >= 0) & (y0 >= 0) & (x0 < x1) & (y0 < y1) & (x1 <= width + 0.01) & (y1 <= height + 0.01)
    if not inside.all():
        yield Flaw("patch_box", f"{(~inside).sum()} rectangles lie outside their picture")


def attention_flaws(trace: Trace) -> Iterator[Flaw]:
    """Each row adds up to one, sees nothing later, and is its own."""
    layers = trace.attention_layers
    if len(layers) and (layers[0] < 0 or (np.diff(layers) <= 0).any()):
        yield Flaw("attention_layers", f"{layers.tolist()} are not layer numbers in rising order")
    if (np.diff(trace.query_index) <= 0).any():
        yield Flaw("query_index", "rows are not in the order of their tokens")
    if trace.attention is None or not trace.attention.size:
        return
    heads = trace.attention_heads
    if len(heads) and (heads[0] < 0 or (np.diff(heads) <= 0).any()):
        yield Flaw("attention_heads", f"{heads.tolist()} are not head numbers in rising order")
    # an edited pattern is what flowed, and need be no distribution
    changed = edited(trace)
    own = np.array([f"blocks.{n}.attn.hook_pattern" not in changed for n in layers.tolist()], bool)
    pattern = trace.attention if own.all() else trace.attention[:, own]
    if not pattern.size:
        return
    rows = {"sum": [], "later": []}
    away, sums = [], []
    some = max(1, _AT_ONCE // pattern[0].size)
    for start in range(0, len(pattern), some):
        query = trace.query_index[start : start + some]
        values = _single(pattern[start : start + some])  # [rows, layers, heads, keys]
        total = values.sum(-1)
        good = (np.abs(total - 1) <= _SUM).all((1, 2)) & (values.min((1, 2, 3)) >= 0)
        later = np.arange(values.shape[-1]) > query[:, None]
        own = values[np.arange(len(query)), ..., query]
        rows["sum"] += (~good).tolist()
        rows["later"] += ((values != 0) & later[:, None, None]).any((1, 2, 3)).tolist()
        away += (~own.any((1, 2)) & (own[0].size >= ENOUGH_HEADS)).tolist()
        sums += [one.tobytes() for one in total]
    said = {"sum": "does not add up to one", "later": "sees tokens that come after it"}
    for name, what in said.items():
        if any(rows[name]):
            yield Flaw("attention", f"the row of token {trace.query_index[rows[name].index(True)]} {what}")
    # below 6e-8 a weight is nothing in float16: that takes it from a row of few heads, not from most of them
    if len(away) >= ENOUGH_ROWS and 2 * sum(away) > len(away):
        what = f"{sum(away)} of {len(away)} rows have no weight on their own token, in no layer and no head"
        yield Flaw("attention", what, False)
    if _repeated(pattern, sums):
        yield Flaw("attention", "two rows are the same to the bit")


def _single(values: np.ndarray) -> np.ndarray:
    """The same in float32, which is exact, and compared several times faster than half precision."""
    # numpy's own cast takes ten times as long; PyTorch warns of memory that must not be written to
    return torch.from_numpy(values if values.flags.writeable else values.copy()).float().numpy()


def _repeated(pattern: np.ndarray, sums: list[bytes]) -> bool:
    """Whether two rows are the same; only where their sums are is there anything to compare."""
    times = Counter(sums)
    marks = [
        hash(row.tobytes())  # not the bytes: they are as many as the attention's
        for row, mark in zip(pattern, sums, strict=True)
        if times[mark] > 1 and ((row > 0) & (row < 1)).sum() >= ENOUGH_WEIGHTS
    ]
    return len(set(marks)) < len(marks)


def logprob_flaws(trace: Trace) -> Iterator[Flaw]:
    """Log-probabilities of a distribution, and the chosen token's own where it is among the likeliest."""
    if not len(trace.logprobs) or kind(trace.provenance.get("logprobs", "")) == MISSING:
        return
    if not (trace.logprobs <= _LOG).all():
        yield Flaw("logprobs", f"reaches up to {np.max(trace.logprobs)}; no probability is above one")
    top = trace.topk_logprobs
    if not top.shape[1]:
        return
    if not (np.diff(top, axis=1) <= _LOG).all() or not (np.exp(top.astype(float)).sum(1) <= 1 + _LOG).all():
        yield Flaw("topk_logprobs", "is not the head of a distribution, the likeliest first")
    ordered = np.sort(trace.topk_ids, axis=1)
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        yield Flaw("topk_ids", "names one token twice")
    chosen = trace.token_ids[trace.generated_index]
    mine = trace.topk_ids == chosen[:, None]
    own = np.where(mine, top, 0).sum(1)
    listed = mine.any(1)
    if (np.abs(own - trace.logprobs)[listed] > _LOG).any():
        yield Flaw("logprobs", "a token has another log-probability than in the list of the likeliest")
    # a token that is not among the likeliest cannot be likelier than the last of them
    if (trace.logprobs[~listed] > top[~listed, -1] + _LOG).any():
        yield Flaw("topk_ids", "a chosen token is missing from the likeliest although it is one of them")
