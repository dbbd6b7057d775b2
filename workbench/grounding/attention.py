"""Attention from a word to the pictures: of the row that predicts it, and rolled out through the layers.

Row t - 1 predicts token t, so a word's attention is that of the row before it. Only that row is computed: the
pattern of a whole pass is never formed, and the model keeps its fast attention.

L layers, H heads, T tokens, P patches
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor

from model.hooks import Hook, attached, recorded
from workbench.grounding.maps import PatchMap, PatchMaps
from workbench.grounding.passes import GIB, Asked, Case, Cost
from workbench.grounding.patches import GroundingError, Patches
from workbench.grounding.words import find_word
from workbench.provenance import RECOMPUTED, absence
from workbench.session import Session
from workbench.trace import Trace

Numbers = Sequence[int] | int | None


def attention_maps(trace: Trace, word: int | str | None = None) -> PatchMaps:
    """Attention to every patch of the row that predicts a word, for each layer and head.

    What it means: the share of a head's weight that goes to each patch (the rest of 1 goes to words) while
    the model is about to say the word's first token. When it misleads: attention says what was read, not
    what it was read for; heads disagree; sink patches draw weight whatever is asked (see `sinks`); rotary
    layers see their own chunk of the prompt alone, so a zero there can mean out of reach. It is no proof of
    cause: see `occlusion`. Source: the model's own queries and keys, stored by the pass that answered.

    Args:
        trace: with attention. word: a token's number, a text, or None for the answer's first token.

    Raises:
        GroundingError: there are no pictures, no such word, or its row was not captured.
    """
    if not len(trace.image_sizes):
        raise GroundingError("the trace has no pictures, so no word can be traced to one")
    answer = int(trace.generated_index[0]) if len(trace.generated_index) else len(trace)
    found = find_word(trace.tokens, answer, word)
    row = trace.attention_row(found.start)
    if row is None:
        again = "capture attention, or ask attention_again, which runs one more pass"
        if trace.attention is None:
            raise GroundingError(absence(trace.provenance, "attention", again))
        raise GroundingError(
            f"the row that predicts token {found.start} was not captured, as only words of the answer have "
            f"rows; {again}"
        )
    patches = Patches.of(trace)
    numbers = trace.attention_layers.astype(int), trace.attention_heads.astype(int)
    made = f"attention of row {found.start - 1}, {trace.provenance.get('attention', RECOMPUTED)}"
    return _per_head(patches, row[..., patches.token].astype(float), numbers, found.text, found.start, made)


def attention_map(
    trace: Trace, word: int | str | None = None, layers: Numbers = None, heads: Numbers = None
) -> PatchMap:
    """`attention_maps`, averaged over some layers and heads (true layer numbers), or over all.

    What it means, when it misleads, and its source: as there; besides, the mean over all heads mixes heads
    that look for words with heads that look at pictures. `find_grounding_heads` says which do.
    """
    return attention_maps(trace, word).mean(layers, heads)


def attention_again(session: Session, asked: Asked | Case, word: int | str | None = None) -> PatchMaps:
    """`attention_maps` by one more pass, in float32: for words of the prompt, or answers that were given.

    What it means, when it misleads, and its source: as there. The pass is teacher-forced: it sees the answer
    up to the word, as it stands.

    Args:
        session: the loaded model. asked: see `Case.of`. word: see `attention_maps`.
    """
    case = Case.of(session, asked)
    found = case.word(word)
    text, row = case.llama.config.text, found.start - 1
    layers = range(text.num_hidden_layers)
    points = [case.llama.hook_point(f"blocks.{layer}.attn.hook_pattern") for layer in layers]

    def work() -> dict[str, Tensor]:
        with recorded(points, rows=slice(row, row + 1)) as kept:
            # up to the word's row: what comes after it cannot be seen from there
            case.hidden(found.start)
        return kept

    kept = case.apart(work)
    keys = case.patches.token[case.patches.token < found.start]
    scores = np.zeros((len(layers), text.num_attention_heads, len(case.patches)))
    for layer, point in zip(layers, points, strict=True):
        # somebody else who watches other rows makes it the whole pattern: the row is its last
        scores[layer, :, : len(keys)] = kept[point.name][0, :, -1, keys].cpu().numpy()
    made = f"attention of row {row}, {RECOMPUTED} (one pass of its own, float32)"
    return _per_head(
        case.patches,
        scores,
        (np.asarray(layers), np.arange(scores.shape[1])),
        found.text,
        found.start,
        made,
    )


def rollout(
    session: Session, asked: Asked | Case, word: int | str | None = None, budget: int = 2 * GIB
) -> PatchMap:
    """Attention rolled out through all layers, from the row that predicts a word down to the patches.

    What it means: attention of layer upon layer multiplied, half of each being the residual stream; the
    share of each patch if vectors mixed as attention says. When it misleads: it takes no account of values,
    experts or the sign of what is carried; over many layers it flattens and gathers on early tokens; each
    layer is the mean of its heads. Source: Abnar & Zuidema 2005.00928, with the lower triangle that a causal
    model has.

    Args:
        session: the loaded model. asked: see `Case.of`. word: see `attention_maps`.
        budget: bytes that the patterns may take; see `rollout_cost`.

    Raises:
        GroundingError: over the budget, before anything runs.
    """
    case = Case.of(session, asked)
    found = case.word(word)
    rollout_cost(case, found.start).within(budget, "rollout")
    layers = [f"blocks.{n}.attn.hook_pattern" for n in range(case.llama.config.text.num_hidden_layers)]
    kept = case.apart(lambda: _mean_patterns(case, layers, found.start))
    row = torch.zeros(found.start, device=case.llama.device)
    row[-1] = 1.0
    for name in reversed(layers):
        row = (row + row @ kept[name][0]) / 2
    keys = case.patches.token[case.patches.token < found.start]
    scores = np.zeros(len(case.patches))
    scores[: len(keys)] = row.double().cpu().numpy()[keys]
    made = f"attention rollout of row {found.start - 1}, {RECOMPUTED} (one pass of its own, float32)"
    return PatchMap(case.patches, scores, found.text, found.start, made)


def rollout_cost(case: Case, stop: int) -> Cost:
    """What `rollout` needs for a word whose first token is `stop`."""
    text = case.llama.config.text
    # every layer's mean, and one layer's heads as they are made (scores, mask and result)
    held = 4 * stop * stop * (text.num_hidden_layers + 3 * text.num_attention_heads)
    return Cost(1, len(case.inputs.pixel_values), held)


def sinks(trace: Trace, times: float = 5.0) -> np.ndarray:
    """Patches that draw attention whatever word is said: bool [P], for `PatchMap.masking`.

    What it means: over the rows of the answer, half or more give the patch more than `times` the even share
    of what goes to its picture (mean of layers and heads). When it misleads: in an answer about one thing
    only, every word may rightly look at that thing; compare answers to several questions. Padding can be a
    sink, too. Source: the regularity found by Kang et al. 2503.03321, by attention in place of activations.

    Raises:
        GroundingError: there is no attention, or of fewer than three rows.
    """
    rows = np.flatnonzero(np.isin(trace.query_index + 1, trace.generated_index))
    if trace.attention is None:
        raise GroundingError(absence(trace.provenance, "attention", "capture it with capture='attention'"))
    if len(rows) < 3:
        raise GroundingError(f"attention of {len(rows)} words was captured; three tell a sink from a look")
    patches = Patches.of(trace)
    weight = trace.attention[rows].astype(float).mean((1, 2))[:, patches.token]
    found = np.zeros(len(patches), bool)
    for image in np.unique(patches.image):
        mine = patches.image == image
        total = weight[:, mine].sum(1, keepdims=True)
        share = weight[:, mine] / np.where(total > 0, total, 1)
        found[mine] = np.median(share, 0) > times / mine.sum()
    return found


def _mean_patterns(case: Case, names: Sequence[str], stop: int) -> dict[str, Tensor]:
    """The mean over heads of these patterns, each [1, stop, stop], in one pass."""
    kept: dict[str, Tensor] = {}

    def keep_as(name: str) -> Hook:
        def keep(value: Tensor) -> Tensor:
            kept[name] = value.float().mean(1)
            return value

        return Hook(keep, False, slice(None))

    with ExitStack() as stack:
        for name in names:
            stack.enter_context(attached(case.llama.hook_point(name), keep_as(name)))
        case.hidden(stop)
    return kept


def _per_head(
    patches: Patches,
    scores: np.ndarray,
    numbers: tuple[np.ndarray, np.ndarray],
    word: str,
    token: int,
    made: str,
) -> PatchMaps:
    """Scores [L, H, P] as one map for each layer and head; `numbers` are theirs."""
    layers, heads = numbers
    places = {"layer": np.repeat(layers, len(heads)), "head": np.tile(heads, len(layers))}
    return PatchMaps(patches, scores.reshape(-1, scores.shape[-1]), places, word, token, made)
