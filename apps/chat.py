"""The chat page: lays out what `handlers.py` does, and connects it.

    python -m apps.chat --model demo        # or the folder of a checkpoint

Everything the page loads comes from this machine, and a content security policy keeps the browser to that.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

import workbench as wb
from apps import examples
from apps.handlers import Desk, Frame, Refusal, sampling
from apps.page import CSS, LocalOnly, blank, header, notice, status, theme, trace_view
from model.quantize import RECIPES

LARGEST_FILE = "25mb"
SECONDS_A_PICTURE_IS_KEPT = 24 * 3600
PORTS_TRIED = 20

WELCOME = (
    "**Show up to five pictures and ask about them.** Beside the answer you will see, for every word, which "
    "experts each layer used and where on the pictures the model looked. Or begin with one of these:"
)

Update = dict[gr.components.Component, Any]


class Page:
    """The parts of the page, and what happens when a person uses them.

    Args:
        desk: does the work. cards: questions to begin with. longest_answer: in tokens, at first.
    """

    def __init__(self, desk: Desk, cards: Sequence[examples.Example], longest_answer: int) -> None:
        self.desk = desk
        self.cards = cards
        self.longest_answer = longest_answer
        with gr.Row(elem_id="workbench"):
            with gr.Column(scale=5, min_width=320, elem_id="talk"):
                with gr.Row(elem_id="top"):
                    gr.HTML(header(desk.session.name), elem_id="header", padding=False)
                    self.new = gr.Button("New conversation", size="sm", scale=0, min_width=140, elem_id="new")
                self._lay_out_talk()
            with gr.Column(scale=6, min_width=320, elem_id="look"):
                self.view = trace_view(desk, "trace")

    def _lay_out_talk(self) -> None:
        self.chat = gr.Chatbot(
            elem_id="chat",
            show_label=False,
            label="Conversation",
            height="auto",
            layout="bubble",
            buttons=["copy"],
            feedback_options=None,
            placeholder=WELCOME,
            examples=[
                {"text": card.text, "files": [str(path) for path in card.pictures]} for card in self.cards
            ],
        )
        self.box = gr.MultimodalTextbox(
            elem_id="composer",
            show_label=False,
            label="Message",
            placeholder="Ask about your pictures: drop, paste or pick them here",
            file_types=["image"],
            file_count="multiple",
            sources=["upload"],
            lines=1,
            max_lines=8,
            max_plain_text_length=100_000,
            autofocus=True,
        )
        self.notice = gr.HTML(elem_id="notice", padding=False)
        self.status = gr.HTML(status(""), elem_id="status", padding=False)
        with gr.Accordion("Settings", open=False, elem_id="settings"):
            self.settings = [
                gr.Slider(0, 2, 0, step=0.05, label="Temperature", info="0: the likeliest word"),
                gr.Slider(0.05, 1, 1, step=0.05, label="Top-p", info="1: all words are drawn from"),
                gr.Slider(1, 2048, self.longest_answer, step=1, label="Longest answer", info="in tokens"),
                gr.Textbox("", label="Seed", info="a number repeats a draw", max_lines=1),
            ]

    def connect(self, demo: gr.Blocks) -> None:
        """Say what follows from what."""
        shown = [self.chat, self.view, self.status, self.notice, self.box]
        # a progress veil over the view would hide the words as they come
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        writing = {"concurrency_id": "answers", "concurrency_limit": 16} | quiet
        answers = [
            self.box.submit(self.send, [self.box, *self.settings], shown, **writing),
            self.chat.retry(self.retry, self.settings, shown, **writing),
            self.chat.example_select(self.send_example, self.settings, shown, **writing),
        ]
        self.box.stop(self.stop, None, None, queue=False, **quiet)
        self.chat.undo(self.undo, None, shown, queue=False, **quiet)
        self.chat.select(self.reopen, None, [self.view], queue=False, **quiet)
        self.new.click(self.clear, None, shown, queue=False, cancels=answers, **quiet)
        demo.unload(self.leave)

    def send(
        self,
        draft: dict,
        temperature: float,
        top_p: float,
        most: float,
        seed: str,
        request: gr.Request,
    ) -> Iterator[Update]:
        """Answer what stands in the composer."""
        text, files = draft["text"] or "", draft["files"]
        yield from self._frames(
            lambda: self.desk.send(
                request.session_hash, text, files, sampling(temperature, top_p, most, seed)
            ),
            emptied={"value": None},
        )

    def send_example(
        self,
        temperature: float,
        top_p: float,
        most: float,
        seed: str,
        chosen: gr.SelectData,
        request: gr.Request,
    ) -> Iterator[Update]:
        """Answer one of the examples; which one is all that is taken from the browser."""
        if not isinstance(chosen.index, int) or not 0 <= chosen.index < len(self.cards):
            return
        card = self.cards[chosen.index]
        yield from self._frames(
            lambda: self.desk.send(
                request.session_hash, card.text, card.pictures, sampling(temperature, top_p, most, seed)
            )
        )

    def retry(
        self, temperature: float, top_p: float, most: float, seed: str, request: gr.Request
    ) -> Iterator[Update]:
        """Answer the last message again."""
        yield from self._frames(
            lambda: self.desk.retry(request.session_hash, sampling(temperature, top_p, most, seed))
        )

    def _frames(self, ask: Callable[[], Iterator[Frame]], emptied: dict | None = None) -> Iterator[Update]:
        started = False
        try:
            for frame in ask():
                update: Update = {
                    self.chat: frame.chat,
                    self.view: json.dumps(frame.view),
                    self.status: status(frame.status, frame.pictures),
                }
                if not started:
                    update[self.notice] = notice("")
                    update[self.box] = gr.update(submit_btn=False, stop_btn="Stop", **(emptied or {}))
                elif frame.done:
                    update[self.box] = gr.update(submit_btn=True, stop_btn=False)
                started = True
                yield update
        except Refusal as refusal:
            yield {self.notice: notice(str(refusal))}

    def stop(self, request: gr.Request) -> None:
        """Stop the answer; its own stream tells the page."""
        self.desk.stop(request.session_hash)

    def reopen(self, chosen: gr.SelectData, request: gr.Request) -> Update:
        """Show the trace of the answer that was clicked, or of the answer to the question that was."""
        message = None
        if isinstance(chosen.index, int):
            message = self.desk.reopen(request.session_hash, chosen.index // 2)
        return {} if message is None else {self.view: json.dumps(message)}

    def undo(self, request: gr.Request) -> Update:
        """Put the last message back into the composer."""
        text, files, chat = self.desk.undo(request.session_hash)
        draft = {"text": text, "files": files}
        shown = self.desk.conversation(request.session_hash).pictures
        return {
            self.chat: chat,
            self.box: gr.update(value=draft),
            self.notice: notice(""),
            self.status: status("", shown),
        }

    def clear(self, request: gr.Request) -> Update:
        """Begin a new conversation; a draft stays."""
        self.desk.clear(request.session_hash)
        return {
            self.chat: [],
            self.view: json.dumps(blank()),
            self.status: status(""),
            self.notice: notice(""),
            self.box: gr.update(submit_btn=True, stop_btn=False),
        }

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self.desk.leave(request.session_hash)


def build(session: wb.Session, longest_answer: int = 256) -> gr.Blocks:
    """The page for one model, with the `desk` that serves its visitors; `launch` shows it."""
    # Gradio would look for a newer version of itself, and report its use
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    folder = private_folder()
    # by default all Gradio programs share one folder, and whichever ends first deletes the others' pictures
    os.environ.setdefault("GRADIO_TEMP_DIR", str(folder / "uploads"))
    with gr.Blocks(
        title="moe-workbench",
        fill_width=True,
        analytics_enabled=False,
        delete_cache=(3600, SECONDS_A_PICTURE_IS_KEPT),
    ) as demo:
        page = Page(Desk(session), examples.draw(folder), longest_answer)
        page.connect(demo)
    demo.desk = page.desk
    return demo.queue(max_size=64)


def private_folder() -> Path:
    """A folder that only this user can read, and that is gone when the program ends."""
    folder = Path(tempfile.mkdtemp(prefix="moe-workbench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def launch(demo: gr.Blocks, host: str, port: int, **options: Any) -> str:
    """Show the page and return its address at once. The port must be free."""
    _, url, _ = demo.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        footer_links=[],
        ssr_mode=False,
        max_file_size=LARGEST_FILE,
        theme=theme(),
        css_paths=CSS,
        app_kwargs={"middleware": [Middleware(LocalOnly)]},
        **options,
    )
    return url


def free_port(host: str, wanted: int) -> int:
    """The wanted port, or the next one that nobody listens on.

    Raises:
        OSError: none of the next ones is free, or there is no such host.
    """
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                door.bind(address)
            except OSError as error:
                taken = error
            else:
                return port
    raise OSError(f"no free port from {wanted} to {wanted + PORTS_TRIED - 1} on {host}: {taken}")


def main() -> None:
    """Read the command line, load the model, show the page until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m apps.chat", description="Chat about pictures and look inside."
    )
    parser.add_argument("--model", default="demo", help="folder of a checkpoint, or demo")
    parser.add_argument("--quantize", choices=RECIPES, help="hold the experts of a plain checkpoint in less")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 opens it to the network")
    parser.add_argument("--port", type=int, default=7860, help="the next free one is taken if it is in use")
    options = parser.parse_args()
    if not 1 <= options.port <= 65535:
        parser.error(f"--port is {options.port}; expected 1 to 65535")
    try:
        port = free_port(options.host, options.port)
        session = wb.load(options.model, quantize=options.quantize)
    except (OSError, ValueError) as error:
        raise SystemExit(f"The chat page could not start: {error}") from None
    if port != options.port:
        print(f"Port {options.port} is in use, so this page takes {port}; --port or PORT= chooses another.")
    if options.host not in ("127.0.0.1", "localhost", "::1"):
        print(f"Listening on {options.host}: everybody who reaches this address can use the model.")
    demo = build(session)
    url = launch(demo, options.host, port, inbrowser=not os.environ.get("CI"))
    print(f"{session!r}\nThe chat page is at {url} (Ctrl-C ends it)", flush=True)
    demo.block_thread()


if __name__ == "__main__":
    main()
