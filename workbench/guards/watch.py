"""An answer judged while it grows: how much of it may be shown.

It is judged a window at a time, each time together with what came before, so that nothing is missed that
stands across a border. And a window is shown only when the next one has been judged, too: of what is shorter
than a window not even the beginning is seen.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.guards.guard import Messages
from workbench.guards.policy import Finding, Policy

REACH = 4_000  # characters that were judged before and are judged again with what follows them


class Watch:
    """Watches one answer.

    Attributes:
        shown: tokens, counted from the first, that may be shown.
        finding: what was found so far.
    """

    def __init__(self, policy: Policy, messages: Messages) -> None:
        self.policy = policy
        self.messages = messages
        self.shown = 0
        self.finding = Finding("output", policy.guard.name, "safe")
        self._judged = 0  # tokens
        self._before = ""  # the last characters of what was judged

    @property
    def stopped(self) -> bool:
        """Whether the answer must end; nothing more of it will be shown."""
        return self.finding.stopped

    def due(self, texts: Sequence[str], ended: bool = False) -> bool:
        """Whether `look` would have something to do."""
        new = sum(map(len, texts[self._judged :]))
        return not self.stopped and (ended or new >= self.policy.window)

    def look(self, texts: Sequence[str], ended: bool = False) -> None:
        """Judge what is new, if that is a window or the end; it may take as long as the guard takes.

        Args:
            texts: what each token of the answer adds to it, from the first on. ended: no more will come.
        """
        if not self.due(texts, ended):
            return
        new = "".join(texts[self._judged :])
        if new:
            self.finding |= self.policy.output(self.messages, self._before + new)
        if not self.stopped:
            self.shown = len(texts) if ended else self._judged
        self._judged, self._before = len(texts), (self._before + new)[-REACH:]
