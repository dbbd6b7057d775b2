"""Workers end with the thread's wish, and come back when they are needed."""

import threading

import pytest
import torch

from kernels.workers import _pause, release_workers
from tests.threads import large_sum, still_there, tasks

gnu = pytest.mark.skipif(_pause() is None, reason="PyTorch computes here with another OpenMP than GNU's")


def in_a_thread(work) -> object:
    """What `work` gives in a thread of its own that has two PyTorch threads."""
    given = []

    def run() -> None:
        torch.set_num_threads(2)
        given.append(work())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return given[0]


@gnu
def test_a_thread_lets_its_workers_go_and_gets_others():
    def work():
        before, first = tasks(), large_sum()
        grown = tasks() - before
        release_workers()
        left = still_there(grown)
        second = large_sum()
        return grown, left, tasks() - before, torch.equal(first, second)

    grown, left, again, same = in_a_thread(work)
    assert len(grown) == len(again) == 1 and not left and same


@gnu
def test_the_workers_of_other_threads_stay():
    def work():
        before = tasks()
        large_sum()
        grown = tasks() - before
        other = threading.Thread(target=release_workers)
        other.start()
        other.join()
        return grown, tasks() & grown

    grown, left = in_a_thread(work)
    assert len(grown) == 1 and left == grown


def test_who_has_none_may_ask():
    in_a_thread(lambda: release_workers() or release_workers())
