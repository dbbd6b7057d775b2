"""A session over another engine: asked like a `wb.Session`, answered over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from model import SamplingParams
from workbench.asking import Asked, Asking
from workbench.edits import Edit, EditError
from workbench.engines.answer import Answer
from workbench.engines.asking import check_capture, request_fields
from workbench.engines.assemble import Source, assembled
from workbench.engines.own import fetch
from workbench.engines.question import Question
from workbench.engines.wire import EngineError, Wire
from workbench.integrity import check
from workbench.run import Messages, Reply, StreamedToken
from workbench.session import Session, conversation, sampling_of
from workbench.trace import Trace, TraceError, replace

CHAT = "chat/completions"
_UNFINISHED = "they come with the end of the answer"


class EngineSession(Asking):
    """A model that runs in vLLM, SGLang or our own server; made by `connect`.

    `chat`, `trace` and `stream` are a `wb.Session`'s. What needs the model itself (edits, hooks, passes of
    its own) is refused with a sentence.

    Attributes:
        source: who answers, and what is at hand of the model. name: the model's. url: of the engine.
        where: the URL that is asked.
    """

    def __init__(self, wire: Wire, source: Source) -> None:
        self.source = source
        self.name = source.model
        self.url = wire.url
        self.where = f"{wire.url}/{CHAT}"
        self._wire = wire

    def __repr__(self) -> str:
        config = self.source.config
        known = f": {len(config.moe_layers)} layers with {config.num_local_experts} experts" if config else ""
        return f"EngineSession({self.name!r} on {self.source.dialect.name} at {self.url}{known})"

    def __getattr__(self, name: str) -> object:
        if hasattr(Session, name) or name in ("llama", "processor"):
            raise AttributeError(
                f"{name} needs the model itself, and this one runs on {self.source.dialect.name} at "
                f"{self.url}; open it here with wb.load"
            )
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def chat(
        self,
        prompt: str | Messages,
        images: Sequence[object] = (),
        history: Reply | Messages | None = None,
        sampling: SamplingParams | None = None,
        capture: Asked = None,
        edits: Sequence[Edit] = (),
        **settings: object,
    ) -> Reply:
        """Ask and wait for the whole answer.

        Args:
            prompt, images, history, sampling, settings: as for `wb.Session.chat`.
            capture: None for whatever the engine tells; anything that it cannot tell is refused.
            edits: none; they need the model itself.

        Raises:
            ValueError: the conversation, a picture or a setting is not usable; says which and why.
            CaptureError, EditError: that cannot be had from this engine.
            EngineError: it cannot be reached, refuses, or what it sent cannot be read.
        """
        question = self._question(prompt, images, history, sampling, settings, capture, edits, streamed=False)
        answer = Answer(self.where)
        answer.take(self._wire.post(CHAT, self._body(question)))
        return self._reply(question, answer)

    def stream(
        self,
        prompt: str | Messages,
        sampling: SamplingParams | None = None,
        images: Sequence[object] = (),
        history: Reply | Messages | None = None,
        capture: Asked = None,
        edits: Sequence[Edit] = (),
        **settings: object,
    ) -> Iterator[StreamedToken]:
        """Ask, and get the answer as it arrives; leaving the loop hangs up, and the engine stops.

        One item for what arrives together, which is mostly one token. Its `trace` has the tokens so far; the
        last one's has, once the loop has ended, all that the engine tells.

        Raises:
            EngineError: as for `chat`; if the answer broke off, `partial` is the Reply as far as it came.
        """
        question = self._question(prompt, images, history, sampling, settings, capture, edits, streamed=True)
        growing = Growing(self, question)
        events = self._wire.events(CHAT, self._body(question))
        try:
            with closing(events):
                for event in events:
                    if (part := growing.answer.take(event)) is not None:
                        yield StreamedToken(len(growing.answer.parts) - 1, part, growing)
            if growing.answer.finish_reason is None:
                raise EngineError(f"{self.where}: the answer broke off before its end")
            growing.whole = self._observed(question, growing.answer)
        except EngineError as error:
            if growing.answer.parts and error.partial is None:
                error.partial = self._partial(question, growing.answer, _UNFINISHED)
            raise

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def _question(
        self,
        prompt: str | Messages,
        images: Sequence[object],
        history: Reply | Messages | None,
        sampling: SamplingParams | None,
        settings: dict,
        capture: Asked,
        edits: Sequence[Edit],
        streamed: bool,
    ) -> Question:
        if edits:
            raise EditError(
                f"edits reach into the model, and this one runs on {self.source.dialect.name} at {self.url}; "
                "open it here with wb.load"
            )
        check_capture(self.source.dialect, capture, streamed)
        messages = conversation(prompt, images, history)
        sampling = sampling_of(sampling, settings)
        return Question.of(messages, sampling, streamed, self.source.processor)

    def _body(self, question: Question) -> dict:
        tokenizer = self.source.processor is not None
        asked = request_fields(self.source.dialect, question.sampling, question.streamed, tokenizer)
        return {"model": self.name, "messages": question.on_the_wire(), **asked}

    def _reply(self, question: Question, answer: Answer) -> Reply:
        if answer.finish_reason is None:
            raise EngineError(f"{self.where} gave no finished answer")
        trace = self._observed(question, answer)
        return _reply(question, answer, trace)

    def _observed(self, question: Question, answer: Answer) -> Trace:
        """All that the engine tells of a finished answer."""
        dialect = self.source.dialect
        try:
            if not dialect.observes:
                return assembled(self.source, question, answer)
            if answer.trace_id is None:
                raise EngineError(f"{self.where} gave no trace_id; {dialect.how}")
            return fetch(self._wire, answer.trace_id)
        except (EngineError, TraceError) as error:
            failed = error
            if isinstance(error, TraceError):
                failed = EngineError(f"{self.where} sent experts that cannot be read: {error}")
            failed.partial = self._partial(question, answer, str(error))
            raise failed from None

    def _partial(self, question: Question, answer: Answer, absent: str) -> Reply:
        trace = assembled(self.source, question, answer, absent)
        return _reply(question, answer, trace)


class Growing:
    """What a stream has brought so far.

    Attributes:
        answer: as read. whole: the trace of all that was told, once that is here.
    """

    def __init__(self, session: EngineSession, question: Question) -> None:
        self.answer = Answer(session.where)
        self.whole: Trace | None = None
        self._session = session
        self._question = question

    def trace(self, generated: int | None = None) -> Trace:
        """The trace after so many parts; everything so far by default."""
        parts = len(self.answer.parts) if generated is None else generated
        if self.whole is not None and parts == len(self.answer.parts):
            return self.whole
        return assembled(self._session.source, self._question, self.answer.until(parts), _UNFINISHED)


def _reply(question: Question, answer: Answer, trace: Trace) -> Reply:
    if "integrity" not in trace.meta:
        trace = replace(trace, meta=trace.meta | {"integrity": check(trace).to_json()})
    said = {"role": "assistant", "content": answer.text}
    return Reply(answer.text, trace, [*question.messages, said], answer.finish_reason or "cancelled")
