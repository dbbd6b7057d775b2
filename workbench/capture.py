"""Capture: from what the hook points carry to a growing Trace.

While a model runs, only references are kept; arrays are made when somebody asks for the trace. Watching uses
hook points that pass the value on untouched, so the tokens are those of an unwatched run, bit for bit.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model.generate import Step
from model.hooks import LAST_ROW, recorded
from model.llama4 import Llama4
from model.processor import Inputs, Processor, Spans
from workbench.provenance import of_capture
from workbench.trace import GENERATED, LAYOUT, NOT_CAPTURED, PROMPT, Trace

LARGEST_SIDE = 1024  # pixels of a picture kept in a trace


class CaptureError(RuntimeError):
    """Something was asked for that cannot be observed truthfully."""


@dataclass(frozen=True)
class CaptureOptions:
    """What is observed.

    Attributes:
        routing: experts, gates and router logits of every token in every MoE layer.
        attention: the attention row behind every generated token, all heads.
        attention_budget: bytes that the attention rows may take. If all layers do not fit, the position-free
            ones are kept, which see the whole prompt; if those do not fit, the last of them.
    """

    routing: bool = True
    attention: bool = True
    attention_budget: int = 256 * 2**20


def attention_layers(llama: Llama4, tokens: int, new_tokens: int, budget: int) -> list[int]:
    """Layers whose rows fit: `new_tokens` rows x heads x up to `tokens + new_tokens` keys x two bytes."""
    text = llama.config.text
    per_layer = new_tokens * text.num_attention_heads * (tokens + new_tokens) * 2
    every = list(range(text.num_hidden_layers))
    if len(every) * per_layer <= budget:
        return every
    free = [layer for layer in every if not text.uses_rope(layer)]
    affordable = budget // per_layer
    return free[-affordable:] if affordable else []


class Capture:
    """Observes one generation.

    Use: `with capture.watching(): for step in generate(...): capture.add(step)`; `capture.trace()` may be
    called at any time, from any thread. The trace names the hook points that are edited when watching begins.
    """

    def __init__(
        self,
        llama: Llama4,
        processor: Processor,
        inputs: Inputs,
        options: CaptureOptions,
        max_tokens: int,
        meta: dict,
    ) -> None:
        self.llama = llama
        self.processor = processor
        self.inputs = inputs
        self.meta = dict(meta)
        self.steps: list[Step] = []
        text = llama.config.text
        self.moe_layers = list(text.moe_layers) if options.routing else []
        self.layers: list[int] = []
        if options.attention:
            # no answer outgrows the context, whatever limit was given
            room = min(max_tokens, text.max_position_embeddings - len(inputs.token_ids))
            self.layers = attention_layers(llama, len(inputs.token_ids), room, options.attention_budget)
        self.edits: list[dict] = []
        # per pass, per MoE layer: logits [R, E], indices [R, K]
        self._routing: list[list[tuple[Tensor, Tensor]]] = []
        self._attention: list[Tensor] = []  # per step [layers, heads, keys so far] float16
        self._clock: list[float] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Attach the hooks for as long as the block runs.

        Raises:
            CaptureError: expert weights are being edited, which would make the recorded gates untrue.
        """
        points = self.llama.hook_points
        edited = [f"blocks.{n}.moe.hook_expert_weights" for n in self.moe_layers]
        if untrue := [name for name in edited if points[name].edited]:
            raise CaptureError(
                f"{untrue[0]} is edited, so gates could not be told from logits; "
                "edit hook_router_logits or hook_expert_indices, or capture without routing"
            )
        self.edits = [{"hook_point": name} for name, point in points.items() if point.edited]
        routing = [
            points[f"blocks.{n}.moe.{leaf}"]
            for n in self.moe_layers
            for leaf in ("hook_router_logits", "hook_expert_indices")
        ]
        patterns = [points[f"blocks.{n}.attn.hook_pattern"] for n in self.layers]
        with ExitStack() as stack:
            self._routes = stack.enter_context(recorded(routing))
            self._patterns = stack.enter_context(recorded(patterns, rows=LAST_ROW))
            # from here, not from the moment the question was queued
            self._clock = [time.perf_counter()]
            yield

    def add(self, step: Step) -> None:
        """Note one generated token and what the pass that predicted it carried.

        Raises:
            CaptureError: a hook point carried nothing in this pass, or more or fewer rows than it had tokens.
        """
        self._add_routing()
        if self.layers:
            rows = [_taken(self._patterns, f"blocks.{n}.attn.hook_pattern")[0, :, -1] for n in self.layers]
            self._attention.append(torch.stack(rows).half())
        self._clock.append(time.perf_counter())
        # last, so that a trace made meanwhile in another thread finds everything of the steps it counts
        self.steps.append(step)

    def add_last_routing(self) -> None:
        """Note the routing of the last token, after a pass that was run for this alone."""
        self._add_routing()

    def _add_routing(self) -> None:
        if not self.moe_layers:
            return
        # the first pass carries the whole prompt, every later one a token
        expected = 1 if self._routing else len(self.inputs.token_ids)
        taken = []
        for n in self.moe_layers:
            point = f"blocks.{n}.moe.hook_"
            pair = (
                _taken(self._routes, point + "router_logits"),
                _taken(self._routes, point + "expert_indices"),
            )
            if any(len(value) != expected for value in pair):
                rows = [len(value) for value in pair]
                raise CaptureError(f"layer {n} routed {rows} rows in a pass of {expected} tokens")
            taken.append(pair)
        self._routing.append(taken)

    def trace(self, generated: int | None = None, text: str = "", finish_reason: str | None = None) -> Trace:
        """The trace of the first `generated` new tokens (all so far by default)."""
        steps = self.steps[: len(self.steps) if generated is None else generated]
        prompt, new = len(self.inputs.token_ids), len(steps)
        ids = np.concatenate([self.inputs.token_ids.numpy(), [step.token_id for step in steps]]).astype(
            np.int32
        )
        spans = self.inputs.spans
        spans = spans.append(Spans.of_generated(new, int(spans.turn[-1])))
        routing = self._routing_arrays(prompt, new)
        attention = self._attention_array(prompt, new)
        optional = {"router_logits": routing["router_logits"], "attention": attention}
        most = max((len(step.top_ids) for step in steps), default=0)
        return Trace(
            token_ids=ids,
            tokens=[self.processor.tokenizer.token_text(token) for token in ids],
            phase=np.repeat(np.array([PROMPT, GENERATED], np.int8), [prompt, new]),
            turn=spans.turn,
            role=spans.role,
            modality=spans.modality,
            image_index=spans.image_index,
            tile_index=spans.tile_index,
            is_thumbnail=spans.is_thumbnail,
            patch_row=spans.patch_row,
            patch_col=spans.patch_col,
            patch_box=spans.patch_box,
            image_sizes=np.array([image.size for image in self.inputs.images], np.int32).reshape(-1, 2),
            moe_layers=np.array(self.moe_layers, np.int16),
            num_experts=self.llama.config.text.num_local_experts,
            **routing,
            attention=attention,
            attention_layers=np.array(self.layers, np.int16),
            query_index=np.arange(prompt - 1, prompt - 1 + (new if self.layers else 0), dtype=np.int32),
            generated_index=np.arange(prompt, prompt + new, dtype=np.int32),
            logprobs=np.array([step.logprob for step in steps], np.float32),
            topk_ids=np.array([step.top_ids for step in steps], np.int32).reshape(new, most),
            topk_logprobs=np.array([step.top_logprobs for step in steps], np.float32).reshape(new, most),
            images=[_reduced(image) for image in self.inputs.images],
            edits=list(self.edits),
            provenance=self._provenance({name for name, array in optional.items() if array is None}),
            meta=self.meta | self._timing(new) | {"text": text, "finish_reason": finish_reason},
        )

    def _routing_arrays(self, prompt: int, new: int) -> dict[str, np.ndarray | None]:
        text = self.llama.config.text
        shape = (prompt + new, len(self.moe_layers), text.num_experts_per_tok)
        experts = np.full(shape, NOT_CAPTURED, np.int16)
        weights = np.full(shape, np.nan, np.float16)
        if not self.moe_layers:
            return {"routed_experts": experts, "routed_weights": weights, "router_logits": None}
        logits = np.full((*shape[:2], text.num_local_experts), np.nan, np.float16)
        # pass i covers the prompt (i = 0) or one token; the last token has a pass of its own only at the end
        passes = self._routing[: new + 1]
        for column in range(len(self.moe_layers) if passes else 0):
            raw = torch.cat([one[column][0] for one in passes]).float()[: prompt + new]
            chosen = torch.cat([one[column][1] for one in passes])[: prompt + new]
            seen = len(chosen)
            logits[:seen, column] = raw.cpu().numpy()
            experts[:seen, column] = chosen.cpu().numpy()
            weights[:seen, column] = torch.sigmoid(raw.gather(1, chosen)).cpu().numpy()
        return {"routed_experts": experts, "routed_weights": weights, "router_logits": logits}

    def _attention_array(self, prompt: int, new: int) -> np.ndarray | None:
        if not self.layers:
            return None
        heads = self.llama.config.text.num_attention_heads
        rows = np.zeros((new, len(self.layers), heads, prompt + new), np.float16)
        for i, row in enumerate(self._attention[:new]):
            rows[i, ..., : row.shape[-1]] = row.cpu().numpy()
        return rows

    def _provenance(self, absent: set[str]) -> dict[str, str]:
        dtype = str(self.llama.dtype).removeprefix("torch.")
        every = of_capture(f"torch {torch.__version__}, {self.llama.device.type}, {dtype}")
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
        free = [layer for layer in self.layers if not self.llama.config.text.uses_rope(layer)]
        return (free or self.layers or [None])[-1]


def _taken(kept: dict[str, Tensor], name: str) -> Tensor:
    """What the pass carried there; taken out, so that no later pass can be told the same again."""
    try:
        return kept.pop(name)
    except KeyError:
        raise CaptureError(f"the pass carried nothing through {name}; nothing can be told of it") from None


def _reduced(image: Image.Image) -> Image.Image:
    if max(image.size) <= LARGEST_SIDE:
        return image
    small = image.copy()
    small.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return small
