"""From logits to the next token: penalties, temperature, top-k, top-p, min-p, seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Protocol

import torch
from torch import Tensor

SMALLEST = 1e-6  # what logits are divided by: with less they would leave float32


@dataclass(frozen=True)
class SamplingParams:
    """How an answer is drawn. The default is greedy.

    Attributes:
        temperature: 0 takes the most likely token; Llama 4's published setting is 0.6.
        top_k: keep the k most likely tokens; None keeps all.
        top_p: keep the smallest set of tokens whose probability reaches this (Holtzman et al. 2019), in (0,
            1].
        min_p: drop tokens less likely than this share of the likeliest (arXiv:2407.01082), in [0, 1).
        repetition_penalty: divides the positive and multiplies the negative logits of tokens that already
            occurred, prompt included (arXiv:1909.05858); 1 is off.
        frequency_penalty, presence_penalty: taken off the logit of a token for every time it was said in this
            answer, and once if it was said at all (OpenAI's API reference); 0 is off, below 0 it repeats.
        logit_bias: token ids and what is added to their logits before all else, as a dict or as pairs; the
            log-probabilities that are reported stay the model's own.
        seed: makes sampling repeatable; None draws anew every time.
        max_tokens: the answer's length limit, in tokens.
        stop: strings that end the answer; they are not part of it.
        top_logprobs: how many alternatives each step reports.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int | None = None
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    top_logprobs: int = 5

    def __post_init__(self) -> None:
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", (self.stop,))
        bias = self.logit_bias.items() if isinstance(self.logit_bias, dict) else self.logit_bias
        object.__setattr__(self, "logit_bias", tuple((token, added) for token, added in bias))
        texts = isinstance(self.stop, list | tuple) and all(isinstance(t, str) and t for t in self.stop)
        checks = {
            "temperature": (_real(self.temperature, 0, math.inf), "a number from 0 up"),
            "top_k": (self.top_k is None or _whole(self.top_k, 1), "None or a whole number from 1 up"),
            "top_p": (_real(self.top_p, 0, math.inf) and 0 < self.top_p <= 1, "above 0 and at most 1"),
            "min_p": (_real(self.min_p, 0, 1), "from 0 up, below 1"),
            "repetition_penalty": (
                _real(self.repetition_penalty, 0, math.inf) and self.repetition_penalty > 0,
                "above 0 (1 is off)",
            ),
            "frequency_penalty": (_finite(self.frequency_penalty), "a finite number (0 is off)"),
            "presence_penalty": (_finite(self.presence_penalty), "a finite number (0 is off)"),
            "logit_bias": (
                all(_whole(token, 0) and _finite(added) for token, added in self.logit_bias),
                "finite numbers by token id",
            ),
            "seed": (self.seed is None or _whole(self.seed, 0), "None or a whole number from 0 up"),
            "max_tokens": (_whole(self.max_tokens, 1), "a whole number from 1 up"),
            "top_logprobs": (_whole(self.top_logprobs, 0), "a whole number from 0 up"),
            "stop": (texts, "a text, or several, none of them empty"),
        }
        for name, (good, expected) in checks.items():
            value = getattr(self, name)
            if not good:
                raise ValueError(f"{name} is {value!r}; expected {expected}")
            # plain numbers, whatever library they came from: they are written into traces
            if isinstance(value, Real):
                object.__setattr__(self, name, int(value) if isinstance(value, Integral) else float(value))
        object.__setattr__(self, "stop", tuple(self.stop))


class Constraint(Protocol):
    """What one answer may consist of, such as JSON of some schema; it follows the answer as it grows."""

    def allowed(self) -> Tensor:
        """The tokens that may come next: bool [vocabulary], at least one of them true."""

    def take(self, token: int) -> None:
        """Go on with the token that was drawn."""


def _whole(value: object, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and least <= value < 2**63


def _real(value: object, least: float, below: float) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and least <= value < below


def _finite(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def random_generator(params: SamplingParams, device: torch.device, row: int = 0) -> torch.Generator:
    """The source of randomness of one row; rows of a batch differ, a seed repeats them."""
    generator = torch.Generator(device)
    if params.seed is None:
        generator.seed()
    else:
        generator.manual_seed(params.seed + row)
    return generator


def penalize_repetition(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Make the token ids `seen` [n] less likely in `logits` [vocabulary]."""
    values, penalty = logits[seen], max(penalty, SMALLEST)
    return logits.index_copy(0, seen, torch.where(values > 0, values / penalty, values * penalty))


def penalize_said(logits: Tensor, said: Mapping[int, int], frequency: float, presence: float) -> Tensor:
    """Take `count * frequency + presence` off the logits [vocabulary] of tokens that were `said` so often."""
    tokens = torch.tensor(list(said), dtype=torch.int64, device=logits.device)
    counts = logits.new_tensor(list(said.values()))
    return logits.index_add(0, tokens, counts * -frequency - presence)


def add_bias(logits: Tensor, bias: Sequence[tuple[int, float]]) -> Tensor:
    """Add to the logits [vocabulary] of some token ids.

    Raises:
        ValueError: there is no such token.
    """
    tokens = torch.tensor([token for token, _ in bias], device=logits.device)
    if int(tokens.max()) >= len(logits):
        raise ValueError(f"logit_bias names token {int(tokens.max())}; this model has {len(logits)}")
    return logits.index_add(0, tokens, logits.new_tensor([added for _, added in bias]))


def restrict(logits: Tensor, params: SamplingParams) -> Tensor:
    """Apply temperature, top-k, top-p, min-p, in this order, to `logits` [vocabulary]; dropped: -inf."""
    logits = logits / max(params.temperature, SMALLEST)
    if params.top_k is not None and params.top_k < len(logits):
        logits = logits.masked_fill(logits < torch.topk(logits, params.top_k).values[-1], -math.inf)
    if params.top_p < 1:
        ordered, order = torch.sort(logits, descending=True)
        before = torch.softmax(ordered, -1).cumsum(-1) - torch.softmax(ordered, -1)
        # the likeliest stays, also where so small a top_p is 0 in float32
        logits = logits.index_fill(0, order[1:][before[1:] >= params.top_p], -math.inf)
    if params.min_p > 0:
        probabilities = torch.softmax(logits, -1)
        logits = logits.masked_fill(probabilities < params.min_p * probabilities.max(), -math.inf)
    return logits


def sample(
    logits: Tensor,
    params: SamplingParams,
    generator: torch.Generator,
    seen: Tensor,
    said: Mapping[int, int] | None = None,
) -> int:
    """Draw the next token id.

    Args:
        logits: [vocabulary] float32.
        params: how to draw.
        generator: of the row, on the logits' device.
        seen: [n] int64, the distinct token ids so far (for the repetition penalty).
        said: how often each token id was generated (for the frequency and presence penalties).
    """
    if params.logit_bias:
        logits = add_bias(logits, params.logit_bias)
    if params.repetition_penalty != 1:
        logits = penalize_repetition(logits, seen, params.repetition_penalty)
    if said and (params.frequency_penalty or params.presence_penalty):
        logits = penalize_said(logits, said, params.frequency_penalty, params.presence_penalty)
    if params.temperature == 0:
        return int(logits.argmax())
    probabilities = torch.softmax(restrict(logits, params), -1)
    return int(torch.multinomial(probabilities, 1, generator=generator))
