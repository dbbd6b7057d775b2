"""The benchmark of the kernels measures what it says, on sizes small enough for a test."""

import json

import pytest
import torch

from benchmarks import kernels
from benchmarks.bench import Bench, keep
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
def test_transformers_experts_answer_as_ours_to_the_same_weights(bench, monkeypatch):
    monkeypatch.setattr(kernels, "AT_ONCE", 2)  # tokens in two portions
    x, chosen, gates = bench.draw(3, 128), torch.tensor([2, 0, 2]), bench.draw(3).sigmoid()
    theirs = kernels.random_peer(bench)
    gate_up, down = theirs.gate_up_proj.mT.contiguous(), theirs.down_proj.mT.contiguous()
    ours = routed_swiglu(x, gate_up, down, torch.arange(3), chosen, gates)
    peer = kernels.peer_experts(theirs, x, chosen, gates)
    assert (peer - ours).abs().max() <= 2e-2 * ours.abs().max()


@torch.no_grad()
def test_every_run_has_the_next_routing_and_a_graph_has_all(bench):
    chosen, asked = torch.tensor([[0], [1], [2]]), []
    run = kernels.in_turns(bench, chosen, lambda experts: asked.append(int(experts)))
    for _ in range(4):
        run()
    bench.on_card = True
    kernels.in_turns(bench, chosen, lambda experts: asked.append(int(experts)))()
    assert asked == [0, 1, 2, 0, 0, 1, 2]


@torch.no_grad()
def test_norms_are_asked_of_both_ways(bench):
    (row,) = kernels.norms(bench, (3,))
    assert list(row.seconds) == ["one pass", "definition"] and row.bytes["one pass"] == 3 * 128 * 5


def test_every_question_is_asked_in_every_round_and_kept(bench, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(Bench, "ceilings", {"copy": 1e9, "matmul bf16": 1e12})
    kernels.report(bench, None, tmp_path / "now.json")
    kept = json.loads((tmp_path / "now.json").read_text())
    questions = [row["question"] for row in kept["rows"]]
    assert len(questions) == 4 * 3 + 3 + 3 + 2
    assert all(len(times) == 2 for row in kept["rows"] for times in row["seconds"].values())
    assert all(len(row["seconds"]) > 1 for row in kept["rows"]), "each beside a peer"
    assert kept["machine"]["torch"] == torch.__version__ and kept["date"] and kept["ceilings"]["copy"] == 1e9
    printed = capsys.readouterr().out
    assert all(question in printed for question in questions)


def test_ceilings_are_measured_in_the_run_that_they_are_held_against(bench, monkeypatch, capsys):
    monkeypatch.setattr(bench, "copy", lambda: 5e9)
    facts = bench.about()
    assert facts["ceilings"]["copy"] == 5e9 and facts["ceilings"]["matmul bf16"] > 0
    assert "copy 5.0 GB/s" in capsys.readouterr().out


def test_what_is_kept_has_the_times_of_a_candidate_on_one_line(tmp_path):
    keep(tmp_path / "new" / "now.json", {"rows": [{"seconds": {"ours": [1.00000004, 2.6e-7]}}], "date": "?"})
    written = (tmp_path / "new" / "now.json").read_text()
    assert '"ours": [1.0, 3e-07]' in written
    assert json.loads(written)["date"] == "?"
