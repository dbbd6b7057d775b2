"""What every request passes on its way in: API keys, and a limit on the body's size."""

from __future__ import annotations

import secrets

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.serving.errors import APIError


class ApiKeys:
    """Lets nobody below /v1 without one of the keys.

    Args:
        app: what comes next. keys: the good ones; none: everybody may pass.
    """

    def __init__(self, app: ASGIApp, keys: tuple[str, ...]) -> None:
        self.app = app
        self.keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 401."""
        guarded = scope["type"] == "http" and scope["path"].startswith("/v1")
        if not guarded or not self.keys or self._knows(Headers(scope=scope).get("authorization", "")):
            await self.app(scope, receive, send)
            return
        said = "no API key, or one that is not known; send it as 'Authorization: Bearer KEY'"
        await APIError(401, said, code="invalid_api_key").response()(scope, receive, send)

    def _knows(self, header: str) -> bool:
        scheme, _, given = header.partition(" ")
        # every key is looked at, each in constant time: the clock tells nothing
        fits = [secrets.compare_digest(given.strip().encode(), key) for key in self.keys]
        return scheme.lower() == "bearer" and any(fits)


class BodyLimit:
    """Reads a request's body before anything else does, and refuses one that is too large.

    Only below /v1: nothing else takes a body, and who has no key must not fill the memory.

    Args:
        app: what comes next. most: bytes.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with the whole body, or answer 413."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith("/v1"):
            await self.app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        size, parts, more = 0, [], True
        too_large = length.isdigit() and int(length) > self.most
        while more and not too_large:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            parts.append(message.get("body", b""))
            size, more = size + len(parts[-1]), message.get("more_body", False)
            too_large = size > self.most
        if too_large:
            error = APIError(413, f"the request has more than {self.most:,} bytes", code="request_too_large")
            await error.response()(scope, receive, send)
            return
        whole: list[Message] = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]
        await self.app(scope, lambda: _next(whole, receive), send)


async def _next(kept: list[Message], receive: Receive) -> Message:
    return kept.pop() if kept else await receive()
