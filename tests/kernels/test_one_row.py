"""One row times a large weight: the same product, whatever the numbers' size."""

import pytest
import torch
from torch.nn import functional as F

from kernels import fp8, linear, linear_reference, one_row, routed_swiglu, routed_swiglu_reference
from kernels.fp8 import RowScaled
from kernels.kept import KEPT
from tests.kernels.agreement import ROUNDED_TO_E4M3, assert_agrees
from tests.kernels.formats import in_format

WEIGHTS = pytest.mark.parametrize("name", ["plain", "fp8", "fp8 blocks"])


def draw(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    monkeypatch.setattr(one_row, "LARGE_WEIGHT", 0)
    monkeypatch.setattr(one_row, "LARGE_CODES", 0)
    monkeypatch.setattr(one_row, "fast", lambda: True)
    KEPT.clear()


@WEIGHTS
@pytest.mark.parametrize(("inputs", "outputs"), [(128, 48), (20, 7), (1000, 300)])
@pytest.mark.parametrize("size", [1.0, 1e-30, 1e-4, 3e4, 1e30])
@pytest.mark.usefixtures("poisoned_empty")
def test_a_row_agrees_with_the_definition_at_every_magnitude(name, inputs, outputs, size):
    w = in_format(name, draw(outputs, inputs, seed=1), torch.bfloat16)
    x = (size * draw(1, inputs)).bfloat16()
    assert_agrees(linear(x, w), linear_reference(x, w))


@pytest.mark.parametrize("size", [1e-20, 1e-3, 1e3, 1e20])
def test_a_plain_weight_of_any_magnitude_agrees_with_the_definition(size):
    w, x = (size * draw(40, 200, seed=1)).bfloat16(), draw(1, 200).bfloat16()
    assert_agrees(linear(x, w), F.linear(x, w))


def test_a_row_is_rounded_to_bfloat16_and_before_that_hardly_at_all():
    w, x = draw(300, 1000, seed=1).bfloat16(), draw(1, 1000).bfloat16()
    exact = x.double() @ w.double().T
    found = linear(x, w).double()
    assert ((found - exact).abs() <= (2.0**-8 + 2.0**-11) * exact.abs() + 1e-4).all()


def test_every_code_is_exact_in_float16():
    codes = torch.arange(256, dtype=torch.uint8)
    codes = codes[codes & 0x7F != 0x7F].view(torch.float8_e4m3fn)[None]
    (kept,) = one_row.codes_in_float16(codes)
    assert torch.equal(kept.double() * one_row.CODES_SHIFT, codes.double())


def test_the_largest_codes_that_are_taken_do_not_pass_float16():
    codes = torch.full((1, one_row.MOST_INPUTS), fp8.LARGEST).to(torch.float8_e4m3fn)
    w = RowScaled(codes, torch.ones(1, 1))
    x = torch.ones(1, one_row.MOST_INPUTS, dtype=torch.bfloat16)
    assert one_row.takes_codes(x, w.shape)
    assert_agrees(linear(x, w), linear_reference(x, w))
    assert not one_row.takes_codes(x.repeat(1, 2), torch.Size((1, 2 * one_row.MOST_INPUTS)))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@WEIGHTS
def test_what_is_not_finite_stays_visible(name, bad):
    x = draw(1, 128).bfloat16()
    x[0, 3] = bad
    w = in_format(name, draw(48, 128, seed=1), torch.bfloat16)
    assert not linear(x, w).isfinite().any()


@WEIGHTS
def test_experts_of_single_rows_agree_with_the_definition(name):
    gate_up, down = (
        in_format(name, draw(3, *size) / 10, torch.bfloat16) for size in ((256, 128), (128, 128))
    )
    rows, x, gates = torch.arange(2), draw(2, 128).bfloat16(), torch.rand(2).bfloat16()
    given = x, gate_up, down, rows, torch.tensor([2, 0]), gates
    bound = ROUNDED_TO_E4M3 if name.startswith("fp8") else None
    assert_agrees(routed_swiglu(*given), routed_swiglu_reference(*given), bound)


def test_a_weight_and_a_scale_that_are_edited_are_multiplied_as_they_now_are():
    x, w = draw(1, 32).bfloat16(), draw(16, 32, seed=1).bfloat16()
    stack = fp8.quantize_rows(w.float())
    before = linear(x, stack)
    linear(x, w)
    w.mul_(2)
    stack.scale.mul_(2)
    assert_agrees(linear(x, w), F.linear(x, w))
    assert torch.equal(linear(x, stack), 2 * before)
