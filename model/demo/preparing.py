"""The batches of coming training steps, prepared in another process while the trainer learns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import torch

from model.demo.batch import Batch
from model.demo.packing import PREFIXES, Packer

_AHEAD = 3  # batches prepared while the trainer steps


@dataclass(frozen=True)
class Prepared:
    """Makes the batches of a recipe, in whatever process."""

    seed: int
    packer: Packer

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        rng = np.random.default_rng((self.seed, 3, step))
        shares = np.asarray([share for _, share, _ in PREFIXES])
        prefix, _, rows = PREFIXES[rng.choice(len(PREFIXES), p=shares / shares.sum())]
        return self.packer.batch(rng, prefix, rows)


_prepared: Prepared | None = None


def _prepare(prepared: Prepared) -> None:
    global _prepared
    torch.set_num_threads(1)
    _prepared = prepared


def _batch(step: int) -> Batch:
    assert _prepared is not None
    return _prepared.batch(step)


def batches(prepared: Prepared, first: int, stop: int, workers: int = 1) -> Iterator[Batch]:
    """The batches of the steps first:stop; `workers` processes prepare them ahead (0: this one does)."""
    if workers == 0:
        yield from map(prepared.batch, range(first, stop))
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _prepare, (prepared,)) as pool:
        coming: deque[Future[Batch]] = deque()
        for step in range(first, stop):
            while len(coming) < _AHEAD and step + len(coming) < stop:
                coming.append(pool.submit(_batch, step + len(coming)))
            yield coming.popleft().result()
