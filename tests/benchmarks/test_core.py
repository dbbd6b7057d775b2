"""The benchmark of the core measures what it says, on a model small enough for a test."""

import argparse
import json

import pytest
import torch

from benchmarks import core

CPU = torch.device("cpu")
TINY = core.Shape(
    layers=4, width=32, experts=4, expert_width=16, heads=4, vocabulary=64, prompt=12, batch=7, answer=3
)


def options(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**({"device": "cpu", "rounds": 2, "json": None} | given))


def test_the_interval_of_a_median_follows_from_the_order_of_the_values():
    assert core.median_interval([float(n) for n in range(10, 0, -1)]) == (5.5, 2, 9)
    assert core.median_interval([3.0, 1.0, 2.0]) == (2, 1, 3), "too few for 95 %: all of them"
    _, low, high = core.median_interval([float(n) for n in range(41)])
    assert (low, high) == (13, 27), "14 of 41 at either side, as tables of the sign test say"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_both_models_have_the_same_weights_and_the_same_logits(dtype):
    theirs, ours = core.random_pair(TINY, dtype, CPU)
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        difference = (theirs(ids).logits.float() - ours(ids).float()).abs().max()
    assert difference <= {torch.float32: 1e-5, torch.bfloat16: 2e-2}[dtype]
    assert sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in ours.parameters())


def test_every_question_is_asked_of_both_in_every_round():
    rows, same = core.compare(TINY, torch.float32, CPU, rounds=3)
    assert [row.question for row in rows] == [
        "expert layer, 1 token",
        "expert layer, 7 tokens",
        "prefill, 12 tokens",
        "decode, a token",
    ]
    for row in rows:
        assert row.seconds.keys() == {"transformers", "ours"}
        assert all(len(times) == 3 and min(times) > 0 for times in row.seconds.values())
    assert same == "float32: 4 of 4 greedy tokens are the same"


def test_candidates_take_turns_and_the_first_run_does_not_count():
    ran: list[str] = []

    def candidate(name: str):
        def run() -> float:
            ran.append(name)
            return float(len(ran))

        return run

    seconds = core.take_turns({"a": candidate("a"), "b": candidate("b")}, rounds=2)
    assert ran == ["a", "b", "a", "b", "b", "a"]
    assert seconds == {"a": [3.0, 6.0], "b": [4.0, 5.0]}


def test_a_ratio_is_the_median_of_the_rounds_and_its_spread_their_middle_half():
    row = core.Comparison("?", "float32", {"slow": [4.0, 9.0, 8.0, 50.0], "fast": [2.0, 3.0, 2.0, 10.0]})
    assert row.ratios("slow", "fast") == [2.0, 3.0, 4.0, 5.0]
    assert core.middle(row.ratios("slow", "fast")) == (3.5, 2.75, 4.25)
    assert core.middle([2.0]) == (2.0, 2.0, 2.0)


def test_the_report_prints_what_it_writes(tmp_path, capsys):
    core.report(options(json=tmp_path / "times.json"), TINY)
    printed = capsys.readouterr().out
    for said in (
        "torch",
        "threads",
        "expert layer, 1 token",
        "prefill, 12 tokens",
        "decode, a token",
        "bfloat16",
    ):
        assert said in printed
    written = json.loads((tmp_path / "times.json").read_text())
    assert written["machine"]["torch"] == torch.__version__
    assert len(written["comparisons"]) == 8
    assert all(len(row["seconds"]["ours"]) == 2 for row in written["comparisons"])
