"""Llama 4 attention.

Rotary layers look only inside their own chunk of positions (8,192 in the published models); position-free
layers look at everything before them and sharpen their queries with distance. Queries and keys are normalized
in the rotary layers of some models (Scout), never in the position-free ones.

B batch, T tokens (queries), S keys, H heads, G key/value heads, D head width, M model width
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import attention_rows
from kernels.fp8 import Rounded
from model.cache import KVCache
from model.config import TextConfig
from model.hooks import HookPoint
from model.linear import Linear
from model.module import Module
from model.norms import rms_normalize
from model.quantize import takes_codes
from model.rope import inverse_frequencies, rotate, text_turns


@dataclass(frozen=True)
class Segment:
    """Queries attended together: a stretch of tokens, the keys it sees, and the rule between them."""

    queries: slice
    keys: slice
    mask: Tensor | None  # bool [B or 1, 1, T, S]
    causal: bool

    def allowed(self, rows: Tensor, keys: int) -> Tensor | None:
        """The rule as a mask for some of the segment's rows (counted within it); None allows every key."""
        if self.mask is not None:
            return self.mask[:, :, rows]
        if self.causal:
            return torch.arange(keys, device=rows.device) <= rows[:, None]
        return None


class Sight:
    """What each token of one forward pass may look at; made once, used by every layer.

    Args:
        config: the text decoder's shape.
        positions: [B, T] int64, -1 for padding.
        counting: whether the positions follow on from the cache's without a gap, in every row.
        cache: the cache before this pass, or None.
        attention_mask: bool [B, T, T], and-ed with Llama 4's own rule (not together with a cache).
    """

    def __init__(
        self,
        config: TextConfig,
        positions: Tensor,
        counting: bool,
        cache: KVCache | None = None,
        attention_mask: Tensor | None = None,
    ) -> None:
        self.config = config
        self.positions = positions
        earlier = cache.length if cache else 0
        self.slots = earlier + positions.shape[1]
        self.turns = text_turns(
            positions if counting else positions.clamp(min=0), inverse_frequencies(config, positions.device)
        )
        # up to there the factor is 1
        near = counting and self.slots < config.floor_scale
        self.temperature = None if near else query_temperature(config, positions)
        # slots before this one are no longer kept by the chunked (or the global) layers
        self.first_slot = dict(cache.first) if cache else {True: 0, False: 0}
        if counting and attention_mask is None:
            chunk = config.attention_chunk_size
            self.segments = {
                True: self._pieces(earlier, earlier - self.first_slot[True], chunk),
                False: self._pieces(earlier, earlier - self.first_slot[False], None),
            }
        else:
            keys = positions
            if cache:
                keys = torch.cat(
                    [cache.key_positions(*positions.shape[:1], positions.device), positions], dim=1
                )
            self.segments = {
                kind: [self._by_positions(keys[:, self.first_slot[kind] :], kind, attention_mask)]
                for kind in (True, False)
            }

    def _pieces(self, start: int, kept: int, chunk: int | None) -> list[Segment]:
        tokens = self.positions.shape[1]
        pieces, at = [], 0
        while at < tokens:
            end = tokens if chunk is None else min(tokens, at + chunk - (start + at) % chunk)
            before = kept if at == 0 else 0
            keys = slice(0 if at == 0 else kept + at, kept + end)
            mask = None
            if before and end - at > 1:
                rows = torch.arange(before, before + end - at, device=self.positions.device)
                mask = (torch.arange(keys.stop - keys.start, device=rows.device) <= rows[:, None])[None, None]
            pieces.append(Segment(slice(at, end), keys, mask, causal=mask is None and end - at > 1))
            at = end
        return pieces

    def _by_positions(self, key_positions: Tensor, chunked: bool, mask: Tensor | None) -> Segment:
        query, key = self.positions[:, :, None], key_positions[:, None]  # [B, T, 1], [B, 1, S]
        allowed = (key >= 0) & (key <= query)
        if chunked:
            chunk = self.config.attention_chunk_size
            allowed &= key // chunk == query // chunk
        if mask is not None:
            allowed &= mask
        # a padding row sees everything: nobody reads it, and a row that sees nothing would be NaN
        allowed |= query < 0
        return Segment(slice(None), slice(None), allowed[:, None], causal=False)


def query_temperature(config: TextConfig, positions: Tensor) -> Tensor | None:
    """Factor on the queries of position-free layers, [B, T, 1, 1] float32; None if the config has none.

    1 + attn_scale * ln(1 + floor((p + 1) / floor_scale)), from arXiv:2501.19399, as `transformers` computes
        it.
    """
    if not config.attn_temperature_tuning:
        return None
    steps = torch.floor((positions.float() + 1.0) / config.floor_scale)
    return (torch.log1p(steps) * config.attn_scale + 1.0)[:, :, None, None]


class Attention(Module):
    """Grouped-query attention of one decoder layer; both kinds of layers have the same weights."""

    def __init__(self, config: TextConfig, layer: int) -> None:
        super().__init__()
        self.config = config
        self.layer = layer
        self.chunked = config.uses_rope(layer)
        self.scale = config.head_dim**-0.5
        width, bias = config.hidden_size, config.attention_bias
        self.q_proj = Linear(width, config.num_attention_heads * config.head_dim, bias=bias)
        self.k_proj = Linear(width, config.num_key_value_heads * config.head_dim, bias=bias)
        self.v_proj = Linear(width, config.num_key_value_heads * config.head_dim, bias=bias)
        self.o_proj = Linear(config.num_attention_heads * config.head_dim, width, bias=bias)
        self.hook_q = HookPoint("BTHD")
        self.hook_k = HookPoint("BTGD")
        self.hook_v = HookPoint("BTGD")
        self.hook_rot_q = HookPoint("BTHD")
        self.hook_rot_k = HookPoint("BTGD")
        self.hook_pattern = HookPoint("BHTS")
        self.hook_z = HookPoint("BTHD")

    @property
    def takes_codes(self) -> bool:
        """Whether the norm before it should also round to E4M3."""
        return takes_codes(self.q_proj, self.k_proj, self.v_proj)

    def forward(self, x: Tensor | Rounded, sight: Sight, cache: KVCache | None = None) -> Tensor:
        """[B, T, M] to [B, T, M]; extends this layer's part of the cache."""
        q, k, v = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        heads = (*q.shape[:2], -1, self.config.head_dim)
        q, k, v = self.hook_q(q.view(heads)), self.hook_k(k.view(heads)), self.hook_v(v.view(heads))
        if self.chunked:
            # together, for half the operations: at a single token every one counts
            both = rotate(torch.cat((q, k), dim=2), sight.turns)
            if self.config.use_qk_norm:
                both = rms_normalize(both, self.config.rms_norm_eps)
            q, k = both.split_with_sizes((q.shape[2], k.shape[2]), dim=2)
        elif sight.temperature is not None:
            q = (q * sight.temperature).to(q.dtype)
        q, k = self.hook_rot_q(q).transpose(1, 2), self.hook_rot_k(k).transpose(1, 2)
        v = v.transpose(1, 2)
        if cache is not None:
            k, v = cache.extend(self.layer, k, v)
        if self.hook_pattern.edited:
            z = self.weigh(self.hook_pattern(self.pattern(q, k, sight, slice(None))), v)
        else:
            if self.hook_pattern.watched:
                self.hook_pattern(self.pattern(q, k, sight, self.hook_pattern.rows_asked_for))
            z = self.fused(q, k, v, sight)
        return self.o_proj(self.hook_z(z.transpose(1, 2)).flatten(-2))

    def fused(self, q: Tensor, k: Tensor, v: Tensor, sight: Sight) -> Tensor:
        """Attention without ever forming the pattern; [B, H, T, D]."""
        if q.shape[2] == 1:
            # the heads of a group look at the same keys, so their single queries go as rows of one head:
            # keys and values are read once a group (in bfloat16 on a CPU 9 times faster, in float32 up to 2)
            (segment,) = sight.segments[self.chunked]
            rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3])
            return F.scaled_dot_product_attention(rows, k, v, segment.mask, scale=self.scale).reshape(q.shape)
        parts = [
            F.scaled_dot_product_attention(
                q[:, :, s.queries], k[:, :, s.keys], v[:, :, s.keys], s.mask, is_causal=s.causal,
                scale=self.scale, enable_gqa=True,
            )
            for s in sight.segments[self.chunked]
        ]  # fmt: skip
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def pattern(self, q: Tensor, k: Tensor, sight: Sight, rows: slice) -> Tensor:
        """Probabilities [B, H, rows, S] float32 over all slots so far, zero where a row may not look."""
        if q.shape[2] == 1:
            (segment,) = sight.segments[self.chunked]
            pattern = attention_rows(q[:, :, rows], k, self.scale, segment.mask)
            # forgotten slots have columns too
            return F.pad(pattern, (sight.slots - k.shape[2], 0))
        wanted = torch.arange(q.shape[2], device=q.device)[rows]
        out = q.new_zeros(*q.shape[:2], len(wanted), sight.slots, dtype=torch.float32)
        for segment in sight.segments[self.chunked]:
            first, stop, _ = segment.queries.indices(q.shape[2])
            here = (wanted >= first) & (wanted < stop)
            if not bool(here.any()):
                continue
            keys = k[:, :, segment.keys]
            allowed = segment.allowed(wanted[here] - first, keys.shape[2])
            begin = sight.first_slot[self.chunked] + segment.keys.indices(k.shape[2])[0]
            out[:, :, here, begin : begin + keys.shape[2]] = attention_rows(
                q[:, :, wanted[here]], keys, self.scale, allowed
            )
        return out

    def pattern_of(self, queries: Tensor, keys: Tensor, rows: Tensor) -> Tensor:
        """Probabilities [B, H, R, S] float32 of some rows of a text over its keys from the first on.

        Args:
            queries: [B, R, H, D] and keys: [B, S, G, D], as `hook_rot_q` and `hook_rot_k` carried them.
            rows: [R] int64, the positions of the queries.
        """
        slots = torch.arange(keys.shape[1], device=keys.device)
        allowed = slots <= rows[:, None]
        if self.chunked:
            chunk = self.config.attention_chunk_size
            allowed &= slots // chunk == rows[:, None] // chunk
        return attention_rows(queries.transpose(1, 2), keys.transpose(1, 2), self.scale, allowed)

    def weigh(self, pattern: Tensor, v: Tensor) -> Tensor:
        """Values weighted by an edited pattern; [B, H, T, D].

        Raises:
            ValueError: the pattern looks at tokens of finished chunks, whose values are gone.
        """
        forgotten = pattern.shape[-1] - v.shape[2]
        if forgotten and bool(pattern[..., :forgotten].any()):
            raise ValueError(
                f"the edited {self.hook_pattern.name} looks at the first {forgotten} tokens, which this "
                "layer's cache no longer holds; run the whole sequence in one pass, without a cache"
            )
        groups = self.config.num_attention_heads // self.config.num_key_value_heads
        values = v.repeat_interleave(groups, dim=1).float()
        return (pattern[..., forgotten:] @ values).to(v.dtype)
