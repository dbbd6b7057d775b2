"""Llama 4, top to bottom: embed, fuse the pictures in, run the blocks, unembed.

Text and pictures are one sequence from the first layer on (early fusion): the vectors of a picture's patches
overwrite the embeddings of the places kept for them in the prompt. Every block attends, then goes through a
dense MLP or through its experts.

B batch, T tokens, M model width, V vocabulary, N tiles, P patch tokens of a tile
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.attention import Attention, Sight
from model.cache import KVCache
from model.config import Llama4Config, TextConfig
from model.feed_forward import FeedForward
from model.hooks import HookPoint, find_hook_point, name_hook_points
from model.linear import Linear
from model.module import Module
from model.moe import MixtureOfExperts
from model.norms import RMSNorm
from model.vision import VisionTower


class Block(Module):
    """One decoder layer: attention, then a dense MLP (`mlp`) or experts (`moe`)."""

    def __init__(self, config: TextConfig, layer: int) -> None:
        super().__init__()
        self.hook_resid_pre = HookPoint("BTM")
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attn = Attention(config, layer)
        self.hook_resid_mid = HookPoint("BTM")
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        if config.is_moe(layer):
            self.moe = MixtureOfExperts(config)
        else:
            self.mlp = FeedForward(config.hidden_size, config.intermediate_size_mlp)
        self.hook_resid_post = HookPoint("BTM")
        self.is_moe = config.is_moe(layer)

    def forward(self, x: Tensor, sight: Sight, cache: KVCache | None) -> Tensor:
        """[B, T, M] to [B, T, M]."""
        x = self.hook_resid_pre(x)
        normed = self.input_layernorm(x, self.attn.takes_codes)
        x = self.hook_resid_mid(x + self.attn(normed, sight, cache))
        feed_forward = self.moe if self.is_moe else self.mlp
        normed = self.post_attention_layernorm(x, feed_forward.takes_codes)
        return self.hook_resid_post(x + feed_forward(normed))


class Unembed(Linear):
    """The language-model head."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config.hidden_size, config.vocab_size, bias=False)
        self.hook_logits = HookPoint("BTV")

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, M] to logits [B, T, V] in the model's dtype."""
        return self.hook_logits(super().forward(x))


class Llama4(Module):
    """The whole network.

    Args:
        config: read from a checkpoint, see `Llama4Config.from_file`.

    Build it with random weights with `Llama4(config)`, or under `torch.device("meta")` for its shapes alone.
    `hook_points` holds every named place where values can be read or replaced (model/README.md lists them).
    """

    def __init__(self, config: Llama4Config) -> None:
        super().__init__()
        self.config = config
        text = config.text
        self.embed = nn.Embedding(text.vocab_size, text.hidden_size)
        self.hook_embed = HookPoint("BTM")
        if config.vision is not None:
            self.vision = VisionTower(config.vision)
            self.projector = nn.Linear(config.vision.vision_output_dim, text.hidden_size, bias=False)
            self.hook_image_embed = HookPoint("NPM")
        self.blocks = nn.ModuleList(Block(text, layer) for layer in range(text.num_hidden_layers))
        self.norm = RMSNorm(text.hidden_size, text.rms_norm_eps)
        self.unembed = Unembed(text)
        self.hook_points: dict[str, HookPoint] = name_hook_points(self)
        self.reset_parameters()

    def reset_parameters(self, std: float = 0.02) -> None:
        """Random weights: normal with `std`, norms at one, biases at zero; tied if the config says so."""
        for name, parameter in self.named_parameters():
            if "norm" in name:
                nn.init.constant_(parameter, float(name.endswith("weight")))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.normal_(parameter, std=std)
        if self.config.text.tie_word_embeddings:
            self.unembed.weight = self.embed.weight

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embed.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that activations have."""
        return self.embed.weight.dtype

    def hook_point(self, name: str) -> HookPoint:
        """The hook point called `name`; an unknown name raises UnknownHookError with the nearest ones."""
        return find_hook_point(self.hook_points, name)

    def new_cache(self) -> KVCache:
        """An empty cache for one batch."""
        return KVCache(self.config.text)

    def forward(
        self,
        token_ids: Tensor,
        pixel_values: Tensor | None = None,
        cache: KVCache | None = None,
        positions: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_features: Tensor | None = None,
    ) -> Tensor:
        """Logits [B, T, V] for `token_ids` [B, T]; the other arguments are those of `hidden`."""
        return self.unembed(
            self.hidden(token_ids, pixel_values, cache, positions, attention_mask, image_features)
        )

    def hidden(
        self,
        token_ids: Tensor,
        pixel_values: Tensor | None = None,
        cache: KVCache | None = None,
        positions: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_features: Tensor | None = None,
    ) -> Tensor:
        """The normalized residual stream [B, T, M] that `unembed` turns into logits.

        Args:
            token_ids: [B, T] int64.
            pixel_values: [N, 3, side, side], the tiles of all pictures of all rows, in prompt order.
            cache: keys and values of earlier tokens; extended in place.
            positions: [B, T] int64, -1 for padding; by default they follow on from the cache.
            attention_mask: bool [B, T, T], and-ed with Llama 4's own rule; not together with a cache.
            image_features: [N, P, M] from `image_features()`, in place of pixel_values.

        Raises:
            ValueError: a shape does not fit, or there are more or fewer image places than image vectors.
        """
        if token_ids.dim() != 2 or token_ids.shape[1] == 0:
            raise ValueError(
                f"token_ids is {tuple(token_ids.shape)}; expected [batch, tokens] with at least one token"
            )
        if attention_mask is not None and cache is not None:
            raise ValueError(
                "attention_mask and cache do not go together: the mask has no columns for cached keys"
            )
        counting = positions is None and (cache is None or cache.positions is None)
        if positions is None:
            positions = self._next_positions(token_ids, cache)
        x = self.hook_embed(self.embed(token_ids))
        if pixel_values is not None:
            image_features = self.image_features(pixel_values)
        if image_features is not None or cache is None or cache.length == 0:
            x = self.fuse(x, token_ids, image_features)
        # else a patch token is one that the model itself has said: a token like any other
        sight = Sight(self.config.text, positions, counting, cache, attention_mask)
        for block in self.blocks:
            x = block(x, sight, cache)
        if cache is not None:
            cache.commit(token_ids.shape[1], None if counting else positions)
        return self.norm(x)

    def image_features(self, pixel_values: Tensor) -> Tensor:
        """Vectors [N, P, M] of the tiles [N, 3, side, side], as they enter the text's residual stream."""
        if self.config.vision is None:
            raise ValueError("this checkpoint has no vision tower; send text only")
        features = self.vision(pixel_values.to(self.device, self.dtype))
        return self.hook_image_embed(self.projector(features))

    def fuse(self, x: Tensor, token_ids: Tensor, image_features: Tensor | None) -> Tensor:
        """Put the image vectors, in order, into the places of `x` [B, T, M] that are kept for them."""
        places = token_ids == self.config.image_token_index
        vectors = 0 if image_features is None else image_features.shape[0] * image_features.shape[1]
        if image_features is None and self.config.vision is None:
            return x
        kept = int(places.sum())
        if kept != vectors:
            raise ValueError(f"the prompt keeps {kept} places for image patches, the pictures give {vectors}")
        if kept == 0:
            return x
        return x.masked_scatter(places[..., None], image_features.to(x.dtype))

    @staticmethod
    def _next_positions(token_ids: Tensor, cache: KVCache | None) -> Tensor:
        batch, tokens = token_ids.shape
        if cache is not None and cache.positions is not None:
            last = cache.positions.amax(dim=1, keepdim=True)
            return last + torch.arange(1, tokens + 1, device=token_ids.device)
        start = 0 if cache is None else cache.length
        return torch.arange(start, start + tokens, device=token_ids.device).expand(batch, -1)
