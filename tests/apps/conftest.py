"""A random model in the demo model's shape, and a gate that holds it in the middle of an answer."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

import workbench as wb
from model import Llama4, replaced
from model.demo.shape import build_processor


@pytest.fixture(scope="session")
def session() -> Iterator[wb.Session]:
    """Talks without end and without sense, always the same: its answers last as long as they may."""
    torch.manual_seed(1)
    processor = build_processor()
    llama = Llama4(processor.config).eval().requires_grad_(False)
    llama.reset_parameters(0.1)
    # a special token is never the likeliest, so no answer ends by itself
    special = [i for i in range(processor.tokenizer.vocab_size) if processor.tokenizer.is_special(i)]
    llama.unembed.weight[special] = 0
    opened = wb.Session(llama, processor, "demo")
    yield opened
    opened.close()


class Gate:
    """Lets some passes of the model through, then holds it until `open` is called."""

    def __init__(self, passes: int) -> None:
        self.left = passes
        self.arrived = threading.Event()
        self._free = threading.Event()

    def open(self) -> None:
        self._free.set()

    def __call__(self, value: Tensor) -> Tensor:
        if self.left == 0:
            self.arrived.set()
            assert self._free.wait(60), "nobody opened the gate"
        self.left -= 1
        return value


@contextmanager
def held(session: wb.Session, passes: int) -> Iterator[Gate]:
    """The model stops inside its next answer, after so many passes (the first one reads the prompt)."""
    gate = Gate(passes)
    with replaced(session.llama.hook_points["blocks.0.hook_resid_pre"], gate):
        try:
            yield gate
        finally:
            gate.open()
