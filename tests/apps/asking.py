"""How tests ask a desk, without a page: short answers, and what a frame's chat says."""

from pathlib import Path

from apps.frames import Frame
from apps.handlers import Desk
from workbench import SamplingParams

SHORT = SamplingParams(max_tokens=6)


def ask(desk: Desk, text: str, *files: Path, visitor: str = "ada") -> list[Frame]:
    """All frames of an answer."""
    return list(desk.send(visitor, text, files, SHORT))


def said(frame: Frame) -> list[tuple[str, object]]:
    """Who said what, as the chat shows it."""
    return [(message["role"], message["content"]) for message in frame.chat]
