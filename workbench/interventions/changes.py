"""Changing chosen rows where they flow by, and knowing afterwards that it happened.

Every edit of this package is a set of hook points with a function for each: chosen rows in, new rows out.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from functools import partial

import numpy as np
import torch
from torch import Tensor

from model.hooks import HookPoint, replaced
from model.llama4 import Llama4
from model.processor import Inputs
from workbench.edits import EditError
from workbench.interventions.tokens import ALL, Rows, Tokens

Change = Callable[[Tensor, np.ndarray], Tensor]
"""From chosen rows [n, ...] and their positions [n] to new rows of the same shape."""


class NothingChangedError(EditError):
    """An edit that could be applied, and left everything as it was.

    Args:
        edit: which. why: as a reason.
    """

    def __init__(self, edit: object, why: str) -> None:
        super().__init__(f"{edit} changed nothing: {why}")
        self.edit = edit


@contextmanager
def rows_changed(
    edit: object,
    llama: Llama4,
    inputs: Inputs,
    tokens: Tokens,
    changes: Mapping[str, Change],
    nothing: str | None = None,
) -> Iterator[None]:
    """Hold `changes`, one for each hook point, for the chosen rows of one answer.

    Args:
        edit: for error messages.
        tokens: which rows.
        changes: by hook point.
        nothing: what to say, as a reason, if no value became another one; None where that is no fault.

    Raises:
        EditError: at the end, if a hook point was never reached or chosen tokens never came.
        NothingChangedError: at the end, if nothing was changed and `nothing` says why that is wrong.
    """
    rows = Rows(tokens, llama, inputs)
    fired: set[str] = set()
    changed: list[Tensor] = []  # one bool, kept where the values are and asked for at the end

    def change(point: HookPoint, how: Change, value: Tensor) -> Tensor:
        fired.add(point.name)
        new = value.clone(memory_format=torch.contiguous_format)
        view = rows_first(point, new)
        index, places = _places(point, rows, tokens, len(view))
        if not len(index):
            return value
        at = torch.from_numpy(index).to(value.device)
        before = view[at]
        after = how(before, places)
        if after is before:
            return value
        if not isinstance(after, Tensor) or after.shape != before.shape:
            seen = tuple(after.shape) if isinstance(after, Tensor) else repr(after)
            raise EditError(f"{edit} gave {seen} at {point.name}; expected {tuple(before.shape)}")
        view[at] = after.to(value.dtype)
        differs = (view[at] != before).any()
        changed[:] = [changed[0] | differs] if changed else [differs]
        return new

    with ExitStack() as stack:
        stack.enter_context(rows.counting(llama))
        for name, how in changes.items():
            point = llama.hook_point(name)
            stack.enter_context(replaced(point, partial(change, point, how)))
        yield
    rows.check(edit)
    if silent := [name for name in changes if name not in fired]:
        raise EditError(f"{edit} was never reached at {silent[0]}; nothing was changed there")
    if nothing is not None and not (changed and bool(changed[0])):
        raise NothingChangedError(edit, nothing)


def token_axis(point: HookPoint) -> int | None:
    """The axis of a point's value that counts tokens; None inside the tower and for its vectors."""
    if point.name.startswith("vision.") or not {"R", "T"} & set(point.letters):
        return None
    return point.letters.index("T" if "T" in point.letters else "R")


def rows_first(point: HookPoint, value: Tensor) -> Tensor:
    """A view of what a point carries, of a batch of one, with its rows first and without the batch.

    Rows are tokens; at `hook_image_embed` the patches of all tiles, in prompt order; inside the tower tiles.
    """
    axis = token_axis(point)
    if axis is None:
        return value if point.name.startswith("vision.") else value.view(-1, value.shape[-1])
    return value if point.letters[0] == "R" else value[0].movedim(axis - 1, 0)


def _places(point: HookPoint, rows: Rows, tokens: Tokens, carried: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of a point's rows are meant, and the positions of their tokens (-1 for tiles)."""
    if token_axis(point) is not None:
        return rows.here(carried)
    if not point.name.startswith("vision."):
        return rows.patches(carried)
    if not isinstance(tokens, str) or tokens != ALL:
        raise EditError(f"{point.name} has tiles and patches of its own, not tokens; use tokens='all'")
    return np.arange(carried), np.full(carried, -1)


def layers_of(layers: int | Sequence[int] | str, having: Sequence[int], what: str) -> tuple[int, ...]:
    """True layer numbers.

    Raises:
        EditError: a layer has no such part, there is none, or it is no whole number.
    """
    if isinstance(layers, str):
        if layers != "all":
            raise EditError(f"layers is {layers!r}; expected a layer, several, or 'all'")
        return tuple(having)
    try:
        chosen = tuple(operator.index(layer) for layer in np.atleast_1d(layers))
    except (TypeError, ValueError):
        raise EditError(f"layers is {layers!r}; expected a layer, several, or 'all'") from None
    if not chosen:
        raise EditError("layers is empty; an edit of no layer would do nothing")
    if wrong := [layer for layer in chosen if layer not in having]:
        raise EditError(f"layer {wrong[0]} has no {what}; layers that have: {list(having)}")
    return tuple(dict.fromkeys(chosen))


class Described:
    """A repr without what is at its default."""

    def __repr__(self) -> str:
        told = [
            f"{field.name}={_short(getattr(self, field.name))}"
            for field in fields(self)
            if field.repr and not _same(getattr(self, field.name), field.default)
        ]
        return f"{type(self).__name__}({', '.join(told)})"


def _same(value: object, default: object) -> bool:
    return type(value) is type(default) and not isinstance(value, np.ndarray | Tensor) and value == default


def _short(value: object) -> str:
    if isinstance(value, np.ndarray | Tensor):
        return f"{type(value).__name__}{tuple(value.shape)}"
    if callable(value) and hasattr(value, "__qualname__"):
        return value.__qualname__
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
