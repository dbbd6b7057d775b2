"""Goals are those of the device that was measured; what was not measured has no number."""

import json

import pytest
import torch

from benchmarks import goals, kernels
from benchmarks.bench import MAVERICK, Bench, keep
from benchmarks.generate import LLAMA_CPP


def seconds(**medians: float) -> dict:
    return {name.replace("_", " "): [value] * 3 for name, value in medians.items()}


def row(question: str, times: dict, **more: object) -> dict:
    return {"question": question, "seconds": times, "bytes": {}, "products": 0.0} | more


def card(shard: dict | None) -> goals.Taken:
    """Results of an H100 that copies 3 TB/s."""
    rows = [
        row(kernels.experts_question(tokens, "fp8"), {"fp8": [1.0] * 3}, bytes={"fp8": 0.87 * 3e12})
        for tokens in (1, 8, 64, 512, 4096)
    ]
    rows.append(row(kernels.linear_question(MAVERICK, 8192), {"fp8": [1.0]}, products=0.7 * 1979e12))
    rows.append(row(kernels.grouped_question(16, 512, "fp8"), {"fp8": [2.0], "_scaled_grouped_mm": [3.0]}))
    taken = {"machine": {"device": "NVIDIA H100 80GB HBM3"}, "rows": rows}
    taken["ceilings"] = {"copy": 3e12, "matmul bf16": 8e14, "matmul fp8": 14e14}
    return {"kernels": taken, "generate": {"shard": shard}}


def cpu(tokens: float) -> goals.Taken:
    """Results of a processor; a decoded token takes llama.cpp one second and ours that many."""
    rows = [row(kernels.layer_question(16, 1), seconds(ours=1, transformers=16))]
    rows.append(row(kernels.layer_question(16, 256), seconds(ours=1, transformers=3)))
    said = [
        row("prefill, 256 tokens", seconds(bf16=1) | {LLAMA_CPP: [2.0] * 3}),
        row("decode, a token", seconds(bf16=tokens, fp8=tokens) | {LLAMA_CPP: [1.0] * 3}),
        row("decode, a token, bf16", seconds(unwatched=1)),
    ]
    taken = {"machine": {"device": "AMD EPYC"}, "ceilings": {"copy": 2e10}, "rows": rows}
    return {"kernels": taken, "generate": {"comparisons": said}}


def verdicts(taken: goals.Taken) -> dict[str, list[str]]:
    """What is said of each goal, by its words."""
    return {line[:58].strip(): line[58:].split() for line in goals.goals(taken)}


def test_a_processor_is_held_to_its_goals():
    said = verdicts(cpu(tokens=1.5))
    assert said["layer of 16 experts, 1 tokens, of transformers"] == ["at", "least", "15", "16", "reached"]
    assert said["layer of 16 experts, 256 tokens, of transformers"] == ["at", "least", "3.5", "3", "missed"]
    assert said["layer of 128 experts, 1 tokens, of transformers"][-2:] == ["not", "measured"]
    assert said["decoding, of llama.cpp"][-2:] == ["0.667", "missed"]
    assert said["prefill, of llama.cpp"][-2:] == ["2", "reached"]
    assert said["decoding in FP8, of BF16"][-2:] == ["1", "reached"]
    assert verdicts(cpu(tokens=1.25))["decoding, of llama.cpp"][-2:] == ["0.8", "reached"]


def test_a_card_is_held_to_its_goals():
    times = {"nothing": [1.0] * 3, "routing": [1.005] * 3, "routing and attention": [1.04] * 3}
    shard = {"seconds": times, "bytes": {"nothing": 2.7e12}, "copy": 3e12, "said": "the same token in all"}
    said = verdicts(card(shard))
    assert said["routed experts in FP8, 1 tokens, of copy"] == ["at", "least", "0.88", "0.87", "missed"]
    assert said["routed experts in FP8, 4096 tokens, of copy"] == ["at", "least", "0.85", "0.87", "reached"]
    assert said["compute-bound FP8 product, of the peak"][-2:] == ["0.7", "reached"]
    assert said["the same for each expert, of _scaled_grouped_mm"][-2:] == ["1.5", "reached"]
    assert said["four layers' token under a graph, of its floor"][-2:] == ["0.9", "reached"]
    assert said["routing recorded, more time"] == ["at", "most", "0.01", "0.005", "reached"]
    assert said["and the last attention row, more time"][-2:] == ["0.04", "missed"]
    assert said["all of these say the same token"][-1] == "reached"
    shard["said"] = "tokens differ: {1, 2}"
    assert verdicts(card(shard))["all of these say the same token"][-1] == "missed"


def test_what_was_not_measured_has_no_number():
    said = verdicts(card(None))
    without = {words for words, verdict in said.items() if verdict[-2:] == ["not", "measured"]}
    assert len(without) == 4 and all("token" in words or "time" in words for words in without)
    unknown = card(None)
    unknown["kernels"]["machine"]["device"] = "NVIDIA B200"
    assert verdicts(unknown)["compute-bound FP8 product, of the peak"][-2:] == ["not", "measured"]


@torch.no_grad()
def test_the_questions_of_a_card_are_asked_by_the_names_that_the_goals_look_for():
    # a tensor without memory can be asked nothing, so the routed experts alone are named here
    bench = Bench(torch.device("cpu"), 1, kernels.Shape(width=128, inner=128, experts=2))
    bench.beyond_cache = 1
    asked = {made.question for made in kernels.experts(bench, (1, 8))}
    asked |= {made.question for made in kernels.linears(bench, (8,))}
    named = {kernels.experts_question(tokens, form) for tokens in (1, 8) for form in kernels.QUANTIZE}
    assert asked == named | {kernels.linear_question(bench.shape, 8)}


def test_results_that_were_kept_are_judged_again(tmp_path, capsys):
    keep(tmp_path / "kept.json", cpu(tokens=1.0))
    goals.main(["--read", str(tmp_path / "kept.json")])
    assert capsys.readouterr().out.splitlines() == goals.goals(cpu(tokens=1.0))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_nothing_is_measured(capsys):
    with pytest.raises(SystemExit) as left:
        goals.main(["--device", "cuda"])
    assert left.value.code == 2 and "there is no number" in capsys.readouterr().err


def test_the_results_in_the_repository_have_a_device_and_a_date():
    files = sorted(goals.RESULTS.glob("*.json"))
    assert files
    for file in files:
        taken = json.loads(file.read_text())
        for part in ("kernels", "generate"):
            assert taken[part]["machine"]["device"] and taken[part]["date"]
        assert any(line.endswith(("reached", "missed")) for line in goals.goals(taken))
