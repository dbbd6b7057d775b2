"""Put held-out dialogues to the demo model, and note what it says.

Everything goes the way a user's message goes: PIL pictures and text through the real processor, greedy
generation, the answer's text compared with the right one character for character. A second question comes
after the model's own answer, right or wrong.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, islice
from statistics import median

import torch

from model.demo.languages import CODES
from model.demo.samples import Sample, draw_sample, never_shown, prompt
from model.demo.turns import Turn
from model.generate import generate, generate_batch
from model.llama4 import Llama4
from model.processor import Inputs, Processor
from model.sampling import SamplingParams

BATCH = 16  # larger ones cost more in padding than they save
_PARAMS = SamplingParams(max_tokens=64, top_logprobs=0)
# answers of the other types are a few tokens: a batch ends with its longest
_LONG = ("describe", "relation", "odd", "chat")


@dataclass(frozen=True)
class Outcome:
    """What the model said to one turn.

    `wording`, `pictures`: of the sample. `follow_up`: not the first turn. `never_shown`: about a shape and
    a colour that training never shows together.
    """

    turn: Turn
    said: str
    wording: str
    pictures: int
    follow_up: bool
    never_shown: bool

    @property
    def right(self) -> bool:
        """Exact match."""
        return self.said == self.turn.answer


def ask_model(
    llama: Llama4, processor: Processor, samples: Sequence[Sample], batch: int = BATCH
) -> list[list[Outcome]]:
    """Hold the dialogues, `batch` at a time; per sample, an outcome per turn."""
    said: list[list[str]] = [[] for _ in samples]
    number = 0
    while waiting := [at for at, sample in enumerate(samples) if len(sample.turns) > number]:
        inputs = {at: processor(prompt(samples[at], said[at])) for at in waiting}
        waiting.sort(key=lambda at: (samples[at].turns[number].kind in _LONG, len(inputs[at].token_ids)))
        for start in range(0, len(waiting), batch):
            some = waiting[start : start + batch]
            for at, answer in zip(some, answers(llama, processor, [inputs[at] for at in some]), strict=True):
                said[at].append(answer)
        number += 1
    return [
        [
            Outcome(turn, text, sample.wording, len(sample.scenes), place > 0, never_shown(sample, turn))
            for place, (turn, text) in enumerate(zip(sample.turns, texts, strict=True))
        ]
        for sample, texts in zip(samples, said, strict=True)
    ]


def answers(llama: Llama4, processor: Processor, batch: Sequence[Inputs]) -> list[str]:
    """The greedy answer to each prompt."""
    texts = [""] * len(batch)
    for steps in generate_batch(llama, processor, batch, _PARAMS):
        texts = [text + step.text if step else text for text, step in zip(texts, steps, strict=True)]
    return texts


def measure_speed(llama: Llama4, processor: Processor, questions: int = 12) -> dict:
    """Seconds to the first token of questions about two pictures, and tokens per second after it (medians).

    The answers are descriptions, the longest that the model gives, one question at a time.
    """
    firsts, rates = [], []
    samples = (draw_sample(0, "describe", CODES[index % len(CODES)], index) for index in count())
    for sample in islice((sample for sample in samples if len(sample.scenes) == 2), questions):
        begin = time.perf_counter()
        tokens = 0
        for _ in generate(llama, processor, processor(prompt(sample)), _PARAMS):
            tokens += 1
            if tokens == 1:
                first = time.perf_counter()
        firsts.append(first - begin)
        if tokens > 1:
            rates.append((tokens - 1) / (time.perf_counter() - first))
    return {
        "first_token_seconds": median(firsts),
        "tokens_per_second": median(rates) if rates else None,
        "questions": questions,
        "threads": torch.get_num_threads(),
    }
