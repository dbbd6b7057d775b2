"""The benchmark of the kernels measures what it says, on sizes small enough for a test."""

import json

import pytest
import torch

from benchmarks import kernels
from kernels import routed_swiglu

TINY = kernels.Shape(width=128, inner=256, experts=4)


@pytest.fixture
def bench() -> kernels.Bench:
    made = kernels.Bench(torch.device("cpu"), 2, TINY)
    made.beyond_cache, made.keys = 1, 16
    return made


@pytest.mark.parametrize("form", kernels.QUANTIZE)
def test_random_experts_can_be_asked(form, bench):
    gate_up, down = kernels.random_experts(bench, form)
    assert gate_up.shape == (4, 512, 128) and down.shape == (4, 128, 256)
    rows = torch.arange(3)
    out = routed_swiglu(bench.draw(3, 128), gate_up, down, rows, rows, bench.draw(3))
    assert out.shape == (3, 128) and bool(out.isfinite().all())


def test_a_line_says_time_shares_and_ratio_to_the_last():
    row = kernels.Row("?", {"ours": [1e-3, 2e-3, 1e-3], "peer": [3e-3, 6e-3, 3e-3]}, {"ours": 1e6}, 1e9)
    assert row.line(copy=2e9, peak=4e12).split("   ")[-2:] == [
        "ours 1000 us 0.50 of copy 0.25 of matmul 3.00x",
        "peer 3000 us 0.08 of matmul",
    ]


@torch.no_grad()
def test_norms_are_asked_of_both_ways(bench):
    (row,) = kernels.norms(bench, (3,))
    assert list(row.seconds) == ["one pass", "definition"] and row.bytes["one pass"] == 3 * 128 * 5


def test_every_question_is_asked_in_every_round(bench, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "copy", lambda: 1e9)
    monkeypatch.setattr(bench, "matmul", lambda: 1e12)
    with torch.no_grad():
        kernels.report(bench, None, tmp_path / "now.json")
    kept = json.loads((tmp_path / "now.json").read_text())
    questions = [row["question"] for row in kept["rows"]]
    assert len(questions) == 4 * 3 + 3 + 1
    assert all(len(times) == 2 for row in kept["rows"] for times in row["seconds"].values())
    assert kept["machine"]["torch"] == torch.__version__ and kept["date"]
    printed = capsys.readouterr().out
    assert all(question in printed for question in questions)
