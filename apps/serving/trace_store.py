"""Asked-for traces, kept as files for a while under names that nobody can guess."""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections import OrderedDict
from pathlib import Path

from workbench.trace import Trace


class TraceStore:
    """Keeps the last few traces.

    Args:
        most: how many. seconds: how long.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self.most = most
        self.seconds = seconds
        self._folder = tempfile.TemporaryDirectory(prefix="moe-workbench-traces-")
        self._kept: OrderedDict[str, float] = OrderedDict()  # since when
        self._lock = threading.Lock()

    def keep(self, trace: Trace) -> str:
        """Save a trace; gives the name under which it can be fetched. May be called in any thread."""
        name = secrets.token_urlsafe(18)
        trace.save(self._file(name))
        with self._lock:
            self._kept[name] = time.monotonic()
            self._forget()
        return name

    def find(self, name: str) -> Path | None:
        """The file of that trace, if it is still kept."""
        with self._lock:
            self._forget()
            return self._file(name) if name in self._kept else None

    def close(self) -> None:
        """Delete all of them."""
        with self._lock:
            self._kept.clear()
        self._folder.cleanup()

    def _file(self, name: str) -> Path:
        return Path(self._folder.name) / f"{name}.safetensors"

    def _forget(self) -> None:
        oldest = time.monotonic() - self.seconds
        while self._kept and (len(self._kept) > self.most or next(iter(self._kept.values())) < oldest):
            name, _ = self._kept.popitem(last=False)
            self._file(name).unlink(missing_ok=True)
