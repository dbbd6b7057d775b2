"""One row times a bfloat16 weight on a CPU, by other products of PyTorch than oneDNN's.

oneDNN's product is made for many rows: with a single one, as in every step of decoding, it reads weights at
half of the memory's speed. There are two others, and all of them sum in float32 and round once. 4096 x 1024,
two threads, GB/s:

| | AMD EPYC | Intel Xeon |
| --- | --- | --- |
| oneDNN, the weight as it is | 19 | 10 |
| oneDNN, the weight in its own order | 21 | 14 |
| PyTorch's own product (`product`) | 32 | 11 |
| an embedding bag (`weighted_columns`) | not measured | 18 |

An embedding bag is a sum of rows of a table, each times a weight. With the columns of w as the table, and x
as the weights, that is the product; and FBGEMM, which computes it, fetches ahead what it will read.

PyTorch takes its own product only where oneDNN is switched off, and that is a switch of the whole process: it
is off for the moment of the product. What other threads multiply in that moment is right, too, but slower.
"""

from __future__ import annotations

import threading
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

WIDTHS = 256, 128, 64  # outputs that are summed together; the widest that leaves every thread some is fastest


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


def in_columns(w: Tensor) -> Tensor:
    """`w` [N, K] for `weighted_columns`: [stretches, K, width], each stretch of outputs column by column.

    The last stretch is filled up with zeros.
    """
    threads = torch.get_num_threads()
    width = next((width for width in WIDTHS if len(w) >= 2 * width * threads), WIDTHS[-1])
    filled = F.pad(w, (0, 0, 0, -len(w) % width))
    return filled.unflatten(0, (-1, width)).transpose(1, 2).contiguous()


def weighted_columns(x: Tensor, columns: Tensor, outputs: int) -> Tensor:
    """`x @ w.T` for x [..., K] of one row, and what `in_columns` made of w [outputs, K]. No gradients."""
    stretches, inputs, width = columns.shape
    places, bounds = _bags(stretches, inputs, x.device)
    weights = x.reshape(1, -1).expand(stretches, -1).reshape(-1)
    sums, *_ = torch.embedding_bag(
        columns.view(-1, width), places, bounds, mode=0, per_sample_weights=weights, include_last_offset=True
    )
    return sums.view(-1)[:outputs].view(*x.shape[:-1], outputs)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _bags(count: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """`count` bags of `size` rows each, in order: all the rows; where each bag begins, and the last ends."""
    rows = torch.arange(count * size, dtype=torch.int32, device=device)
    return rows, torch.arange(0, count * size + 1, size, dtype=torch.int32, device=device)
