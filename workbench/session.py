"""Session: the one door. Load a model, ask it, watch it answer.

One engine thread per session owns the model; a `Run` is one answer, queued or growing. Notebooks, the page
and servers only subscribe to runs: stopping works within one token, and a subscriber that vanishes leaves
nothing behind.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from model import Llama4, Processor, SamplingParams
from model import load as load_model
from model.quantize import held_as
from workbench.capture import Capture, CaptureOptions
from workbench.engine import Engine
from workbench.run import Messages, Reply, Run, StreamedToken


class Session:
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
        meta = {
            "model": self.name,
            "weights": held_as(self.llama),
            "sampling": asdict(sampling),
            "torch": torch.__version__,
        }
        watch = Capture(
            self.llama, self.processor, inputs, capture or CaptureOptions(), sampling.max_tokens, meta
        )
        run = Run(messages, sampling, watch, owner=self)
        self._engine.put(run)
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
        dtype: of plain weights and activations; by default the checkpoint's own.
        quantize: None, or "fp8" or "int4" to quantize a plain checkpoint's experts while it is read.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    llama, processor = load_model(path, device, dtype, quantize)
    return Session(llama, processor, str(path) if str(path) == "demo" else Path(path).name)
