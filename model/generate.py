"""Generation: one token at a time, for one prompt or for a batch of unequal ones.

A batch is padded on the left; padding has position -1, so it is invisible to every real token and every row
generates what it would generate alone.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.cache import KVCache
from model.llama4 import Llama4
from model.processor import Inputs, Processor
from model.sampling import Constraint, Drawer, SamplingParams, draw
from model.tokenizer import Tokenizer


class LogitsError(ValueError):
    """Logits that are NaN, from which every token would be as good as any other."""

    def __init__(self) -> None:
        super().__init__(
            "the model's logits are not numbers (NaN): its weights are damaged, an edit made them so, or its "
            "activations outgrew their number format; check the checkpoint, or load it with "
            "dtype=torch.bfloat16 or torch.float32"
        )


@dataclass(frozen=True)
class Step:
    """One generated token.

    Attributes:
        token_id: the token.
        text: what it adds to the visible answer; empty inside a character, for a stop token, and while the
            text could still become a stop string.
        logprob: its natural log-probability in the model's own distribution, before temperature and filters.
        top_ids, top_logprobs: the likeliest tokens of that distribution.
        finish_reason: "stop" or "length" with the last token, else None.
    """

    token_id: int
    text: str
    logprob: float
    top_ids: tuple[int, ...]
    top_logprobs: tuple[float, ...]
    finish_reason: str | None = None


class TextStream:
    """The visible text of one answer: whole characters only, and nothing from a stop string on."""

    def __init__(self, tokenizer: Tokenizer, stop: tuple[str, ...]) -> None:
        self._decoder = tokenizer.stream_decoder(skip_special=True)
        self._stop = stop
        self._held = ""

    def push(self, token_id: int) -> tuple[str, bool]:
        """The text to show after this token, and whether a stop string has ended the answer."""
        text = self._decoder.push(token_id)
        return self._release(self._held + text) if self._stop else (text, False)

    def flush(self) -> str:
        """What was held back, when the answer ends for another reason."""
        text, _ = self._release(self._held + self._decoder.flush())
        rest, self._held = text + self._held, ""
        return rest

    def _release(self, text: str) -> tuple[str, bool]:
        ends = [text.find(stop) for stop in self._stop if stop in text]
        if ends:
            self._held = ""
            return text[: min(ends)], True
        # hold back the longest tail that could still grow into a stop string
        tails = (n for stop in self._stop for n in range(len(stop) - 1, 0, -1) if text.endswith(stop[:n]))
        keep = len(text) - max(tails, default=0)
        self._held = text[keep:]
        return text[:keep], False


class Row:
    """The state of one answer in a batch; of rows with the same seed, `index` tells one from another."""

    def __init__(
        self,
        index: int,
        prompt: Tensor,
        params: SamplingParams,
        llama: Llama4,
        tokenizer: Tokenizer,
        constraint: Constraint | None = None,
    ) -> None:
        self.params = params
        self.drawer = Drawer(params, prompt, llama.device, index, constraint)
        self.prompt_steps: list[Step] = []  # of its own prompt, where a batch was asked to keep them
        self.stream = TextStream(tokenizer, params.stop)
        self.stop_ids = {*tokenizer.stop_ids, *llama.config.text.eos_token_id}
        self.left = min(params.max_tokens, llama.config.text.max_position_embeddings - len(prompt))
        self.last = 0
        self.done = False

    def take(self, ids: list[int], logprobs: list[float]) -> Step | LogitsError:
        """Go on with the first of `ids`; the others are the likeliest, all with their log-probabilities.

        Where those are not numbers the answer ends, and the error is returned: other rows may go on.
        """
        # a single logit that is NaN, or infinite, makes NaN of the sum that every probability is a share of
        if math.isnan(logprobs[0]):
            self.done = True
            return LogitsError()
        token = self.last = ids[0]
        self.drawer.take(token)
        self.left -= 1
        text, reason = "", None
        if token in self.stop_ids:
            text, reason = self.stream.flush(), "stop"
        else:
            text, stopped = self.stream.push(token)
            if stopped:
                reason = "stop"
            elif self.left == 0:
                text, reason = text + self.stream.flush(), "length"
        self.done = reason is not None
        end = 1 + self.params.top_logprobs
        return Step(token, text, logprobs[0], tuple(ids[1:end]), tuple(logprobs[1:end]), reason)


def advance(rows: Sequence[Row], logits: Tensor) -> list[Step | LogitsError]:
    """One more token of every row, drawn from `logits` [rows, vocabulary] float32; see `Row.take`.

    For all at once: of a small model, a call of PyTorch takes as long for a row as for all of them.
    """
    tokens = draw(logits, [row.drawer for row in rows])[:, None]
    logprobs = torch.log_softmax(logits, -1)
    if most := min(max(row.params.top_logprobs for row in rows), logits.shape[1]):
        tokens = torch.cat([tokens, torch.topk(logprobs, most).indices], 1)
    told = zip(rows, tokens.tolist(), logprobs.gather(1, tokens).tolist(), strict=True)
    return [row.take(ids, likely) for row, ids, likely in told]


def generate(
    llama: Llama4,
    processor: Processor,
    inputs: Inputs,
    params: SamplingParams | None = None,
    cancel: threading.Event | None = None,
    cache: KVCache | None = None,
    constraint: Constraint | None = None,
) -> Iterator[Step]:
    """Answer one prompt, token by token.

    Args:
        llama: the model.
        processor: whose tokenizer decodes.
        inputs: what `processor(messages)` gave.
        params: how to draw; greedy by default.
        cancel: when set, generation ends before the next token.
        cache: an empty cache to fill, for a caller who wants to go on from it.
        constraint: what the answer may consist of; log-probabilities stay the model's own.

    What hooks see meanwhile are inference tensors: to be read, not to be written to or differentiated.

    Raises:
        ValueError: the prompt leaves no room in the model's context.
        LogitsError: the model gave logits that are not numbers.
    """
    for steps in generate_batch(llama, processor, [inputs], params, cancel, cache, [constraint]):
        yield steps[0]


@torch.inference_mode()  # at a single token, what gradients could need is a tenth of the time
def generate_batch(
    llama: Llama4,
    processor: Processor,
    batch: Sequence[Inputs],
    params: SamplingParams | None = None,
    cancel: threading.Event | None = None,
    cache: KVCache | None = None,
    constraints: Sequence[Constraint | None] = (),
) -> Iterator[list[Step | None]]:
    """Answer several prompts at once; a step has an entry per prompt, None once that answer has ended."""
    params = params or SamplingParams()
    context = llama.config.text.max_position_embeddings
    for inputs in batch:
        if len(inputs.token_ids) >= context:
            raise ValueError(
                f"the prompt has {len(inputs.token_ids)} tokens; this model's context is {context}"
            )
    pairs = zip(batch, constraints or [None] * len(batch), strict=True)
    rows = [
        Row(i, inputs.token_ids, params, llama, processor.tokenizer, constraint)
        for i, (inputs, constraint) in enumerate(pairs)
    ]
    cache = llama.new_cache() if cache is None else cache
    token_ids, positions = _left_padded([inputs.token_ids for inputs in batch], llama.device)
    tiles = [inputs.pixel_values for inputs in batch if inputs.pixel_values is not None]
    pixels = torch.cat(tiles) if tiles else None
    while not (cancel is not None and cancel.is_set()):
        # only the last row becomes logits: a vocabulary-wide row for every prompt token would fill the memory
        hidden = llama.hidden(token_ids, pixels, cache, positions)[:, -1:]
        logits = llama.unembed(hidden)[:, -1].float()  # [batch, vocabulary]
        going = [i for i, row in enumerate(rows) if not row.done]
        steps: list[Step | None] = [None] * len(rows)
        drawn = advance([rows[i] for i in going], logits if len(going) == len(rows) else logits[going])
        for i, step in zip(going, drawn, strict=True):
            if isinstance(step, LogitsError):
                raise step
            steps[i] = step
        yield steps
        if all(row.done for row in rows):
            return
        token_ids = torch.tensor([[row.last] for row in rows], device=llama.device)
        pixels = positions = None


def _left_padded(prompts: list[Tensor], device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Prompts as [batch, longest], and their positions (None where no row is padded)."""
    longest = max(map(len, prompts))
    token_ids = torch.zeros(len(prompts), longest, dtype=torch.int64)
    positions = torch.full_like(token_ids, -1)
    for row, prompt in enumerate(prompts):
        token_ids[row, longest - len(prompt) :] = prompt
        positions[row, longest - len(prompt) :] = torch.arange(len(prompt))
    padded = bool((positions < 0).any())
    return token_ids.to(device), positions.to(device) if padded else None
