"""Rotary frequencies: the two published tables of Scout, and plain ones."""

import pytest
import torch

from model.config import RopeScaling, TextConfig
from model.rope import inverse_frequencies, rotate, scale_frequencies, text_turns


@pytest.fixture
def plain():
    return inverse_frequencies(TextConfig.from_dict({"rope_theta": 500000.0}))


def test_scouts_corrected_table_keeps_35_frequencies_and_divides_the_rest_by_16(plain):
    ratio = plain / scale_frequencies(plain, RopeScaling(16.0, 1.0, 1.0, 8192))
    assert torch.equal(ratio[:35], torch.ones(35))
    assert torch.allclose(ratio[35:], torch.full((29,), 16.0))


def test_scouts_launch_table_keeps_29_blends_6_and_divides_29_by_8(plain):
    ratio = plain / scale_frequencies(plain, RopeScaling(8.0, 1.0, 4.0, 8192))
    assert torch.equal(ratio[:29], torch.ones(29))
    assert ((ratio[29:35] > 1.001) & (ratio[29:35] < 7.999)).all()
    assert torch.allclose(ratio[35:], torch.full((29,), 8.0))


def test_rotation_depends_on_distance_alone(plain):
    config = TextConfig.from_dict({})
    q, k = torch.randn(1, 1, 1, 128), torch.randn(1, 1, 1, 128)

    def score(at_q: int, at_k: int) -> torch.Tensor:
        turned = [
            rotate(x, text_turns(torch.tensor([[at]]), inverse_frequencies(config)))
            for x, at in ((q, at_q), (k, at_k))
        ]
        return (turned[0] * turned[1]).sum()

    assert torch.allclose(score(7, 3), score(107, 103), atol=1e-3)
    assert not torch.allclose(score(7, 3), score(7, 4), atol=1e-3)


def test_frequencies_stay_float32_when_the_model_is_cast():
    assert inverse_frequencies(TextConfig.from_dict({})).dtype == torch.float32
