"""Edits of any hook point: zeros, or what flowed there in another run (activation patching).

n chosen tokens
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model.hooks import HookPoint, UnknownHookError
from model.llama4 import Llama4
from model.processor import Inputs
from model.spans import PATCH
from workbench.edits import EditError
from workbench.interventions.changes import Described, rows_changed, rows_first, token_axis
from workbench.interventions.tokens import ALL, Tokens, positions, tokens_to_json


@dataclass(frozen=True, repr=False)
class ZeroAt(Described):
    """Put zeros in place of what some tokens carry through a hook point.

    What it means: the model without this part, for these tokens. When it misleads: zero is a value that the
    model has hardly ever met, and in the residual stream it takes away everything before, not one part; a
    value from another run (PatchFrom) is nearer to what the model knows. Source: zero ablation, as in
    TransformerLens; against it, Chan et al. 2022 (causal scrubbing).

    Attributes:
        hook_point: its name, see model/README.md.
        tokens: which tokens, see `Tokens`; "all" inside the vision tower.
    """

    hook_point: str
    tokens: Tokens = ALL

    def applied(self, llama: Llama4, inputs: Inputs) -> AbstractContextManager[None]:
        """Hold the edit while one answer is made; NothingChangedError if it was zero already."""
        point = _point(llama, self.hook_point)
        if point.letters == "RK":
            raise EditError(
                f"{self.hook_point} carries the numbers of experts; zero would force expert 0. "
                "To take experts away: SilenceExpert, or ZeroAt hook_expert_weights"
            )
        changes = {self.hook_point: lambda rows, places: torch.zeros_like(rows)}
        return rows_changed(self, llama, inputs, self.tokens, changes, nothing="it was zero already")

    def to_json(self) -> dict:
        """Plain values for `trace.edits`."""
        return {
            "edit": type(self).__name__,
            "hook_point": self.hook_point,
            "tokens": tokens_to_json(self.tokens),
        }


@dataclass(frozen=True, repr=False, eq=False)
class PatchFrom(Described):
    """Put in place of what some tokens carry what they carried in another run.

    What it means: how much of the difference between two runs passes through here. Patched with its own
    values a run does not change. When it misleads: what is patched must mean the same in both runs: the
    same token at the same place (two pictures of one size, one word exchanged); a difference that takes two
    ways at once shows in neither. Source: activation patching (Vig et al. 2020; Meng et al. 2022).

    Attributes:
        hook_point: its name.
        source: what flowed there in the other run: a tensor as the hook point carries it, or a cache by
            names, of one pass over the whole sequence.
        tokens: which tokens. They take the source's rows of the same positions, unless source_tokens says
            which.
        source_tokens: positions in the source, one for each of the listed `tokens`.
    """

    hook_point: str
    source: Tensor | Mapping[str, Tensor] = field(repr=False)
    tokens: Tokens = ALL
    source_tokens: Sequence[int] | None = None

    def applied(self, llama: Llama4, inputs: Inputs) -> AbstractContextManager[None]:
        """Hold the edit while one answer is made; EditError if the source does not fit the hook point."""
        point = _point(llama, self.hook_point)
        source = self._carried(point)
        rows = rows_first(point, source.contiguous())
        where = self._where(point, inputs, len(rows))

        def patch(here: Tensor, places: np.ndarray) -> Tensor:
            at = where(places)
            if at.max() >= len(rows):
                raise EditError(
                    f"{self}: the source has {len(rows)} rows, token {at.max()} is not among them"
                )
            new = rows[torch.from_numpy(at).to(rows.device)]
            if point.letters.endswith("S") and new.shape[-1] != here.shape[-1]:
                new = _same_keys(new, here.shape[-1])
            if new.shape != here.shape:
                raise EditError(
                    f"{self.hook_point} carries rows of {tuple(here.shape[1:])}; the source has "
                    f"{tuple(new.shape[1:])}"
                )
            return new.to(here.device, here.dtype)

        return rows_changed(self, llama, inputs, self.tokens, {self.hook_point: patch})

    def to_json(self) -> dict:
        """Plain values for `trace.edits`; of the source, its shape and digest."""
        source = self.source[self.hook_point] if isinstance(self.source, Mapping) else self.source
        values = source.detach().cpu().double().numpy()
        return {
            "edit": type(self).__name__,
            "hook_point": self.hook_point,
            "tokens": tokens_to_json(self.tokens),
            "source_tokens": None if self.source_tokens is None else np.asarray(self.source_tokens).tolist(),
            "source": {"shape": list(source.shape), "sha256": hashlib.sha256(values.tobytes()).hexdigest()},
        }

    def _carried(self, point: HookPoint) -> Tensor:
        source = self.source
        if isinstance(source, Mapping):
            if self.hook_point not in source:
                raise EditError(
                    f"the source has no {self.hook_point}; it has {', '.join(source) or 'nothing'}"
                )
            source = source[self.hook_point]
        if not isinstance(source, Tensor) or source.dim() != len(point.letters):
            seen = tuple(source.shape) if isinstance(source, Tensor) else type(source).__name__
            raise EditError(f"the source is {seen}; {self.hook_point} has the axes {point.letters}")
        if point.letters[0] == "B" and len(source) != 1:
            raise EditError(f"the source is a batch of {len(source)}; expected one run")
        return source

    def _where(self, point: HookPoint, inputs: Inputs, rows: int) -> Callable[[np.ndarray], np.ndarray]:
        """A function from positions of tokens to rows of the source."""
        if token_axis(point) is not None:
            if self.source_tokens is None:
                return lambda places: places
            return self._paired()
        if self.source_tokens is not None:
            raise EditError(f"source_tokens are for tokens; {self.hook_point} carries pictures")
        if point.name.startswith("vision."):
            return lambda places: np.arange(len(places))
        patches = np.flatnonzero(inputs.spans.modality == PATCH)
        if len(patches) != rows:
            raise EditError(f"the source has {rows} patches, this prompt {len(patches)}")
        return lambda places: np.searchsorted(patches, places)

    def _paired(self) -> Callable[[np.ndarray], np.ndarray]:
        listed = None if isinstance(self.tokens, str) or callable(self.tokens) else np.atleast_1d(self.tokens)
        if listed is None or listed.dtype == object or len(positions(listed)) != len(listed):
            raise EditError("source_tokens goes with tokens given as distinct positions")
        theirs = np.atleast_1d(np.asarray(self.source_tokens))
        if theirs.shape != listed.shape or not np.issubdtype(theirs.dtype, np.integer) or theirs.min() < 0:
            raise EditError(f"source_tokens is {self.source_tokens!r}; expected {len(listed)} positions")
        pairs = dict(zip(listed.tolist(), theirs.tolist(), strict=True))
        return lambda places: np.array([pairs[place] for place in places.tolist()], np.int64)


def _point(llama: Llama4, name: str) -> HookPoint:
    try:
        return llama.hook_point(name)
    except UnknownHookError as error:
        raise EditError(str(error)) from None


def _same_keys(rows: Tensor, keys: int) -> Tensor:
    """Attention rows with as many columns; those cut off must have been looked at by nobody."""
    if rows.shape[-1] > keys and bool(rows[..., keys:].any()):
        raise EditError(f"the source's rows look at tokens behind the {keys} of this run")
    return rows[..., :keys] if rows.shape[-1] > keys else F.pad(rows, (0, keys - rows.shape[-1]))
