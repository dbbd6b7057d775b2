"""A module that is found and called faster is still PyTorch's in all else."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from model.module import Module


class Double(Module):
    """A part of a part."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.part.weight, 2)

    def forward(self, x: Tensor) -> Tensor:
        """[..., 1] to [..., 1]."""
        return self.part(x)


def test_hooks_of_pytorch_are_called_while_they_are_there():
    double, seen = Double(), []
    before = double.register_forward_pre_hook(lambda module, given: seen.append(given[0].item()))
    after = double.register_forward_hook(lambda module, given, made: made + 1)
    assert double(torch.ones(1)).item() == 3 and seen == [1]
    before.remove()
    after.remove()
    assert double(torch.ones(1)).item() == 2 and seen == [1]


def test_a_part_that_is_replaced_or_removed_is_gone():
    double = Double()
    double.part = nn.Identity()
    assert double(torch.ones(1)).item() == 1
    assert dict(double.named_children()) == {"part": double.part}
    double.set_submodule("part", nn.Flatten(0))
    assert isinstance(double.part, nn.Flatten)
    double.part = None
    assert double.part is None
    del double.part
    with pytest.raises(AttributeError, match="part"):
        double(torch.ones(1))
    double.part = nn.Parameter(torch.ones(1))
    assert [name for name, _ in double.named_parameters()] == ["part"]


def test_a_copy_has_parts_of_its_own():
    double = Double()
    copy = deepcopy(double)
    nn.init.zeros_(copy.part.weight)
    assert copy.part is copy.get_submodule("part") is not double.part
    assert (double(torch.ones(1)).item(), copy(torch.ones(1)).item()) == (2, 0)
