"""The line: answers that are being written or wait for their turn."""

from __future__ import annotations

import threading
from itertools import takewhile

from workbench import Run, Session


class Line:
    """Runs in the order in which they came, each with who writes it; those that are over are not counted."""

    def __init__(self) -> None:
        self._runs: dict[Run, Session] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            return sum(not run.over for run in self._runs)

    def put(self, run: Run, writer: Session) -> None:
        """Join at the end; a writer has one answer at a time in hand."""
        with self._lock:
            self._runs[run] = writer

    def drop(self, run: Run) -> None:
        """Leave, which everybody does: what a run holds stays while it stands here."""
        with self._lock:
            del self._runs[run]

    def before(self, run: Run) -> int:
        """How many answers the same writer has before this one; writers do not wait for each other."""
        with self._lock:
            earlier = takewhile(lambda one: one is not run, self._runs)
            return sum(not one.over and self._runs[one] is self._runs[run] for one in earlier)
