"""Session: the one door. Load a model, ask it, watch it answer.

One engine thread per session owns the model; a `Run` is one answer, queued or growing. Notebooks, the page
and servers only subscribe to runs: stopping works within one token, and a subscriber that vanishes leaves
nothing behind.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from model import Llama4, Processor, SamplingParams, Step, generate
from model import load as load_model
from workbench.capture import Capture, CaptureOptions
from workbench.trace import Trace

Messages = list[dict]

# parameters; below, an operation is over before a second core has joined in, and waiting for one that is busy
# (a browser's, say) costs many times the operation
ONE_THREAD_BELOW = 50_000_000


@dataclass(frozen=True)
class Reply:
    """A finished answer; `str(reply)` is its text.

    Attributes:
        text: what was said. finish_reason: "stop", "length" or "cancelled".
        trace: what was observed. messages: the conversation with this answer, to go on from.
    """

    text: str
    trace: Trace
    messages: Messages
    finish_reason: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 100 else self.text[:97] + "..."
        return f"Reply({text!r}, {self.finish_reason}, {self.trace!r})"


@dataclass(frozen=True)
class StreamedToken:
    """One token of a running answer: `text` is what it adds, `trace` everything observed up to it."""

    index: int
    step: Step
    run: Run = field(repr=False)

    @property
    def token_id(self) -> int:
        """The token."""
        return self.step.token_id

    @property
    def text(self) -> str:
        """What the token adds to the visible answer."""
        return self.step.text

    @property
    def trace(self) -> Trace:
        """The trace up to this token."""
        return self.run.trace(self.index + 1)


class Run:
    """One answer: queued, growing, or done. Iterate it for its tokens; several subscribers may."""

    def __init__(self, messages: Messages, sampling: SamplingParams, capture: Capture) -> None:
        self.id = secrets.token_urlsafe(12)
        self.messages = messages
        self.sampling = sampling
        self.capture = capture
        self.finish_reason: str | None = None
        self.error: Exception | None = None
        self.cancelled = threading.Event()
        self._changed = threading.Condition()

    def __repr__(self) -> str:
        state = self.finish_reason or (f"error: {self.error}" if self.error else "running")
        return f"Run({len(self.capture.steps)} tokens, {state})"

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.finish_reason is not None or self.error is not None

    @property
    def text(self) -> str:
        """The visible answer so far."""
        return "".join(step.text for step in self.capture.steps[:])

    def cancel(self) -> None:
        """Stop before the next token; the answer so far stays."""
        self.cancelled.set()
        with self._changed:
            self._changed.notify_all()

    def trace(self, generated: int | None = None) -> Trace:
        """The trace of the first `generated` answer tokens; everything so far by default."""
        steps = self.capture.steps[:generated]
        text = "".join(step.text for step in steps)
        reason = steps[-1].finish_reason if steps else None
        if self.done and len(steps) == len(self.capture.steps):
            reason = self.finish_reason
        return self.capture.trace(len(steps), text, reason)

    def __iter__(self) -> Iterator[StreamedToken]:
        """Tokens from the first on, waiting for those to come; raises what stopped the run, if anything."""
        at = 0
        while True:
            with self._changed:
                # woken at times, so that a keyboard interrupt is noticed
                while len(self.capture.steps) <= at and not self.done:
                    self._changed.wait(0.2)
            if len(self.capture.steps) > at:
                yield StreamedToken(at, self.capture.steps[at], self)
                at += 1
            elif self.error is not None:
                raise self.error
            else:
                return

    def wait(self) -> Reply:
        """Block until the answer is whole; a keyboard interrupt stops the run."""
        try:
            for _ in self:
                pass
        except KeyboardInterrupt:
            self.cancel()
            raise
        return self.reply()

    def reply(self) -> Reply:
        """The finished answer; what there is of it, if the run was cancelled."""
        said = {"role": "assistant", "content": self.text}
        return Reply(self.text, self.trace(), [*self.messages, said], self.finish_reason or "cancelled")

    def _note(self, step: Step) -> None:
        self.capture.add(step)
        with self._changed:
            self._changed.notify_all()

    def _end(self, reason: str | None, error: Exception | None = None) -> None:
        with self._changed:
            self.finish_reason, self.error = reason, error
            self._changed.notify_all()


class Session:
    """A loaded model and the thread that runs it.

    Args:
        llama: the model. processor: its tokenizer and picture settings. name: shown to people.
    """

    def __init__(self, llama: Llama4, processor: Processor, name: str) -> None:
        self.llama = llama
        self.processor = processor
        self.name = name
        self._runs: queue.SimpleQueue[Run | None] = queue.SimpleQueue()
        self._engine: threading.Thread | None = None
        self._starting = threading.Lock()
        # as the caller has them: a new thread would start with what another session's engine has set
        self._threads = torch.get_num_threads()

    def __repr__(self) -> str:
        text = self.llama.config.text
        return (
            f"Session({self.name!r}: {text.num_hidden_layers} layers, {len(text.moe_layers)} of them with "
            f"{text.num_local_experts} experts, on {self.llama.device})"
        )

    def start(
        self,
        messages: str | Messages,
        sampling: SamplingParams | None = None,
        capture: CaptureOptions | None = None,
    ) -> Run:
        """Queue an answer and return at once.

        Args:
            messages: a question, or a conversation in OpenAI's or Hugging Face's form.
            sampling: how to draw; greedy by default.
            capture: what to observe; routing and attention by default.

        Raises:
            ValueError: the conversation, a picture or a setting is not usable; says which and why.
        """
        messages = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
        sampling = sampling or SamplingParams()
        inputs = self.processor(messages)
        context = self.llama.config.text.max_position_embeddings
        if len(inputs.token_ids) >= context:
            raise ValueError(
                f"the conversation has {len(inputs.token_ids)} tokens, this model's context is {context}; "
                "start a new conversation, or send fewer or smaller pictures"
            )
        meta = {"model": self.name, "sampling": asdict(sampling), "torch": torch.__version__}
        watch = Capture(
            self.llama, self.processor, inputs, capture or CaptureOptions(), sampling.max_tokens, meta
        )
        run = Run(messages, sampling, watch)
        with self._starting:
            if self._engine is None:
                self._engine = threading.Thread(target=self._work, name=f"engine of {self.name}", daemon=True)
                self._engine.start()
        self._runs.put(run)
        return run

    def chat(
        self,
        prompt: str | Messages,
        images: Sequence[object] = (),
        history: Reply | Messages | None = None,
        sampling: SamplingParams | None = None,
        capture: CaptureOptions | None = None,
        **settings: object,
    ) -> Reply:
        """Ask and wait for the whole answer.

        Args:
            prompt: a question, or a whole conversation.
            images: pictures (PIL, path or data URL) shown before the question.
            history: an earlier Reply, or messages, to go on from.
            sampling: how to draw; or give its fields directly, e.g. `temperature=0.6, max_tokens=100`.
            capture: what to observe.
        """
        messages = conversation(prompt, images, history)
        return self.start(messages, _sampling(sampling, settings), capture).wait()

    def stream(
        self,
        prompt: str | Messages,
        sampling: SamplingParams | None = None,
        images: Sequence[object] = (),
        history: Reply | Messages | None = None,
        capture: CaptureOptions | None = None,
        **settings: object,
    ) -> Iterator[StreamedToken]:
        """Ask, and get the answer token by token; leaving the loop stops the generation."""
        run = self.start(conversation(prompt, images, history), _sampling(sampling, settings), capture)
        try:
            yield from run
        finally:
            run.cancel()

    def close(self) -> None:
        """End the engine thread after the answers that are queued."""
        with self._starting:
            if self._engine is not None:
                self._runs.put(None)
                self._engine.join()
                self._engine = None

    def _work(self) -> None:
        small = sum(parameter.numel() for parameter in self.llama.parameters()) < ONE_THREAD_BELOW
        torch.set_num_threads(1 if small else self._threads)  # of this thread alone
        while (run := self._runs.get()) is not None:
            try:
                self._answer(run)
            # whatever it was, the subscriber must learn of it and the thread go on
            except Exception as error:
                run._end(None, error)

    def _answer(self, run: Run) -> None:
        capture, cache = run.capture, self.llama.new_cache()
        with capture.watching():
            for step in generate(
                self.llama, self.processor, capture.inputs, run.sampling, run.cancelled, cache
            ):
                run._note(step)
            if capture.moe_layers and capture.steps and not run.cancelled.is_set():
                # the last token predicted nothing, so no pass has routed it yet
                with torch.no_grad():
                    self.llama.hidden(
                        torch.tensor([[capture.steps[-1].token_id]], device=self.llama.device), cache=cache
                    )
                capture.add_last_routing()
        reason = capture.steps[-1].finish_reason if capture.steps else None
        run._end(reason or "cancelled")


def conversation(
    prompt: str | Messages, images: Sequence[object] = (), history: Reply | Messages | None = None
) -> Messages:
    """Messages for a question with pictures, after what was said before.

    Raises:
        ValueError: pictures were given beside a whole conversation, which says itself where they stand.
    """
    earlier = history.messages if isinstance(history, Reply) else list(history or [])
    if not isinstance(prompt, str):
        if images:
            raise ValueError(
                "images= goes with a question; in a conversation, put the pictures into the messages"
            )
        return [*earlier, *prompt]
    if isinstance(images, str | bytes | Path) or not isinstance(images, Sequence):
        raise ValueError(f"images is a {type(images).__name__}; expected a list of pictures")
    content = [{"type": "image", "image": image} for image in images] + [{"type": "text", "text": prompt}]
    return [*earlier, {"role": "user", "content": content if images else prompt}]


def _sampling(sampling: SamplingParams | None, settings: dict) -> SamplingParams:
    if sampling is not None and settings:
        raise ValueError(f"give sampling= or its fields, not both; got sampling and {', '.join(settings)}")
    with contextlib.suppress(TypeError):
        return sampling or SamplingParams(**settings)
    known = ", ".join(SamplingParams.__dataclass_fields__)
    raise TypeError(
        f"unknown setting among {', '.join(settings)}; expected fields of SamplingParams: {known}"
    )


def load(
    path: str | Path = "demo",
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    quantize: str | None = None,
) -> Session:
    """Load a model to look inside of.

    Args:
        path: a checkpoint folder in the Hugging Face layout, or "demo" for the embedded teaching model.
        device: by default the first GPU if there is one, else the CPU.
        dtype: of weights and activations; by default the checkpoint's own.
        quantize: None.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    llama, processor = load_model(path, device, dtype, quantize)
    return Session(llama, processor, str(path) if str(path) == "demo" else Path(path).name)
