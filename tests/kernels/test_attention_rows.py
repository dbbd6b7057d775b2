"""Attention rows: what fused attention applies without ever showing it."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import attention_rows
from kernels.attention_rows import attention_rows_reference
from tests.kernels.agreement import assert_agrees

BATCH, WIDTH, SCALE = 2, 16, 0.25


def draw(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def causal(rows: int, keys: int) -> Tensor:
    """The last `rows` of `keys` tokens, each looking back."""
    return torch.arange(keys) <= torch.arange(keys - rows, keys)[:, None]


@pytest.mark.parametrize(("heads", "kv_heads"), [(8, 8), (8, 2), (5, 1)])
@pytest.mark.parametrize(("rows", "keys"), [(1, 1), (1, 63), (4, 4), (5, 63), (63, 63)])
@pytest.mark.parametrize("masked", [True, False], ids=["causal", "everything allowed"])
@pytest.mark.usefixtures("poisoned_empty")
def test_rows_times_values_are_what_fused_attention_returns(heads, kv_heads, rows, keys, masked):
    query, key = draw(BATCH, heads, rows, WIDTH), draw(BATCH, kv_heads, keys, WIDTH, seed=1)
    value = draw(BATCH, kv_heads, keys, WIDTH, seed=2)
    allowed = causal(rows, keys) if masked else None
    fused = F.scaled_dot_product_attention(query, key, value, allowed, scale=SCALE, enable_gqa=True)
    pattern = attention_rows(query, key, SCALE, allowed)
    assert pattern.shape == (BATCH, heads, rows, keys)
    assert_agrees(pattern @ value.repeat_interleave(heads // kv_heads, dim=1), fused)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_rows_are_float32_and_sum_to_one(dtype):
    query, key = draw(BATCH, 4, 7, WIDTH).to(dtype), draw(BATCH, 2, 20, WIDTH, seed=1).to(dtype)
    assert_agrees(attention_rows(query, key, SCALE, causal(7, 20)).sum(-1), torch.ones(BATCH, 4, 7))


def test_what_a_row_may_not_look_at_gets_exactly_nothing():
    allowed = causal(7, 20)
    pattern = attention_rows(draw(BATCH, 4, 7, WIDTH), draw(BATCH, 2, 20, WIDTH, seed=1), SCALE, allowed)
    assert not pattern[:, :, ~allowed].any()
    assert (pattern[:, :, allowed] > 0).all()


def test_a_mask_may_differ_between_the_rows_of_a_batch():
    query, key = draw(BATCH, 4, 3, WIDTH), draw(BATCH, 2, 9, WIDTH, seed=1)
    allowed = torch.stack([causal(3, 9), causal(3, 9).flip(1)])[:, None]
    pattern = attention_rows(query, key, SCALE, allowed)
    for row in range(BATCH):
        alone = attention_rows(query[row : row + 1], key[row : row + 1], SCALE, allowed[row, 0])
        assert_agrees(pattern[row : row + 1], alone)


def test_a_chosen_row_equals_that_row_of_all():
    query, key = draw(1, 8, 63, WIDTH), draw(1, 2, 63, WIDTH, seed=1)
    every = attention_rows(query, key, SCALE, causal(63, 63))
    for row in (0, 1, 40, 62):
        alone = attention_rows(query[:, :, row : row + 1], key, SCALE, causal(63, 63)[row : row + 1])
        assert_agrees(alone, every[:, :, row : row + 1])


@pytest.mark.parametrize(("heads", "kv_heads"), [(8, 2), (5, 1), (3, 3)])
@pytest.mark.parametrize(("rows", "keys"), [(1, 1), (1, 63), (5, 70)])
@pytest.mark.parametrize("masked", [True, False], ids=["causal", "everything allowed"])
@pytest.mark.usefixtures("poisoned_empty")
def test_the_kernel_agrees_with_the_definition(heads, kv_heads, rows, keys, masked, device):
    # heads behind tokens in memory, as a model's projections leave them
    query = draw(BATCH, rows, heads, 40).to(device).transpose(1, 2)
    key = draw(BATCH, keys, kv_heads, 40, seed=1).to(device).transpose(1, 2)
    allowed = causal(rows, keys).to(device) if masked else None
    answer = attention_rows(query, key, SCALE, allowed, backend="triton")
    assert_agrees(answer, attention_rows_reference(query, key, SCALE, allowed))


@pytest.mark.gpu
def test_the_kernel_agrees_in_bfloat16_at_a_context_of_thousands():
    query, key = (draw(1, n, k, 128, seed=n).cuda().bfloat16() for n, k in ((40, 1), (8, 5000)))
    assert_agrees(
        attention_rows(query, key, SCALE, backend="triton"), attention_rows_reference(query, key, SCALE, None)
    )


def test_heads_read_the_keys_of_their_own_group():
    query, key = draw(1, 6, 1, WIDTH), draw(1, 3, 5, WIDTH, seed=1)
    pattern = attention_rows(query, key, SCALE)
    for head in range(6):
        own = torch.softmax(query[0, head] @ key[0, head // 2].T * SCALE, dim=-1)
        assert_agrees(pattern[0, head], own)
