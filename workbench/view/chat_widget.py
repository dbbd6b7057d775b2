"""A conversation in a notebook: typed or asked from Python, watched while it is answered, kept as a trace.

The cell that shows it ends at once. Answers are written by the session's engine and followed by a thread of
their own, so clicks are heard while they grow, and other cells can run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import ipywidgets
import traitlets
from IPython.display import display

from model import SamplingParams
from workbench.run import Messages, Reply, Run
from workbench.sentences import sentence
from workbench.session import Asked, Session, conversation
from workbench.trace import Trace
from workbench.view.module import script
from workbench.view.panel import Heard, Panel, Picture, picture_of
from workbench.view.saved import Afterimage, png_of, shown
from workbench.view.widget import SECONDS_BETWEEN_UPDATES, TraceWidget
from workbench.view.work import Work

# why an answer ended, where that is worth a word
ENDINGS = {"length": "(the longest answer that was allowed)", "cancelled": "(stopped)"}


class ChatPanel(Panel):
    """What is said and what is typed. A turn is {text, pictures, answer, note}."""

    _esm = script(entry="chat.js")
    _turns = traitlets.List().tag(sync=True)
    _writing = traitlets.Unicode(help="the answer so far").tag(sync=True)

    def ask(self, text: str, pictures: Sequence[Picture]) -> None:
        """A question was sent: it stands in the conversation, and no longer in the draft."""
        thumbnails = [
            {"src": picture.thumbnail, "number": self._before + 1 + i} for i, picture in enumerate(pictures)
        ]
        self._writing = ""
        self._turns = [*self._turns, {"text": text, "pictures": thumbnails, "answer": None, "note": ""}]
        self.number_from(self._before + len(pictures))
        self.send({"op": "sent", "text": text})

    def answer(self, text: str, note: str) -> None:
        """The last question is answered."""
        self._turns = [*self._turns[:-1], self._turns[-1] | {"answer": text, "note": note}]

    def unask(self, text: str, pictures: Sequence[Picture]) -> None:
        """The last question could not be answered: it is a draft again."""
        self._turns = self._turns[:-1]
        self.number_from(self._before - len(pictures))
        self.put_back(pictures)
        self.send({"op": "unsent", "text": text})


class ChatWidget(ipywidgets.VBox):
    """A conversation with the linked view of its last answer below; made by `session.chat_widget()`.

    Attributes:
        messages: the conversation so far, to go on from with `session.chat(..., history=chat.messages)`.
        reply: the last whole answer, None before the first. view: the `TraceWidget`; what is chosen on the
            screen is `view.selection`.

    Args:
        session: a loaded model. sampling: how to draw; greedy by default. capture: as for `session.start`.
    """

    def __init__(
        self, session: Session, sampling: SamplingParams | None = None, capture: Asked = None
    ) -> None:
        self.session = session
        self.sampling = sampling or SamplingParams()
        self.capture = capture
        self.messages: Messages = []
        self.reply: Reply | None = None
        self.view = TraceWidget(None)
        self._panel = ChatPanel(self._hear)
        self._afterimage = Afterimage()
        self._work = Work("an answer is being written")
        self._run: Run | None = None
        super().__init__([self._panel, self.view])

    def __repr__(self) -> str:
        asked = sum(message["role"] == "user" for message in self.messages)
        return f"ChatWidget({self.session.name!r}, {asked} answered{', writing' if self.busy else ''})"

    @property
    def trace(self) -> Trace | None:
        """The trace of the last answer, as far as it is written; None before the first."""
        return self.view.trace

    @property
    def busy(self) -> bool:
        """Whether an answer is being written."""
        return self._work.busy

    def ask(self, text: str, images: Sequence[object] = ()) -> None:
        """Send a question, as if it were typed, with the pictures added so far and these; returns at once.

        Args:
            text: the question. images: pictures (PIL, path or data URL).

        Raises:
            ValueError: there is no text, a picture cannot be read, or an answer is being written.
        """
        if not text.strip():
            about = (
                "a question about the pictures, too" if images or self._panel.images else "a question first"
            )
            raise ValueError(f"write {about}")
        # not into the draft: what is refused here can be asked again, and its pictures are not there twice
        shown = [picture_of(image) for image in images]
        self._work.begin(self._answer, text.strip(), shown)

    def wait(self) -> Reply | None:
        """Wait for the answer that is being written; a keyboard interrupt stops it.

        Raises:
            Exception: what kept the last question from being answered.
        """
        self._work.wait(self.stop)
        return self.reply

    def stop(self) -> None:
        """Stop the answer that is being written before its next token; what there is of it stays."""
        self._work.stopped.set()
        if (run := self._run) is not None:
            run.cancel()

    def clear(self) -> None:
        """Begin a new conversation; a draft stays, and the view keeps the last answer.

        Raises:
            ValueError: an answer is being written.
        """
        with self._work.idle():
            self.messages, self.reply = [], None
            self._panel._turns, self._panel._status = [], ""
            self._panel.number_from(0)

    def close(self) -> None:
        """Stop, and take the widget from every page."""
        self.stop()
        for part in (self._panel, self.view, self._afterimage):
            part.close()
        super().close()

    def _hear(self, message: Heard) -> None:
        if message.get("type") == "ask":
            self.ask(str(message.get("text") or ""))
        elif message.get("type") == "stop":
            self.stop()
        elif message.get("type") == "clear":
            self.clear()

    def _answer(self, text: str, shown: list[Picture]) -> None:
        """Runs in a thread of its own: only the engine's thread runs the model."""
        panel, self._run = self._panel, None
        panel._busy, panel._notice, panel._status = True, "", "Reading …"
        try:
            pictures = [*panel.take(), *shown]
            run = self._start(text, pictures)
            if run is None:
                return
            panel.ask(text, pictures)
            self._watch(run)
            if run.error is None:
                self._keep(run)
            else:
                panel.unask(text, pictures)
                self._refuse(run.error, "The answer broke off: ")
        finally:
            panel._busy = False

    def _start(self, text: str, pictures: list[Picture]) -> Run | None:
        asked = conversation(text, [picture.image for picture in pictures], self.messages)
        try:
            run = self._run = self.session.start(asked, self.sampling, self.capture)
        # too long a conversation, more than the capture's budget: all that was given is still a draft
        except (ValueError, RuntimeError) as error:
            self._panel.put_back(pictures)
            return self._refuse(error)
        if self._work.stopped.is_set():  # before there was anything to cancel
            run.cancel()
        return run

    def _watch(self, run: Run) -> None:
        fed = self.view.follow(run)
        while not run.done:
            if self._panel._writing != run.text:
                self._panel._writing, self._panel._status = run.text, numbers(run)
            time.sleep(SECONDS_BETWEEN_UPDATES)
        fed.join()

    def _keep(self, run: Run) -> None:
        self.reply = reply = run.reply()
        self.messages = reply.messages
        self._panel._status = numbers(run)
        self._panel.answer(reply.text, ENDINGS.get(reply.finish_reason, ""))
        self._afterimage.renew(self._as_text(), png_of(reply.trace))

    def _refuse(self, error: Exception, before: str = "") -> None:
        self._work.error = error
        self._panel._notice, self._panel._status = before + sentence(error), ""

    def _as_text(self) -> str:
        """The conversation, for places where no kernel runs."""
        said = [f"{message['role']}: {_words(message['content'])}" for message in self.messages]
        return "\n".join(said) or "(a conversation that has not begun)"

    def _ipython_display_(self) -> None:
        display(shown(self, repr(self)), raw=True)
        self._afterimage.show(self._as_text(), None if self.reply is None else png_of(self.reply.trace))


def numbers(run: Run) -> str:
    """The line of numbers under a conversation."""
    prompt, written = len(run.capture.inputs.token_ids), len(run.capture.steps)
    speed = run.trace().meta["tokens_per_second"] if run.done else None
    return f"{prompt:,} tokens read, {written:,} written{f', {speed:.0f} a second' if speed else ''}"


def _words(content: str | list[dict]) -> str:
    if isinstance(content, str):
        return content
    pictures = sum(part["type"] != "text" for part in content)
    words = " ".join(part["text"] for part in content if part["type"] == "text")
    return f"({pictures} picture{'' if pictures == 1 else 's'}) {words}"
