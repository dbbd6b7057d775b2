"""Hook points: named identities in the forward pass, where a value can be read or replaced.

The grammar of the names is TransformerLens': `blocks.3.moe.hook_router_logits`. Hooks live inside a `with`
and nowhere else; they run in the order of the `with`s. A point that nobody watches costs one look at an empty
list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches

import torch
from torch import Tensor, nn

ALL_ROWS = slice(None)
LAST_ROW = slice(-1, None)


class UnknownHookError(KeyError):
    """A hook point name that this model does not have."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Hook:
    """What somebody does at a hook point: `call(value)` returns the value that flows on."""

    call: Callable[[Tensor], Tensor]
    edits: bool
    rows: slice


class HookPoint(nn.Module):
    """An identity with a name: the place to read or replace what flows through it."""

    def __init__(self, letters: str) -> None:
        super().__init__()
        # what each axis is: B batch, T tokens (queries), S keys, H heads, G key/value heads, D head width,
        # M model width, E experts, K experts per token, V vocabulary, N tiles, P patches of a tile, C colour
        # channels, X pixels of a tile's side
        self.letters = letters
        self.name = ""
        self.hooks: list[Hook] = []

    # not nn.Module's __call__: its bookkeeping would cost more than most operations of a decoding step
    def __call__(self, value: Tensor) -> Tensor:
        """Hand the value to every hook in turn; the identity when nobody watches."""
        for hook in self.hooks:
            value = hook.call(value)
        return value

    def __repr__(self) -> str:
        return f"HookPoint({self.name!r}, axes={self.letters!r})"

    @property
    def watched(self) -> bool:
        """Whether anybody reads or replaces the value here."""
        return bool(self.hooks)

    @property
    def edited(self) -> bool:
        """Whether anybody replaces the value here."""
        return bool(self.hooks) and any(hook.edits for hook in self.hooks)

    @property
    def rows_asked_for(self) -> slice:
        """The query rows that the watchers want: theirs if they agree, else all."""
        asked = [hook.rows for hook in self.hooks]
        return asked[0] if all(rows == asked[0] for rows in asked) else ALL_ROWS


def name_hook_points(root: nn.Module) -> dict[str, HookPoint]:
    """Give every hook point below `root` its path as its name; returns them by name, in forward order."""
    points = {}
    for path, module in root.named_modules():
        if isinstance(module, HookPoint):
            module.name = path
            points[path] = module
    return points


def find_hook_point(points: Mapping[str, HookPoint], name: str) -> HookPoint:
    """The hook point of that name.

    Raises:
        UnknownHookError: no such point; names the nearest ones.
    """
    if name not in points:
        near = get_close_matches(name, points, n=3)
        hint = f"nearest: {', '.join(near)}" if near else "see llama.hook_points"
        raise UnknownHookError(f"no hook point {name!r}; {hint}")
    return points[name]


@contextmanager
def attached(point: HookPoint, hook: Hook) -> Iterator[None]:
    """Keep one hook at one point while the block runs, also when it raises."""
    point.hooks.append(hook)
    try:
        yield
    finally:
        # by identity: two equal hooks are still two
        point.hooks = [kept for kept in point.hooks if kept is not hook]


@contextmanager
def recorded(points: HookPoint | Iterable[HookPoint], rows: slice = ALL_ROWS) -> Iterator[dict[str, Tensor]]:
    """Keep what flows through `points`, by name; a second forward pass replaces the first one's values.

    The tensors are those of the forward pass itself (with their gradient history, if there is one), not
    copies. `rows` chooses query rows of attention patterns, which are then computed for those rows only;
    other points keep everything.
    """
    points = [points] if isinstance(points, HookPoint) else list(points)
    kept: dict[str, Tensor] = {}

    def keep_as(name: str) -> Callable[[Tensor], Tensor]:
        def keep(value: Tensor) -> Tensor:
            kept[name] = value
            return value

        return keep

    with ExitStack() as stack:
        for point in points:
            stack.enter_context(attached(point, Hook(keep_as(point.name), False, rows)))
        yield kept


@contextmanager
def replaced(point: HookPoint, edit: Tensor | Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Replace what flows through `point` by `edit(value)`, or by the tensor `edit`.

    Raises (in the forward pass):
        ValueError: the replacement has another shape or dtype than the value it replaces.
    """

    def replace(value: Tensor) -> Tensor:
        new = edit(value) if callable(edit) else edit
        if not isinstance(new, Tensor) or new.shape != value.shape or new.dtype != value.dtype:
            seen = f"{tuple(new.shape)} {new.dtype}" if isinstance(new, Tensor) else repr(new)
            raise ValueError(
                f"{point.name} carries {tuple(value.shape)} {value.dtype}; the edit returned {seen}"
            )
        return new.to(value.device)

    with attached(point, Hook(replace, True, ALL_ROWS)):
        yield


def silence(value: Tensor) -> Tensor:
    """An edit that puts zeros in place of everything: `replaced(point, silence)`."""
    return torch.zeros_like(value)
