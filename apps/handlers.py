"""What the chat page does, without the page: values in, values out. Nothing here knows Gradio.

A `Desk` serves all visitors of one model. What was said and shown is kept here, per visitor, never rebuilt
from what a browser sends back. Answers are made by the session's engine thread and only watched here: a
visitor who stops or leaves holds nothing up. Finished traces are kept for a while, within a fixed memory.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from apps.shelf import Answer, Shelf
from model import SamplingParams
from model.picture_files import ImageError, open_image
from workbench import Run, Session, Trace
from workbench.view.payload import Feed, Message, answer_attention, answer_pull, snapshot

MOST_PICTURES = 5
LONGEST_TEXT = 20_000  # characters of one message
MOST_VISITORS = 256  # conversations kept; the one longest untouched goes first
SECONDS_BETWEEN_FRAMES = 0.08  # nobody reads faster, and a browser keeps up

log = logging.getLogger(__name__)


class Refusal(ValueError):
    """Something that is not done; the text is a sentence for the person who asked."""


@dataclass(frozen=True)
class Turn:
    """One question and its answer. `note` is shown after the answer; the model never reads it."""

    text: str
    pictures: tuple[Path, ...] = ()
    answer: str = ""
    note: str = ""
    run_id: str = ""


@dataclass
class Conversation:
    """One visitor's conversation."""

    turns: list[Turn] = field(default_factory=list)
    current: Answer | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def pictures(self) -> int:
        """How many pictures were shown so far: the next one is this number plus one."""
        return sum(len(turn.pictures) for turn in self.turns)

    @property
    def busy(self) -> bool:
        """Whether an answer is being written."""
        return self.current is not None and self.current.running

    def chat(self) -> list[dict]:
        """The conversation as a chat shows it: pictures first, as in the prompt, then the words."""
        shown = []
        for turn in self.turns:
            files = [{"path": str(path), "alt_text": path.name} for path in turn.pictures]
            shown.append({"role": "user", "content": [*files, *([turn.text] if turn.text else [])]})
            said = "\n\n".join(part for part in (turn.answer, turn.note) if part)
            shown.append({"role": "assistant", "content": said})
        return shown


@dataclass(frozen=True)
class Frame:
    """What a page shows next: the chat and its pictures, a message for the view, one line of numbers."""

    chat: list[dict]
    pictures: int
    view: Message
    status: str
    done: bool = False


class Desk:
    """Serves everybody who talks to one model.

    Args:
        session: the model. shelf: where finished answers stay.
    """

    def __init__(self, session: Session, shelf: Shelf | None = None) -> None:
        self.session = session
        self.shelf = shelf or Shelf()
        self._conversations: OrderedDict[str, Conversation] = OrderedDict()
        self._lock = threading.Lock()

    def conversation(self, visitor: str) -> Conversation:
        """The visitor's conversation; a new one for a visitor not seen before."""
        with self._lock:
            found = self._conversations.setdefault(visitor, Conversation())
            self._conversations.move_to_end(visitor)
            gone = next(iter(self._conversations)) if len(self._conversations) > MOST_VISITORS else None
        if gone is not None:
            self.leave(gone)
        return found

    def send(
        self, visitor: str, text: str, files: Sequence[str | Path], settings: SamplingParams
    ) -> Iterator[Frame]:
        """Answer a message, frame by frame.

        Raises:
            Refusal: before the first frame, and the conversation is as it was.
        """
        conversation = self.conversation(visitor)
        turn = Turn(text.strip(), tuple(Path(file) for file in files))
        if not turn.text:
            raise Refusal("Write a question about the pictures, too." if files else "Write a question first.")
        if len(text) > LONGEST_TEXT:
            raise Refusal(f"The message has {len(text):,} characters; at most {LONGEST_TEXT:,} are read.")
        yield from self._answer(conversation, conversation.turns, turn, settings)

    def retry(self, visitor: str, settings: SamplingParams) -> Iterator[Frame]:
        """Answer the last message once more.

        Raises:
            Refusal: nothing was asked yet, or an answer is being written.
        """
        conversation = self.conversation(visitor)
        if not conversation.turns:
            raise Refusal("There is nothing to answer again.")
        last = conversation.turns[-1]
        again = Turn(last.text, last.pictures)
        yield from self._answer(conversation, conversation.turns[:-1], again, settings)

    def undo(self, visitor: str) -> tuple[str, list[str], list[dict]]:
        """Take the last message back: its text, its pictures, and the chat without them."""
        conversation = self.conversation(visitor)
        self.stop(visitor)
        with conversation.lock:
            if not conversation.turns:
                return "", [], []
            last = conversation.turns[-1]
            conversation.turns, conversation.current = conversation.turns[:-1], None
        return last.text, [str(path) for path in last.pictures], conversation.chat()

    def stop(self, visitor: str) -> None:
        """Stop the visitor's answer before its next token."""
        current = self.conversation(visitor).current
        if current is not None:
            current.cancel()

    def clear(self, visitor: str) -> None:
        """Begin a new conversation."""
        self.stop(visitor)
        conversation = self.conversation(visitor)
        with conversation.lock:
            conversation.turns, conversation.current = [], None

    def leave(self, visitor: str) -> None:
        """Forget the visitor, and stop what was being written for them."""
        with self._lock:
            gone = self._conversations.pop(visitor, None)
        if gone is not None and gone.current is not None:
            gone.current.cancel()

    def reopen(self, visitor: str, turn: int) -> Message | None:
        """The view of an earlier answer of this conversation, if it is still kept."""
        turns = self.conversation(visitor).turns
        answer = self.shelf.get(turns[turn].run_id) if 0 <= turn < len(turns) else None
        if answer is None or answer.running:
            return None
        return snapshot(answer.trace(), answer.id, answer.shown_again())

    def pull(self, question: object) -> Message | None:
        """What a view lacks of the answer it shows; None if that answer is not kept any more."""
        answer = self._asked(question)
        if answer is None:
            return None
        done = not answer.running
        return answer_pull(answer.trace(), answer.id, question.get("from"), answer.started, done)

    def attention(self, question: object) -> Message | None:
        """Where the model looked when it wrote one word; None for a question that makes no sense."""
        answer = self._asked(question)
        return None if answer is None else answer_attention(answer.trace(), answer.id, question)

    def _asked(self, question: object) -> Answer | None:
        # whatever a browser sends may stand here
        run_id = question.get("run") if isinstance(question, dict) else None
        return self.shelf.get(run_id) if isinstance(run_id, str) else None

    def _answer(
        self, conversation: Conversation, earlier: list[Turn], turn: Turn, settings: SamplingParams
    ) -> Iterator[Frame]:
        with conversation.lock:
            if conversation.busy:
                raise Refusal("An answer is being written; stop it first.")
            turns = [*earlier, turn]
            run = self._start(turns, settings)
            answer = conversation.current = Answer(run)
            self.shelf.put(answer)
            conversation.turns = [*earlier, replace(turn, run_id=run.id)]
        feed, seen = Feed(run.id, answer.started), 0
        try:
            trace = run.trace()
            yield frame(conversation, feed.next(trace), f"Reading {prompt_size(trace)} …")
            while not run.done and not run.cancelled.wait(SECONDS_BETWEEN_FRAMES):
                if len(run.capture.steps) > seen:
                    trace = run.trace()
                    seen = len(trace.generated_index)
                    note(conversation, run, trace)
                    yield frame(conversation, feed.next(trace), status(trace))
        finally:
            # the page may have gone away at any of the yields
            run.cancel()
            answer.finish()
            note(conversation, run, answer.trace(), ended=True)
        trace = answer.trace()
        yield frame(conversation, feed.next(trace, done=True), status(trace, run), done=True)

    def _start(self, turns: list[Turn], settings: SamplingParams) -> Run:
        pictures = [path for turn in turns for path in turn.pictures]
        if len(pictures) > MOST_PICTURES:
            before = len(pictures) - len(turns[-1].pictures)
            already = f"; this one has {before} already" if before else f", not {len(pictures)}"
            raise Refusal(
                f"A conversation holds at most {MOST_PICTURES} pictures{already}. "
                "Remove some, or start a new conversation."
            )
        try:
            return self.session.start(messages(turns), settings)
        except ValueError as error:
            raise Refusal(sentence(error)) from error


def frame(conversation: Conversation, view: Message, line: str, done: bool = False) -> Frame:
    """What to show of a conversation now."""
    return Frame(conversation.chat(), conversation.pictures, view, line, done)


def note(conversation: Conversation, run: Run, trace: Trace, ended: bool = False) -> None:
    """Write an answer as far as `trace` goes into its turn, unless that was taken back meanwhile."""
    words = ""
    if run.error is not None:
        log.error("the answer broke off", exc_info=run.error)
        words = f"The answer broke off: {sentence(run.error)}"
    elif ended and not trace.text:
        words = "(an empty answer)" if run.finish_reason else "(stopped before the first word)"
    with conversation.lock:
        if conversation.turns and conversation.turns[-1].run_id == run.id:
            conversation.turns[-1] = replace(conversation.turns[-1], answer=trace.text, note=words)


def messages(turns: Sequence[Turn]) -> list[dict]:
    """A conversation as the model is told it; pictures are opened here, one by one.

    Raises:
        Refusal: a picture cannot be read; says which and why.
    """
    told: list[dict] = []
    for turn in turns:
        pictures = [{"type": "image", "image": picture(path)} for path in turn.pictures]
        told.append({"role": "user", "content": [*pictures, {"type": "text", "text": turn.text}]})
        told.append({"role": "assistant", "content": turn.answer})
    return told[:-1]


def picture(path: Path) -> Image.Image:
    """Open an uploaded picture.

    Raises:
        Refusal: it cannot be read; the sentence has its name, not its place on this machine.
    """
    try:
        return open_image(path)
    except ImageError as error:
        words = sentence(error).replace(repr(str(path)), f"“{path.name}”")
        if f"“{path.name}”" not in words:  # too long to be repeated there
            words = f"“{path.name[:60]}” is not a picture that can be read."
        raise Refusal(words) from error


def sampling(temperature: float, top_p: float, max_tokens: float, seed: str | None) -> SamplingParams:
    """Settings as a form gives them.

    Raises:
        Refusal: one is out of its range; says which and what is expected.
    """
    try:
        whole = int(seed) if (seed or "").strip() else None
        return SamplingParams(
            temperature=float(temperature), top_p=float(top_p), max_tokens=int(max_tokens), seed=whole
        )
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise Refusal(f"A setting does not fit: {sentence(error)}") from error


def sentence(error: Exception) -> str:
    """The first line of an error, as a sentence."""
    words = str(error).strip().partition("\n")[0] or type(error).__name__
    return f"{words[0].upper()}{words[1:]}{'' if words.endswith(('.', '!', '?')) else '.'}"


def prompt_size(trace: Trace) -> str:
    """ "412 tokens, 375 of them for 2 pictures"."""
    tokens = len(trace) - len(trace.generated_index)
    if not trace.images:
        return f"{tokens:,} tokens"
    pictures = "1 picture" if len(trace.images) == 1 else f"{len(trace.images)} pictures"
    return f"{tokens:,} tokens, {int((trace.image_index >= 0).sum()):,} of them for {pictures}"


def status(trace: Trace, run: Run | None = None) -> str:
    """The line of numbers under a conversation; with the run, also how it ended."""
    parts = [f"Read {prompt_size(trace)}", f"wrote {len(trace.generated_index):,}"]
    speed = trace.meta["tokens_per_second"]
    if speed:
        parts.append(f"{speed:.0f} tokens/s" if speed >= 10 else f"{speed:.1f} tokens/s")
    if run is not None and run.error is not None:
        parts.append("broken off")
    elif run is not None and run.finish_reason == "length":
        parts.append("longest answer reached (see Settings)")
    elif run is not None and run.finish_reason != "stop":
        parts.append("stopped")
    return " · ".join(parts)
