"""The benchmark of the chat page measures what it says, at a size that fits a test."""

import gc
import json

import pytest

from benchmarks import app

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_ratio_is_taken_round_by_round():
    found = {
        "opening": [{"seconds": 1.5, "requests": 90, "bytes": 1_200_000}],
        "first": {"bare": [0.1, 0.2], "browser": [0.2, 0.4]},
        "speed": {"bare": [100.0, 50.0], "browser": [90.0, 45.0]},
    }
    said = app.report(found)
    assert "through the browser 2.00 times" in said and "through the browser 0.90 times" in said
    assert "1.50 s" in said and "1.20 MB in 90 requests" in said


@pytest.mark.slow
def test_every_number_is_measured_and_written(browser, tmp_path, capsys):
    path = tmp_path / "app.json"
    app.main(["--words", "400", "--rounds", "1", "--visits", "1", "--json", str(path)], browser)
    gc.collect()  # what gradio leaves behind goes here, and not in the middle of another file's test
    found = json.loads(path.read_text())
    for name in ("first", "speed"):
        assert all(len(found[name][side]) == 1 and found[name][side][0] > 0 for side in ("bare", "browser"))
    assert found["first"]["browser"][0] > 0.01
    (page,) = found["opening"]
    assert page["bytes"] > 100_000 and page["requests"] > 10
    assert "tokens/s" in capsys.readouterr().out
