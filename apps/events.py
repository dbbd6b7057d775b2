"""What happens when a person uses the chat page. `layout.py` says where things stand, `handlers.py` does the
work."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from apps import examples
from apps.conversation import Refusal
from apps.frames import Frame, blank
from apps.handlers import Desk
from apps.layout import Layout, inside
from apps.maker import Truths
from apps.page import honesty, notice, save_links, status, truths
from apps.settings import sampling

DRAFT = "There is a message in the composer that was not sent. Send it, or empty it first."
MOST_WATCHED = 48  # answers, one of them being written and the others in the line

# what the view shows, asked of the view itself
SHOWN = """(run, place, ...others) => {
  const view = document.querySelector('#trace .tv');
  return [view?.dataset.run ?? '', view?.dataset.attention ?? '', ...others];
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
        self.begun: dict[str, Iterator[Frame]] = {}  # by visitor, until they are watched
        self.ended: dict[str, str] = {}  # the answer that has ended, by visitor, until the page says so
        for card in cards:
            for path, known in zip(card.pictures, card.known, strict=True):
                self.truths.remember(path, known)

    def connect(self, demo: gr.Blocks) -> None:
        """Say what follows from what."""
        shown = [
            self.chat, self.view, self.status, self.notice, self.box, self.save, self.finding, self.kept,
            self.looks,
        ]  # fmt: skip
        # a progress veil over the view would hide the words as they come
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        writing = {"concurrency_id": "answers", "concurrency_limit": MOST_WATCHED} | quiet
        at_once = {"queue": False} | quiet
        settings = [self.system, *self.sampling]
        looked = [self.view, self.save, self.finding, self.looks]
        begun = [
            self.box.submit(self.send, [self.box, *settings], shown, **at_once),
            self.chat.retry(self.retry, settings, shown, **at_once),
            self.chat.example_select(self.send_example, settings, shown, **at_once),
        ]
        # by themselves, because Gradio makes anew every part that an event may change, at every word
        growing = [self.chat, self.view, self.status]
        answers = [event.success(self.grow, None, growing, **writing) for event in begun]
        for event, answer in zip(begun, answers, strict=True):
            event.success(self.keep, None, [self.kept], **at_once)
            answer.then(self.settle, None, [self.box, self.save, self.kept], **at_once)
        self.box.stop(self.stop, None, None, **at_once)
        self.chat.undo(self.undo, [self.box], shown, **at_once)
        self.chat.select(self.reopen, None, looked, **at_once)
        self.new.click(self.clear, None, shown, cancels=answers, **at_once)
        self.edit.click(self.take_back, [self.run, self.place, self.box], shown, js=SHOWN, **at_once)
        self.honest.click(
            self.check, [self.run, self.place], [self.finding, self.notice], js=SHOWN,
            concurrency_id="checks", concurrency_limit=8, show_progress="minimal", api_visibility="private",
        )  # fmt: skip
        self.truth.click(self.tell, [self.run, self.place], [self.finding], js=SHOWN, **at_once)
        self.open.upload(self.open_file, [self.open], [*looked, self.notice], **at_once)
        self.maker.made(self.add_picture, [self.box], [self.box, self.notice], **at_once)
        self.camera.input(self.add_photograph, [self.box, self.camera], [self.box, self.camera], **at_once)
        self.suggestion.click(lambda: self.suggested, None, [self.system], **at_once)
        demo.load(self.restore, [self.kept], [*shown, self.system], **at_once)
        demo.unload(self.leave)
        if self.lab is not None:
            self.lab.connect(self.lab_tab, self.run)
        if self.formats is not None:
            self.formats.connect(self.run)

    def send(
        self,
        draft: dict,
        system: str,
        temperature: float,
        top_p: float,
        most: float,
        seed: str,
        request: gr.Request,
    ) -> Update:
        """Answer what stands in the composer."""
        text, files = draft["text"] or "", draft["files"]
        return self._begin(
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
    ) -> Update:
        """Answer one of the examples; which one is all that is taken from the browser."""
        if not isinstance(chosen.index, int) or not 0 <= chosen.index < len(self.cards):
            return gr.skip()
        card = self.cards[chosen.index]
        return self._begin(
            request,
            lambda visitor: self.desk.send(
                visitor, card.text, card.pictures, sampling(temperature, top_p, most, seed), system or ""
            ),
        )

    def retry(
        self, system: str, temperature: float, top_p: float, most: float, seed: str, request: gr.Request
    ) -> Update:
        """Answer the last message again."""
        return self._begin(
            request,
            lambda visitor: self.desk.retry(visitor, sampling(temperature, top_p, most, seed), system or ""),
        )

    def _begin(
        self, request: gr.Request, ask: Callable[[str], Iterator[Frame]], emptied: dict | None = None
    ) -> Update:
        visitor = request.session_hash
        frames = ask(visitor)
        try:
            first = next(frames)
        except Refusal as refusal:
            return {self.notice: notice(str(refusal))}
        self.begun[visitor] = frames
        if not self.desk.visitors.knows(visitor):  # the page was closed meanwhile
            self._forget(visitor)
        return self._drawn(visitor, first) | {
            self.box: gr.update(submit_btn=False, stop_btn="Stop", **(emptied or {})),
            self.notice: notice(""), self.save: "", self.finding: "", self.looks: inside(),
        }  # fmt: skip

    def _drawn(self, visitor: str, frame: Frame) -> Update:
        if frame.done:
            self.ended[visitor] = frame.run_id
        return {
            self.chat: frame.chat,
            self.view: json.dumps(frame.view),
            self.status: status(self._line(visitor, frame), frame.pictures),
        }

    def grow(self, request: gr.Request) -> Iterator[Update]:
        """What comes of an answer that was begun."""
        visitor = request.session_hash
        yield gr.skip()  # nothing was begun, if the question was refused
        before = None
        for frame in self.begun.pop(visitor, ()):
            # the same once more has no news: Gradio sees here whether the page is still there
            yield gr.skip() if frame is before else self._drawn(visitor, frame)
            before = frame

    def keep(self, request: gr.Request) -> dict | None:
        """The conversation for the browser to keep, should this server end before the answer does."""
        return self.desk.kept(request.session_hash)

    def settle(self, request: gr.Request) -> Update:
        """What an answer leaves at its end; while another is being written, that one can be stopped."""
        visitor = request.session_hash
        busy = self.desk.conversation(visitor).busy
        update: Update = {self.box: gr.update(submit_btn=not busy, stop_btn="Stop" if busy else False)}
        if visitor in self.ended:
            update |= {self.save: save_links(self.ended.pop(visitor)), self.kept: self.desk.kept(visitor)}
        return update

    def _line(self, visitor: str, frame: Frame) -> str:
        """The numbers of an answer, and where there are several the format it is written in."""
        formats = self.desk.formats
        if len(formats.names) == 1:
            return frame.status
        return f"{frame.status} · {formats.label(self.desk.conversation(visitor).format or formats.names[0])}"

    def stop(self, request: gr.Request) -> None:
        """Stop the answer; its own stream tells the page."""
        self.desk.stop(request.session_hash)

    def reopen(self, chosen: gr.SelectData, request: gr.Request) -> Update:
        """Show the trace of the answer that was clicked, or of the answer to the question that was."""
        message = None
        if isinstance(chosen.index, int) and chosen.index >= 0:
            message = self.desk.reopen(request.session_hash, chosen.index // 2)
        return gr.skip() if message is None else self._look(message)

    def _look(self, message: dict, asked: bool = True) -> Update:
        return {
            self.view: json.dumps(message), self.save: save_links(message["run"], asked), self.finding: "",
            self.looks: inside(),
        }  # fmt: skip

    def open_file(self, file: str) -> Update:
        """Look at a trace that the visitor brought."""
        try:
            return self._look(self.desk.open_file(Path(file)), asked=False) | {self.notice: notice("")}
        except Refusal as refusal:
            return {self.notice: notice(str(refusal))}

    def undo(self, draft: dict | None, request: gr.Request) -> Update:
        """Put the last message back into the composer."""
        return self._taken_back(request, draft, None)

    def take_back(self, run_id: str, place: str, draft: dict | None, request: gr.Request) -> Update:
        """Put the question of the answer that is shown back into the composer."""
        return self._taken_back(request, draft, run_id)

    def _taken_back(self, request: gr.Request, draft: dict | None, run_id: str | None) -> Update:
        if draft and (draft["text"] or draft["files"]):
            return {self.notice: notice(DRAFT)}
        visitor = request.session_hash
        before = len(self.desk.conversation(visitor).turns)
        try:
            text, files, chat = self.desk.edit(visitor, run_id)
        except Refusal as refusal:
            return {self.notice: notice(str(refusal))}
        went = before - len(chat) // 2 - 1
        return {
            self.chat: chat,
            self.box: gr.update(value={"text": text, "files": files}, submit_btn=True, stop_btn=False),
            self.notice: notice(f"{went} later question{'s' * (went > 1)} went with it." if went > 0 else ""),
            self.status: status("", self.desk.conversation(visitor).pictures),
            self.kept: self.desk.kept(visitor),
        }

    def check(self, run_id: str, place: str) -> Update:
        """Hold the map that is shown against what its word rests on."""
        try:
            token, layer, heads = [
                [int(number) for number in some.split(",")] for some in (place or "").split(":")[:3]
            ]
        except ValueError:
            return {
                self.notice: notice("Choose a word of the answer that has a map over the pictures first.")
            }
        try:
            verdict = self.desk.check(run_id, token[0], layer[0], heads if min(heads) >= 0 else None)
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
        return {self.box: _with_picture(draft, str(path)), self.notice: notice("")}

    def add_photograph(self, draft: dict | None, taken: str | None) -> Update:
        """Put what the camera saw into the message; the camera is free for the next one."""
        return {self.box: _with_picture(draft, taken), self.camera: None} if taken else gr.skip()

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
            self.kept: {},  # None would leave in the browser what it keeps
            self.looks: inside(),
        }

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        visitor = request.session_hash
        self.desk.visitors.leave(visitor)
        self._forget(visitor)
        self.ended.pop(visitor, None)
        self.trials.stop(visitor)

    def _forget(self, visitor: str) -> None:
        """Let an answer go that nobody will watch."""
        if (frames := self.begun.pop(visitor, None)) is not None:
            frames.close()


def _with_picture(draft: dict | None, path: str) -> dict:
    """A draft with one more picture."""
    draft = draft or {"text": "", "files": []}
    return gr.update(value={"text": draft["text"], "files": [*draft["files"], path]})
