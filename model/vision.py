"""The vision tower: a tile of pixels to a grid of vectors that stand in the prompt like words.

Every tile is seen alone. The class token stands LAST; the pixel shuffle joins each 2x2 block of patches into
one token; GELU follows the adapter's second layer too. The projector to the text's width is not part of it.

N tiles, P patches of a tile (with the class token last), W vision width
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels import attention_rows
from model.config import VisionConfig
from model.hooks import HookPoint
from model.rope import rotate, tile_turns


class VisionAttention(nn.Module):
    """Attention of every patch to every patch of the same tile."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        width = config.num_attention_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, width)
        self.k_proj = nn.Linear(config.hidden_size, width)
        self.v_proj = nn.Linear(config.hidden_size, width)
        self.o_proj = nn.Linear(width, config.hidden_size)
        self.hook_pattern = HookPoint("NHPP")

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        """[N, P, W] to [N, P, W]."""
        q = rotate(self.q_proj(x).unflatten(-1, (-1, self.head_dim)), turns).transpose(1, 2)
        k = rotate(self.k_proj(x).unflatten(-1, (-1, self.head_dim)), turns).transpose(1, 2)
        v = self.v_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        if self.hook_pattern.watched:
            rows = slice(None) if self.hook_pattern.edited else self.hook_pattern.rows_asked_for
            pattern = self.hook_pattern(attention_rows(q[:, :, rows], k, self.head_dim**-0.5))
        if self.hook_pattern.edited:
            z = (pattern @ v.float()).to(v.dtype)
        else:
            z = F.scaled_dot_product_attention(q, k, v)
        return self.o_proj(z.transpose(1, 2).flatten(-2))


class VisionMLP(nn.Module):
    """Two layers with an exact GELU between them."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """[N, P, W] to [N, P, W]."""
        return self.fc2(F.gelu(self.fc1(x)))


class VisionBlock(nn.Module):
    """One pre-norm layer of the tower."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        # the layers' epsilon is LayerNorm's own default in the published code, not the config's norm_eps
        self.input_layernorm = nn.LayerNorm(config.hidden_size)
        self.attn = VisionAttention(config)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size)
        self.mlp = VisionMLP(config)
        self.hook_resid_post = HookPoint("NPW")

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        """[N, P, W] to [N, P, W]."""
        x = x + self.attn(self.input_layernorm(x), turns)
        return self.hook_resid_post(x + self.mlp(self.post_attention_layernorm(x)))


class Adapter(nn.Module):
    """Joined patches to feature vectors; GELU after both layers."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.intermediate_size, config.projector_input_dim, bias=False)
        self.fc2 = nn.Linear(config.projector_output_dim, config.projector_output_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, tokens, 4*W] to [N, tokens, projector_output_dim]."""
        return F.gelu(self.fc2(F.gelu(self.fc1(x))))


class VisionTower(nn.Module):
    """Patch embedding, blocks, pixel shuffle and adapter."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.hook_pixels = HookPoint("NCXX")
        width, patches = config.hidden_size, config.patches_per_side**2
        self.patch_embedding = nn.Linear(config.num_channels * config.patch_size**2, width, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding_vlm = nn.Parameter(torch.empty(patches + 1, width))
        self.layernorm_pre = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(VisionBlock(config) for _ in range(config.num_hidden_layers))
        self.layernorm_post = nn.LayerNorm(width)
        self.adapter = Adapter(config)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Tiles [N, channels, side, side] to features [N, tokens_per_tile, projector_output_dim].

        Raises:
            ValueError: the tiles have another size than the config's.
        """
        config = self.config
        expected = [config.num_channels, config.image_size, config.image_size]
        if pixel_values.dim() != 4 or list(pixel_values.shape[1:]) != expected:
            sides = ", ".join(map(str, expected))
            raise ValueError(f"pixel_values is {tuple(pixel_values.shape)}; expected [tiles, {sides}]")
        # unfold orders a patch channel by channel, patches row by row
        pixels = self.hook_pixels(pixel_values)
        patches = F.unfold(pixels, config.patch_size, stride=config.patch_size).transpose(1, 2)
        x = self.patch_embedding(patches)
        x = torch.cat([x, self.class_embedding.expand(len(x), 1, -1)], dim=1) + self.positional_embedding_vlm
        x = self.layernorm_pre(x)
        turns = tile_turns(config, x.device)
        for block in self.blocks:
            x = block(x, turns)
        return self.adapter(pixel_shuffle(self.layernorm_post(x)[:, :-1], config.shuffle_block))


def pixel_shuffle(x: Tensor, block: int) -> Tensor:
    """Join each `block` x `block` square of patches: [N, side*side, W] to [N, (side/block)^2, W*block^2].

    The channels of a joined token hold its patches row by row, as Meta's code has them after its two
    transposes.
    """
    count, patches, width = x.shape
    side = round(patches**0.5)
    x = x.view(count, side // block, block, side // block, block, width).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(count, (side // block) ** 2, block * block * width)
