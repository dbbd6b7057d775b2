"""A norm that also quantizes gives what the norm gives, and the codes of exactly that."""

import pytest
import torch

from kernels import fp8, linear
from kernels.backend import BackendUnavailable
from kernels.fp8 import Rounded
from kernels.norm import rms_norm_rounded, rms_norm_rounded_reference, rms_normalize
from tests.kernels.agreement import assert_agrees
from tests.kernels.formats import QUANTIZED, in_format

EPS = 1e-5
# bfloat16 is what the interpreter cannot compute
DTYPES = pytest.mark.parametrize(
    "dtype",
    [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.gpu)],
    ids=["float32", "bfloat16"],
)


def draw(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


@DTYPES
@pytest.mark.parametrize("shape", [(1, 128), (7, 130), (2, 3, 33), (0, 16)], ids=str)
@pytest.mark.usefixtures("poisoned_empty")
def test_the_kernel_agrees_with_the_definition(shape, dtype, device):
    x = draw(*shape).to(device, dtype) * 3
    x[..., :1, :] = 0  # a row of nothing stays one
    weight = (1 + 0.3 * draw(shape[-1], seed=1)).to(device, dtype)
    answer = rms_norm_rounded(x, weight, EPS, backend="triton")
    definition = rms_norm_rounded_reference(x, weight, EPS)
    assert_agrees(answer.plain, definition.plain)
    assert_agrees(answer.rows.scale, definition.rows.scale, 2e-2 if dtype == torch.bfloat16 else None)
    # the codes are those of what the kernel itself put down, bit for bit
    of_answer = fp8.nearest_rows(answer.plain)
    assert torch.equal(answer.rows.codes.view(torch.uint8), of_answer.codes.view(torch.uint8))
    assert torch.equal(answer.rows.scale, of_answer.scale)


def test_the_definition_is_the_norm_and_its_nearest_codes():
    x, weight = draw(5, 40), draw(40, seed=1)
    both = rms_norm_rounded(x, weight, EPS)
    assert torch.equal(both.plain, rms_normalize(x, EPS) * weight)
    assert_agrees(both.plain, weight * x / (x.pow(2).mean(-1, keepdim=True) + EPS).sqrt())
    assert torch.equal(both.rows.scale, fp8.nearest_rows(both.plain).scale)


def test_without_gradients_a_cpu_gives_the_same_norm_whatever_device_is_the_default():
    x, eps = 5 * draw(3, 96), 1.7e-5  # an eps of its own: constants are kept
    with torch.device("meta"), torch.no_grad():
        found = rms_normalize(x, eps)
    torch.testing.assert_close(found, torch.nn.functional.rms_norm(x, (96,), eps=eps), rtol=1e-6, atol=1e-7)


def test_a_weight_of_another_dtype_is_left_to_the_definition(device):
    x, weight = draw(2, 16).to(device), torch.ones(16, dtype=torch.float64, device=device)
    with pytest.raises(BackendUnavailable, match=r"float64.*backend='torch'"):
        rms_norm_rounded(x, weight, EPS, backend="triton")


@pytest.mark.parametrize(
    ("name", "backend"), [("plain", None), *((name, who) for name in QUANTIZED for who in (None, "triton"))]
)
def test_a_linear_answers_the_same_with_codes_and_without(name, backend, device):
    x, w = draw(2, 3, 128).to(device), in_format(name, draw(48, 128, seed=1).to(device), torch.float32)
    codes = fp8.nearest_rows(x)
    assert torch.equal(linear(Rounded(x, codes), w, backend), linear(x, w, backend))
    if name == "fp8":  # and multiplies with those that it is given
        doubled = Rounded(x, fp8.RowScaled(codes.codes, 2 * codes.scale))
        assert torch.equal(linear(doubled, w, backend), 2 * linear(x, w, backend))
