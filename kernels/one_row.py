"""One row times a bfloat16 weight on a CPU, by PyTorch's own product instead of oneDNN's.

oneDNN's product is made for many rows. With a single one, as in every step of decoding, it reads weights at
half of the memory's speed (4096 x 1024, two threads of an AMD EPYC: 453 us, 395 with a weight in oneDNN's own
order; PyTorch's: 263). Both sum in float32 and round once.

On an Intel Xeon it is the other way round from 2**18 elements on; `kernels.cpu` chooses.

PyTorch takes its own product only where oneDNN is switched off, and that is a switch of the whole process: it
is off for the moment of the product. What other threads multiply in that moment is right, too, but slower.
"""

from __future__ import annotations

import threading

import torch
from torch import Tensor
from torch.nn import functional as F


class _WithoutOneDNN:
    """A context in which oneDNN is off; threads may be in it together, the last one out restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = True

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = torch._C._get_mkldnn_enabled()
                torch._C._set_mkldnn_enabled(False)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                torch._C._set_mkldnn_enabled(self._before)


_WITHOUT_ONEDNN = _WithoutOneDNN()


def product(x: Tensor, w: Tensor) -> Tensor:
    """`x @ w.T` for bfloat16 x [..., K] of one row, or few beside a small w, and w [N, K]."""
    with _WITHOUT_ONEDNN:
        return F.linear(x, w)
