"""The line: answers that are being written or wait for their turn."""

from __future__ import annotations

import threading

from workbench import Run


class Line:
    """Runs in the order in which one engine writes them; those that are over are not counted."""

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            return sum(not run.over for run in self._runs)

    def put(self, run: Run) -> None:
        """Join at the end."""
        with self._lock:
            self._runs.append(run)

    def drop(self, run: Run) -> None:
        """Leave, which everybody does: what a run holds stays while it stands here."""
        with self._lock:
            self._runs.remove(run)

    def before(self, run: Run) -> int:
        """How many answers are written before this one."""
        with self._lock:
            return sum(not one.over for one in self._runs[: self._runs.index(run)])
