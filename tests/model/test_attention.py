"""Attention's own rules, seen through the pattern: chunks, causality, temperature."""

import pytest
import torch

from model import load, recorded
from model.attention import query_temperature
from model.config import TextConfig
from tests.tiny import CHUNK

TOKENS = 20


@pytest.fixture(scope="module")
def patterns(checkpoint):
    """The pattern [1, heads, tokens, tokens] of every layer, and which layers are chunked."""
    llama, _ = load(checkpoint, dtype=torch.float32)
    points = [llama.hook_point(f"blocks.{i}.attn.hook_pattern") for i in range(8)]
    with recorded(points) as kept:
        llama(torch.randint(3, 250, (1, TOKENS), generator=torch.Generator().manual_seed(0)))
    return [(llama.config.text.uses_rope(i), kept[point.name][0]) for i, point in enumerate(points)]


def test_nothing_looks_ahead_and_every_row_sums_to_one(patterns):
    for _, pattern in patterns:
        assert torch.equal(pattern, pattern.tril())
        assert torch.allclose(pattern.sum(-1), torch.ones(8, TOKENS), atol=1e-5)


def test_rotary_layers_look_only_inside_their_chunk_and_the_others_everywhere(patterns):
    chunk = torch.arange(TOKENS) // CHUNK
    same = chunk[:, None] == chunk[None]
    for is_chunked, pattern in patterns:
        outside = pattern[:, ~same].sum()
        assert outside == 0 if is_chunked else outside > 1
    assert [is_chunked for is_chunked, _ in patterns] == [True, True, True, False] * 2


def test_the_first_token_of_a_chunk_sees_itself_alone(patterns):
    for is_chunked, pattern in patterns:
        if is_chunked:
            assert torch.allclose(pattern[:, CHUNK, CHUNK], torch.ones(8))


def test_the_pattern_follows_from_the_queries_and_keys_that_are_compared(checkpoint):
    llama, _ = load(checkpoint, dtype=torch.float32)
    ids = torch.randint(3, 250, (1, TOKENS), generator=torch.Generator().manual_seed(0))
    rows = torch.tensor([0, CHUNK, TOKENS - 2])
    for block in llama.blocks:
        attention = block.attn
        points = [attention.hook_rot_q, attention.hook_rot_k, attention.hook_pattern]
        with recorded(points) as kept:
            llama(ids)
        q, k, pattern = (kept[point.name] for point in points)
        made = attention.pattern_of(q[:, rows], k, rows)
        assert (made - pattern[:, :, rows]).abs().max() <= 1e-6


def test_temperature_rises_in_steps_of_8192_positions():
    config = TextConfig.from_dict({})
    tau = query_temperature(config, torch.tensor([[0, 8190, 8191, 16382, 16383]])).flatten()
    assert tau[:2].tolist() == [1, 1]
    assert tau[2:].tolist() == pytest.approx([1.069315, 1.069315, 1.109861], abs=1e-6)
    assert (
        query_temperature(TextConfig.from_dict({"attn_temperature_tuning": False}), torch.zeros(1, 1)) is None
    )
