"""A model that says what it is told to, a token a pass: its logits are edited at their hook point."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from model import Llama4, replaced
from tests.tiny import byte_tokenizer


def spoken(text: str, *after: str) -> list[int]:
    """Tokens of a text, one a byte, and special tokens after it."""
    tokenizer = byte_tokenizer()
    return tokenizer.encode(text) + [tokenizer.special_id(name) for name in after]


@contextmanager
def saying(llama: Llama4, *answers: Sequence[int]) -> Iterator[None]:
    """While the block runs, row i of the batch says these tokens, one a pass, and then repeats the last."""
    passes = 0

    def prefer(logits: torch.Tensor) -> torch.Tensor:
        nonlocal passes
        said = torch.tensor([answer[min(passes, len(answer) - 1)] for answer in answers])
        passes += 1
        return logits.index_put((torch.arange(len(said)), torch.tensor([-1]), said), torch.tensor(99.0))

    with replaced(llama.hook_point("unembed.hook_logits"), prefer):
        yield


@contextmanager
def paced(llama: Llama4) -> Iterator[threading.Semaphore]:
    """While the block runs, the model makes one pass for every `release()` of what it yields."""
    permits = threading.Semaphore(0)

    def wait(logits: torch.Tensor) -> torch.Tensor:
        if not permits.acquire(timeout=60):
            raise TimeoutError("nobody let the model go on")
        return logits

    with replaced(llama.hook_point("unembed.hook_logits"), wait):
        yield permits
