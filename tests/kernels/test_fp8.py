"""FP8: codes are exact and the nearest; products are what rounding both sides gives, and float32 sums."""

import pytest
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization.quant_scheme import PRESET_SCHEMES, QuantizationScheme
from torch import Tensor
from transformers.integrations.compressed_tensors import quantize_fp8_per_row

from kernels import fp8
from kernels.fp8 import BlockScaled, RowScaled

FINITE = torch.tensor([code for code in range(256) if code & 0x7F != 0x7F], dtype=torch.uint8)


def draw(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def e4m3(code: int) -> float:
    """The number behind a code, by its definition (arXiv:2209.05433, table 1)."""
    sign, exponent, mantissa = -1 if code & 0x80 else 1, code >> 3 & 0xF, code & 7
    if exponent == 0:
        return sign * mantissa * 2.0**-9
    return sign * (8 + mantissa) * 2.0 ** (exponent - 10)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_every_finite_code_expands_to_its_number(dtype):
    values = fp8.expand(FINITE.view(torch.float8_e4m3fn), dtype)
    assert values.dtype == dtype
    assert values.tolist() == [e4m3(code) for code in FINITE.tolist()]


@pytest.mark.parametrize("width", [1, 63, 128, 300])
def test_quantizing_takes_the_nearest_code_and_puts_the_largest_value_at_448(width):
    x = draw(5, width) * torch.tensor([1e-30, 1e-3, 1.0, 1e4, 1e30])[:, None]
    rows = fp8.quantize_rows(x)
    assert rows.codes.dtype == torch.float8_e4m3fn and rows.scale.shape == (5, 1)
    assert (rows.codes.float().abs().amax(dim=1) == 448).all()
    numbers = torch.tensor(sorted(e4m3(code) for code in FINITE.tolist()), dtype=torch.float64)
    wanted = x.double() / rows.scale.double()
    nearest = (wanted[..., None] - numbers).abs().amin(dim=-1)
    # the division is rounded to float32
    assert ((rows.codes.double() - wanted).abs() <= nearest + 448 * 2.0**-23).all()


def test_a_row_of_zeros_has_a_scale_and_stays_zero():
    rows = fp8.quantize_rows(torch.zeros(2, 7))
    assert (rows.scale > 0).all()
    assert not fp8.dequantize(rows, torch.float32).any()
    assert not fp8.linear(torch.zeros(3, 7), rows).any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused_in_weights_and_stays_visible_in_activations(bad):
    x = draw(3, 8)
    x[1, 2] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        fp8.quantize_rows(x)
    y = fp8.linear(x, fp8.quantize_rows(draw(4, 8)))
    assert y[1].isnan().all() and y[[0, 2]].isfinite().all()


def test_codes_and_scales_are_those_of_transformers_kernel_path():
    x = draw(9, 200).to(torch.bfloat16)
    ours, (codes, scales) = fp8.quantize_rows(x), quantize_fp8_per_row(x)
    assert torch.equal(ours.codes.view(torch.uint8), codes.view(torch.uint8))
    assert torch.equal(ours.scale[:, 0], scales)


@pytest.mark.parametrize(("preset", "scale"), [("FP8_DYNAMIC", (96, 1)), ("FP8_BLOCK", (1, 2))])
def test_values_are_those_of_compressed_tensors(preset, scale):
    stored = {"weight": draw(96, 200).to(torch.float8_e4m3fn), "weight_scale": draw(*scale).abs()}
    scheme = QuantizationScheme(targets=["Linear"], **PRESET_SCHEMES[preset])
    theirs = BaseCompressor.get_value_from_registry("float-quantized").decompress(stored, scheme)["weight"]
    form = RowScaled if preset == "FP8_DYNAMIC" else BlockScaled
    ours = form(stored["weight"], stored["weight_scale"])
    assert torch.equal(fp8.dequantize(ours, torch.float32), theirs)


def rounded(x: Tensor, group: int) -> Tensor:
    """`x` in float64, each group of a row rounded to E4M3 with the group's own scale."""
    parts = []
    for part in x.split(group, dim=1):
        scale = part.float().abs().amax(dim=1, keepdim=True) / 448
        parts.append((part.float() / scale).to(torch.float8_e4m3fn).double() * scale.double())
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("rows", [1, 63])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_product_is_that_of_weights_and_activations_both_rounded(rows, dtype):
    x = draw(rows, 200).to(dtype)
    by_row = fp8.quantize_rows(draw(40, 200, seed=1))
    by_block = BlockScaled(draw(40, 200, seed=1).to(torch.float8_e4m3fn), draw(1, 2, seed=2).abs())
    for w, group in ((by_row, 200), (by_block, 128)):
        expected = rounded(x, group) @ fp8.dequantize(w, torch.float32).double().T
        y = fp8.linear(x, w)
        assert y.dtype == dtype
        step = 2.0**-8 if dtype == torch.bfloat16 else 1e-5
        assert ((y.double() - expected).abs() <= step * expected.abs() + 1e-5 * expected.abs().max()).all()


def test_leading_axes_are_kept():
    x, w = draw(2, 3, 16), fp8.quantize_rows(draw(5, 16))
    assert torch.equal(fp8.linear(x, w).flatten(0, 1), fp8.linear(x.flatten(0, 1), w))


@pytest.mark.parametrize("form", [RowScaled, BlockScaled])
def test_one_expert_of_many_is_an_index_away(form):
    many = form.empty((3, 200, 130))
    assert many.shape == (3, 200, 130) and many[1].shape == (200, 130)
    assert many[1].scale.data_ptr() == many.scale[1].data_ptr()
    assert many[1:].shape == (2, 200, 130)
