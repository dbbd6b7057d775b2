"""What every request passes on its way in: API keys, and limits on the body's size and the time it takes."""

from __future__ import annotations

import asyncio
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
    """Reads a request's body before anything else does, and refuses one that is too large or too slow.

    Only below /v1: nothing else takes a body, and who has no key must not fill the memory.

    Args:
        app: what comes next. most: bytes. seconds: within which all of it must have come.
    """

    def __init__(self, app: ASGIApp, most: int, seconds: float) -> None:
        self.app = app
        self.most = most
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with the whole body, or answer 413 or 408."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith("/v1"):
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self.seconds):
                body = await self._body(Headers(scope=scope).get("content-length", "0"), receive)
        except TimeoutError:
            said = f"the request's body did not come within {self.seconds:g} seconds"
            await APIError(408, said, code="request_timeout").response()(scope, receive, send)
        except APIError as error:
            await error.response()(scope, receive, send)
        else:
            whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
            if body is not None:
                await self.app(scope, lambda: _next(whole, receive), send)

    async def _body(self, length: str, receive: Receive) -> bytes | None:
        """All of it; None where the client has gone.

        Raises:
            APIError: it has more bytes than may be.
        """
        size, parts, more = 0, [], True
        too_large = length.isdigit() and int(length) > self.most
        while more and not too_large:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size, more = size + len(parts[-1]), message.get("more_body", False)
            too_large = size > self.most
        if too_large:
            raise APIError(413, f"the request has more than {self.most:,} bytes", code="request_too_large")
        return b"".join(parts)


async def _next(kept: list[Message], receive: Receive) -> Message:
    return kept.pop() if kept else await receive()
