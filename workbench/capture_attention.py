"""Rows of the attention patterns, computed beside the fused attention for the asked-for rows alone.

H heads, R rows, S keys
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor

from model.hooks import LAST_ROW, Hook, attached, recorded
from model.llama4 import Llama4
from workbench.capture_routing import taken
from workbench.options import CaptureError


class AttentionCapture:
    """Keeps the rows of some tokens, in some layers and heads.

    Args:
        llama: the model. layers: true layer numbers. heads: true head numbers.
        rows: the tokens whose rows are kept, in rising order. prompt: tokens of the first pass.
        dtype: of what is kept.
    """

    def __init__(
        self,
        llama: Llama4,
        layers: Sequence[int],
        heads: Sequence[int],
        rows: Sequence[int],
        prompt: int,
        dtype: torch.dtype,
    ) -> None:
        self.layers = list(layers)
        self.heads = list(heads)
        self.prompt = prompt
        self.dtype = dtype
        every = len(self.heads) == llama.config.text.num_attention_heads
        self._heads = None if every else torch.tensor(self.heads, device=llama.device)
        self._points = [llama.hook_points[f"blocks.{n}.attn.hook_pattern"] for n in self.layers]
        self._first = [row for row in rows if row < prompt]  # of the first pass; each later pass has one
        self._many = self._first not in ([], [prompt - 1])
        self._wanted = rows if isinstance(rows, range) else set(rows)
        self._last = rows[-1] if len(rows) else -1
        self._kept: dict[str, Tensor] = {}
        self._blocks: list[tuple[list[int], Tensor]] = []  # tokens, and their rows [layers, H, R, S]
        self._watching = ExitStack()

    def attach(self, stack: ExitStack) -> None:
        """Watch until `stack` ends."""
        self._watching = stack.enter_context(ExitStack())
        if not self._many:
            # as in every later pass: nothing is attached anew
            self._kept = self._watching.enter_context(recorded(self._points, rows=LAST_ROW))
            return
        rows = slice(self._first[0], self._first[-1] + 1)
        for point in self._points:
            self._watching.enter_context(attached(point, Hook(self._keeper(point.name, rows), False, rows)))

    def _keeper(self, name: str, rows: slice) -> Callable[[Tensor], Tensor]:
        """Keep only the asked-for rows and heads of a whole prompt's pattern, at once and in their dtype."""

        def keep(pattern: Tensor) -> Tensor:
            count = pattern.shape[2]
            # somebody else may watch, or edit, all rows
            start = 0 if count == self.prompt else rows.start
            if count not in (self.prompt, rows.stop - rows.start):
                raise CaptureError(f"{name} carried {count} rows in a pass of {self.prompt} tokens")
            wanted = torch.tensor(self._first, device=pattern.device) - start
            self._kept[name] = self._of_heads(pattern[0]).index_select(1, wanted).to(self.dtype)
            return pattern

        return keep

    def _of_heads(self, pattern: Tensor) -> Tensor:
        return pattern if self._heads is None else pattern.index_select(0, self._heads)

    def add(self) -> None:
        """Note what one pass carried.

        Raises:
            CaptureError: a hook point carried nothing in this pass.
        """
        at = self.prompt - 1 + len(self._blocks)
        if not self.layers or (self._blocks and at > self._last):
            return  # watching has ended
        carried = [taken(self._kept, point.name) for point in self._points]
        first, block = not self._blocks, ([], torch.zeros(0))
        if first and self._many:
            block = (self._first, torch.stack(carried))
        elif at in self._wanted:
            rows = torch.stack([self._of_heads(pattern[0, :, -1]) for pattern in carried])
            block = ([at], rows.to(self.dtype)[:, :, None])
        self._blocks.append(block)
        if at >= self._last:
            self._watching.close()
        elif first and self._many:
            self._watching.close()
            self._kept = self._watching.enter_context(recorded(self._points, rows=LAST_ROW))

    def arrays(self, tokens: int, passes: int) -> tuple[np.ndarray | None, np.ndarray]:
        """Attention [rows, layers, H, tokens] of the first passes, and the tokens whose rows these are."""
        if not self.layers:
            return None, np.zeros(0, np.int32)
        blocks = self._blocks[:passes]
        index = [row for rows, _ in blocks for row in rows]
        dtype = np.float32 if self.dtype == torch.float32 else np.float16
        out = np.zeros((len(index), len(self.layers), len(self.heads), tokens), dtype)
        at = 0
        for rows, block in blocks:
            if rows:
                seen = block.cpu().numpy()
                out[at : at + len(rows), ..., : seen.shape[-1]] = seen.transpose(2, 0, 1, 3)
                at += len(rows)
        return out, np.array(index, np.int32)
