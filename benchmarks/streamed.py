"""A client that only looks at the clock while an answer streams in, and reads it afterwards.

It runs beside the server it measures: what it computes meanwhile, the server cannot.
"""

from __future__ import annotations

import asyncio
import json
import time
from urllib.parse import urlsplit

import h11


async def streamed(url: str, asked: dict) -> list[tuple[float, bytes]]:
    """Post JSON; the body of the answer in pieces as they arrived, each with its moment.

    Raises:
        OSError: nobody answers there, or the connection broke. h11.RemoteProtocolError: what came is no HTTP,
            or broke off.
    """
    where, body = urlsplit(url), json.dumps(asked).encode()
    http = h11.Connection(h11.CLIENT)
    head = {"Host": where.netloc, "Content-Type": "application/json", "Content-Length": str(len(body))}
    request = h11.Request(method="POST", target=where.path, headers=[*head.items(), ("Connection", "close")])
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        for part in (request, h11.Data(body), h11.EndOfMessage()):
            writer.write(http.send(part))
        arrived = []
        while data := await reader.read(2**16):
            arrived.append((time.perf_counter(), data))
    finally:
        writer.close()
    return [(moment, _body(http, data)) for moment, data in [*arrived, (time.perf_counter(), b"")]]


def _body(http: h11.Connection, data: bytes) -> bytes:
    """What of some bytes is the answer's body; none are the end of the connection."""
    http.receive_data(data)
    found = b""
    while isinstance(event := http.next_event(), h11.InformationalResponse | h11.Response | h11.Data):
        found += event.data if isinstance(event, h11.Data) else b""
    return found
