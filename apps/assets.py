"""The page's scripts and styles, compressed once and served from memory.

Gradio would look up, read and compress each of some eighty files anew for every visitor, and on a small
machine a page waits longest for that. A name holds a hash of what is in the file, so a browser may keep it.
"""

from __future__ import annotations

import brotli
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOLDER = "/assets/"
ENDINGS = (".js", ".css")
MOST = 512  # files; there are no more of Gradio's
QUALITY = 5  # of 11; above, the first visitor waits for it


class Assets:
    """Middleware: answers for files that were asked for before, and keeps those that were not."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._kept: dict[str, list[Message]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the file, or pass the request on."""
        if not _wanted(scope):
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        answer = self._kept.get(path)
        if answer is None:
            answer = await self._asked(scope, receive)
            if answer[0]["status"] == 200 and len(self._kept) < MOST:
                answer = self._kept[path] = await run_in_threadpool(_compressed, answer)
        for message in answer:
            # whoever else adds to the headers adds to a copy
            await send({**message, "headers": [*message["headers"]]} if "headers" in message else {**message})

    async def _asked(self, scope: Scope, receive: Receive) -> list[Message]:
        answer: list[Message] = []

        async def note(message: Message) -> None:
            answer.append(message)

        await self.app(scope, receive, note)
        return answer


def _wanted(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    path, asked = scope["path"], Headers(scope=scope)
    plain = not {"range", "if-none-match", "if-modified-since"} & set(asked)
    return (
        path.startswith(FOLDER)
        and path.endswith(ENDINGS)
        and "br" in asked.get("accept-encoding", "")
        and plain
    )


def _compressed(answer: list[Message]) -> list[Message]:
    """A whole answer as two messages."""
    start, *parts = answer
    body = brotli.compress(b"".join(part.get("body", b"") for part in parts), quality=QUALITY)
    headers = MutableHeaders(raw=[*start["headers"]])
    headers["Content-Encoding"] = "br"
    headers["Content-Length"] = str(len(body))
    headers["Cache-Control"] = "public, max-age=31536000, immutable"
    headers.add_vary_header("Accept-Encoding")
    return [{**start, "headers": headers.raw}, {"type": "http.response.body", "body": body}]
