"""The benchmark of the view measures what it says, at a size that fits a test."""

import json
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from benchmarks import view
from workbench.trace import PROMPT
from workbench.view.module import script, style
from workbench.view.payload import snapshot


def test_an_update_tells_the_new_word_and_the_experts_of_the_one_before():
    (message,) = view.updates_of(300, 1)
    (append,) = message["items"]
    assert (append["from"], append["settled"]) == (299, 300)
    assert append["text"] == view.trace_of(301).tokens[299:]
    assert view.bytes_of(message) > 2 * view.LAYERS * 4
    assert (view.trace_of(300).phase == PROMPT).sum() == view.PROMPT


def test_the_page_to_mail_is_about_pictures_cut_as_llama_4_cuts_them():
    trace = view.illustrated(2)
    assert (trace.image_index >= 0).sum() == 2 * 5 * 144
    assert np.isclose(trace.attention.astype(float).sum(-1), 1, atol=0.02).all()
    whole = trace.is_thumbnail & (trace.image_index == 1)
    assert trace.patch_box[whole].min(0).tolist() == [0, 0, 56, 56]
    assert trace.patch_box[whole].max(0).tolist() == [616, 616, 672, 672]


def test_words_that_no_frame_showed_alone_are_counted(page):
    whole = snapshot(view.trace_of(120), view.RUN, done=False)
    page.evaluate(view.MOUNT, [script(), style(), whole["items"]])
    page.wait_for_selector(".tv[data-n='120']")
    # a frame may be dated into the middle of it: the longer half is still long
    blocked = "const end = performance.now() + 800; while (performance.now() < end);"
    live = f"(given) => {{ setTimeout(() => {{ {blocked} }}, 60); return ({view.LIVE})(given); }}"
    found = page.evaluate(live, [view.updates_of(120, 10), 50])
    assert len(found["update"]) == 10
    assert found["skipped"] >= 4 and max(found["live"]) > 300 and max(found["update"]) > 200


def test_every_number_is_measured_and_written(
    browser: Browser, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(view, "WORDS", 30)  # in the page to mail
    path = tmp_path / "view.json"
    options = ["--sizes", "200", "--updates", "3", "--frames", "5", "--pictures", "1", "--json", str(path)]
    view.main(options, browser)
    found = json.loads(path.read_text())
    (size,) = found["sizes"]
    assert found["mailed"]["bytes of the page"] > size["bytes of the page"]
    assert [len(size[name]) for name in ("update", "pan", "zoom")] == [3, 5, 5]
    assert min(size["update"]) > 0 and size["live"] and 0 <= size["skipped"] <= 3
    assert size["bytes of the page"] > 200 * size["bytes a token of the whole"]
    assert size["milliseconds to open"] > 0
    assert "    200" in capsys.readouterr().out
