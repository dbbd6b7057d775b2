"""The benchmark of routing statistics asks what it says, of a trace small enough for a test."""

import json

import numpy as np
import pytest

from benchmarks import routing as benchmark
from workbench import routing


def test_the_drawn_trace_is_one_that_its_own_logits_bear_out():
    trace = benchmark.drawn_trace(120, 3, 8, top=2)
    assert not [flaw for flaw in trace.check().flaws if "provenance" not in flaw.what]


def test_the_plain_line_computes_what_transitions_tell():
    trace = benchmark.drawn_trace(300, 3, 8)
    told = routing.transitions(trace).information.value
    np.testing.assert_allclose(benchmark.plain_information(trace), told, atol=1e-9)


def test_every_question_is_clocked_and_written(tmp_path, capsys):
    file = tmp_path / "now.json"
    benchmark.main(["--tokens", "600", "--layers", "2", "--experts", "4", "--json", str(file)])
    rows = json.loads(file.read_text())
    assert all(wall >= 0 and own >= 0 for wall, own in rows.values())
    assert any(name.startswith("statistics") for name in rows) and "600 tokens" in capsys.readouterr().out


@pytest.mark.parametrize("top", [1, 2])
def test_neighbours_in_the_drawn_trace_are_alike(top):
    found = routing.repetition(benchmark.drawn_trace(3000, 1, 16, top))
    assert found.value > found.chance
