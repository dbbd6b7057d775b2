"""What the chat page does, without the page: values in, values out. Nothing here knows Gradio.

A `Desk` serves all visitors of one model. What was said and shown is kept here, per visitor, never rebuilt
from what a browser sends back, except when a page was reloaded. Answers are made by the session's engine
thread, one after the other, and only watched here: a visitor who stops or leaves holds nothing up. Nobody has
more than one answer in the line, so everybody's turn comes. Finished traces are kept within a fixed memory.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from apps import keeping
from apps.conversation import Conversation, Refusal, Turn, check_question, messages, refusing
from apps.formats import Formats
from apps.frames import Frame, frame, growth, note, refused
from apps.honesty import Verdict, check
from apps.line import Line
from apps.numbers import prompt_size, status, waiting
from apps.shelf import Answer, Shelf
from apps.visitors import Visitors
from model import SamplingParams
from workbench import Run, Session, Trace, TraceError
from workbench.grounding import GroundingError
from workbench.guards import Policy, Watch
from workbench.sentences import sentence
from workbench.view.payload import Feed, Message, answer_attention, answer_pull, snapshot

MOST_WAITING = 32  # answers in the line
LARGEST_TRACE = 64 * 2**20  # bytes of a file
CUT_OFF = "(This answer was cut off; ask again.)"
SECONDS_BETWEEN_FRAMES = 0.1  # nobody reads faster, and a browser keeps up ...
MOST_BETWEEN_FRAMES = 0.5  # ... unless it is slow, or the conversation long: it is told less often then
MOST_SILENT = 0.9  # seconds; then the last frame once more: only who is told something is seen to have gone


class Desk:
    """Serves everybody who talks to one model.

    Args:
        session: the model, in one format or in several. shelf: where finished answers stay. folder: for
            pictures that come back with a reloaded page; a temporary one by default.
        guard: judges questions, and answers before they are shown; None: nobody does.

    Attributes:
        visitors: who is here.
    """

    def __init__(
        self,
        session: Session | Formats,
        shelf: Shelf | None = None,
        folder: Path | None = None,
        guard: Policy | None = None,
    ) -> None:
        self.formats = session if isinstance(session, Formats) else Formats(session)
        self.session = self.formats.first
        self.shelf = Shelf() if shelf is None else shelf  # an empty one is as good
        self.guard = guard
        self._folder = folder
        self.visitors = Visitors()
        self._line = Line()
        self._one_at_a_time = threading.Lock()  # checks and files: they take much at once

    @property
    def context(self) -> int:
        """Tokens that the model can hold."""
        return self.session.llama.config.text.max_position_embeddings

    @property
    def waiting(self) -> int:
        """Answers that are being written or wait for their turn."""
        return len(self._line)

    def conversation(self, visitor: str) -> Conversation:
        """The visitor's conversation; a new one for a visitor not seen before."""
        return self.visitors.conversation(visitor)

    def choose(self, visitor: str, name: str) -> str:
        """Answer the visitor in a weight format from now on; how its weights are held, in words.

        Raises:
            Refusal: there is no such format, or it cannot be loaded; answers stay as they are.
        """
        held = self.formats.told(name)
        self.conversation(visitor).format = name
        return held

    def send(
        self,
        visitor: str,
        text: str,
        files: Sequence[str | Path],
        settings: SamplingParams,
        system: str = "",
    ) -> Iterator[Frame]:
        """Answer a message, frame by frame.

        Raises:
            Refusal: before the first frame, and the conversation is as it was.
        """
        conversation = self.conversation(visitor)
        turn, known = Turn(text.strip(), tuple(Path(file) for file in files)), conversation.turns
        yield from self._answer(conversation, known, [*known, turn], settings, system)

    def retry(self, visitor: str, settings: SamplingParams, system: str = "") -> Iterator[Frame]:
        """Answer the last message once more.

        Raises:
            Refusal: nothing was asked yet, or an answer is being written.
        """
        conversation = self.conversation(visitor)
        known = conversation.turns
        if not known:
            raise Refusal("There is nothing to answer again.")
        again = Turn(known[-1].text, known[-1].pictures)
        yield from self._answer(conversation, known, [*known[:-1], again], settings, system)

    def edit(self, visitor: str, run_id: str | None = None) -> tuple[str, list[str], list[dict]]:
        """Take a message back, and all that came after it: its text, its pictures, and the chat without them.

        Args:
            run_id: of the answer to it; the last message by default.

        Raises:
            Refusal: that answer is none of this conversation.
        """
        conversation = self.conversation(visitor)
        with conversation.lock:
            runs = [turn.run_id for turn in conversation.turns]
            if run_id is not None and run_id not in runs:
                raise Refusal("What is shown is no answer of this conversation; click one in the chat first.")
            at = len(runs) - 1 if run_id is None else runs.index(run_id)
            if at < 0:
                return "", [], []
            taken = conversation.turns[at]
            conversation.cut(conversation.turns[:at])
        return taken.text, [str(path) for path in taken.pictures], conversation.chat()

    def stop(self, visitor: str) -> None:
        """Stop the visitor's answer before its next token."""
        current = self.conversation(visitor).current
        if current is not None:
            current.cancel()

    def clear(self, visitor: str) -> None:
        """Begin a new conversation."""
        conversation = self.conversation(visitor)
        with conversation.lock:
            conversation.cut([])

    def kept(self, visitor: str) -> keeping.Kept | None:
        """The conversation for the visitor's own browser to keep; None of an empty one.

        Of an answer that is being written it keeps the question: a server may end before the answer does.
        None also where a picture is gone from here: what the browser has is better.
        """
        conversation = self.conversation(visitor)
        with conversation.lock:
            turns, system, busy = conversation.turns, conversation.system, conversation.busy
        if busy:
            turns = [*turns[:-1], replace(turns[-1], answer="", note=CUT_OFF)]
        whole = all(path.is_file() for turn in turns if not turn.refused for path in turn.pictures)
        return keeping.kept(turns, system, keeping.MOST_IN_BROWSER) if turns and whole else None

    def restore(self, visitor: str, value: object) -> bool:
        """Take up what the visitor's browser kept, if nothing was said here yet; whether it was.

        Raises:
            Refusal: it is no conversation.
        """
        conversation = self.conversation(visitor)
        known = conversation.turns
        if not value or known:
            return False
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="moe-workbench-"))
        turns, system = keeping.restored(value, self._folder)
        with conversation.lock:
            if conversation.turns is known:
                conversation.turns, conversation.system = turns, system
            return bool(turns) and conversation.turns is turns

    def reopen(self, visitor: str, turn: int) -> Message | None:
        """The view of an answer of this conversation (-1: the last), if it is still kept."""
        turns = self.conversation(visitor).turns
        answer = self.shelf.get(turns[turn].run_id) if -1 <= turn < len(turns) and turns else None
        return None if answer is None or answer.running else self._shown(answer)

    def open_file(self, path: Path) -> Message:
        """The view of a trace that a visitor brought; no model is asked.

        Raises:
            Refusal: the file is too large, or no trace; says why without its place on this machine.
        """
        name = f"“{path.name[:60]}”"
        if (size := path.stat().st_size) > LARGEST_TRACE:
            raise Refusal(f"{name} has {size / 2**20:.0f} MiB; at most {LARGEST_TRACE // 2**20} are opened.")
        try:
            with self._one_at_a_time:
                answer = Answer(Trace.open(path))
        except TraceError as error:
            raise Refusal(sentence(error).replace(str(path), name)) from error
        self.shelf.put(answer)
        if self.shelf.get(answer.id) is None:
            raise Refusal(f"{name} holds more than this page keeps.")
        return self._shown(answer)

    def check(self, run_id: object, token: int, layer: int, heads: Sequence[int] | None) -> Verdict:
        """Whether the map of a word is honest: the word's loss when each square is hidden (`honesty.check`).

        Raises:
            Refusal: it cannot be asked now, or of this word; says why.
        """
        answer = self.shelf.get(run_id)
        if answer is None or answer.running or not answer.turns:
            raise Refusal("Only a finished answer of this chat can be checked; ask something first.")
        if not self._one_at_a_time.acquire(blocking=False):
            raise Refusal("Another check is running; ask again in a moment.")
        try:
            with refusing(GroundingError, IndexError):
                return check(self.formats.of(answer.trace()), answer, token, layer, heads)
        finally:
            self._one_at_a_time.release()

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
        return self.shelf.get(question.get("run")) if isinstance(question, dict) else None

    def _shown(self, answer: Answer) -> Message:
        return snapshot(answer.trace(), answer.id, answer.shown_again())

    def _answer(
        self,
        conversation: Conversation,
        known: list[Turn],
        turns: list[Turn],
        settings: SamplingParams,
        system: str,
    ) -> Iterator[Frame]:
        *earlier, turn = turns
        check_question(earlier, turn, system)
        found = self.guard.input(messages(turns, system)) if self.guard else None
        with conversation.lock:
            if conversation.busy:
                raise Refusal("An answer is being written; stop it first.")
            if conversation.turns is not known:
                raise Refusal("The conversation went on while this question was read; ask again.")
            conversation.left = False
            if found and found.stopped:
                conversation.turns = [*earlier, replace(turn, note=found.sentence, refused=True)]
            else:
                run = self._start(conversation.format, turns, settings, system)
                watch = Watch(self.guard, run.messages) if self.guard else None
                answer = conversation.current = Answer(run, turns, system, watch, found)
                self.shelf.put(answer)
                conversation.turns = [*earlier, replace(turn, run_id=run.id)]
            conversation.system = system
        if found and found.stopped:
            yield from refused(conversation)
            return
        try:
            yield from self._watch(conversation, answer, run)
        finally:
            # not before the end was told: the next answer's frames could overtake it
            conversation.ended(answer)

    def _watch(self, conversation: Conversation, answer: Answer, run: Run) -> Iterator[Frame]:
        """A running answer, and its end."""
        feed = Feed(run.id, answer.started)
        try:
            yield from self._growing(conversation, answer, run, feed)
        finally:
            # the page may have gone away at any of the yields
            run.cancel()
            self._line.drop(run)
            answer.finish()
            note(conversation, answer, run, answer.trace(), ended=True)
        trace = answer.trace()
        yield frame(conversation, feed.next(trace, done=True), status(trace, self.context, run), done=True)

    def _growing(self, conversation: Conversation, answer: Answer, run: Run, feed: Feed) -> Iterator[Frame]:
        """A running answer, until it is over: the first word at once, then what is new now and then."""
        made, shown, place, told, since = 0, 0, None, None, 0.0
        while True:
            run.await_token(made, SECONDS_BETWEEN_FRAMES)
            made, over = len(run.capture.steps), run.over
            if run.done or not over:
                answer.look()
            if over:  # asked before the look, which may take long: a whole answer is judged to its end
                return
            if answer.ready > shown:
                trace = answer.trace(newest=1)
                shown = len(trace.generated_index)
                note(conversation, answer, run, trace)
                line = status(trace, self.context)
            elif not shown and place != (now := self._line.before(run)):
                trace, place = answer.trace(newest=1), now
                line = waiting(now) if now else f"Reading {prompt_size(trace)} …"
            elif told and time.perf_counter() - since > MOST_SILENT:
                trace = None
            else:
                continue
            since = time.perf_counter()
            told = told if trace is None else frame(conversation, growth(feed, trace), line)
            yield told
            took = time.perf_counter() - since
            run.rest(min(max(SECONDS_BETWEEN_FRAMES, 2 * took), MOST_BETWEEN_FRAMES))

    def _start(self, form: str, turns: list[Turn], settings: SamplingParams, system: str) -> Run:
        if self.waiting >= MOST_WAITING:
            raise Refusal(f"{MOST_WAITING} answers are waiting to be written; ask again in a minute.")
        with refusing(ValueError):
            writer = self.formats.get(form)
            run = writer.start(messages(turns, system), settings)
        self._line.put(run, writer)
        return run
