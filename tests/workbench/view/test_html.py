"""The page to share: one file, one script, nothing asked of a network, nothing run that a model wrote."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

from tests.workbench.view.traces import make_trace
from workbench.trace import replace
from workbench.view import html
from workbench.view.html import page_of, to_html

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


def test_a_large_page_keeps_the_mean_and_leaves_single_heads_out(monkeypatch):
    trace = make_trace()
    monkeypatch.setattr(html, "LARGEST_PAGE", 50_000)
    maps = [m for m in data_of(page_of(trace)) if m["op"] == "attn"]
    assert {m["head"] for m in maps} == {-1}
    assert len(maps) == len(trace.generated_index) * 2


def test_a_trace_without_pictures_has_no_maps_to_carry():
    assert {m["op"] for m in data_of(page_of(make_trace(with_pictures=False)))} == {"batch"}
