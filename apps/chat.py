"""The chat page: what happens when a person uses it. `layout.py` says where things stand, `handlers.py` does
the work.

    python -m apps.chat --model demo        # or the folder of a checkpoint

Everything the page loads comes from this machine, and a content security policy keeps the browser to that.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

import workbench as wb
from apps import examples
from apps.handlers import Desk, Frame, Refusal
from apps.launch import PORTS_TRIED, credentials, free_port, launch, private_folder
from apps.layout import Layout
from apps.maker import Truths
from apps.page import blank, honesty, notice, save_links, status, truths
from apps.settings import sampling, suggested_system_prompt
from model.quantize import RECIPES

__all__ = ["PORTS_TRIED", "build", "free_port", "launch", "main"]

SECONDS_A_PICTURE_IS_KEPT = 24 * 3600
MOST_WATCHED = 48  # answers, one of them being written and the others in the line

# what the view shows, asked of the view itself
SHOWN = """() => {
  const view = document.querySelector('#trace .tv');
  return [view?.dataset.run ?? '', view?.dataset.attention ?? ''];
}"""

Update = dict[gr.components.Component, Any]


class Page(Layout):
    """The page, connected.

    Args:
        desk: does the work. cards: questions to begin with. longest_answer: in tokens, at first.
        suggestion: a system prompt offered at a click. folder: for pictures that are made here.
    """

    def __init__(
        self,
        desk: Desk,
        cards: Sequence[examples.Example],
        longest_answer: int,
        suggestion: str,
        folder: Path,
    ) -> None:
        super().__init__(desk, cards, longest_answer, suggestion)
        self.desk = desk
        self.cards = cards
        self.suggested = suggestion
        self.folder = folder
        self.truths = Truths()
        for card in cards:
            for path, known in zip(card.pictures, card.known, strict=True):
                self.truths.remember(path, known)

    def connect(self, demo: gr.Blocks) -> None:
        """Say what follows from what."""
        shown = [
            self.chat, self.view, self.status, self.notice, self.box, self.save, self.finding, self.kept,
        ]  # fmt: skip
        # a progress veil over the view would hide the words as they come
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        writing = {"concurrency_id": "answers", "concurrency_limit": MOST_WATCHED} | quiet
        at_once = {"queue": False} | quiet
        settings = [self.system, *self.sampling]
        answers = [
            self.box.submit(self.send, [self.box, *settings], shown, **writing),
            self.chat.retry(self.retry, settings, shown, **writing),
            self.chat.example_select(self.send_example, settings, shown, **writing),
        ]
        self.box.stop(self.stop, None, None, **at_once)
        self.chat.undo(self.undo, None, shown, **at_once)
        self.chat.select(self.reopen, None, [self.view, self.save, self.finding], **at_once)
        self.new.click(self.clear, None, shown, cancels=answers, **at_once)
        self.edit.click(self.take_back, [self.run, self.place], shown, js=SHOWN, **at_once)
        self.honest.click(
            self.check, [self.run, self.place], [self.finding, self.notice], js=SHOWN,
            concurrency_id="checks", concurrency_limit=8, show_progress="minimal", api_visibility="private",
        )  # fmt: skip
        self.truth.click(self.tell, [self.run, self.place], [self.finding], js=SHOWN, **at_once)
        self.open.upload(
            self.open_file, [self.open], [self.view, self.save, self.finding, self.notice], **at_once
        )
        self.maker.made(self.add_picture, [self.box], [self.box, self.notice], **at_once)
        self.suggestion.click(lambda: self.suggested, None, [self.system], **at_once)
        demo.load(self.restore, [self.kept], [*shown, self.system], **at_once)
        demo.unload(self.leave)

    def send(
        self,
        draft: dict,
        system: str,
        temperature: float,
        top_p: float,
        most: float,
        seed: str,
        request: gr.Request,
    ) -> Iterator[Update]:
        """Answer what stands in the composer."""
        text, files = draft["text"] or "", draft["files"]
        yield from self._frames(
            request,
            lambda visitor: self.desk.send(
                visitor, text, files, sampling(temperature, top_p, most, seed), system or ""
            ),
            emptied={"value": None},
        )

    def send_example(
        self,
        system: str,
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
            request,
            lambda visitor: self.desk.send(
                visitor, card.text, card.pictures, sampling(temperature, top_p, most, seed), system or ""
            ),
        )

    def retry(
        self, system: str, temperature: float, top_p: float, most: float, seed: str, request: gr.Request
    ) -> Iterator[Update]:
        """Answer the last message again."""
        yield from self._frames(
            request,
            lambda visitor: self.desk.retry(visitor, sampling(temperature, top_p, most, seed), system or ""),
        )

    def _frames(
        self, request: gr.Request, ask: Callable[[str], Iterator[Frame]], emptied: dict | None = None
    ) -> Iterator[Update]:
        visitor, started = request.session_hash, False
        try:
            for frame in ask(visitor):
                update: Update = {
                    self.chat: frame.chat,
                    self.view: json.dumps(frame.view),
                    self.status: status(frame.status, frame.pictures),
                }
                if not started:
                    update |= {self.notice: notice(""), self.save: "", self.finding: ""}
                    update[self.box] = gr.update(submit_btn=False, stop_btn="Stop", **(emptied or {}))
                elif frame.done:
                    update[self.box] = gr.update(submit_btn=True, stop_btn=False)
                    update |= {self.save: save_links(frame.run_id), self.kept: self.desk.kept(visitor)}
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
        if isinstance(chosen.index, int) and chosen.index >= 0:
            message = self.desk.reopen(request.session_hash, chosen.index // 2)
        return gr.skip() if message is None else self._look(message)

    def _look(self, message: dict) -> Update:
        return {self.view: json.dumps(message), self.save: save_links(message["run"]), self.finding: ""}

    def open_file(self, file: str) -> Update:
        """Look at a trace that the visitor brought."""
        try:
            return self._look(self.desk.open_file(Path(file))) | {self.notice: notice("")}
        except Refusal as refusal:
            return {self.notice: notice(str(refusal))}

    def undo(self, request: gr.Request) -> Update:
        """Put the last message back into the composer."""
        return self._taken_back(request, None)

    def take_back(self, run_id: str, place: str, request: gr.Request) -> Update:
        """Put the question of the answer that is shown back into the composer."""
        return self._taken_back(request, run_id)

    def _taken_back(self, request: gr.Request, run_id: str | None) -> Update:
        visitor = request.session_hash
        try:
            text, files, chat = self.desk.edit(visitor, run_id)
        except Refusal as refusal:
            return {self.notice: notice(str(refusal))}
        return {
            self.chat: chat,
            self.box: gr.update(value={"text": text, "files": files}, submit_btn=True, stop_btn=False),
            self.notice: notice(""),
            self.status: status("", self.desk.conversation(visitor).pictures),
            self.kept: self.desk.kept(visitor),
        }

    def check(self, run_id: str, place: str) -> Update:
        """Hold the map that is shown against what its word rests on."""
        try:
            token, layer, head = (int(number) for number in (place or "").split(":")[:3])
        except ValueError:
            return {
                self.notice: notice("Choose a word of the answer that has a map over the pictures first.")
            }
        try:
            verdict = self.desk.check(run_id, token, layer, head if head >= 0 else None)
        except Refusal as refusal:
            return {self.notice: notice(str(refusal))}
        return {self.finding: honesty(verdict), self.notice: notice("")}

    def tell(self, run_id: str, place: str) -> Update:
        """What is really in the pictures of the answer that is shown, where it is known."""
        answer = self.desk.shelf.get(run_id)
        pictures = [path for turn in answer.turns for path in turn.pictures] if answer else []
        return {self.finding: truths([self.truths.of(path) for path in pictures])}

    def add_picture(self, draft: dict | None, made: gr.EventData) -> Update:
        """Put a picture from the scene maker into the message."""
        try:
            path = self.truths.make(made._data.get("things"), self.folder)
        except Refusal as refusal:
            return {self.notice: notice(str(refusal))}
        draft = draft or {"text": "", "files": []}
        files = [*draft["files"], str(path)]
        return {self.box: gr.update(value={"text": draft["text"], "files": files}), self.notice: notice("")}

    def restore(self, kept: object, request: gr.Request) -> Update:
        """Bring back the conversation that this browser kept."""
        visitor = request.session_hash
        try:
            if not self.desk.restore(visitor, kept):
                return gr.skip()
        except Refusal as refusal:
            return {self.notice: notice(str(refusal)), self.kept: None}
        conversation = self.desk.conversation(visitor)
        message = self.desk.reopen(visitor, -1)
        return {
            self.chat: conversation.chat(),
            self.status: status("", conversation.pictures),
            self.system: conversation.system,
        } | (self._look(message) if message else {})

    def clear(self, request: gr.Request) -> Update:
        """Begin a new conversation; a draft stays."""
        self.desk.clear(request.session_hash)
        return {
            self.chat: [],
            self.view: json.dumps(blank()),
            self.status: status(""),
            self.notice: notice(""),
            self.box: gr.update(submit_btn=True, stop_btn=False),
            self.save: "",
            self.finding: "",
            self.kept: None,
        }

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self.desk.leave(request.session_hash)


def build(session: wb.Session, longest_answer: int = 256, suggestion: str = "") -> gr.Blocks:
    """The page for one model, with the `desk` that serves its visitors; `launch` shows it.

    Args:
        longest_answer: in tokens, as the settings have it at first. suggestion: a system prompt that is
            offered at a click (see `apps.settings.suggested_system_prompt`).
    """
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
        desk = Desk(session, folder=folder / "restored")
        page = Page(desk, examples.draw(folder), longest_answer, suggestion, folder)
        page.connect(demo)
    demo.desk = desk
    return demo.queue(max_size=64)


def main() -> None:
    """Read the command line, load the model, show the page until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m apps.chat", description="Chat about pictures and look inside."
    )
    parser.add_argument("--model", default="demo", help="folder of a checkpoint, or demo")
    parser.add_argument("--quantize", choices=RECIPES, help="hold the experts of a plain checkpoint in less")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 opens it to the network")
    parser.add_argument("--port", type=int, default=7860, help="the next free one is taken if it is in use")
    parser.add_argument("--auth", type=Path, help="file with a line name:password for each who may come in")
    parser.add_argument("--root-path", help="where a proxy shows the page, such as /chat")
    options = parser.parse_args()
    if not 1 <= options.port <= 65535:
        parser.error(f"--port is {options.port}; expected 1 to 65535")
    try:
        auth = credentials(options.auth) if options.auth else None
        port = free_port(options.host, options.port)
        session = wb.load(options.model, quantize=options.quantize)
    except (OSError, ValueError) as error:
        raise SystemExit(f"The chat page could not start: {error}") from None
    if port != options.port:
        print(f"Port {options.port} is in use, so this page takes {port}; --port or PORT= chooses another.")
    if options.host not in ("127.0.0.1", "localhost", "::1") and auth is None:
        print(f"Listening on {options.host}: everybody who reaches this address can use the model.")
    demo = build(session, suggestion=suggested_system_prompt(Path(options.model)))
    shown = {"inbrowser": not os.environ.get("CI"), "auth": auth, "root_path": options.root_path}
    url = launch(demo, options.host, port, **shown)
    print(f"{session!r}\nThe chat page is at {url} (Ctrl-C ends it)", flush=True)
    demo.block_thread()


if __name__ == "__main__":
    main()
