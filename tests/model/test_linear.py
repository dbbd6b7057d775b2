"""A linear layer is `nn.Linear` with another way to its product."""

import pytest
import torch
from torch import nn

from model.linear import Linear


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_it_answers_as_pytorchs_own_does(dtype, bias, frozen):
    torch.manual_seed(0)
    ours = Linear(32, 48, bias=bias).to(dtype).requires_grad_(not frozen)
    theirs = nn.Linear(32, 48, bias=bias).to(dtype)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 32).to(dtype)
    torch.testing.assert_close(ours(x), theirs(x))


def test_gradients_reach_input_and_weight():
    ours = Linear(8, 4)
    x = torch.randn(3, 8, requires_grad=True)
    ours(x).sum().backward()
    assert x.grad is not None and ours.weight.grad is not None


def test_an_edit_of_a_frozen_weight_is_seen():
    ours = Linear(32, 48, bias=False).bfloat16().requires_grad_(False)
    x = torch.randn(1, 32).bfloat16()
    assert ours(x).any()
    ours.weight.zero_()
    assert not ours(x).any()
