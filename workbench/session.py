"""Session: the one door. Load a model, ask it, watch it answer.

One engine thread per session owns the model; a `Run` is one answer, queued or growing. Notebooks, the page
and servers only subscribe to runs: stopping works within one token, and a subscriber that vanishes leaves
nothing behind.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from model import Inputs, Llama4, Processor, SamplingParams
from model import load as load_model
from model.quantize import held_as
from workbench.asking import Asked, Asking
from workbench.capture import Capture, planned
from workbench.edits import Edit
from workbench.engine import Call, Engine
from workbench.estimate import Estimate
from workbench.hook_names import NamesFilter, chosen
from workbench.options import options_of
from workbench.passes import (
    CACHE_BUDGET,
    ActivationCache,
    HookFunction,
    as_inputs,
    check_budget,
    hooked,
    one_pass,
)
from workbench.run import Messages, Reply, Run, StreamedToken
from workbench.trace import Trace

if TYPE_CHECKING:
    from workbench.view.chat_widget import ChatWidget

Given = TypeVar("Given")


class Session(Asking):
    """A loaded model and the thread that runs it.

    Args:
        llama: the model. processor: its tokenizer and picture settings. name: shown to people.
    """

    def __init__(self, llama: Llama4, processor: Processor, name: str) -> None:
        self.llama = llama
        self.processor = processor
        self.name = name
        self._engine = Engine(llama, processor, name)
        # when nobody holds the session any more, and when the program ends
        weakref.finalize(self, self._engine.stop)

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
        capture: Asked = None,
        edits: Sequence[Edit] = (),
    ) -> Run:
        """Queue an answer and return at once.

        Args:
            messages: a question, or a conversation in OpenAI's or Hugging Face's form.
            sampling: how to draw; greedy by default.
            capture: what to observe: options, or names of `workbench.options.NAMES`; routing and attention by
                default.
            edits: changes to hold inside the model while it answers, entered in this order (see
                `workbench.edits`). One that cannot be applied, or was not, ends the run with its error.

        Raises:
            ValueError: the conversation, a picture or a setting is not usable; says which and why.
            CaptureError: the budget cannot hold what is to be observed; says the arithmetic.
        """
        messages = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
        sampling = sampling or SamplingParams()
        options, edits = options_of(capture), _checked(edits)
        inputs = self._prompt(messages)
        plan = planned(self.llama, inputs, options, sampling.max_tokens, sampling.top_logprobs)
        meta = self._meta() | {"sampling": asdict(sampling)}
        watch = Capture(self.llama, self.processor, inputs, options, plan, meta, edits)
        run = Run(messages, sampling, watch, self, self._engine)
        self._engine.put(run)
        return run

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
            prompt: a question, or a whole conversation.
            images: pictures (PIL, path or data URL) shown before the question.
            history: an earlier Reply, or messages, to go on from.
            sampling: how to draw; or give its fields directly, e.g. `temperature=0.6, max_tokens=100`.
            capture, edits: as for `start`.
        """
        messages = conversation(prompt, images, history)
        return self.start(messages, sampling_of(sampling, settings), capture, edits).wait()

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
        """Ask, and get the answer token by token; leaving the loop stops the generation."""
        messages = conversation(prompt, images, history)
        run = self.start(messages, sampling_of(sampling, settings), capture, edits)
        try:
            yield from run
        finally:
            run.cancel()

    def chat_widget(
        self, sampling: SamplingParams | None = None, capture: Asked = None, **settings: object
    ) -> ChatWidget:
        """A conversation in a notebook: type, add pictures, stop, watch; its `trace` and `messages` are here.

        sampling, capture, settings: as for `chat`; of every answer.
        """
        from workbench.view.chat_widget import ChatWidget  # a widget library nobody needs to ask a model

        return ChatWidget(self, sampling_of(sampling, settings), capture)

    def estimate(
        self,
        prompt: str | Messages,
        capture: Asked = None,
        images: Sequence[object] = (),
        sampling: SamplingParams | None = None,
        **settings: object,
    ) -> Estimate:
        """The bytes that the trace of an answer will take at most, by part, before anything runs.

        Raises:
            CaptureError: `start` would refuse it, for the same reason.
        """
        sampling = sampling_of(sampling, settings) or SamplingParams()
        inputs = self._prompt(conversation(prompt, images))
        return planned(self.llama, inputs, options_of(capture), sampling.max_tokens, sampling.top_logprobs)

    def run_with_cache(
        self,
        inputs: Inputs | Tensor | str | Messages,
        names_filter: NamesFilter = None,
        capture: Asked = "routing",
        budget: int | None = CACHE_BUDGET,
    ) -> tuple[Tensor, ActivationCache]:
        """One forward pass, and what flowed through the chosen hook points; nothing is generated.

        As in TransformerLens, but for one prompt at a time: `logits, cache = run_with_cache(...)`. The pass
        waits its turn behind the answers that are queued and runs without gradients. `cache.trace` is a Trace
        of the same pass.

        Args:
            inputs: what `session.processor(messages)` gave, token ids [T] or [1, T], a question or messages.
            names_filter: None for every hook point, a name, names, or a function of a name. Patterns of whole
                prompts are large: choose. TransformerLens' spellings are understood (see
                `workbench.hook_names.alias`).
            capture: what `cache.trace` has.
            budget: bytes that the cache may take; None: no limit.

        Returns:
            logits [1, T, V] in the model's dtype, and the cache.

        Raises:
            UnknownHookError: a name that there is not; says the nearest.
            CaptureError: the budget cannot hold it, or a point carried nothing.
        """
        options, prompt = options_of(capture), as_inputs(self.llama, self.processor, inputs)
        points = chosen(self.llama, names_filter, prompt.pixel_values is not None)
        check_budget(self.llama, points, prompt, budget)
        meta = self._meta()
        seen = self.in_turn(lambda: one_pass(self.llama, self.processor, prompt, options, meta, points))
        return seen.logits, seen.cache

    def run_with_hooks(
        self,
        inputs: Inputs | Tensor | str | Messages,
        fwd_hooks: Sequence[tuple[NamesFilter, HookFunction]] = (),
        return_trace: bool = False,
        capture: Asked = "routing",
    ) -> Tensor | tuple[Tensor, Trace]:
        """One forward pass, edited by functions at hook points; nothing is generated.

        As in TransformerLens: `fn(tensor, hook)` gives what flows on instead, or None to leave it, and
        `hook.name` says where it is. Every function is called or the call raises. A point with a function
        counts as edited, whatever the function gives: attention then goes through its pattern, which rounds
        otherwise than the fused one. To read without a trace of influence, use `run_with_cache`.

        Args:
            inputs, capture: as for `run_with_cache`.
            fwd_hooks: pairs of a name (or names, or a function of a name) and a function.
            return_trace: give a Trace of the pass as well.

        Returns:
            logits [1, T, V], or these and the trace.

        Raises:
            UnknownHookError: a name that there is not; says the nearest.
            CaptureError: a point carried nothing, so that its function was never called.
            ValueError: a function gave another shape or dtype than what it replaces.
        """
        options, prompt = options_of(capture), as_inputs(self.llama, self.processor, inputs)
        pairs = hooked(self.llama, fwd_hooks, prompt.pixel_values is not None)
        meta = self._meta()
        seen = self.in_turn(lambda: one_pass(self.llama, self.processor, prompt, options, meta, (), pairs))
        return (seen.logits, seen.trace) if return_trace else seen.logits

    def in_turn(self, work: Callable[[], Given]) -> Given:
        """Do anything with the model when it is nobody else's: behind the answers that are queued.

        `work` runs in the engine's thread, where gradients are on unless it turns them off; what it gives, or
        raises, comes back here.
        """
        return self._engine.call(work)

    def soon(self, work: Callable[[], None]) -> None:
        """As `in_turn`, but return at once: what `work` raises is lost, so it should raise nothing."""
        self._engine.put(Call(work))

    def _prompt(self, messages: Messages) -> Inputs:
        inputs = self.processor(messages)
        context = self.llama.config.text.max_position_embeddings
        if len(inputs.token_ids) >= context:
            raise ValueError(
                f"the conversation has {len(inputs.token_ids)} tokens, this model's context is {context}; "
                "start a new conversation, or send fewer or smaller pictures"
            )
        return inputs

    def _meta(self) -> dict:
        return {"model": self.name, "weights": held_as(self.llama), "torch": torch.__version__}

    def close(self) -> None:
        """End the engine thread after the answers that are queued."""
        self._engine.close()


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


def sampling_of(sampling: SamplingParams | None, settings: dict) -> SamplingParams:
    """Sampling out of what a caller gave: whole, by its fields, or not at all.

    Raises:
        ValueError, TypeError: both were given, or there is no such field.
    """
    if sampling is not None and settings:
        raise ValueError(f"give sampling= or its fields, not both; got sampling and {', '.join(settings)}")
    with contextlib.suppress(TypeError):
        return sampling or SamplingParams(**settings)
    known = ", ".join(SamplingParams.__dataclass_fields__)
    raise TypeError(
        f"unknown setting among {', '.join(settings)}; expected fields of SamplingParams: {known}"
    )


def _checked(edits: Sequence[Edit]) -> tuple[Edit, ...]:
    edits = (edits,) if isinstance(edits, Edit) else tuple(edits)
    for number, edit in enumerate(edits):
        if isinstance(edit, type) or not isinstance(edit, Edit):
            raise TypeError(
                f"edits[{number}] is {edit!r}; expected something with the methods applied and to_json "
                "(see workbench.edits)"
            )
    return edits


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
        dtype: of plain weights and activations; by default the checkpoint's own.
        quantize: None, or "fp8" or "int4" to quantize a plain checkpoint's experts while it is read.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    llama, processor = load_model(path, device, dtype, quantize)
    return Session(llama, processor, str(path) if str(path) == "demo" else Path(path).name)
