"""Who is here: one conversation for each visitor, of as many visitors as there is room for."""

from __future__ import annotations

import threading
from collections import OrderedDict

from apps.conversation import Conversation

MOST_VISITORS = 256  # conversations kept; the one longest untouched goes first
MOST_LEFT = 32  # of them, of pages that are gone


class Visitors:
    """The conversations, by visitor."""

    def __init__(self) -> None:
        self._conversations: OrderedDict[str, Conversation] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._conversations)

    def conversation(self, visitor: str) -> Conversation:
        """The visitor's conversation; a new one for a visitor not seen before."""
        with self._lock:
            found = self._conversations.setdefault(visitor, Conversation())
            self._conversations.move_to_end(visitor)
            many = len(self._conversations) > MOST_VISITORS
            gone = self._conversations.popitem(last=False)[1] if many else None
        if gone is not None:
            with gone.lock:
                gone.cut([])
        return found

    def knows(self, visitor: str) -> bool:
        """Whether the visitor is one seen before, who has not left since."""
        with self._lock:
            found = self._conversations.get(visitor)
        return found is not None and not found.left

    def leave(self, visitor: str) -> None:
        """The page is gone: what is written for it ends, and what waits or is read never begins.

        What was said stays for a while: it may be the connection alone that broke, and the page asks again.
        """
        with self._lock:
            gone = self._conversations.get(visitor)
        if gone is None:
            return
        with gone.lock:
            gone.cut([*gone.turns])
            gone.left = True
        with self._lock:
            away = [name for name, one in self._conversations.items() if one.left]
            for name in away[:-MOST_LEFT]:
                del self._conversations[name]
