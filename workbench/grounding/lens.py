"""The logit lens over the patches of pictures: `workbench.logit_lens`, as maps that can be drawn and scored.

L layers (the vectors after each), P patches, V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.grounding.maps import PatchMaps
from workbench.grounding.passes import Asked, Case
from workbench.logit_lens import BUDGET, read_layers
from workbench.logit_lens import Asked as AskedOfLens
from workbench.provenance import RECOMPUTED
from workbench.session import Session


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


def lens(
    session: Session,
    asked: Asked | Case,
    word: int | str | None = None,
    k: int = 5,
    budget: int = BUDGET,
) -> PatchLens:
    """The logit lens at every patch of every picture, at every layer.

    What it means: the vector of a patch after a layer goes through the last norm and the head, as if no
    layer followed; the map is the probability of the word there. When it misleads: vectors of early layers
    were never meant for the head, so a low number there says little, and a frequent word is likely
    everywhere (compare patches, not words); a patch also predicts what follows it, and sees only the
    patches before it. Source: nostalgebraist 2020; for image patches Neo et al. 2410.07149.

    Args:
        session: the loaded model. asked: see `Case.of`. word: a token's number, a text, or None for the
            answer's first token. k: how many of the likeliest tokens to keep. budget: see `logit_lens`.

    Raises:
        LensError: the budget cannot hold the patches' vectors of all layers.
    """
    case = Case.of(session, asked)
    found, patches = case.word(word), case.patches
    ids, count = case.inputs.token_ids, case.llama.config.text.num_hidden_layers
    followed = (int(ids[found.start]),)
    question = AskedOfLens(patches.token, range(count), k, followed, budget=budget)
    # what comes after the last patch changes nothing at any
    inputs = replace(case.inputs, token_ids=ids[: int(patches.token[-1]) + 1])
    read = case.apart(lambda: read_layers(case.llama, case.processor, inputs, ids[:0], question))
    probs = read.followed_probs[..., 0].T.astype(float)
    made = f"logit lens, {RECOMPUTED} (one pass of its own)"
    maps = PatchMaps(patches, probs, {"layer": read.layers}, found.text, found.start, made)
    top_ids, top_probs = read.ids.transpose(1, 0, 2), read.probs.transpose(1, 0, 2)
    top = [[[read.texts[token] for token in patch] for patch in layer] for layer in top_ids.tolist()]
    return PatchLens(maps, top_ids, top_probs, top)
