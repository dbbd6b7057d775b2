"""What the decoder remembers of earlier tokens.

Position-free layers keep every key and value. Rotary layers look only inside their own chunk, so they keep at
most the chunk that the next token belongs to: their memory is bounded by the chunk size, whatever the length.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.config import TextConfig


class Window:
    """The slots of the token sequence that one kind of layer still keeps: `first` up to the end."""

    def __init__(self) -> None:
        self.first = 0
        self.positions: Tensor | None = None  # [batch, kept], -1 for padding

    @property
    def kept(self) -> int:
        """Number of slots kept."""
        return 0 if self.positions is None else self.positions.shape[1]


class KVCache:
    """Keys and values of all layers for one batch.

    Args:
        config: the text decoder's shape; says which layers are chunked and how wide a chunk is.

    `length` counts the tokens seen, `positions` is their position in each row (-1 for padding).
    """

    def __init__(self, config: TextConfig) -> None:
        self.config = config
        self.length = 0
        # whether every row holds the positions 0..length-1, so that masks follow from lengths alone
        self.plain = True
        self.windows = {True: Window(), False: Window()}  # by "is chunked"
        self._buffers: list[Tensor | None] = [None] * config.num_hidden_layers

    def __repr__(self) -> str:
        chunked, full = self.windows[True].kept, self.windows[False].kept
        return f"KVCache({self.length} tokens; chunked layers keep {chunked}, global layers {full}; {self.nbytes:,} bytes)"

    @property
    def nbytes(self) -> int:
        """Bytes reserved for keys and values."""
        return sum(buffer.nbytes for buffer in self._buffers if buffer is not None)

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values [batch, kv_heads, tokens, width] of one layer; returns all that it may look at."""
        kept = self.windows[self.config.uses_rope(layer)].kept
        end = kept + key.shape[2]
        buffer = self._buffers[layer]
        if buffer is None or buffer.shape[3] < end:
            room = max(end, 64) if buffer is None else max(end, 2 * buffer.shape[3])
            grown = key.new_empty(2, *key.shape[:2], room, key.shape[3])
            if buffer is not None:
                grown[:, :, :, :kept] = buffer[:, :, :, :kept]
            self._buffers[layer] = buffer = grown
        buffer[0, :, :, kept:end] = key
        buffer[1, :, :, kept:end] = value
        return buffer[0, :, :, :end], buffer[1, :, :, :end]

    def commit(self, positions: Tensor, plain: bool) -> None:
        """Close a forward pass over tokens at `positions` [batch, tokens] and forget finished chunks."""
        tokens = positions.shape[1]
        self.length += tokens
        self.plain = self.plain and plain
        for window in self.windows.values():
            window.positions = positions if window.kept == 0 else torch.cat([window.positions, positions], dim=1)
        self._forget_finished_chunks()

    def _forget_finished_chunks(self) -> None:
        window, chunk = self.windows[True], self.config.attention_chunk_size
        if self.plain:
            start = self.length // chunk * chunk - window.first
        else:
            # a slot is needed while any row's next token shares its chunk
            upcoming = (window.positions.amax(dim=1, keepdim=True) + 1) // chunk
            needed = (window.positions >= 0) & (window.positions // chunk == upcoming)
            live = needed.any(dim=0).nonzero()
            start = int(live[0]) if len(live) else window.kept
        if start <= 0:
            return
        left = window.kept - start
        for layer, buffer in enumerate(self._buffers):
            if buffer is None or not self.config.uses_rope(layer):
                continue
            if left:
                buffer[:, :, :, :left] = buffer[:, :, :, start : window.kept].clone()
            if buffer.shape[3] > 2 * chunk:
                # a long prompt's room is given back, once
                self._buffers[layer] = buffer[:, :, :, :chunk].clone()
        window.first += start
        window.positions = window.positions[:, start:]
