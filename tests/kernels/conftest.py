"""Poisoned memory, for every kernel test."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def poisoned_empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch.empty hands out NaN, so an element that a kernel leaves unwritten is seen."""
    plain = torch.empty

    def empty(*size: object, **kwargs: object) -> torch.Tensor:
        made = plain(*size, **kwargs)
        return made.fill_(float("nan")) if made.is_floating_point() else made

    monkeypatch.setattr(torch, "empty", empty)
    yield
    assert torch.empty(1).isnan().all(), "somebody put the plain torch.empty back"
