"""int4: what Meta's code makes of a weight, and every code where it says it is."""

import importlib
import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import int4
from kernels.int4 import GroupScaled


def draw(*size: int) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(0))


def by_hand(w: Tensor, group: int) -> Tensor:
    """A weight [N, K] as llama-models' `int4_mixed` keeps it, one value after another."""
    out = torch.empty_like(w)
    for n in range(w.shape[0]):
        for start in range(0, w.shape[1], group):
            part = w[n, start : start + group]
            scale = max(float(part.abs().max()), 1e-6) / 8
            for k, value in enumerate(part.tolist(), start):
                out[n, k] = max(-8, min(7, round(value / scale))) * scale
    return out


def test_bytes_and_scales_are_those_of_metas_code(monkeypatch):
    # it wants FBGEMM to be there, for its products; its quantization is plain PyTorch
    for name in ("fbgemm_gpu", "fbgemm_gpu.experimental", "fbgemm_gpu.experimental.gen_ai"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    meta = importlib.import_module("llama_models.quantize_impls")
    w = draw(5, 384).to(torch.bfloat16)
    w[2, :128] = 0
    theirs, ours = meta.quantize_int4(w), int4.quantize_groups(w)
    assert torch.equal(ours.packed, theirs.weight.view(torch.uint8))
    assert torch.equal(ours.scale, theirs.scale.T)


@pytest.mark.parametrize("group", [2, 64, 128])
def test_values_are_those_of_the_formula(group):
    w = draw(3, 256)
    kept = int4.quantize_groups(w, group)
    assert kept.group == group and kept.shape == (3, 256)
    assert kept.scale.shape == (3, 256 // group) and kept.scale.dtype == torch.float32
    torch.testing.assert_close(int4.dequantize(kept, torch.float32), by_hand(w, group), rtol=1e-6, atol=0)


def test_the_low_half_of_a_byte_is_the_even_input_in_twos_complement():
    wanted = torch.arange(-8, 8, dtype=torch.float32).repeat(8)[None]  # one group, whose scale is 1
    kept = int4.quantize_groups(wanted)
    assert int4.codes(kept).tolist() == [[code for _ in range(8) for code in range(-8, 8)]]
    low, high = kept.packed[0, :8] & 0xF, kept.packed[0, :8] >> 4
    assert low.tolist() == [8, 10, 12, 14, 0, 2, 4, 6] and high.tolist() == [9, 11, 13, 15, 1, 3, 5, 7]


def test_an_error_is_at_most_half_a_step_but_for_the_largest_which_is_cut():
    w = draw(16, 512)
    kept = int4.quantize_groups(w)
    steps = ((int4.dequantize(kept, torch.float32) - w).unflatten(1, (-1, 128)) / kept.scale[..., None]).abs()
    assert steps.max() <= 1 + 1e-5
    assert (steps > 0.5 + 1e-5).float().mean() < 0.02


def test_a_group_of_zeros_stays_zero():
    assert not int4.dequantize(int4.quantize_groups(torch.zeros(2, 128)), torch.float32).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_product_has_the_weights_values_and_the_activations_as_they_are(dtype):
    x, w = draw(2, 3, 256).to(dtype), int4.quantize_groups(draw(40, 256))
    y = int4.linear(x, w)
    assert y.dtype == dtype
    assert torch.equal(y, F.linear(x, int4.dequantize(w, dtype)))


def test_one_expert_of_many_is_an_index_away():
    w = draw(3, 4, 256)
    many = int4.quantize_groups(w)
    one = int4.quantize_groups(w[1])
    assert torch.equal(many[1].packed, one.packed) and torch.equal(many[1].scale, one.scale)
    assert GroupScaled.empty((3, 4, 256)).scale.shape == many.scale.shape


@pytest.mark.parametrize(("width", "group"), [(192, 128), (128, 3), (128, 0)])
def test_a_group_that_does_not_divide_the_row_is_refused(width, group):
    with pytest.raises(ValueError, match=rf"\[2, {width}\] does not fit int4 in groups of {group}"):
        int4.quantize_groups(draw(2, width), group)
    with pytest.raises(ValueError, match="expected an even group that divides the last axis"):
        GroupScaled.empty((2, width), group=group)


def test_what_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="NaN or infinite"):
        int4.quantize_groups(torch.full((1, 128), float("nan")))
