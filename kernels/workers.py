"""The workers that help a thread compute: OpenMP gives every thread that calls PyTorch a team of its own.

Between two products the workers of a team wait in a loop, ready at once. But where the teams of a process
have more members than the machine has cores, GNU's OpenMP sends all of them to sleep instead, and waking them
takes longer than most products of a decoding step: on two cores, tokens of a model of 0.4 billion parameters
took 1.5 to 2.5 times as long once another thread had computed anything. So a thread that is done lets its
workers go.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache

SOFT = 1  # omp_pause_soft, of OpenMP 5.0


def release_workers() -> None:
    """End the calling thread's workers; it gets others when it needs them again.

    Nothing happens where PyTorch computes with another OpenMP than GNU's: LLVM's would end those of all
    threads.
    """
    if (pause := _pause()) is not None:
        pause(SOFT)


@cache
def _pause() -> Callable[[int], int] | None:
    """GNU's `omp_pause_resource_all`; None where there is none."""
    if sys.platform != "linux":
        return None
    known = ctypes.CDLL(None)
    if hasattr(known, "__kmpc_fork_call"):  # LLVM's or Intel's
        return None
    return getattr(known, "omp_pause_resource_all", None)
