"""The mean of two models is halfway in every weight, and nothing is averaged that does not fit."""

import json

import pytest
import torch

from model.checkpoint import DEMO_WEIGHTS, load, save
from model.demo.average import average, main


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The demo model with noise in its weights, and these weights."""
    llama, processor = load("demo", dtype=torch.float32)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in llama.parameters():
            parameter += torch.randn_like(parameter)
    folder = tmp_path_factory.mktemp("other")
    save(llama, processor, folder, torch.bfloat16)
    return folder


def test_every_weight_is_halfway_and_the_tokenizer_stays(other, tmp_path):
    main([str(DEMO_WEIGHTS), str(other), "--out", str(tmp_path)])
    (first, _), (second, _), (mean, processor) = (
        load(folder, dtype=torch.float32) for folder in (DEMO_WEIGHTS, other, tmp_path)
    )
    for name, parameter in mean.named_parameters():
        halfway = (first.get_parameter(name) + second.get_parameter(name)) / 2
        torch.testing.assert_close(parameter, halfway.bfloat16().float(), rtol=0, atol=0)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    text = "Wie viele Kreise?"
    assert processor.tokenizer.encode(text) == load("demo")[1].tokenizer.encode(text)


def test_one_model_and_models_of_other_shapes_have_no_mean(maverick, tmp_path):
    with pytest.raises(ValueError, match="two models or more, not 1"):
        average([DEMO_WEIGHTS], tmp_path)
    with pytest.raises(ValueError, match="has other shapes than"):
        average([DEMO_WEIGHTS, maverick], tmp_path)
    assert not list(tmp_path.iterdir())
