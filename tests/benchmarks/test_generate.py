"""The benchmark of generation compares models with the same weights, and says whether they said the same."""

import argparse
import json
from importlib.util import find_spec

import pytest
import torch

from benchmarks import generate, served
from benchmarks.bench import Bench
from benchmarks.core import THEIRS, Comparison, Shape

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
    monkeypatch.setattr(served, "find_spec", lambda name: None)
    monkeypatch.setattr(Bench, "ceilings", {"copy": 1e9, "matmul bf16": 1e12})
    options = argparse.Namespace(device="cpu", rounds=2, json=tmp_path / "times.json", only=None)
    generate.report(options, TINY)
    printed = capsys.readouterr().out
    for said in (
        "prefill, 12 tokens",
        "decode, a token",
        "routing recorded",
        "3 of 3 greedy tokens",
        "left out",
    ):
        assert said in printed
    written = json.loads((tmp_path / "times.json").read_text())
    assert [len(row["seconds"]) for row in written["comparisons"]] == [4, 4, 2]
    assert written["date"] and written["ceilings"]["copy"] == 1e9
    assert written["shard"] is None and "not measured: needs a GPU" in printed


def test_a_line_says_time_share_and_how_many_times_faster_the_first_was():
    row = Comparison("decode, a token", "all", {"ours": [1e-3] * 3, "peer": [3e-3] * 3})
    title, ours, peer = generate.lines(row, {"ours": 5e-4, "peer": 3e-4}, "copy")
    assert title == "decode, a token"
    assert ours.split()[:6] == ["ours", "1.00", "ms", "0.50", "of", "copy"]
    assert " 0.10 of copy   ours 3.00x as fast " in peer


@torch.no_grad()
def test_a_share_is_that_of_the_weights_alone():
    models, _ = generate.candidates(TINY, CPU)
    prefill, decode, _ = generate.at_least(TINY, models, {"copy": 1.0, "matmul bf16": 1.0})
    width, inner, layers, words = 128, 128, 4, 64
    attention, expert = 2 * width * width + 2 * width * width // 4, 3 * width * inner
    of_a_token = layers * (attention + 2 * expert + 4 * width)
    looks = 12 * 12 * width * layers
    assert (
        prefill["bf16"] == prefill["fp8"] == prefill[THEIRS] == 2 * (12 * of_a_token + width * words + looks)
    )
    norms = (2 * layers + 1) * width
    cache = 12 * layers * 2 * width // 4
    assert decode["bf16"] == 2 * (of_a_token + width * words + norms + width + cache)
    assert decode["fp8"] == decode["bf16"] - layers * (expert - 4 * (2 * inner + width))


@pytest.mark.skipif(not find_spec("xllamacpp") or not find_spec("gguf"), reason="xllamacpp is not installed")
@torch.no_grad()
def test_llama_cpp_says_the_same():
    # llama.cpp knows Scout by its sixteen experts, and gives it its query-key norm
    shape = Shape(
        layers=4, width=128, experts=16, expert_width=128, heads=4, vocabulary=64, prompt=12, answer=3
    )
    models, theirs = generate.candidates(shape, CPU)
    with generate.llama_cpp(theirs, models["bf16"].prompt[0].tolist()) as peer:
        assert peer.tokens(3) == models["bf16"].tokens(3)
        assert peer.prefill() > 0 and peer.decode(3) > 0
