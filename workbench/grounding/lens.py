"""Logit lens over the patches: what each patch's vector would say if it were read out at each layer.

L layers (the vectors after each), P patches, V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.hooks import Hook, attached
from workbench.grounding.maps import PatchMaps
from workbench.grounding.passes import Asked, Case
from workbench.provenance import RECOMPUTED
from workbench.session import Session

ROWS = 64  # patches unembedded at a time: a row is as long as the vocabulary


@dataclass(frozen=True, eq=False)
class PatchLens:
    """What the lens reads at the patches.

    Attributes:
        maps: for each layer, the probability of the word's first token at each patch.
        top_ids, top_probs: [L, P, k] the likeliest tokens there. top: their display text, [L][P][k].
    """

    maps: PatchMaps
    top_ids: np.ndarray
    top_probs: np.ndarray
    top: Sequence[Sequence[Sequence[str]]]


def lens(session: Session, asked: Asked | Case, word: int | str | None = None, k: int = 5) -> PatchLens:
    """The logit lens at every patch of every picture, at every layer.

    What it means: the vector of a patch after a layer goes through the last norm and the head, as if no
    layer followed; the map is the probability of the word there. When it misleads: vectors of early layers
    were never meant for the head, so a low number there says little, and a frequent word is likely
    everywhere (compare patches, not words); a patch also predicts what follows it, and sees only the
    patches before it. Source: nostalgebraist 2020; for image patches Neo et al. 2410.07149.

    Args:
        session: the loaded model. asked: see `Case.of`. word: a token's number, a text, or None for the
            answer's first token. k: how many of the likeliest tokens to keep.
    """
    case = Case.of(session, asked)
    found, llama, patches = case.word(word), case.llama, case.patches
    target = int(case.inputs.token_ids[found.start])
    at = torch.from_numpy(patches.token)
    layers = range(llama.config.text.num_hidden_layers)
    vectors: list[Tensor] = []

    def keep(value: Tensor) -> Tensor:
        vectors.append(value[0, at.to(value.device)])
        return value

    def work() -> list[tuple[Tensor, Tensor, Tensor]]:
        with ExitStack() as stack:
            for layer in layers:
                point = llama.hook_point(f"blocks.{layer}.hook_resid_post")
                stack.enter_context(attached(point, Hook(keep, False, slice(None))))
            case.hidden(int(patches.token[-1]) + 1)
        return [_read(case, vector, target, k) for vector in vectors]

    read = case.apart(work)
    probs, top_ids, top_probs = (torch.stack(part).cpu().numpy() for part in zip(*read, strict=True))
    made = f"logit lens, {RECOMPUTED} (one pass of its own)"
    places = {"layer": np.asarray(layers)}
    maps = PatchMaps(patches, probs.astype(float), places, found.text, found.start, made)
    names = case.processor.tokenizer.token_text
    top = [[[names(token) for token in patch] for patch in layer] for layer in top_ids.tolist()]
    return PatchLens(maps, top_ids, top_probs, top)


def _read(case: Case, vectors: Tensor, target: int, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Probability [P] of the target, and the likeliest ids and probabilities [P, k]."""
    parts = []
    for some in vectors.split(ROWS):
        probs = torch.softmax(case.llama.unembed(case.llama.norm(some[None]))[0].float(), -1)
        parts.append((probs[:, target], *reversed(torch.topk(probs, min(k, probs.shape[-1])))))
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))
