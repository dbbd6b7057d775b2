"""Quantizing rows on a card gives the definition's codes, bit for bit."""

import pytest
import torch

from kernels import fp8, fp8_triton
from kernels.fp8 import RowScaled


def same(answer: RowScaled, definition: RowScaled) -> bool:
    codes = torch.equal(answer.codes.view(torch.uint8), definition.codes.view(torch.uint8))
    return codes and torch.equal(answer.scale, definition.scale)


def rows_of_every_magnitude(device: torch.device) -> torch.Tensor:
    x = torch.randn(63, 130, generator=torch.Generator().manual_seed(0)) * torch.logspace(-6, 3, 63)[:, None]
    x[3] = 0
    return x.to(device)


def grouped(x: torch.Tensor, group: int) -> RowScaled:
    """Every `group` values of a row, the last perhaps fewer, quantized as rows of their own."""
    parts = [fp8.nearest_rows(part) for part in x.split(group, dim=1)]
    return RowScaled(
        torch.cat([part.codes.view(torch.uint8) for part in parts], dim=1).view(torch.float8_e4m3fn),
        torch.cat([part.scale for part in parts], dim=1),
    )


@pytest.mark.usefixtures("poisoned_empty")
def test_rows_are_quantized_as_the_definition_does(device):
    x = rows_of_every_magnitude(device)
    assert same(fp8_triton.quantize_rows(x), fp8.nearest_rows(x))
    assert same(fp8_triton.quantize_rows(x, fp8.BLOCK), grouped(x, fp8.BLOCK))
    assert same(fp8_triton.quantize_rows(x, 32), grouped(x, 32))


def test_every_value_goes_to_its_nearest_code_ties_to_even(device):
    codes = torch.arange(127, dtype=torch.uint8).view(torch.float8_e4m3fn).float()
    between = (codes[1:] + codes[:-1]) / 2
    x = torch.cat([codes, between, between.nextafter(codes[1:]), between.nextafter(codes[:-1])])
    x = torch.cat([x, -x, torch.tensor([448.0])])[None].to(device)  # 448 makes the scale one
    assert same(fp8_triton.quantize_rows(x), fp8.nearest_rows(x))


def test_the_edge_of_each_step_is_where_the_definition_has_it(device):
    magnitudes = torch.logspace(-12, 2.65, 4000)
    x = torch.cat([magnitudes, -magnitudes, torch.tensor([448.0])])[None].to(device)
    assert same(fp8_triton.quantize_rows(x), fp8.nearest_rows(x))


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.usefixtures("poisoned_empty")
def test_rows_are_gathered_gated_and_quantized_in_one_pass(ordered, device):
    x = rows_of_every_magnitude(device)
    rows = (torch.arange(20) // 2).to(device)
    gates = torch.linspace(0, 1, 20, device=device)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1)).to(device)
    gated = x[rows] * gates[:, None]
    given = x, rows, order.int() if ordered else None, gates
    gated = gated[order] if ordered else gated
    assert same(fp8_triton.gather_quantized(*given), fp8.nearest_rows(gated))
    largest = torch.empty(20, 3, dtype=torch.int32, device=device)
    assert same(fp8_triton.gather_quantized(*given, largest, fp8.BLOCK), grouped(gated, fp8.BLOCK))
    assert not largest.any()


@pytest.mark.usefixtures("poisoned_empty")
def test_split_rows_have_their_even_inputs_first(device):
    x = rows_of_every_magnitude(device)
    rows, gates = torch.arange(20, device=device), torch.linspace(0, 1, 20, device=device)
    gated = x[rows] * gates[:, None]
    assert torch.equal(fp8_triton.gather(x, rows, None, gates, split=False), gated)
    split = torch.cat([gated[:, ::2], gated[:, 1::2]], dim=1)
    assert torch.equal(fp8_triton.gather(x, rows, None, gates, split=True), split)


@pytest.mark.gpu
def test_the_cards_own_cast_rounds_as_the_definition_does():
    x = rows_of_every_magnitude(torch.device("cuda")).bfloat16()
    assert same(fp8_triton.quantize_rows(x), fp8.nearest_rows(x))
