"""The benchmark of the training data runs, and counts what it says."""

import json
import time

import pytest

from benchmarks import demo_data


def test_a_rate_is_what_was_made_in_the_time_it_took():
    def make(number: int) -> int:
        time.sleep(0.01)
        return 5

    assert 50 < demo_data.rate(make, 0.1) <= 500


@pytest.mark.slow
def test_it_tells_how_much_faster_data_is_made_than_learnt_from(tmp_path, capsys, monkeypatch):
    # one short row a step
    monkeypatch.setattr(demo_data, "PREFIXES", ((64, 0.5, 1), (160, 0.5, 1)))
    file = tmp_path / "now.json"
    demo_data.main(["--seconds", "0", "--pictures", "8", "--json", str(file)])
    rates = json.loads(file.read_text())
    assert {"pictures drawn", "questions packed", "batches", "steps"} <= rates.keys()
    assert min(rates.values()) > 0 and rates["questions packed"] > rates["batches"]
    assert "batches while the trainer learns from one" in capsys.readouterr().out
