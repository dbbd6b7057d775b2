"""Large pages: asked for, given, and nothing else is changed."""

from pathlib import Path

import pytest
import torch

from kernels.kept import Kept
from kernels.pages import SMALLEST, _where, in_large_pages

SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
given = pytest.mark.skipif(
    not SETTING.is_file() or "[never]" in SETTING.read_text(), reason="this system gives no large pages"
)
VALUES = 8 * SMALLEST // 4


def bytes_in_large_pages(tensor: torch.Tensor) -> int:
    """What the kernel says of the memory that holds a tensor."""
    first, size = _where(tensor)
    found, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, *words = line.split()
        if not name.endswith(":"):
            start, end = (int(part, 16) for part in name.split("-"))
            inside = start < first + size and first < end
        elif inside and name == "AnonHugePages:":
            found += 1024 * int(words[0])
    return found


@given
def test_what_is_not_written_yet_comes_to_lie_in_large_pages():
    room = in_large_pages(torch.empty(VALUES))
    room.fill_(1)
    assert bytes_in_large_pages(room) >= SMALLEST


@given
def test_what_is_written_already_moves_into_large_pages_and_stays_what_it_is():
    values = torch.arange(VALUES, dtype=torch.float32)
    assert in_large_pages(values) is values
    assert bytes_in_large_pages(values) >= SMALLEST
    assert torch.equal(values, torch.arange(VALUES, dtype=torch.float32))


@given
@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch was built without oneDNN")
def test_what_is_kept_of_a_weight_lies_in_large_pages():
    weight = torch.ones(2048, 4096)
    (kept,) = Kept(budget=10**9).get(weight, "blocked", weight.nbytes, lambda: (weight.to_mkldnn(),))
    assert bytes_in_large_pages(kept) >= SMALLEST
    assert torch.equal(kept.to_dense(), weight)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_where_there_is_nothing_to_gain_nothing_happens(device, monkeypatch):
    monkeypatch.setattr("kernels.pages._madvise", lambda: pytest.fail)
    small = torch.empty(SMALLEST - 1 if device == "cpu" else SMALLEST, dtype=torch.uint8, device=device)
    assert in_large_pages(small) is small


def test_without_such_pages_memory_stays_as_it_was(monkeypatch):
    monkeypatch.setattr("kernels.pages._madvise", lambda: None)
    values = torch.arange(VALUES)
    assert torch.equal(in_large_pages(values), torch.arange(VALUES))
