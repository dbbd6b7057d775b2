"""Rotary positions: one axis for the text, two for the picture tiles.

Both turn interleaved pairs (0,1), (2,3), ... as complex numbers, in float32 (Su et al. 2021; Meta's layout,
which the Hugging Face files of Llama 4 keep). Tables are made from the config when they are first needed on a
device: as buffers they would lose their precision when a model is cast to bfloat16.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from model.config import RopeScaling, TextConfig, VisionConfig


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turn each pair of `x` [..., tokens, heads, width] by unit complex `turns` [..., tokens, 1, width/2]."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2).type_as(x)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def inverse_frequencies(config: TextConfig, device: torch.device | str = "cpu") -> Tensor:
    """Radians per position of each pair, [head_dim/2] float32, scaled as the config says."""
    even = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device=device)
    frequencies = 1.0 / (config.rope_theta ** (even / config.head_dim))
    return frequencies if config.rope_scaling is None else scale_frequencies(frequencies, config.rope_scaling)


def scale_frequencies(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Llama 3's rule: long waves are divided by the factor, short ones stay, those between are blended.

    Scout's corrected file has equal low and high factors: its middle band is empty.
    """
    old = scaling.original_max_position_embeddings
    wavelength = 2 * math.pi / frequencies
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    long = wavelength > old / low
    short = wavelength < old / high
    # equal factors leave nothing between; the guard only avoids 0/0 in values that `where` discards
    blend = (old / wavelength - low) / ((high - low) or 1.0)
    between = (1 - blend) * frequencies / scaling.factor + blend * frequencies
    return torch.where(long, frequencies / scaling.factor, torch.where(short, frequencies, between))


def text_turns(positions: Tensor, frequencies: Tensor) -> Tensor:
    """Unit complex numbers [batch, tokens, 1, head_dim/2] for `positions` [batch, tokens]."""
    angles = positions[:, :, None, None] * frequencies
    return torch.polar(torch.ones_like(angles), angles)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def tile_turns(config: VisionConfig, device: torch.device | str = "cpu") -> Tensor:
    """Unit complex numbers [patches + 1, 1, head_dim/2] for one tile; the class token, last, is not turned.

    The first half of the pairs turns with the column, the second with the row, both counted from one.
    """
    side, width = config.patches_per_side, config.head_dim
    pairs = torch.arange(0, width // 2, 2, dtype=torch.float32, device=device)
    frequencies = 1.0 / (config.rope_theta ** (pairs / (width // 2)))
    along = (
        torch.arange(1, side + 1, dtype=torch.float32, device=device)[:, None] * frequencies
    )  # [side, width/4]
    columns = along[None].expand(side, -1, -1)
    rows = along[:, None].expand(-1, side, -1)
    angles = torch.cat([columns, rows], dim=-1).flatten(0, 1)
    angles = torch.cat([angles, torch.zeros_like(angles[:1])])
    return torch.polar(torch.ones_like(angles), angles)[:, None]
