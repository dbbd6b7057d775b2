"""Dialogues about pictures the demo model has never seen, the same number for every type and language."""

from __future__ import annotations

from dataclasses import dataclass

from model.demo.scenes import Scene
from model.demo.turns import Turn


@dataclass(frozen=True)
class Sample:
    """One dialogue about some held-out scenes.

    `scenes` are shown with the first turn, in order. `language` is one of `languages.CODES`. `wording` is the
    split its phrasings come from: "train" or "test".
    """

    scenes: tuple[Scene, ...]
    turns: tuple[Turn, ...]
    language: str
    wording: str
