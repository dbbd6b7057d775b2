"""A stand-in for a guard model behind a real HTTP server: it reads what it is sent as Llama Guard would, and
believes every word of it."""

import base64
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image

POISON = "poison"  # what it finds unsafe, under S9; a red picture is unsafe under S1

PROMPT = """\
<BEGIN CONVERSATION>

{conversation}

<END CONVERSATION>

Provide your safety assessment for ONLY THE LAST {side} message in the above conversation:"""


class GuardModel:
    """What it was asked, and how it answers.

    Attributes:
        asked: bodies of requests, in order. says: gives the text of an answer in place of reading; may wait.
        status: of HTTP. raw: sent as the body as it is.
    """

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        self.says: Callable[[str], str] | None = None
        self.status = 200
        self.raw: bytes | None = None
        self.url = ""

    def answer(self, path: str, body: dict) -> bytes:
        """What comes back."""
        chat = path.endswith("/chat/completions")
        prompt, pictures = (laid_out(body["messages"])) if chat else (body["prompt"], [])
        text = self.says(prompt) if self.says else verdict(prompt, pictures)
        if self.raw is not None:
            return self.raw
        choice = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        return json.dumps({"choices": [{"index": 0, "finish_reason": "stop"} | choice]}).encode()


def laid_out(messages: list[dict]) -> tuple[str, list[str]]:
    """What the chat template makes of a conversation, and its pictures."""
    told, pictures, side = [], [], ""
    for message in messages:
        side = "Agent" if message["role"] == "assistant" else "User"
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        pictures += [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        told.append(f"{side}: {''.join(part['text'] for part in parts if part['type'] == 'text')}")
    return PROMPT.format(conversation="\n\n".join(told), side=side), pictures


def verdict(prompt: str, pictures: list[str]) -> str:
    """Reads the last turn of the side that is asked about, up to the first thing that ends it."""
    said = prompt.split("<BEGIN CONVERSATION>")[1].split("<END CONVERSATION>")[0]
    side = re.search(r"ONLY THE LAST (\w+) message", prompt.split("<END CONVERSATION>")[1])[1]
    # a special token ends a turn, whoever wrote it
    turns = re.split(r"^(User|Agent): ", said.split("<|eot|>")[0], flags=re.M)[1:]
    last = [text for who, text in zip(turns[::2], turns[1::2], strict=True) if who == side][-1]
    found = [code for code, holds in (("S1", any(map(is_red, pictures))), ("S9", POISON in last)) if holds]
    return f"\n\nunsafe\n{','.join(found)}" if found else "\n\nsafe"


def is_red(url: str) -> bool:
    """Whether a picture is mostly red."""
    data = base64.b64decode(url.partition(",")[2])
    red, green, blue = Image.open(io.BytesIO(data)).convert("RGB").resize((1, 1)).getpixel((0, 0))
    return red > 128 > max(green, blue)


@contextmanager
def guard_model() -> Iterator[GuardModel]:
    """It, as long as the block runs, at `url`."""
    model = GuardModel()

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            model.asked.append(body)
            model.paths.append(self.path)
            model.keys.append(self.headers["Authorization"])
            sent = model.answer(self.path, body)
            try:
                self.send_response(model.status)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)
            except OSError:  # whoever asked did not wait
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    # listens before anybody is told where; what it is doing ends with it
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        model.url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            yield model
        finally:
            server.shutdown()
            thread.join(10)
