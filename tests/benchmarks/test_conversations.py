"""The benchmark of the page's memory sees visitors come, ask and go, and says what stays."""

import gc

import pytest

from benchmarks.conversations import measure

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")


def test_visitors_come_and_go_and_what_is_held_is_counted():
    found = dict(measure(1, every=1, words=3))
    gc.collect()  # what gradio leaves behind goes here, and not in the middle of another file's test
    assert list(found) == [0, 1]
    assert [one["answers kept"] for one in found.values()] == [0, 2]
    assert all(one["runs"] == 0 and one["MiB"] > 0 for one in found.values())
    assert found[1]["traces"] - found[0]["traces"] == 2
