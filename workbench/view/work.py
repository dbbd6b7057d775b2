"""What a widget does on the side: one thing at a time, in a thread of its own, to wait for and to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WOKEN = 0.2  # seconds; a thread that only waits would not notice a keyboard interrupt


class Work:
    """One thing at a time.

    Attributes:
        stopped: set when it shall end; whoever works looks at it.
        error: why the last one failed, set by whoever works; None while none did.

    Args:
        what: is said of it when another is begun meanwhile, such as "an answer is being written".
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.stopped = threading.Event()
        self.error: Exception | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self._thread is not None and self._thread.is_alive()

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Nothing is begun inside.

        Raises:
            ValueError: something is under way.
        """
        with self._lock:
            if self.busy:
                raise ValueError(f"{self.what}; stop it first")
            yield

    def begin(self, function: Callable[..., None], *arguments: object) -> None:
        """Call a function in a thread of its own; returns at once.

        Raises:
            ValueError: something is under way.
        """
        with self.idle():
            self.stopped.clear()
            self.error = None
            self._thread = threading.Thread(target=function, args=arguments, daemon=True)
            self._thread.start()

    def wait(self, stop: Callable[[], None]) -> None:
        """Wait until it is done; a keyboard interrupt calls `stop`.

        Raises:
            Exception: why it failed.
        """
        try:
            while self.busy:
                self._thread.join(WOKEN)
        except KeyboardInterrupt:
            stop()
            raise
        if self.error is not None:
            raise self.error
