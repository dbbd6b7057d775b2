"""A reverse proxy that shows a page under a path of its own, as a web server in front of it would."""

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

OWN = ("host", "content-length", "connection")


@contextmanager
def shown_under(path: str, url: str) -> Iterator[str]:
    """While the block runs, what is at `url` stands under `path` of another port; gives its address."""
    client = httpx.AsyncClient(base_url=url, timeout=None)

    async def pass_on(request: Request) -> StreamingResponse:
        headers = {name: value for name, value in request.headers.items() if name not in OWN}
        headers["x-forwarded-host"] = request.headers["host"]
        asked = client.build_request(
            request.method,
            f"/{request.path_params['rest']}",
            params=request.query_params,
            headers=headers,
            content=await request.body(),
        )
        answer = await client.send(asked, stream=True)

        async def body() -> AsyncIterator[bytes]:
            async for part in answer.aiter_raw():
                yield part

        given = StreamingResponse(body(), answer.status_code, background=BackgroundTask(answer.aclose))
        # one by one: several cookies in one line are none
        given.raw_headers = [one for one in answer.headers.raw if one[0].lower() != b"connection"]
        return given

    app = Starlette(routes=[Route(f"{path}/{{rest:path}}", pass_on, methods=["GET", "POST", "HEAD"])])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    # it listens before anybody asks; a thread that starts one may be late
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}{path}/"
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
