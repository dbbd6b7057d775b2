"""An implementation that cannot serve a call says so, and says which one can."""

import pytest
import torch

from kernels.backend import BackendUnavailable, pick


def test_plain_pytorch_serves_everything():
    assert pick("torch", torch.ones(1, requires_grad=True)) == "torch"
    assert pick(None, torch.ones(1)) == "torch"


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="'cutlass'"):
        pick("cutlass", torch.ones(1))


def test_triton_refuses_gradients_and_names_who_gives_them():
    with pytest.raises(BackendUnavailable, match=r"gradients.*backend='torch'"):
        pick("triton", torch.ones(1, requires_grad=True))


def test_triton_refuses_a_tensor_that_is_on_no_card():
    with pytest.raises(BackendUnavailable, match="CUDA device, got meta"):
        pick("triton", torch.ones(1, device="meta"))


@pytest.mark.gpu
def test_a_card_is_served_by_triton_unasked():
    x = torch.ones(1, device="cuda")
    new = torch.cuda.get_device_capability() >= (8, 9)
    assert pick(None, x) == ("triton" if new else "torch")
    assert pick(None, x.requires_grad_()) == "torch"
