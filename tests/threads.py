"""Threads of this process, and something that gives a thread workers."""

import os
import time

import torch


def tasks() -> set[str]:
    """The threads of this process."""
    return set(os.listdir("/proc/self/task"))


def still_there(some: set[str]) -> set[str]:
    """Which of these threads have not ended; the system may take a moment to forget one."""
    end = time.monotonic() + 5
    while tasks() & some and time.monotonic() < end:
        time.sleep(0.001)
    return tasks() & some


def large_sum() -> torch.Tensor:
    """Something that a thread computes with its workers."""
    return torch.arange(4_000_000, dtype=torch.float32).sin().sum()
