"""`workbench serve` in a process that tells what it holds, for the benchmark of its memory.

A byte on its standard input asks, a line of JSON on its standard output answers. Garbage is collected first:
what is told is what somebody holds.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading

from torch import Tensor

from apps import cli


def held() -> dict[str, int]:
    """How many objects that can hold others this process has, and how many tensors."""
    gc.collect()
    found = gc.get_objects()
    # by type(): some objects of other libraries warn when they are asked for their __class__
    return {"objects": len(found), "tensors": sum(issubclass(type(one), Tensor) for one in found)}


def answer() -> None:
    """Tell it whenever somebody asks."""
    while os.read(sys.stdin.fileno(), 1):  # not through sys.stdin: its lock must be free when Python ends
        print(json.dumps(held()), flush=True)


if __name__ == "__main__":
    threading.Thread(target=answer, daemon=True).start()
    cli.main()
