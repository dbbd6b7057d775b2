"""From logits to the next tokens, of a whole batch at once: penalties, temperature, filters, seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral, Real
from typing import Protocol

import torch
from torch import Tensor

SMALLEST = 1e-6  # what logits are divided by: with less they would leave float32
LARGEST = 1e6  # of what is added to logits or multiplies them, for the same reason


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
        within = f"a number from {-LARGEST:,.0f} to {LARGEST:,.0f}"
        checks = {
            "temperature": (_bounded(self.temperature, 0), f"a number from 0 to {LARGEST:,.0f}"),
            "top_k": (self.top_k is None or _whole(self.top_k, 1), "None or a whole number from 1 up"),
            "top_p": (_real(self.top_p, 0, math.inf) and 0 < self.top_p <= 1, "above 0 and at most 1"),
            "min_p": (_real(self.min_p, 0, 1), "from 0 up, below 1"),
            "repetition_penalty": (
                _bounded(self.repetition_penalty, 0) and self.repetition_penalty > 0,
                f"above 0 and at most {LARGEST:,.0f} (1 is off)",
            ),
            "frequency_penalty": (_bounded(self.frequency_penalty, -LARGEST), f"{within} (0 is off)"),
            "presence_penalty": (_bounded(self.presence_penalty, -LARGEST), f"{within} (0 is off)"),
            "logit_bias": (
                all(_whole(token, 0) and _bounded(added, -LARGEST) for token, added in self.logit_bias),
                f"by token id {within}",
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


def _bounded(value: object, least: float) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and least <= value <= LARGEST


def random_generator(params: SamplingParams, device: torch.device, row: int = 0) -> torch.Generator:
    """The source of randomness of one row; rows of a batch differ, a seed repeats them."""
    generator = torch.Generator(device)
    if params.seed is None:
        generator.seed()
    else:
        generator.manual_seed(params.seed + row)
    return generator


class Drawer:
    """How one answer is drawn, and what it has said so far.

    Args:
        params: how to draw. prompt: [T] int64, for the repetition penalty.
        device: where the logits will be. row: of answers with the same seed, it tells one from another.
        constraint: what the answer may consist of.
    """

    def __init__(
        self,
        params: SamplingParams,
        prompt: Tensor,
        device: torch.device,
        row: int = 0,
        constraint: Constraint | None = None,
    ) -> None:
        self.params = params
        self.constraint = constraint
        self.said: Counter[int] = Counter()
        self._counts = bool(params.frequency_penalty or params.presence_penalty)
        self._repeats = params.repetition_penalty != 1
        self.edits = bool(params.logit_bias or self._counts or self._repeats or constraint is not None)
        # drawn together with all that are filtered like it
        self.kind = (params.temperature, params.top_k, params.top_p, params.min_p)
        self.generator = random_generator(params, device, row) if params.temperature else None
        self.seen = prompt.unique().to(device) if self._repeats else None

    def take(self, token: int) -> None:
        """Go on with the token that was drawn."""
        if self.constraint is not None:
            self.constraint.take(token)
        if self._counts:
            self.said[token] += 1
        if self._repeats:
            self.seen = torch.cat([self.seen, self.seen.new_tensor([token])]).unique()

    def penalties(self) -> tuple[tuple[int, float], ...]:
        """What frequency and presence add to the logits of what was said."""
        if not self._counts:
            return ()
        often, once = self.params.frequency_penalty, self.params.presence_penalty
        return tuple((token, -count * often - once) for token, count in self.said.items())


def draw(logits: Tensor, drawers: Sequence[Drawer]) -> Tensor:
    """Draw the next token of several answers, each as if it were drawn alone.

    Args:
        logits: [rows, vocabulary] float32. drawers: one a row.

    Returns:
        Token ids [rows] int64, where the logits are.

    Raises:
        ValueError: `logit_bias` names a token that there is not.
    """
    if any(one.edits for one in drawers):
        logits = edited(logits, drawers)
    alike: dict[tuple, list[int]] = {}
    for row, one in enumerate(drawers):
        alike.setdefault(one.kind, []).append(row)
    if len(alike) == 1:
        return _drawn(logits, drawers)
    tokens = torch.empty(len(drawers), dtype=torch.int64, device=logits.device)
    for rows in alike.values():
        tokens[rows] = _drawn(logits[rows], [drawers[row] for row in rows])
    return tokens


def _drawn(logits: Tensor, drawers: Sequence[Drawer]) -> Tensor:
    """As `draw`, for answers that are filtered alike."""
    params = drawers[0].params
    if params.temperature == 0:
        return logits.argmax(-1)
    probabilities = torch.softmax(restrict(logits, params), -1)
    # torch.multinomial's own way, but every row has chance of its own: each token runs for a random time, the
    # likelier the faster, and the first to arrive is taken
    times = torch.empty_like(probabilities)
    for time, one in zip(times, drawers, strict=True):
        time.exponential_(generator=one.generator)
    return (probabilities / times).argmax(-1)


def edited(logits: Tensor, drawers: Sequence[Drawer]) -> Tensor:
    """A copy of the logits [rows, vocabulary] after constraints, biases and penalties."""
    logits = logits.clone(memory_format=torch.contiguous_format)
    for row, one in enumerate(drawers):
        if one.constraint is not None:
            logits[row].masked_fill_(~one.constraint.allowed().to(logits.device), -math.inf)
    _add(logits, _placed(tuple(one.params.logit_bias for one in drawers), logits.shape[1], logits.device))
    for row, one in enumerate(drawers):
        if one.seen is not None:
            logits[row] = penalize_repetition(logits[row], one.seen, one.params.repetition_penalty)
    said = tuple(one.penalties() for one in drawers)
    _add(logits, _placed.__wrapped__(said, logits.shape[1], logits.device))  # other ones after every token
    return logits


Added = tuple[tuple[tuple[int, float], ...], ...]  # of every row, token ids and what is added to their logits


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _placed(added: Added, width: int, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """Where that goes in the logits [rows, width], flat, and the values; None if there is nothing."""
    pairs = [(row, token, value) for row, some in enumerate(added) for token, value in some]
    if not pairs:
        return None
    if (strange := max(token for _, token, _ in pairs)) >= width:
        raise ValueError(f"logit_bias names token {strange}; this model has {width}")
    places = torch.tensor([row * width + token for row, token, _ in pairs], device=device)
    return places, torch.tensor([value for _, _, value in pairs], dtype=torch.float32, device=device)


def _add(logits: Tensor, placed: tuple[Tensor, Tensor] | None) -> None:
    """Add to some of the logits, in place."""
    if placed is not None:
        logits.view(-1).index_add_(0, *placed)


def penalize_repetition(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Make the token ids `seen` [n] less likely in `logits` [vocabulary]."""
    values, penalty = logits[seen], max(penalty, SMALLEST)
    return logits.index_copy(0, seen, torch.where(values > 0, values / penalty, values * penalty))


def restrict(logits: Tensor, params: SamplingParams) -> Tensor:
    """Apply temperature, top-k, top-p, min-p, in this order, to `logits` [..., vocabulary]; dropped: -inf."""
    logits = logits / max(params.temperature, SMALLEST)
    if params.top_k is not None and params.top_k < logits.shape[-1]:
        least = torch.topk(logits, params.top_k).values[..., -1:]
        logits = logits.masked_fill(logits < least, -math.inf)
    if params.top_p < 1:
        ordered, order = torch.sort(logits, descending=True)
        probabilities = torch.softmax(ordered, -1)
        dropped = probabilities.cumsum(-1) - probabilities >= params.top_p
        # the likeliest stays, also where so small a top_p is 0 in float32
        dropped[..., 0] = False
        logits = logits.masked_fill(dropped.scatter(-1, order, dropped), -math.inf)
    if params.min_p > 0:
        probabilities = torch.softmax(logits, -1)
        least = params.min_p * probabilities.amax(-1, keepdim=True)
        logits = logits.masked_fill(probabilities < least, -math.inf)
    return logits
