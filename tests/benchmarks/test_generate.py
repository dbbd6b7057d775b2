"""The benchmark of generation compares models with the same weights, and says whether they said the same."""

import argparse
import json
from importlib.util import find_spec

import pytest
import torch

from benchmarks import generate
from benchmarks.core import THEIRS, Shape

CPU = torch.device("cpu")
TINY = Shape(
    layers=4, width=128, experts=4, expert_width=128, heads=4, vocabulary=64, prompt=12, batch=7, answer=3
)


@torch.no_grad()
def test_quantized_models_are_made_of_the_same_weights():
    models, _ = generate.candidates(TINY, CPU)
    assert list(models) == ["bf16", "fp8", "int4", THEIRS]
    plain, made = (models[name].llama.blocks[0].moe for name in ("bf16", "fp8"))
    values = made.down_proj.plain(torch.float32)
    assert (values - plain.down_proj.float()).abs().max() <= plain.down_proj.abs().max() / 16
    assert models["bf16"].tokens(4) == models[THEIRS].tokens(4)


def test_the_report_prints_what_it_writes(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(generate, "find_spec", lambda name: None)
    options = argparse.Namespace(device="cpu", rounds=2, json=tmp_path / "times.json", only=None)
    generate.report(options, TINY)
    printed = capsys.readouterr().out
    for said in ("prefill, 12 tokens", "decode, a token", "routing recorded", "3 of 3 greedy tokens"):
        assert said in printed
    written = json.loads((tmp_path / "times.json").read_text())
    assert [len(row["seconds"]) for row in written["comparisons"]] == [4, 4, 2]
    assert written["shard"] is None and "not measured: needs a GPU" in printed


@pytest.mark.skipif(not find_spec("xllamacpp") or not find_spec("gguf"), reason="xllamacpp is not installed")
@torch.no_grad()
def test_llama_cpp_says_the_same(tmp_path):
    from benchmarks.llama_cpp import LlamaCpp

    # llama.cpp knows Scout by its sixteen experts, and gives it its query-key norm
    shape = Shape(
        layers=4, width=128, experts=16, expert_width=128, heads=4, vocabulary=64, prompt=12, answer=3
    )
    models, theirs = generate.candidates(shape, CPU)
    peer = LlamaCpp(theirs, tmp_path, models["bf16"].prompt[0].tolist())
    assert peer.tokens(3) == models["bf16"].tokens(3)
    assert peer.prefill() > 0 and peer.decode(3) > 0
