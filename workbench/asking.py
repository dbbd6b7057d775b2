"""What every session can be asked, whether the model runs here or in another engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from model import SamplingParams
from workbench.capture import CaptureOptions
from workbench.edits import Edit
from workbench.run import Messages, Reply
from workbench.trace import Trace

Asked = CaptureOptions | str | Sequence[str] | None


class Asking:
    """Whoever can `chat` can do this, too."""

    chat: Callable[..., Reply]

    def trace(
        self,
        prompt: str | Messages,
        capture: Asked = None,
        edits: Sequence[Edit] = (),
        images: Sequence[object] = (),
        sampling: SamplingParams | None = None,
        **settings: object,
    ) -> Trace:
        """Ask, and get what was observed: `chat(...).trace`, for those who came for that.

        `session.trace("What is left?", capture=["routing", "attention:rows"], edits=[...], max_tokens=20)`
        """
        return self.chat(prompt, images, None, sampling, capture, edits, **settings).trace
