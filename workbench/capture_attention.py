"""Rows of the attention patterns: of every pass its queries and keys are kept, and rows made when asked for.

While the model runs this costs a reference a layer and pass; all rows of a layer are then one product. Where
somebody edits the pattern itself, it follows from no queries and keys: there what flowed is kept.

H heads, R rows, S keys
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor

from model.attention import Attention
from model.hooks import HookPoint, recorded
from model.llama4 import Llama4
from workbench.capture_routing import taken
from workbench.options import CaptureError

_AT_ONCE = 2**26  # bytes of float32 rows that are made in one product


class QueriesAndKeys:
    """One layer whose rows follow from what its queries and keys were."""

    def __init__(self, attention: Attention) -> None:
        self.attention = attention
        self.points = [attention.hook_rot_q, attention.hook_rot_k]
        self._queries: list[Tensor] = []  # of each pass those of its wanted rows, [1, R, H, D]
        self._keys: list[Tensor] = []  # of each pass [1, T, G, D]

    def note(self, kept: dict[str, Tensor], tokens: int, rows: list[int]) -> None:
        """Take what a pass of so many tokens carried; `rows` are counted within it."""
        pattern = self.attention.hook_pattern
        if pattern.hooks and pattern.edited:
            raise CaptureError(f"an edit of {pattern.name} began after watching had; begin it before")
        query, key = (taken(kept, point.name) for point in self.points)
        _check(self.points[1], key.shape[1], tokens)
        # of one token its own tensors; of a prompt copies, or all of its projections would stay
        self._queries.append(query if len(rows) == query.shape[1] else query[:, rows])
        self._keys.append(key.contiguous())

    def made(self, start: int, stop: int, rows: Sequence[int]) -> Iterator[Tensor]:
        """The rows of passes `start` to `stop`, some [H, R, S] at a time; `rows` are their positions."""
        queries, keys = torch.cat(self._queries[start:stop], 1), torch.cat(self._keys[:stop], 1)
        places = torch.tensor(rows, device=keys.device)
        some = max(1, _AT_ONCE // (4 * queries.shape[2] * keys.shape[1]))
        for query, place in zip(queries.split(some, 1), places.split(some), strict=True):
            yield self.attention.pattern_of(query, keys, place)[0]


class Patterns:
    """One layer whose pattern is edited: its rows are what flowed."""

    def __init__(self, attention: Attention) -> None:
        self.points = [attention.hook_pattern]
        self._rows: list[Tensor] = []  # of each pass [H, R, S]

    def note(self, kept: dict[str, Tensor], tokens: int, rows: list[int]) -> None:
        """Take what a pass of so many tokens carried; `rows` are counted within it."""
        pattern = taken(kept, self.points[0].name)[0]
        _check(self.points[0], pattern.shape[1], tokens)
        self._rows.append(pattern[:, rows])

    def made(self, start: int, stop: int, rows: Sequence[int]) -> Iterator[Tensor]:
        """The rows of passes `start` to `stop`, those of a pass at a time."""
        yield from self._rows[start:stop]


def _check(point: HookPoint, carried: int, tokens: int) -> None:
    if carried != tokens:
        raise CaptureError(f"{point.name} carried {carried} rows in a pass of {tokens} tokens")


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
        self.edited: list[int] = []  # layers whose pattern is edited
        self._attention = [llama.blocks[n].attn for n in self.layers]
        self._first = [row for row in rows if row < prompt]  # of the first pass; each later pass has one
        self._wanted = rows if isinstance(rows, range) else set(rows)
        self._last = rows[-1] if len(rows) else -1
        self._sources: list[QueriesAndKeys | Patterns] = []
        self._kept: dict[str, Tensor] = {}
        self._watching = ExitStack()
        self._noted: list[list[int]] = []  # the wanted rows of each pass
        # tokens, their rows [R, layers, H, S], and of how many passes the rows are made by then
        self._made: list[tuple[np.ndarray, np.ndarray, int]] = []
        self._making = threading.Lock()  # traces may be asked for in any thread

    def attach(self, stack: ExitStack) -> None:
        """Watch until `stack` ends; what is edited now is taken to be edited throughout."""
        layers = zip(self.layers, self._attention, strict=True)
        self.edited = [n for n, attention in layers if attention.hook_pattern.edited]
        self._sources = [
            Patterns(attention) if attention.hook_pattern.edited else QueriesAndKeys(attention)
            for attention in self._attention
        ]
        points = [point for source in self._sources for point in source.points]
        self._watching = stack.enter_context(ExitStack())
        self._kept = self._watching.enter_context(recorded(points))

    def add(self) -> None:
        """Note what one pass carried.

        Raises:
            CaptureError: a hook point carried nothing in this pass, or more or fewer rows than it had tokens.
        """
        at = self.prompt - 1 + len(self._noted)
        if not self.layers or (self._noted and at > self._last):
            return  # watching has ended
        begin, tokens = (at, 1) if self._noted else (0, self.prompt)
        rows = self._first if not self._noted else [at] if at in self._wanted else []
        within = [row - begin for row in rows]
        for source in self._sources:
            source.note(self._kept, tokens, within)
        self._noted.append(rows)
        if at >= self._last:
            self._watching.close()

    def arrays(
        self, tokens: int, passes: int, newest: int | None = None
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Attention [rows, layers, H, tokens] of the first passes, and the tokens whose rows these are.

        Args:
            tokens: of the trace. passes: that count for it. newest: how many of these, the last; None: all.
        """
        if not self.layers:
            return None, np.zeros(0, np.int32)
        with self._making:
            self._make(min(passes, len(self._noted)))
            made = list(self._made)
        # more may have been made than is asked for
        end = self.prompt - 1 + passes if passes else 0
        begin = 0 if newest is None else max(0, end - newest)
        parts = []
        for rows, block, _ in made:
            first, last = np.searchsorted(rows, (begin, end))
            parts.append((rows[first:last], block[first:last]))
        index = np.concatenate([np.zeros(0, np.int32), *(rows for rows, _ in parts)])
        out = np.zeros((len(index), len(self.layers), len(self.heads), tokens), self._numpy)
        at = 0
        for rows, block in parts:
            seen = min(tokens, block.shape[-1])
            out[at : at + len(rows), ..., :seen] = block[..., :seen]
            at += len(rows)
        return out, index

    @property
    def _numpy(self) -> type[np.floating]:
        return np.float32 if self.dtype == torch.float32 else np.float16

    @torch.no_grad()
    def _make(self, passes: int) -> None:
        """The rows of the first passes, as far as they are not there yet."""
        start = self._made[-1][2] if self._made else 0
        rows = [row for some in self._noted[start:passes] for row in some]
        if not rows:
            return
        keys = self.prompt - 1 + passes
        block = np.zeros((len(rows), len(self.layers), len(self.heads), keys), self._numpy)
        for column, source in enumerate(self._sources):
            at = 0
            for pattern in source.made(start, passes, rows):
                chosen = pattern if len(self.heads) == len(pattern) else pattern[self.heads]
                some = chosen.to(self.dtype).cpu().numpy()
                block[at : at + some.shape[1], column, :, : some.shape[2]] = some.transpose(1, 0, 2)
                at += some.shape[1]
        # rows and count at once: after an interrupt, or without memory, whoever asks next makes them
        self._made.append((np.array(rows, np.int32), block, passes))
