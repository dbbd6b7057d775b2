"""Large pages below weights, so that a CPU looks up fewer addresses while it reads them.

A decoding step reads every weight once, from memory, in order. In pages of 4 KiB much of that time goes into
translating addresses, most of all in a virtual machine. Linux gives pages of 2 MiB to whoever asks for them.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

SMALLEST = 2**21  # bytes; what is smaller holds no large page
COLLAPSE = 25  # MADV_COLLAPSE, of Linux 6.1: also for what has been written already


def in_large_pages(tensor: Tensor) -> Tensor:
    """The same tensor, on a CPU in large pages as far as the system gives them.

    Whoever asks before anything is written saves a copy. oneDNN's own tensors may be asked for, too.
    """
    if tensor.device.type != "cpu" or tensor.layout not in (torch.strided, torch._mkldnn):
        return tensor
    first, size = _where(tensor)
    advise = _madvise()
    if size >= SMALLEST and advise is not None:
        # whole pages of this tensor alone
        start = -(-first // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (first + size) // mmap.PAGESIZE * mmap.PAGESIZE - start
        # a refusal leaves the memory as it was
        advise(start, length, mmap.MADV_HUGEPAGE)
        advise(start, length, COLLAPSE)
    return tensor


def _where(tensor: Tensor) -> tuple[int, int]:
    """Address and bytes."""
    if tensor.is_mkldnn:
        return torch.ops.mkldnn.data_ptr(tensor), torch.ops.mkldnn._nbytes(tensor)
    return tensor.data_ptr(), tensor.nbytes


@cache
def _madvise() -> Callable[[int, int, int], int] | None:
    """The system's call; None where there are no such pages."""
    if sys.platform != "linux":
        return None
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    return advise
