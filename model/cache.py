"""What the decoder remembers of earlier tokens.

Position-free layers keep every key and value. Rotary layers look only inside their own chunk, so they keep at
most the chunk that the next token belongs to: their memory is bounded by the chunk size, whatever the length.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from model.config import TextConfig

SMALLEST_BUFFER = 64  # slots


class KVCache:
    """Keys and values of all layers for one batch.

    Every token takes one slot. `first[chunked]` is the first slot that the chunked (or the global) layers
    still keep. `positions` [batch, length] says where the slots stand in each row (-1 for padding); it is
    None while every row simply counts 0, 1, 2, ...

    Args:
        config: the text decoder's shape; says which layers are chunked and how wide a chunk is.
    """

    def __init__(self, config: TextConfig) -> None:
        self.config = config
        self.length = 0
        self.first = {True: 0, False: 0}
        self.positions: Tensor | None = None
        self._buffers: list[Tensor | None] = [
            None
        ] * config.num_hidden_layers  # [2, batch, kv_heads, slots, width]

    def __repr__(self) -> str:
        kept = f"chunked layers keep {self.kept(True)}, global layers {self.kept(False)}"
        return f"KVCache({self.length} tokens; {kept}; {self.nbytes:,} bytes)"

    def kept(self, chunked: bool) -> int:
        """Slots that the chunked (or the global) layers keep."""
        return self.length - self.first[chunked]

    @property
    def nbytes(self) -> int:
        """Bytes reserved for keys and values."""
        return sum(buffer.nbytes for buffer in self._buffers if buffer is not None)

    def key_positions(self, batch: int, device: torch.device) -> Tensor:
        """Positions [batch, length] of all slots, also of those that were forgotten."""
        if self.positions is not None:
            return self.positions
        return torch.arange(self.length, device=device).expand(batch, -1)

    @classmethod
    def joined(cls, rows: Sequence[tuple[KVCache, int]]) -> KVCache:
        """A new cache of chosen rows of others, each a cache and a row's number in it, to go on together.

        Rows of unequal length are padded on the left; padding that nobody needs any more is dropped.
        """
        first = rows[0][0]
        device = first._buffers[0].device
        parts = [(cache, [row for _, row in group]) for cache, group in groupby(rows, key=lambda row: row[0])]
        places = [cache.key_positions(max(chosen) + 1, device)[chosen] for cache, chosen in parts]
        made = cls(first.config)
        made.length = max(int((place >= 0).sum(dim=1).max()) for place in places)
        positions = torch.full((len(rows), made.length), -1, device=device)
        end = 0
        for place in places:
            tail, start, end = place[:, -made.length :], end, end + len(place)
            positions[start:end, made.length - tail.shape[1] :] = tail
        made.positions = positions if bool((positions < 0).any()) else None
        longest = max(cache.kept(True) for cache, _ in parts)
        made.first[True] = max(0, made.length - longest)
        for layer in range(len(made._buffers)):
            made._buffers[layer] = made._gathered(layer, parts, len(rows))
        made._forget_finished_chunks()
        return made

    def _gathered(self, layer: int, parts: list[tuple[KVCache, list[int]]], count: int) -> Tensor:
        chunked = self.config.uses_rope(layer)
        kept, one = self.kept(chunked), parts[0][0]._buffers[layer]
        # zeros, not whatever was in the memory: a masked value still takes part, with weight zero
        made = one.new_zeros(2, count, one.shape[2], kept + SMALLEST_BUFFER, one.shape[4])
        end = 0
        for cache, chosen in parts:
            start, end, stop = end, end + len(chosen), cache.kept(chunked)
            tail = min(kept, stop)
            rows = cache._buffers[layer][:, chosen, :, stop - tail : stop]
            made[:, start:end, :, kept - tail : kept] = rows
        return made

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add a layer's keys and values [batch, kv_heads, tokens, width]; returns all that it keeps."""
        kept = self.kept(self.config.uses_rope(layer))
        end = kept + key.shape[2]
        buffer = self._buffers[layer]
        if buffer is None or buffer.shape[3] < end:
            room = max(end, SMALLEST_BUFFER, 2 * kept)
            grown = _empty(key, 2, *key.shape[:2], room, key.shape[3])
            if buffer is not None:
                grown[:, :, :, :kept] = buffer[:, :, :, :kept]
            self._buffers[layer] = buffer = grown
        # not by index: of a single token that takes twice as long
        new = buffer.narrow(3, kept, end - kept)
        new[0].copy_(key)
        new[1].copy_(value)
        return buffer.narrow(3, 0, end).unbind()

    def commit(self, tokens: int, positions: Tensor | None) -> None:
        """Close a pass over `tokens` slots; `positions` [batch, tokens] if they do not simply count on."""
        if positions is not None:
            earlier = self.key_positions(len(positions), positions.device)
            self.positions = torch.cat([earlier, positions], dim=1)
        self.length += tokens
        self._forget_finished_chunks()

    def _forget_finished_chunks(self) -> None:
        chunk, first = self.config.attention_chunk_size, self.first[True]
        if self.positions is None:
            needed_from = self.length // chunk * chunk
        else:
            # a slot is needed while any row's next token shares its chunk
            upcoming = (self.positions.amax(dim=1, keepdim=True) + 1) // chunk
            needed = (self.positions >= 0) & (self.positions // chunk == upcoming)
            slots = needed.any(dim=0).nonzero()
            needed_from = int(slots[0]) if len(slots) else self.length
        if needed_from <= first:
            return
        drop, left = needed_from - first, self.length - needed_from
        for layer, buffer in enumerate(self._buffers):
            if buffer is None or not self.config.uses_rope(layer):
                continue
            kept = buffer[:, :, :, drop : drop + left]
            if buffer.shape[3] > 2 * max(chunk, SMALLEST_BUFFER):
                # the room of a long prompt is given back
                room = max(left, SMALLEST_BUFFER)
                self._buffers[layer] = _empty(buffer, *buffer.shape[:3], room, buffer.shape[4])
            self._buffers[layer][:, :, :, :left] = kept.clone()
        self.first[True] = needed_from


@torch.inference_mode(False)
def _empty(like: Tensor, *shape: int) -> Tensor:
    """A buffer that later passes may write to, in whatever mode it was made."""
    return torch.empty(shape, dtype=like.dtype, device=like.device)
