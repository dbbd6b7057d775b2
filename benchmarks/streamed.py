"""A client that only looks at the clock while an answer streams in, and reads it afterwards.

It runs beside the server it measures: what it computes meanwhile, the server cannot.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from urllib.parse import urlsplit

import h11

LAST = b"\r\n0\r\n\r\n"  # how an answer in chunks ends; a head may end in 0, too


class Line:
    """A connection that stays open from one question to the next, as the common clients keep theirs.

    Use: `async with Line(url) as line: await line.post(...)`.

    Args:
        url: of the server; what stands behind its host and port comes before every path.
    """

    def __init__(self, url: str) -> None:
        self._where = urlsplit(url)
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, asked: dict) -> list[tuple[float, bytes]]:
        """Post JSON; the body of the answer in pieces as they arrived, each with its moment.

        Raises:
            OSError: nobody answers there, or the connection broke. h11.RemoteProtocolError: what came is no
                HTTP, or broke off.
        """
        body = json.dumps(asked).encode()
        head = {"Host": self._where.netloc, "Content-Type": "application/json", "Content-Length": len(body)}
        request = h11.Request(
            method="POST", target=self._where.path + path, headers=[(k, str(v)) for k, v in head.items()]
        )
        http, kept = h11.Connection(h11.CLIENT), self._open is not None
        if not kept:
            self._open = await asyncio.open_connection(self._where.hostname, self._where.port)
        reader, writer = self._open
        for part in (request, h11.Data(body), h11.EndOfMessage()):
            writer.write(http.send(part))
        arrived = []
        try:
            while data := await reader.read(2**16):
                arrived.append((time.perf_counter(), data))
                if b"".join(piece for _, piece in arrived[-len(LAST) :]).endswith(LAST):
                    break
            else:
                await self.close()
        except ConnectionError:  # reset, or a broken pipe
            if arrived or not kept:
                raise
            await self.close()
        if kept and not arrived:  # by a server that ends connections after an answer
            return await self.post(path, asked)
        # without a length or chunks, the end of the connection is the end of the answer
        rest = [] if self._open else [(time.perf_counter(), b"")]
        return [(moment, _body(http, data)) for moment, data in arrived + rest]

    async def close(self) -> None:
        """End it; the next question opens another."""
        if self._open is not None:
            (_, writer), self._open = self._open, None
            writer.close()
            with suppress(OSError):  # it may have been broken before
                await writer.wait_closed()

    async def __aenter__(self) -> Line:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


def _body(http: h11.Connection, data: bytes) -> bytes:
    """What of some bytes is the answer's body; none are the end of the connection."""
    http.receive_data(data)
    found = b""
    while isinstance(event := http.next_event(), h11.InformationalResponse | h11.Response | h11.Data):
        found += event.data if isinstance(event, h11.Data) else b""
    return found
