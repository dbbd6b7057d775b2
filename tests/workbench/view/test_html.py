"""The page to share: one file, one script, nothing asked of a network, nothing run that a model wrote."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.workbench.view.traces import ASSISTANT, Builder, finish, make_trace
from workbench.trace import GENERATED, Trace, replace
from workbench.view import html
from workbench.view.html import compare_to_html, page_of, to_html

ATTACK = '</script><script>window.harmed = true</script><img src=x onerror="window.harmed = true"><!--'


class Elements(HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs)))


def data_of(page: str) -> list[dict]:
    return json.loads(re.search(r'<script type="application/json" id="trace">(.*?)</script>', page, re.S)[1])


def script_of(page: str) -> str:
    return re.search(r'<script type="module">(.*?)</script>', page, re.S)[1]


def test_the_file_is_written_and_its_path_returned(tmp_path):
    path = to_html(make_trace(), tmp_path / "trace.html")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_page_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    trace, path = make_trace(), tmp_path / "trace.html"
    for write in (to_html, lambda trace, path: compare_to_html(trace, trace, path)):
        path.write_text("an older page")
        with path.open() as older:  # whoever reads it while the new one is written
            write(trace, path)
            assert older.read() == "an older page"
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, Path(".")):
        with pytest.raises(OSError, match="unfinished"):
            to_html(trace, folder)
    assert list(tmp_path.iterdir()) == [path]


def test_the_page_refers_to_nothing_outside():
    for tag, attributes in Elements(page_of(make_trace())).found:
        assert not {"src", "href", "srcset", "action"} & attributes.keys(), tag
    assert "@import" not in page_of(make_trace())


def test_hostile_words_end_no_script():
    trace = make_trace(answer=["The", ATTACK, "<|eot|>"])
    trace = replace(trace, meta=trace.meta | {"model": ATTACK})
    page = page_of(trace)
    names = [tag for tag, _ in Elements(page).found]
    assert names.count("script") == 2
    assert "img" not in names
    assert ATTACK not in page
    assert ATTACK in data_of(page)[0]["items"][1]["text"]


def test_the_policy_allows_our_script_alone():
    page = page_of(make_trace())
    digest = base64.b64encode(hashlib.sha256(script_of(page).encode()).digest()).decode()
    policy = next(a["content"] for _, a in Elements(page).found if a.get("http-equiv"))
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_the_script_has_nothing_that_ends_or_hides_it():
    script = script_of(page_of(make_trace()))
    assert "</" not in script
    assert "<!--" not in script


def test_attention_of_every_word_layer_and_head_is_inside():
    trace = make_trace()
    maps = [m for m in data_of(page_of(trace)) if m["op"] == "attn"]
    assert len(maps) == len(trace.generated_index) * 2 * (1 + 4)


def test_a_page_that_would_be_too_large_leaves_out_the_maps_that_are_looked_at_last(monkeypatch):
    trace = make_trace()
    whole = page_of(trace)
    kept = {}
    for size in (len(whole) + 100, len(whole) - 2000, 10):
        monkeypatch.setattr(html, "LARGEST_PAGE", size)
        kept[size] = [(m["layer"], m["head"]) for m in data_of(page_of(trace)) if m["op"] == "attn"]
    words = len(trace.generated_index)
    everything = [(layer, head) for layer in (7, 3) for head in range(4)]
    order = [(7, -1), (3, -1), *everything]
    assert kept[len(whole) + 100] == [each for each in order for _ in range(words)]
    assert kept[len(whole) - 2000] == [each for each in order[:-1] for _ in range(words)]
    assert kept[10] == [(7, -1)] * words, "the one that is shown first is never left out"


def large_trace() -> Trace:
    """500 words about three pictures of 750 patches each; experts of 48 layers, attention of 8."""
    built, pictures = Builder(), []
    for index in range(3):
        noise = np.random.default_rng(index).integers(0, 255, (672, 672, 3)).astype(np.uint8)
        pictures.append(Image.fromarray(noise))
        for tile in range(5):
            for _ in range(6):  # of 5 x 5 patches: 150
                built.patches(index, tile, (0, 0, 672, 672), tile == 4)
    built.words([" word"] * 500, ASSISTANT, 1, GENERATED)
    large = finish(built, pictures, tuple(range(48)), 128, 0, None)
    layers = np.array(range(8), np.int16)
    rows = np.repeat(large.attention, 4, axis=1)[:, :8]
    return replace(large, attention=rows, attention_layers=layers)


def test_three_pictures_and_500_words_stay_below_ten_megabytes():
    page = page_of(large_trace())
    assert len(page.encode()) <= 10 * 2**20
    shown = [m for m in data_of(page) if m["op"] == "attn" and (m["layer"], m["head"]) == (7, -1)]
    assert len(shown) == 500


def test_a_comparison_carries_both_traces_and_their_maps(tmp_path):
    trace = make_trace()
    path = compare_to_html(trace, make_trace(seed=1), tmp_path / "both.html", names=("BF16", "<FP8>"))
    page = path.read_text(encoding="utf-8")
    comparison, *maps = data_of(page)
    assert comparison["names"] == ["BF16", "<FP8>"]
    assert "BF16 and &lt;FP8&gt;" in page
    assert {m["run"] for m in maps} == {"left", "right"}
    assert len(maps) == 2 * len(trace.generated_index) * 2 * (1 + 4)


def test_a_trace_without_pictures_has_no_maps_to_carry():
    assert {m["op"] for m in data_of(page_of(make_trace(with_pictures=False)))} == {"batch"}
