"""A few held-out dialogues watched on a model with random weights, to plant truths in."""

from functools import cache

import torch

from model.demo.samples import Sample, draw_sample
from model.demo.watching import Watched, watch
from model.llama4 import Llama4
from model.processor import Processor

KINDS = ("colour", "position", "describe", "which", "exist", "none", "odd", "chat")


@cache
def dialogues(count: int = 24) -> tuple[Sample, ...]:
    """Of several types in three languages, with one to five pictures."""
    return tuple(draw_sample(4, KINDS[n % 8], ("en", "de", "hi")[n % 3], n) for n in range(count))


@cache
def fresh(processor: Processor) -> Llama4:
    """A model with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Llama4(processor.config)


@cache
def watched_afresh(processor: Processor) -> tuple[Watched, ...]:
    """What a model with random weights does with the dialogues; made once for all test files."""
    return tuple(watch(fresh(processor), processor, dialogues()))
