"""Attention inside the vision tower: where in its tile a patch token took its content from.

The tower's patches are finer than the prompt's tokens: a pixel shuffle joins squares of them. What goes out
of or into a token is the mean or the sum over its square; the class token, which is dropped, is left out.

N tiles, F fine patches of a tile (the class token last), Q tokens of a tile, P patches of the prompt
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from model.hooks import Hook, attached
from workbench.grounding.maps import PatchMap, PatchMaps
from workbench.grounding.passes import Asked, Case
from workbench.grounding.patches import GroundingError
from workbench.provenance import RECOMPUTED
from workbench.session import Session

_TOGETHER = 4  # tiles whose patterns of all layers are held at a time


def vision_attention(session: Session, asked: Asked | Case, token: int) -> PatchMaps:
    """Attention of a patch token to all tokens of its own tile, for each layer and head of the tower.

    What it means: the mean weight of the token's fine patches on those of every other token. What is missing
    to 1 went to the class token. When it misleads: deep layers of vision towers put weight on background
    patches that serve as registers (Darcet et al. 2309.16588), and a vector keeps much of itself past
    attention. Source: the tower's own pattern, in a pass of its own over one tile.

    Args:
        session: the loaded model. asked: see `Case.of`. token: a patch's place in the conversation.

    Raises:
        GroundingError: the token is no patch.
    """
    case = Case.of(session, asked)
    patches = case.patches
    at = np.flatnonzero(patches.token == token)
    if not len(at):
        raise GroundingError(f"token {token} is no patch; patches are {_ranges(patches.token)}")
    per_tile, within = _tokens_per_tile(case), int(at[0]) % _tokens_per_tile(case)
    first = int(at[0]) - within
    square = _squares(case)
    own = torch.from_numpy(np.flatnonzero(square == within))

    def to_tokens(pattern: Tensor) -> Tensor:
        return _pooled(pattern[:, :, own].float().mean(2), square)  # [1, heads, Q]

    kept = _watched(case, slice(first // per_tile, first // per_tile + 1), to_tokens)
    found = torch.cat(kept).numpy()  # [layers, heads, Q]
    scores = np.zeros((found.shape[0] * found.shape[1], len(patches)))
    scores[:, first : first + per_tile] = found.reshape(-1, per_tile)
    layers, heads = np.indices(found.shape[:2]).reshape(2, -1)
    made = f"attention of patch {token} in the vision tower, {RECOMPUTED} (one tile)"
    places = {"layer": layers, "head": heads}
    return PatchMaps(patches, scores, places, f"patch {token}", token, made)


def through_vision(session: Session, asked: Asked | Case, found: PatchMap) -> PatchMap:
    """A map over patch tokens carried on through the vision tower to where their content came from.

    What it means: each token's score is shared out over its tile by attention rolled out through the tower's
    layers (half of each the residual stream); the sum of a tile's scores stays, what goes to the
    class token is shared out among the rest as they are. When it misleads: as rollout does, it flattens
    with every layer, and tiles never look at each other. Source: Abnar & Zuidema 2005.00928; both towers
    together as LVLM-Interpret 2404.03118 shows them.

    Args:
        session: the loaded model. asked: what the map was made from. found: the map.

    Raises:
        GroundingError: the map is of other patches, or of cells that are no tokens.
    """
    case = Case.of(session, asked)
    if not np.array_equal(found.patches.token, case.patches.token):
        raise GroundingError("the map is not of this conversation's patches")
    per_tile, square = _tokens_per_tile(case), _squares(case)
    counts = torch.from_numpy(np.bincount(square).astype(np.float32))[:, None]
    out = np.zeros(len(found.scores))
    tiles = len(case.inputs.pixel_values)
    for start in range(0, tiles, _TOGETHER):
        kept = _watched(case, slice(start, start + _TOGETHER), lambda pattern: pattern.float().mean(1).cpu())
        rolled = torch.eye(kept[0].shape[-1]).expand_as(kept[0])
        for pattern in kept:
            rolled = (rolled + pattern @ rolled) / 2
        pooled = _pooled(rolled, square)[:, :-1]  # [n, F, Q]: the class token gives nothing to the prompt
        between = torch.zeros(len(pooled), per_tile, per_tile)
        between = between.index_add(1, torch.from_numpy(square), pooled) / counts
        between = (between / between.sum(-1, keepdim=True)).double().numpy()
        rows = slice(start * per_tile, (start + len(pooled)) * per_tile)
        scores = found.scores[rows].reshape(-1, 1, per_tile)
        out[rows] = (scores @ between).ravel()
    return replace(found, scores=out, made_by=f"{found.made_by}; rolled out through the vision tower")


def _watched(case: Case, tiles: slice, kept_of: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """What `kept_of` makes of every layer's pattern [N, heads, F, F] for some of the tiles."""
    kept: list[Tensor] = []

    def keep(value: Tensor) -> Tensor:
        kept.append(kept_of(value))
        return value

    def work() -> None:
        with ExitStack() as stack:
            for layer in range(case.llama.config.vision.num_hidden_layers):
                point = case.llama.hook_point(f"vision.blocks.{layer}.attn.hook_pattern")
                stack.enter_context(attached(point, Hook(keep, False, slice(None))))
            case.llama.image_features(case.inputs.pixel_values[tiles])

    case.apart(work)
    return kept


def _pooled(weights: Tensor, square: np.ndarray) -> Tensor:
    """Weights [..., F] summed over the fine patches of each token: [..., Q]; the class token left out."""
    out = weights.new_zeros(*weights.shape[:-1], int(square.max()) + 1)
    return out.index_add(-1, torch.from_numpy(square).to(weights.device), weights[..., : len(square)]).cpu()


def _squares(case: Case) -> np.ndarray:
    """The token [F - 1] that each fine patch of a tile ends in."""
    vision = case.llama.config.vision
    side, block = vision.patches_per_side, vision.patches_per_side // vision.tokens_per_side
    row, col = np.indices((side, side)).reshape(2, -1) // block
    return row * vision.tokens_per_side + col


def _tokens_per_tile(case: Case) -> int:
    return case.llama.config.vision.tokens_per_tile


def _ranges(tokens: np.ndarray) -> str:
    """Numbers as text, neighbours joined: "3 to 27, 31 to 55"."""
    parts = np.split(tokens, np.flatnonzero(np.diff(tokens) > 1) + 1)
    return ", ".join(f"{part[0]} to {part[-1]}" for part in parts)
