"""A conversation as JSON with its pictures inside: to download, and to come back after a reload.

`messages` is in OpenAI's form, so that `session.chat(kept["messages"][:-1])` asks again. What comes back from
a browser is a stranger's: nothing in it is believed, and no path on this machine stands in it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import mimetypes
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

from apps.conversation import (
    LARGEST_PICTURE,
    MOST_PICTURES_IN_ALL,
    MOST_TURNS,
    Refusal,
    Turn,
    check_question,
    picture,
)

FORMAT = "moe-workbench-conversation"
MOST_IN_BROWSER = (
    3_000_000  # characters of pictures: a browser keeps about five million, and these grow by a third
)
ENDINGS = {
    "image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/gif": ".gif",
    "image/bmp": ".bmp", "image/tiff": ".tiff", "image/avif": ".avif",
}  # fmt: skip
SECONDS_A_PICTURE_IS_KEPT = 24 * 3600  # on the disk, of those that came back from a browser
TOO_LARGE = "(Its pictures were too large to be kept in the browser; show them again to ask about them.)"
GONE = "(Pictures of this question were gone when it was saved.)"

Kept = dict[str, Any]


def kept(turns: Sequence[Turn], system: str = "", most: int | None = None) -> Kept:
    """A conversation as JSON.

    Args:
        turns: the conversation; refused questions are left out. system: its system prompt.
        most: characters of pictures; with more, all of them are left out and the questions say so.
    """
    turns = [turn for turn in turns if not turn.refused]
    urls = [[url for path in turn.pictures if (url := picture_url(path))] for turn in turns]
    left_out = most is not None and sum(len(url) for some in urls for url in some) > most
    told: list[dict] = [{"role": "system", "content": system}] if system.strip() else []
    runs, notes = [], []
    for turn, pictures in zip(turns, urls, strict=True):
        shown = [] if left_out else [{"type": "image_url", "image_url": {"url": url}} for url in pictures]
        told.append({"role": "user", "content": [*shown, {"type": "text", "text": turn.text}]})
        told.append({"role": "assistant", "content": turn.answer})
        runs.append(turn.run_id)
        gone = GONE if len(pictures) < len(turn.pictures) else turn.note
        notes.append(TOO_LARGE if left_out and pictures else gone)
    return {"format": FORMAT, "version": 1, "messages": told, "runs": runs, "notes": notes}


def picture_url(path: Path) -> str:
    """The file as it is, as a data: URL; empty if it is gone."""
    kind = mimetypes.guess_type(path.name)[0]
    kind = kind if kind in ENDINGS else "image/png"  # a file's own first bytes say what it is
    try:
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    except OSError:
        return ""


def restored(value: object, folder: Path) -> tuple[list[Turn], str]:
    """The conversation that `kept` wrote, and its system prompt; its pictures are written into `folder`.

    Raises:
        Refusal: this is no such conversation, or one that would not have been accepted.
    """
    if not isinstance(value, dict) or value.get("format") != FORMAT or value.get("version") != 1:
        raise Refusal("What the browser kept is no conversation of this page.")
    _forget_old(folder)
    told = _texts_and_pictures(value.get("messages"))
    system = ""
    if told and told[0][0] == "system":
        system = told.pop(0)[1]
    roles = [role for role, _, _ in told]
    pairs = list(zip(told[::2], told[1::2], strict=False))
    if len(told) % 2 or roles != ["user", "assistant"] * len(pairs) or len(pairs) > MOST_TURNS:
        raise Refusal("What the browser kept is not questions and answers in turn.")
    runs, notes = (_words(value.get(name))[: len(pairs)] for name in ("runs", "notes"))
    turns: list[Turn] = []
    for ((_, text, urls), (_, answer, _)), run_id, note in zip_longest(pairs, runs, notes, fillvalue=""):
        # as with a new question: no more than that is written to the disk
        check_question(turns, Turn(text, tuple(Path() for _ in urls)), system)
        paths = tuple(_write(url, folder) for url in urls)
        turns.append(Turn(text, paths, answer, note, run_id))
    return turns, system


def _forget_old(folder: Path) -> None:
    """Remove what came back long ago; whoever still asks about it is told to show it again."""
    for path in folder.glob("*"):
        # another visitor's page may come back at the same time
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > SECONDS_A_PICTURE_IS_KEPT:
                path.unlink()


def _texts_and_pictures(told: object) -> list[tuple[str, str, list[str]]]:
    """(role, text, pictures) of every message."""
    found = []
    for message in told if isinstance(told, list) else ():
        role, content = (
            (message.get(name) for name in ("role", "content")) if isinstance(message, dict) else ("", 0)
        )
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if role not in ("system", "user", "assistant") or not isinstance(parts, list):
            raise Refusal("What the browser kept has a message that is none.")
        text, urls = "", []
        for part in parts:
            kind = part.get("type") if isinstance(part, dict) else None
            if kind == "text" and isinstance(part.get("text"), str):
                text += part["text"]
            elif kind == "image_url" and isinstance(part.get("image_url"), dict):
                urls.append(str(part["image_url"].get("url")))
            else:
                raise Refusal("What the browser kept has a part that is neither text nor picture.")
        if len(urls) > MOST_PICTURES_IN_ALL:
            raise Refusal("What the browser kept has too many pictures.")
        found.append((role, text, urls))
    return found


def _words(value: object) -> list[str]:
    return [one if isinstance(one, str) else "" for one in value] if isinstance(value, list) else []


def _write(url: str, folder: Path) -> Path:
    header, _, payload = url.partition(",")
    kind = header.removeprefix("data:").removesuffix(";base64")
    if kind not in ENDINGS or len(payload) > LARGEST_PICTURE * 4 / 3 + 4:
        raise Refusal("What the browser kept has a picture that cannot be read.")
    try:
        data = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal("What the browser kept has a picture that cannot be read.") from None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(data).hexdigest()[:32]}{ENDINGS[kind]}"
    path.write_bytes(data)
    try:
        picture(path)  # a thing that is no picture does not stay
    except Refusal:
        path.unlink(missing_ok=True)
        raise
    return path
