"""The benchmark of the view measures what it says, at a size that fits a test."""

import json
import subprocess
import sys

import pytest

from benchmarks import view
from workbench.trace import PROMPT


def test_an_update_tells_the_new_word_and_the_experts_of_the_one_before():
    (message,) = view.updates_of(300, 1)
    (append,) = message["items"]
    assert (append["from"], append["settled"]) == (299, 300)
    assert append["text"] == view.trace_of(301).tokens[299:]
    assert view.bytes_of(message) > 2 * view.LAYERS * 4
    assert (view.trace_of(300).phase == PROMPT).sum() == view.PROMPT


@pytest.mark.browser
def test_every_number_is_measured_and_written(tmp_path):
    path = tmp_path / "view.json"
    options = ["--sizes", "200", "--updates", "3", "--frames", "5", "--json", str(path)]
    # a process of its own: two Playwrights in one wait for each other
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.view", *options], check=True, timeout=300, capture_output=True
    )
    (size,) = json.loads(path.read_text())["sizes"]
    assert [len(size[name]) for name in ("update", "pan", "zoom")] == [3, 5, 5]
    assert size["bytes of the page"] > 200 * size["bytes a token of the whole"]
    assert size["milliseconds to open"] > 0
    assert b"    200" in said.stdout
