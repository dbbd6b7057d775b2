"""The kernels of routed experts and of linears agree with their definitions, in every regime."""

import pytest
import torch

from kernels import launch_triton as launch
from kernels import linear, linear_reference, routed_swiglu, routed_swiglu_reference
from kernels.backend import BackendUnavailable
from tests.kernels.agreement import ROUNDED_TO_E4M3, assert_agrees
from tests.kernels.formats import QUANTIZED, in_format
from tests.kernels.test_experts import EXPERTS, Case, case, one_each

# bfloat16 is what the interpreter cannot compute
DTYPES = pytest.mark.parametrize(
    "dtype",
    [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.gpu)],
    ids=["float32", "bfloat16"],
)
FORMATS = pytest.mark.parametrize("weights", ["plain", "fp8", "fp8 blocks", "int4"])
ROUTINGS = {
    "one row": one_each(1, [3]),
    "two experts for one row": ([0, 0], [4, 1], 1),
    "few rows, one without an expert": ([0, 2], [5, 5], 3),
    "one row more than the few": one_each(launch.FEW_PAIRS + 1, [5, 0, 5, 2]),
    "21 rows, experts without one": one_each(21, [1, 4]),
    "more rows than a tile, all to the last": one_each(17, [EXPERTS - 1]),
    "two experts a row": ([i // 2 for i in range(14)], [(7 * i) % EXPERTS for i in range(14)], 7),
    "nobody has an expert": ([], [], 7),
}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few programs and several steps at the sizes that an interpreter can bear."""
    monkeypatch.setattr(launch, "GEMV", {**launch.GEMV, "BN": 32, "BK": 64})
    monkeypatch.setattr(launch, "GEMV_INT4", {**launch.GEMV_INT4, "BN": 32, "BG": 2})
    monkeypatch.setattr(launch, "TOKENS", (16, 16))
    monkeypatch.setattr(launch, "TOKENS_BLOCKS", (16, 16))
    monkeypatch.setattr(launch, "TOKENS_INT4", (16, 16))


def on(device: torch.device, given: Case) -> tuple:
    """The case's arguments on that device."""

    def move(value):
        if isinstance(value, torch.Tensor):
            return value.to(device)
        return type(value)(**{name: part.to(device) for name, part in vars(value).items()})

    return tuple(map(move, given.arguments()))


@DTYPES
@FORMATS
@pytest.mark.parametrize("routing", ROUTINGS.values(), ids=ROUTINGS.keys())
@pytest.mark.usefixtures("poisoned_empty")
def test_routed_experts_agree_with_the_definition(routing, weights, dtype, device):
    # a row of the model is a block and a piece; gate and up rows have blocks of their own
    sizes = (160, 128) if weights == "fp8 blocks" else (96, 64)
    arguments = on(device, case(*routing, dtype, weights, *sizes))
    answer = routed_swiglu(*arguments, backend="triton")
    bound = ROUNDED_TO_E4M3 if weights.startswith("fp8") else None
    assert_agrees(answer, routed_swiglu_reference(*arguments), bound)


@DTYPES
@pytest.mark.parametrize(
    ("weights", "model", "width"),
    [("plain", 96, 48), ("fp8", 96, 48), ("fp8 blocks", 160, 128), ("int4", 160, 96)],
)
@pytest.mark.parametrize("of_rows", [5, 37])
@pytest.mark.usefixtures("poisoned_empty")
def test_many_rows_an_expert_agree_with_the_definition(
    of_rows, weights, model, width, dtype, device, monkeypatch
):
    tile = launch.persistent_tile
    monkeypatch.setattr(launch, "MANY_ROWS", 0)
    monkeypatch.setattr(launch, "MANY_ROWS_INT4", 0)
    if device.type == "cpu":
        small = {"BM": 16, "GROUP": 2}
        monkeypatch.setattr(
            launch,
            "persistent_tile",
            lambda w, weights, **more: {**tile(w, weights, **more), **small, "BN": 32 // weights},
        )
        tile_int4 = launch.persistent_tile_int4
        monkeypatch.setattr(
            launch,
            "persistent_tile_int4",
            lambda w, weights: {**tile_int4(w, weights), **small, "BN": 32},
        )
    # expert 0 with more rows than a tile, the last one with one, others with none
    routing = one_each(of_rows, [0] * (of_rows - 1) + [EXPERTS - 1])
    arguments = on(device, case(*routing, dtype, weights, model, width))
    bound = ROUNDED_TO_E4M3 if weights.startswith("fp8") else None
    assert_agrees(routed_swiglu(*arguments, backend="triton"), routed_swiglu_reference(*arguments), bound)


@DTYPES
@pytest.mark.parametrize("weights", QUANTIZED)
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 128, 70), (17, 160, 130), (0, 32, 8)])
@pytest.mark.usefixtures("poisoned_empty")
def test_a_linear_agrees_with_the_definition(dtype, weights, rows, inputs, outputs, device):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(rows, inputs, generator=random).to(device, dtype)
    w = in_format(weights, torch.randn(outputs, inputs, generator=random).to(device), dtype)
    assert_agrees(linear(x, w, backend="triton"), linear_reference(x, w))


@FORMATS
@pytest.mark.parametrize("of_rows", [2, 12])
def test_a_token_reaches_only_its_expert(weights, of_rows, device):
    width = 128 if weights == "fp8 blocks" else 32
    given = case(*one_each(of_rows, [1, 4]), torch.float32, weights, model=64, width=width)
    before = routed_swiglu(*on(device, given), backend="triton")
    for w in (given.gate_up, given.down):
        scale = w if isinstance(w, torch.Tensor) else w.scale
        scale[[0, 2, 3, 5]] = float("nan")
    assert torch.equal(routed_swiglu(*on(device, given), backend="triton"), before)


def test_what_has_no_kernel_is_refused_by_name(device):
    blocks = on(device, case(*one_each(1, [0]), torch.float32, "fp8 blocks", model=64, width=32))
    with pytest.raises(BackendUnavailable, match=r"gate rows or up rows.*backend='torch'"):
        routed_swiglu(*blocks, backend="triton")
    mixed = (*blocks[:1], in_format("fp8", torch.ones(6, 64, 64, device=device), torch.float32), *blocks[2:])
    with pytest.raises(BackendUnavailable, match=r"same format.*backend='torch'"):
        routed_swiglu(*mixed, backend="triton")
    assert_agrees(routed_swiglu(*mixed), routed_swiglu_reference(*mixed))
    groups = on(device, case(*one_each(1, [0]), torch.float32, "int4"))  # 24 inputs in groups of 4
    with pytest.raises(BackendUnavailable, match="groups of 32"):
        routed_swiglu(*groups, backend="triton")


def test_weights_that_do_not_lie_row_after_row_are_refused(device):
    x, gate_up, *rest = on(device, case(*one_each(1, [0]), model=64, width=32))
    turned = gate_up.transpose(1, 2).contiguous().transpose(1, 2)
    with pytest.raises(ValueError, match="contiguous"):
        routed_swiglu(x, turned, *rest, backend="triton")


def test_tiles_are_enough_for_whoever_is_chosen():
    for pairs, tokens in ((1, 16), (63, 16), (4096, 64)):
        for experts in (1, 6, 128):
            lopsided = [pairs - experts + 1, *[1] * (experts - 1)] if pairs >= experts else [1] * pairs
            assert sum(-(-count // tokens) for count in lopsided) <= launch.tiles(pairs, experts, tokens)
