"""A server of our own on a free port of this machine, and what its metrics say."""

import base64
import io
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from PIL import Image

import workbench as wb
from apps.server import build
from apps.serving.settings import Settings
from model.checkpoint import DEMO_WEIGHTS
from model.tokenizer import Tokenizer

QUESTION = [{"role": "user", "content": "What is left?"}]


@contextmanager
def running(session: wb.Session, **settings: object) -> Iterator[str]:
    """Its address, as long as the block runs."""
    with started(session, 5, **settings) as (url, _):
        yield url


@contextmanager
def started(
    session: wb.Session, grace: int | None, **settings: object
) -> Iterator[tuple[str, uvicorn.Server]]:
    """Its address and what runs it; `grace`: seconds that answers have left when it ends, None: all."""
    door = socket.create_server(("127.0.0.1", 0))
    app = build(session, Settings(**settings))
    config = uvicorn.Config(app, ws="none", log_level="warning", timeout_graceful_shutdown=grace)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        until(lambda: server.started)
        yield f"http://127.0.0.1:{door.getsockname()[1]}", server
    finally:
        server.should_exit = True
        thread.join(30)
        door.close()
        assert not thread.is_alive(), "the server did not end"


def until(holds: Callable[[], object], seconds: float = 30) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not true within {seconds} s"
        time.sleep(0.02)


def ask_of_demo(tokens: int) -> dict:
    """A streamed request for that many tokens, which cannot end earlier."""
    never = {token: -100 for token in Tokenizer.from_folder(DEMO_WEIGHTS).stop_ids}
    ask = {"model": "demo", "messages": QUESTION, "max_tokens": tokens, "temperature": 0, "stream": True}
    return ask | {"logit_bias": never}


def metric(url: str, name: str) -> float:
    """One line of /metrics; 0 if it is not there yet."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", httpx.get(f"{url}/metrics").text, re.M)
    return float(found[1]) if found else 0.0


def data_url(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def picture(width: int, height: int) -> str:
    """A red one, as a data URL."""
    return data_url(Image.new("RGB", (width, height), "red"))


def shown(*urls: str) -> list[dict]:
    """A conversation that is nothing but pictures."""
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": one}} for one in urls]}]
