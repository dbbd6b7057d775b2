"""What is made once from a weight and used again: kept beside it while memory allows."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from kernels.pages import in_large_pages


@dataclass(frozen=True)
class Entry:
    """Something made from `owner` when its contents had this version."""

    owner: weakref.ref[Tensor]
    version: int
    made: tuple[Tensor, ...]
    size: int


class Kept:
    """Things made from weights, within a budget of bytes.

    When the budget is full nothing more is kept, and nothing is driven out: a model goes through its layers
    in a circle, so whatever was driven out would be wanted again before anything else. An entry ends with its
    weight, and is made anew when the weight was written to. (PyTorch counts writes, except those through
    `.data`; whoever writes that way calls `clear`.)

    Args:
        budget: bytes; None takes half of the memory that is free when the first entry is made.
    """

    def __init__(self, budget: int | None = None) -> None:
        self.budget = budget
        self.size = 0
        self._entries: dict[tuple[int, Hashable], Entry] = {}
        # one that may be taken twice: the end of a weight may come while an entry is made
        self._lock = threading.RLock()

    def get(
        self, owner: Tensor, name: Hashable, size: int, make: Callable[[], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...] | None:
        """What was kept of `owner` under `name`, else `make()`, of about `size` bytes; None without room."""
        key = (id(owner), name)
        version = 0 if owner.is_inference() else owner._version
        # nearly always it is there, and one look needs no lock
        if made := self._found(key, owner, version):
            return made
        with self._lock:
            if made := self._found(key, owner, version):
                return made
            self._drop(key)
            if self.budget is None:
                self.budget = available_memory() // 2
            if self.size + size > self.budget:
                return None
            made = tuple(map(in_large_pages, make()))
            self._entries[key] = Entry(weakref.ref(owner, partial(self._ended, key)), version, made, size)
            self.size += size
            return made

    def _found(self, key: tuple[int, Hashable], owner: Tensor, version: int) -> tuple[Tensor, ...] | None:
        entry = self._entries.get(key)
        current = entry is not None and entry.owner() is owner and entry.version == version
        return entry.made if current else None

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self.size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def _drop(self, key: tuple[int, Hashable]) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size -= entry.size

    def _ended(self, key: tuple[int, Hashable], owner: weakref.ref[Tensor]) -> None:
        with self._lock:
            entry = self._entries.get(key)
            # another weight may have taken the number of the one that ended
            if entry is not None and entry.owner is owner:
                self._drop(key)


KEPT = Kept()


def available_memory() -> int:
    """Bytes that can be had without swapping."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return min(int(line.split()[1]) * 1024, _container_limit())
    except OSError:
        pass
    # elsewhere only the whole is known
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _container_limit() -> int:
    try:
        limit, used = (
            Path("/sys/fs/cgroup", name).read_text().strip() for name in ("memory.max", "memory.current")
        )
        return int(limit) - int(used)
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return torch.iinfo(torch.int64).max
