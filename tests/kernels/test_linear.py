"""`x @ w.T` is the same product in every format, by whatever path."""

import pytest
import torch

from kernels import cpu, fp8, int4, linear, linear_reference
from kernels.backend import BackendUnavailable
from kernels.cpu import INT4_ROWS
from kernels.kept import KEPT, Kept
from tests.kernels.agreement import assert_agrees
from tests.kernels.formats import QUANTIZED, in_format

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
FORMATS = pytest.mark.parametrize("name", ["plain", *QUANTIZED])


def draw(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


@DTYPES
@FORMATS
@pytest.mark.parametrize("rows", [1, 63, INT4_ROWS + 1])
@pytest.mark.parametrize(("inputs", "outputs"), [(128, 48), (20, 7), (160, 130), (512, 300)])
@pytest.mark.usefixtures("poisoned_empty")
def test_the_fast_product_agrees_with_the_definition(dtype, name, rows, inputs, outputs):
    w = in_format(name, draw(outputs, inputs, seed=1), dtype)
    x = draw(rows, inputs).to(dtype)
    assert_agrees(linear(x, w), linear_reference(x, w))


@FORMATS
def test_the_axes_before_the_last_are_kept(name):
    w = in_format(name, draw(8, 32, seed=1), torch.float32)
    x = draw(2, 3, 32)
    assert_agrees(linear(x, w), linear_reference(x.view(6, 32), w).view(2, 3, 8))


@FORMATS
def test_no_rows_give_no_rows(name):
    w = in_format(name, draw(8, 32, seed=1), torch.bfloat16)
    assert linear(draw(0, 32).bfloat16(), w).shape == (0, 8)


def test_gradients_reach_the_input_of_a_quantized_weight():
    w = int4.quantize_groups(draw(8, 32, seed=1), 32)
    x = draw(3, 32).requires_grad_()
    (gradient,) = torch.autograd.grad(linear(x, w).sum(), x)
    assert_agrees(gradient, int4.dequantize(w, torch.float32).sum(0).expand(3, 32))


def test_a_frozen_weight_that_is_edited_is_multiplied_as_it_now_is():
    w, x = draw(16, 32, seed=1).bfloat16(), draw(1, 32).bfloat16()
    stack = fp8.quantize_rows(w.float())
    linear(x, w), linear(x, stack)
    w.zero_()
    stack.codes.view(torch.uint8).zero_()
    assert not linear(x, w).any()
    assert not linear(x, stack).any()


@FORMATS
def test_without_room_to_keep_anything_the_product_is_the_same(name, monkeypatch):
    monkeypatch.setattr(cpu, "KEPT", Kept(budget=0))
    w = in_format(name, draw(32, 64, seed=1), torch.bfloat16)
    x = draw(3, 64).bfloat16()
    assert_agrees(linear(x, w), linear_reference(x, w))


def test_a_trained_weight_is_kept_in_no_second_form():
    KEPT.clear()
    w = torch.nn.Parameter(draw(16, 32, seed=1).bfloat16())
    with torch.no_grad():
        linear(draw(1, 32).bfloat16(), w)
    assert len(KEPT) == 0


def test_a_backend_that_cannot_serve_is_named():
    with pytest.raises(BackendUnavailable, match="backend='torch'"):
        linear(draw(1, 32).requires_grad_(), fp8.quantize_rows(draw(4, 32)), backend="triton")
