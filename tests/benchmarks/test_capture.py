"""The benchmark of watching measures what it says, on a model small enough for a test."""

import json

import pytest

from benchmarks import capture, transformer_lens
from model import checkpoint
from tests.tiny import write_checkpoint


@pytest.fixture
def tiny_demo(tmp_path, monkeypatch):
    """A tiny checkpoint in the demo model's place."""
    monkeypatch.setattr(checkpoint, "DEMO_WEIGHTS", write_checkpoint("maverick", tmp_path))


def test_modes_take_turns_and_say_the_same(tiny_demo):
    seconds, traces = capture.costs(rounds=2, tokens=12)
    # two blocks an answer: ten tokens, and the one that is left beside the first
    for what, values in ((capture.A_TOKEN, 4), (capture.WHOLE, 2)):
        assert seconds[what].keys() == capture.MODES.keys()
        assert all(len(times) == values and min(times) > 0 for times in seconds[what].values())
    assert all(trace["same tokens"] for trace in traces.values())
    sizes = [trace["bytes"] for trace in traces.values()]
    assert sizes == sorted(sizes) and len(set(sizes)) == 4, "each mode keeps more than the one before"


def test_memory_is_told_by_a_process_of_its_own(tiny_demo, capsys):
    capture.main(["--memory", "everything", "--tokens", "4"])
    printed = capsys.readouterr().out.strip()
    assert printed == "" or int(printed) > -(2**30)


def test_the_report_prints_what_it_writes(tiny_demo, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(capture, "extra_memory", lambda mode, tokens, processes: [2_000_000] * processes)
    peer = {
        "seconds": {transformer_lens.OURS: [1.0, 1.0, 1.0], transformer_lens.HOOKS: [5.0, 6.0, 7.0]},
        "prompt": 300, "tokens": 5, "same tokens": {transformer_lens.HOOKS: 4},
    }  # fmt: skip
    monkeypatch.setattr(transformer_lens, "compare", lambda rounds, tokens: peer)
    capture.main(["--rounds", "1", "--tokens", "5", "--json", str(tmp_path / "all.json")])
    printed = capsys.readouterr().out
    for said in (
        *capture.MODES,
        "+2.0 MB",
        "6.0x (5.0 to 7.0); 4 of 5 tokens",
        "occlusion of a word over two",
    ):
        assert said in printed
    written = json.loads((tmp_path / "all.json").read_text())
    assert written[transformer_lens.NAME] == peer and len(written["occlusion"]["pixels"]) == 3
