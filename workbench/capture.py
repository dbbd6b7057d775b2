"""Capture: from what the hook points carry to a growing Trace.

While a model runs, only references are kept; arrays are made when somebody asks for the trace. Watching uses
hook points that pass the value on untouched, so the tokens are those of an unwatched run, bit for bit.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from functools import cached_property

import numpy as np
import torch
from PIL import Image

from model.generate import Step
from model.llama4 import Llama4
from model.processor import Inputs, Processor, Spans
from workbench.capture_attention import AttentionCapture
from workbench.capture_routing import RoutingCapture
from workbench.edits import Edit
from workbench.estimate import Estimate, estimate
from workbench.options import DTYPES, CaptureError, CaptureOptions
from workbench.provenance import MISSING, of_attention, of_capture
from workbench.trace import GENERATED, LAYOUT, PROMPT, Trace

__all__ = ["LARGEST_SIDE", "Capture", "CaptureError", "CaptureOptions", "estimate", "planned"]

LARGEST_SIDE = 1024  # pixels of a picture kept in a trace


def planned(
    llama: Llama4, inputs: Inputs, options: CaptureOptions, max_tokens: int, alternatives: int = 5
) -> Estimate:
    """What a capture of this prompt will keep, and the bytes it takes; see `workbench.estimate.estimate`."""
    text, prompt = llama.config.text, len(inputs.token_ids)
    # no answer outgrows the context, whatever limit was given
    room = max(0, min(max_tokens, text.max_position_embeddings - prompt))
    sizes = [_reduced_size(image.size) for image in inputs.images]
    return estimate(text, prompt, room, options, alternatives, sizes)


class Capture:
    """Observes one generation, or a single pass.

    Use: `with capture.watching(): for step in generate(...): capture.add(step)`; `capture.trace()` may be
    called at any time, from any thread.

    Edits that are given are entered first, so that what is captured is what flowed. `trace.edits` has
    `to_json()` of each of them, in order, and then `{"hook_point": name}` for every point that somebody else
    was editing when watching began. `trace.meta["edited_hook_points"]` names all points that are edited, by
    the given edits or by others.

    Args:
        llama, processor: the model. inputs: the prompt.
        options: what to keep. plan: what of it fits, from `planned`.
        meta: of the trace. edits: to hold while watching.
    """

    def __init__(
        self,
        llama: Llama4,
        processor: Processor,
        inputs: Inputs,
        options: CaptureOptions,
        plan: Estimate,
        meta: dict,
        edits: Sequence[Edit] = (),
    ) -> None:
        self.llama = llama
        self.processor = processor
        self.inputs = inputs
        self.meta = dict(meta) | {"capture": options.to_json()}
        self.given = tuple(edits)
        self.steps: list[Step] = []
        self.edits: list[dict] = []
        prompt = len(inputs.token_ids)
        self.routing = RoutingCapture(llama, plan.moe_layers, prompt, options.router_logits)
        self.attention = AttentionCapture(
            llama,
            plan.attention_layers,
            plan.attention_heads,
            plan.rows,
            prompt,
            DTYPES[options.attention_dtype],
        )
        self._clock: list[float] = []
        self._texts: list[str] = []  # of the tokens, as far as somebody asked

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Enter the edits, then attach the hooks, for as long as the block runs.

        Raises:
            EditError: an edit cannot be applied; when the block ends, one has not been.
        """
        points = self.llama.hook_points
        others = [name for name, point in points.items() if point.edited]
        with ExitStack() as stack:
            for edit in self.given:
                stack.enter_context(edit.applied(self.llama, self.inputs))
            self.edits = [_plain(edit) for edit in self.given] + [{"hook_point": name} for name in others]
            if edited := [name for name, point in points.items() if point.edited]:
                self.meta["edited_hook_points"] = edited
            self.routing.attach(stack)
            self.attention.attach(stack)
            # from here, not from the moment the question was queued
            self._clock = [time.perf_counter()]
            yield

    def add(self, step: Step) -> None:
        """Note one generated token and what the pass that predicted it carried.

        Raises:
            CaptureError: a hook point carried nothing in this pass, or more or fewer rows than it had tokens.
        """
        self.add_pass()
        self._clock.append(time.perf_counter())
        # last, so that a trace made meanwhile in another thread finds everything of the steps it counts
        self.steps.append(step)

    def add_pass(self) -> None:
        """Note what a pass carried that predicted nothing anybody wants."""
        self.routing.add()
        self.attention.add()

    def add_last_routing(self) -> None:
        """Note the routing of the last token, after a pass that was run for this alone."""
        self.routing.add()

    def trace(
        self,
        generated: int | None = None,
        text: str = "",
        finish_reason: str | None = None,
        passes: int | None = None,
        newest: int | None = None,
    ) -> Trace:
        """The trace of the first `generated` new tokens (all so far by default).

        Args:
            text, finish_reason: of the answer so far.
            passes: whose attention rows count; as many as there are new tokens, unless a pass was run for
                itself.
            newest: of how many passes the trace has attention rows, the last ones; of all by default.
        """
        steps = self.steps[: len(self.steps) if generated is None else generated]
        prompt, new = len(self.inputs.token_ids), len(steps)
        ids = np.concatenate([self.inputs.token_ids.numpy(), [step.token_id for step in steps]]).astype(
            np.int32
        )
        spans = self.inputs.spans
        spans = spans.append(Spans.of_generated(new, int(spans.turn[-1])))
        text_config = self.llama.config.text
        # pass i covers the prompt (i = 0) or one token; the last token has a pass of its own only at the end
        routing = self.routing.arrays(
            prompt + new, new + 1, text_config.num_experts_per_tok, text_config.num_local_experts
        )
        attention, query_index = self.attention.arrays(
            prompt + new, new if passes is None else passes, newest
        )
        optional = {"router_logits": routing["router_logits"], "attention": attention}
        most = max((len(step.top_ids) for step in steps), default=0)
        return Trace(
            token_ids=ids,
            tokens=self._texts_of(ids),
            phase=np.repeat(np.array([PROMPT, GENERATED], np.int8), [prompt, new]),
            **{column.name: getattr(spans, column.name) for column in fields(spans)},
            image_sizes=np.array([image.size for image in self.inputs.images], np.int32).reshape(-1, 2),
            moe_layers=np.array(self.routing.layers, np.int16),
            num_experts=text_config.num_local_experts,
            **routing,
            attention=attention,
            attention_layers=np.array(self.attention.layers, np.int16),
            attention_heads=np.array(self.attention.heads, np.int16),
            query_index=query_index,
            generated_index=np.arange(prompt, prompt + new, dtype=np.int32),
            logprobs=np.array([step.logprob for step in steps], np.float32),
            topk_ids=np.array([step.top_ids for step in steps], np.int32).reshape(new, most),
            topk_logprobs=np.array([step.top_logprobs for step in steps], np.float32).reshape(new, most),
            images=list(self._images),
            edits=list(self.edits),
            provenance=self._provenance(
                {name for name, array in optional.items() if array is None}, finish_reason is not None
            ),
            meta=self.meta | self._timing(new) | {"text": text, "finish_reason": finish_reason},
        )

    @cached_property
    def _images(self) -> tuple[Image.Image, ...]:
        return tuple(reduced(image) for image in self.inputs.images)

    def _texts_of(self, ids: np.ndarray) -> list[str]:
        """Display texts; a trace is asked for again and again while it grows, and its first tokens stay."""
        known = self._texts
        if len(known) < len(ids):
            token_text = self.processor.tokenizer.token_text
            # a list of its own, put in place at once: another thread may be at the same
            known = self._texts = [*known, *(token_text(token) for token in ids[len(known) :])]
        return known[: len(ids)]

    def _provenance(self, absent: set[str], ended: bool) -> dict[str, str]:
        dtype = str(self.llama.dtype).removeprefix("torch.")
        backend = f"torch {torch.__version__}, {self.llama.device.type}, {dtype}"
        every = of_capture(backend, self.routing.reweighted)
        edited = self.attention.edited
        every["attention"] = of_attention(backend, edited, len(edited) < len(self.attention.layers))
        # before the end they are still to come, and a screen that follows learns here what it may expect
        if ended and self.routing.layers and not self.routing.passes:
            why = f"{MISSING} (the answer ended before the model ran)"
            every |= dict.fromkeys(("routed_experts", "routed_weights", "router_logits"), why)
        return {name: every[name] for name in LAYOUT if name not in absent}

    def _timing(self, new: int) -> dict:
        seconds = np.diff(self._clock[: new + 1])
        return {
            "first_token_seconds": float(seconds[0]) if new else None,
            "tokens_per_second": float((new - 1) / seconds[1:].sum()) if new > 1 else None,
            "python": platform.python_version(),
            "default_attention_layer": self._default_layer(),
        }

    def _default_layer(self) -> int | None:
        free = [layer for layer in self.attention.layers if not self.llama.config.text.uses_rope(layer)]
        return (free or self.attention.layers or [None])[-1]


def _plain(edit: Edit) -> dict:
    """What an edit says of itself, if a trace can keep it."""
    said = edit.to_json()
    if not isinstance(said, dict):
        raise TypeError(f"to_json of {edit!r} gave {said!r}; expected a dict of plain values")
    return json.loads(json.dumps(said))


def _reduced_size(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, LARGEST_SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def reduced(image: Image.Image) -> Image.Image:
    """A picture as traces keep it: small."""
    if max(image.size) <= LARGEST_SIDE:
        return image
    small = image.copy()
    small.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return small
