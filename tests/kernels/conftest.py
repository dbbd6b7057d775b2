"""Poisoned memory, for every kernel test."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def device() -> torch.device:
    """A card, or the CPU, where Triton's kernels run in its interpreter."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def poisoned_empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch.empty hands out NaN and numbers out of range, so what a kernel leaves unwritten is seen."""
    plain = torch.empty

    def empty(*size: object, **kwargs: object) -> torch.Tensor:
        made = plain(*size, **kwargs)
        if made.is_floating_point():
            return made.fill_(float("nan"))
        return made if made.dtype == torch.bool else made.fill_(torch.iinfo(made.dtype).max)

    monkeypatch.setattr(torch, "empty", empty)
    yield
    assert torch.empty(1).isnan().all(), "somebody put the plain torch.empty back"
