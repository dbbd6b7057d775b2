"""Answers that share the model: they join and leave between two steps; a step is one pass for all of them.

A row that joins is read alone and then goes on with the others, padded on the left; padding is invisible to
it, so it says what it would say alone, up to the rounding of a product of several rows: where two tokens are
all but equally likely, that may decide between them. A row that is alone is computed as `generate` does it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from model.cache import KVCache
from model.generate import LogitsError, Row, Step, advance
from model.llama4 import Llama4
from model.processor import Inputs, Processor
from model.sampling import Constraint, SamplingParams

SCORED_AT_A_TIME = 64  # rows as wide as the vocabulary


class Batch:
    """The answers that are being given.

    Args:
        llama: the model. processor: whose tokenizer decodes.
    """

    def __init__(self, llama: Llama4, processor: Processor) -> None:
        self.llama = llama
        self.processor = processor
        self.rows: list[Row] = []
        self._places: list[tuple[KVCache, int]] = []  # where each row's keys and values are
        self._cache: KVCache | None = None  # of all rows as they are; None when one has joined or left

    def __len__(self) -> int:
        return len(self.rows)

    @torch.inference_mode()  # as `generate`
    def join(
        self,
        inputs: Inputs,
        params: Sequence[SamplingParams],
        constraints: Sequence[Constraint | None] = (),
        score: int | None = None,
    ) -> list[tuple[Row, Step]]:
        """Read a prompt once and begin as many answers to it as there are `params`; gives the first tokens.

        Args:
            inputs: the prompt. params: how each answer is drawn. constraints: what each may consist of.
            score: keep with each row how likely the prompt's own tokens were, and this many alternatives.

        Raises:
            ValueError: the prompt leaves no room in the model's context.
            LogitsError: the model gave logits that are not numbers.
        """
        context, prompt = self.llama.config.text.max_position_embeddings, inputs.token_ids
        if len(prompt) >= context:
            raise ValueError(f"the prompt has {len(prompt)} tokens; this model's context is {context}")
        cache = self.llama.new_cache()
        token_ids = prompt[None].to(self.llama.device)
        hidden = self.llama.hidden(token_ids, inputs.pixel_values, cache)
        prompt_steps = [] if score is None else scored(self.llama, hidden, token_ids, score)
        logits = self.llama.unembed(hidden[:, -1:])[0].float()  # [1, vocabulary]
        pairs = zip(params, constraints or [None] * len(params), strict=True)
        begun = [
            Row(index, prompt, one, self.llama, self.processor.tokenizer, constraint)
            for index, (one, constraint) in enumerate(pairs)
        ]
        steps = advance(begun, logits.expand(len(begun), -1))
        for row, step in zip(begun, steps, strict=True):
            if isinstance(step, LogitsError):
                raise step  # all of them drew from the same logits
            row.prompt_steps = prompt_steps
            if not row.done:
                self.rows.append(row)
                self._places.append((cache, 0))
                self._cache = None
        if self._places == [(cache, 0)]:
            self._cache = cache  # who is alone goes on in it as it is
        return list(zip(begun, steps, strict=True))

    def leave(self, row: Row) -> None:
        """Give up an answer; the others go on."""
        at = self.rows.index(row)
        del self.rows[at], self._places[at]
        self._cache = None

    @torch.inference_mode()
    def step(self) -> list[tuple[Row, Step | LogitsError]]:
        """One more token of every answer; those that end with it have left.

        An answer whose logits are not numbers ends with the error in place of a token; the others go on.
        """
        if not self.rows:
            return []
        if self._cache is None:
            self._cache = KVCache.joined(self._places)
            self._places = [(self._cache, row) for row in range(len(self.rows))]
        token_ids = torch.tensor([[row.last] for row in self.rows], device=self.llama.device)
        hidden = self.llama.hidden(token_ids, cache=self._cache)
        logits = self.llama.unembed(hidden)[:, -1].float()  # [rows, vocabulary]
        steps = list(zip(self.rows, advance(self.rows, logits), strict=True))
        for row, _ in steps:
            if row.done:
                self.leave(row)
        return steps


def scored(llama: Llama4, hidden: Tensor, token_ids: Tensor, most: int) -> list[Step]:
    """How likely the tokens of a prompt were, from the second on, each with `most` alternatives.

    Args:
        llama: the model. hidden: [1, T, M], what `llama.hidden` gave for token_ids [1, T].
    """
    steps = []
    for start in range(0, token_ids.shape[1] - 1, SCORED_AT_A_TIME):
        states = hidden[:, start : start + SCORED_AT_A_TIME]
        following = token_ids[0, start + 1 : start + 1 + SCORED_AT_A_TIME]
        logprobs = torch.log_softmax(llama.unembed(states)[0, : len(following)].float(), -1)
        chosen = logprobs.gather(1, following[:, None])[:, 0].tolist()
        if any(map(math.isnan, chosen)):
            raise LogitsError
        top = torch.topk(logprobs, min(most, logprobs.shape[1]))
        told = zip(following.tolist(), chosen, top.indices.tolist(), top.values.tolist(), strict=True)
        steps += [Step(token, "", logprob, tuple(ids), tuple(them)) for token, logprob, ids, them in told]
    return steps
