"""Routed experts: the sorted path agrees with the definition, whatever the routing looks like."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import routed_swiglu, routed_swiglu_reference, swiglu
from kernels.experts import FEW_ROWS
from kernels.linear import Weight
from tests.kernels.agreement import ROUNDED_TO_E4M3, assert_agrees
from tests.kernels.formats import QUANTIZED, in_format

EXPERTS, MODEL, WIDTH = 6, 24, 20


@dataclass(frozen=True)
class Case:
    """Arguments of `routed_swiglu`."""

    x: Tensor
    gate_up: Weight
    down: Weight
    rows: Tensor
    experts: Tensor
    gates: Tensor

    def arguments(self) -> tuple[Tensor | Weight, ...]:
        return self.x, self.gate_up, self.down, self.rows, self.experts, self.gates


def case(
    rows: list[int],
    experts: list[int],
    of_rows: int,
    dtype: torch.dtype = torch.float32,
    weights: str = "plain",
    model: int = MODEL,
    width: int = WIDTH,
) -> Case:
    random = torch.Generator().manual_seed(0)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, generator=random).to(dtype)

    return Case(
        x=draw(of_rows, model),
        gate_up=in_format(weights, draw(EXPERTS, 2 * width, model).float() / model**0.5, dtype),
        down=in_format(weights, draw(EXPERTS, model, width).float() / width**0.5, dtype),
        rows=torch.tensor(rows, dtype=torch.int64),
        experts=torch.tensor(experts, dtype=torch.int64),
        gates=torch.rand(len(rows), generator=random).to(dtype),
    )


def one_each(of_rows: int, experts: list[int]) -> tuple[list[int], list[int], int]:
    """Every row to one expert, the given ones in turn."""
    return list(range(of_rows)), [experts[row % len(experts)] for row in range(of_rows)], of_rows


ROUTINGS = {
    "one row": one_each(1, [3]),
    "as many rows as the loop takes": one_each(FEW_ROWS, [5, 0, 5, 2]),
    "one row more than the loop takes": one_each(FEW_ROWS + 1, [5, 0, 5, 2]),
    "63 rows": one_each(63, [4, 0, 3, 1, 5, 2, 2]),
    "experts without a token": one_each(63, [1, 4]),
    "all tokens to one expert": one_each(63, [2]),
    "all tokens to the first expert": one_each(9, [0]),
    "all tokens to the last expert": one_each(9, [EXPERTS - 1]),
    "two experts a row": ([i // 2 for i in range(62)], [(7 * i) % EXPERTS for i in range(62)], 31),
    "two experts for one row": ([0, 0], [4, 1], 1),
    "two experts for each of two rows": ([0, 0, 1, 1], [4, 1, 1, 3], 2),
    "few rows, one without an expert": ([0, 2], [5, 5], 3),
    "one pair among several rows": ([1], [3], 3),
    "many rows, some without an expert": ([1, 3, 3, 4, 6, 8, 8], [0, 5, 2, 2, 2, 1, 0], 10),
    "nobody has an expert": ([], [], 7),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("routing", ROUTINGS.values(), ids=ROUTINGS.keys())
@pytest.mark.usefixtures("poisoned_empty")
def test_routed_experts_agree_with_the_definition(routing, dtype):
    arguments = case(*routing, dtype).arguments()
    assert_agrees(routed_swiglu(*arguments), routed_swiglu_reference(*arguments))


# PyTorch's own int4 product takes the larger sizes and bfloat16 alone
@pytest.mark.parametrize(
    ("dtype", "model", "width"),
    [(torch.float32, 24, 20), (torch.bfloat16, 64, 96)],
    ids=["float32", "bfloat16"],
)
@pytest.mark.parametrize("weights", QUANTIZED)
@pytest.mark.parametrize("routing", ROUTINGS.values(), ids=ROUTINGS.keys())
@pytest.mark.usefixtures("poisoned_empty")
def test_quantized_experts_agree_with_the_definition(routing, weights, dtype, model, width):
    arguments = case(*routing, dtype, weights, model, width).arguments()
    bound = ROUNDED_TO_E4M3 if weights.startswith("fp8") else None
    assert_agrees(routed_swiglu(*arguments), routed_swiglu_reference(*arguments), bound)


@pytest.mark.parametrize("name", [name for name, (rows, _, _) in ROUTINGS.items() if rows])
@pytest.mark.usefixtures("poisoned_empty")
def test_gradients_of_routed_experts_agree_with_those_of_the_definition(name):
    def gradients(function) -> tuple[Tensor, ...]:
        given = case(*ROUTINGS[name])
        leaves = [leaf.requires_grad_() for leaf in (given.x, given.gate_up, given.down, given.gates)]
        out = function(*given.arguments())
        # not the plain sum: every element of the output has a weight of its own
        weights = torch.linspace(-1, 1, out.numel()).view_as(out)
        return torch.autograd.grad((out * weights).sum(), leaves)

    for answer, definition in zip(gradients(routed_swiglu), gradients(routed_swiglu_reference), strict=True):
        assert_agrees(answer, definition)


@pytest.mark.parametrize("of_rows", [2, 40])
def test_a_row_without_an_expert_gets_zeros(of_rows):
    out = routed_swiglu(*case([0] * of_rows, [1] * of_rows, of_rows).arguments())
    assert out[0].any()
    assert not out[1:].any()


def test_the_gate_scales_the_input_of_an_expert_and_not_its_output():
    given = case([0], [2], 1)
    scaled = swiglu(given.x * given.gates[:, None], given.gate_up[2], given.down[2])
    assert_agrees(routed_swiglu(*given.arguments()), scaled)
    assert not torch.allclose(scaled, given.gates[:, None] * swiglu(given.x, given.gate_up[2], given.down[2]))


def test_swiglu_is_silu_of_the_first_half_times_the_second():
    given = case([0], [0], 5)
    gate, up = given.x @ given.gate_up[0, :WIDTH].T, given.x @ given.gate_up[0, WIDTH:].T
    assert_agrees(swiglu(given.x, given.gate_up[0], given.down[0]), (F.silu(gate) * up) @ given.down[0].T)


@pytest.mark.parametrize("of_rows", [3, 12])
def test_a_token_reaches_only_its_expert(of_rows):
    given = case(*one_each(of_rows, [1, 4]))
    before = routed_swiglu(*given.arguments())
    for expert in (0, 2, 3, 5):
        given.gate_up[expert] = float("nan")
        given.down[expert] = float("nan")
    assert torch.equal(routed_swiglu(*given.arguments()), before)


@pytest.mark.parametrize("of_rows", [1, 4, 12])
def test_the_inputs_are_left_as_they_were(of_rows):
    given, untouched = (case(*one_each(of_rows, [1, 4])) for _ in range(2))
    routed_swiglu(*given.arguments())
    assert all(map(torch.equal, given.arguments(), untouched.arguments()))
