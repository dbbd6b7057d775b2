"""An engine that gives recorded answers, hesitates, or hangs up, over real HTTP on this machine."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ANSWERS = Path(__file__).parent / "answers"
CHAT = "/v1/chat/completions"


@dataclass
class Said:
    """What is answered: `body`, then, once `after` is set, `rest`; and `missing` bytes that never come."""

    body: bytes | str
    status: int = 200
    headers: dict = field(default_factory=dict)
    rest: bytes = b""
    after: threading.Event | None = None
    missing: int = 0

    @classmethod
    def recorded(cls, name: str) -> "Said":
        kind = "application/json" if name.endswith(".json") else "text/event-stream"
        return cls((ANSWERS / name).read_bytes(), headers={"Content-Type": kind})


@dataclass
class Engine:
    """Its address, and what it was asked so far."""

    url: str
    asked: list[dict] = field(default_factory=list)
    headers: list[dict] = field(default_factory=list)


@contextmanager
def answering(
    chat: Said, owner: str = "vllm", names: tuple[str, ...] = ("tiny",), **paths: Said
) -> Iterator[Engine]:
    """An engine whose every answer is `chat`; `models=` says something else at /v1/models."""
    models = [{"id": name, "object": "model", "owned_by": owner} for name in names]
    listed = Said(json.dumps({"object": "list", "data": models}))
    said = {"/v1/models": listed, CHAT: chat} | {f"/v1/{k}": v for k, v in paths.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            engine.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            engine.headers.append(dict(self.headers))
            self.answer()

        def answer(self) -> None:
            made = said.get(self.path, Said("{}", 404))
            body = made.body.encode() if isinstance(made.body, str) else made.body
            self.send_response(made.status)
            self.send_header("Content-Length", str(len(body) + len(made.rest) + made.missing))
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
            if made.after is not None:
                assert made.after.wait(60), "nobody let it go on"
                self.wfile.write(made.rest)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)  # listens from here on
    server.handle_error = lambda *_: None  # nobody need read that a client hung up
    engine = Engine(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield engine
    finally:
        for made in said.values():
            if made.after is not None:
                made.after.set()
        server.shutdown()
        thread.join()
        server.server_close()
