"""A conversation as guards see it: two sides in turn, plain words, and the pictures that were shown."""

from __future__ import annotations

import json
from dataclasses import dataclass

from workbench.guards.guard import Messages


@dataclass(frozen=True)
class Said:
    """One turn.

    Attributes:
        by_model: whether it is an answer; all else (questions, instructions, results of tools) is asked.
        text: its words. pictures: PIL images, paths or data URLs.
    """

    by_model: bool
    text: str
    pictures: tuple[object, ...] = ()

    def __add__(self, later: Said) -> Said:
        """Both as one turn of the earlier one's side."""
        words = "\n\n".join(part for part in (self.text, later.text) if part)
        return Said(self.by_model, words, (*self.pictures, *later.pictures))


def turns(messages: Messages) -> list[Said]:
    """The turns of a conversation; neighbours of the same side are one."""
    found: list[Said] = []
    for message in messages:
        one = _said(message)
        if found and found[-1].by_model == one.by_model:
            found[-1] += one
        else:
            found.append(one)
    return found


def _said(message: dict) -> Said:
    content = message.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    words = [part["text"] for part in parts if part.get("type") == "text"]
    if calls := message.get("tool_calls"):
        words.append(json.dumps(calls, ensure_ascii=False, default=str))
    pictures = tuple(_picture(part) for part in parts if part.get("type") in ("image", "image_url"))
    return Said(message.get("role") == "assistant", "\n\n".join(words), pictures)


def _picture(part: dict) -> object:
    if part["type"] == "image_url":
        return part["image_url"]["url"]
    return next(part[key] for key in ("image", "url", "path") if key in part)
