"""Two traces beside each other in Chromium: what differs is marked, and a choice on one is one on both."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.workbench.view.looking import RED, until
from tests.workbench.view.traces import make_trace
from workbench.trace import Trace, replace
from workbench.view.html import compare_to_html

BLUE = ["The", " circle", " in", " image", " ", "1", " is", " blue", ".", "<|eot|>"]
MAP = "Differences in routing, layers down and words across; arrow keys choose a word and a layer"


def pair() -> tuple[Trace, Trace]:
    """The same question; the answers part at " red", and layer 5 routes two shared tokens otherwise."""
    a, b = make_trace(), make_trace(answer=BLUE)
    ids, experts = b.token_ids.copy(), b.routed_experts.copy()
    ids[RED] += 1000
    experts[[20, 130], 2] = (experts[[20, 130], 2] + 1) % 8
    return a, replace(b, token_ids=ids, routed_experts=experts)


@pytest.fixture
def shown(page: Page, tmp_path: Path) -> Page:
    page.goto(compare_to_html(*pair(), tmp_path / "both.html", names=("BF16", "FP8")).as_uri())
    page.wait_for_selector(".tv-compare[data-done=true]")
    page.wait_for_selector(".tv-side .tv[data-done=true] >> nth=1")
    return page


def side(page: Page, number: int) -> Locator:
    return page.locator(".tv-side").nth(number)


def test_it_says_where_the_answers_part_and_how_much_of_the_routing_differs(shown: Page):
    said = shown.locator(".tv-summary p")
    shared = RED * 6
    expect(said).to_have_text(
        [
            f"The same words up to token {RED}; there BF16 has “red”, FP8 “blue”.",
            f"Of {shared} choices of experts for these words 2 differ, 0.2 %, most in layer 5 (1.5 %).",
        ]
    )


def test_words_that_differ_are_marked_on_both_sides(shown: Page):
    for number, text in ((0, " red"), (1, " blue")):
        expect(side(shown, number).locator('[data-differs="word"]')).to_have_text([text])
        # the stop and the end behind it are the same words after other words
        expect(side(shown, number).locator('[data-differs="later"]')).to_have_text([".", "<|eot|>"])


def test_a_word_chosen_on_one_side_is_chosen_on_the_other(shown: Page):
    side(shown, 1).locator(f".tv-words [data-token='{RED}']").click()
    shown.wait_for_selector(f'.tv-compare[data-token="{RED}"]')
    expect(side(shown, 0).locator('[aria-selected="true"]')).to_have_text(" red")
    expect(shown.locator("section[aria-label='Experts of both'] h2")).to_have_text(
        "Experts for “red” and “blue”"
    )


def test_cells_of_other_experts_stand_out_and_are_read_out(shown: Page):
    frame = shown.get_by_role("group", name=MAP)
    frame.focus()
    shown.keyboard.press("Home")
    shown.wait_for_selector('.tv-compare[data-token="0"]')
    for _ in range(3):
        shown.keyboard.press("ArrowDown")
    for _ in range(20):
        shown.keyboard.press("ArrowRight")
    shown.wait_for_selector('.tv-compare[data-token="20"]')
    a, b = (trace.routed_experts[20, 2, 0] for trace in pair())
    said = shown.locator(".tv-compare > .tv-live")
    expect(said).to_contain_text(f"layer 5, a square of image 1 (tile) (token 20): BF16 Expert {a}, gate")
    expect(said).to_contain_text(f"FP8 Expert {b}, gate")
    expect(shown.locator("tr[data-differs]")).to_have_attribute("data-layer", "5")
    width = (frame.evaluate("e => e.clientWidth") - 56) // len(pair()[0])
    lights = frame.locator("canvas").evaluate(
        """(canvas, width) => [19, 20, 21].map(i => {
            const at = [56 + i * width + (width >> 1), 2 * 20 + 4];
            return [...canvas.getContext("2d").getImageData(...at, 1, 1).data].slice(0, 3)
                .reduce((a, b) => a + b);
        })""",
        width,
    )
    assert lights[1] + 200 < min(lights[0], lights[2])


def test_the_csv_has_every_choice_of_both(shown: Page):
    with shown.expect_download() as waiting:
        shown.get_by_role("button", name="Differences in routing as CSV").click()
    with Path(waiting.value.path()).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    a, b = pair()
    assert len(rows) == a.routed_experts.size
    for name, trace in (("BF16", a), ("FP8", b)):
        experts = np.array([int(row[f"expert {name}"]) for row in rows])
        assert np.array_equal(experts, trace.routed_experts.ravel())
    shared = [row["experts"] for row in rows if row["words before"] == "same"]
    assert len(shared) == RED * 6
    assert shared.count("differ") == 2


def test_the_same_trace_twice_has_no_differences(page: Page, tmp_path: Path):
    a = make_trace()
    page.goto(compare_to_html(a, a, tmp_path / "same.html").as_uri())
    page.wait_for_selector(".tv-compare[data-done=true]")
    expect(page.get_by_text("Both traces have the same words.")).to_be_visible()
    expect(page.get_by_text("0 differ, 0 %")).to_be_visible()
    expect(page.locator("[data-differs]")).to_have_count(0)


def test_one_choice_shades_the_words_of_both_on_one_scale(page: Page, tmp_path: Path):
    a, b = pair()
    b = replace(b, logprobs=2 * b.logprobs)
    page.goto(compare_to_html(a, b, tmp_path / "both.html").as_uri())
    page.wait_for_selector(".tv-compare[data-done=true]")
    expect(page.get_by_label("What the words are shaded by")).to_have_count(0)
    page.get_by_label("What the words of both are shaded by").select_option("surprise")
    scale = f"surprise, -log p in nats0{-b.logprobs.min():.1f}"
    expect(page.locator(".tv-side .tv-scale")).to_have_text([scale, scale])
    first = page.locator(f'.tv-side .tv-token[data-token="{a.generated_index[0]}"]')
    colours = first.evaluate_all("words => words.map(word => getComputedStyle(word).backgroundColor)")
    lighter, darker = (sum(map(int, re.findall(r"\d+", colour))) for colour in colours)
    assert lighter > darker + 50, "twice the surprise is darker, also on the other side"


def test_everything_follows_the_theme(shown: Page):
    cell = shown.get_by_role("group", name=MAP).locator("canvas")
    brightness = """canvas => [...canvas.getContext("2d").getImageData(57, 4, 1, 1).data]
        .slice(0, 3).reduce((a, b) => a + b)"""
    until(shown, lambda: cell.evaluate(brightness) > 500)
    shown.emulate_media(color_scheme="dark")
    expect(shown.locator(".tv[data-theme=dark]")).to_have_count(3)
    until(shown, lambda: cell.evaluate(brightness) < 300)


@pytest.mark.parametrize("width", [390, 1280])
def test_a_comparison_does_not_overflow(page: Page, tmp_path: Path, width: int):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(compare_to_html(*pair(), tmp_path / "both.html").as_uri())
    page.wait_for_selector(".tv-compare[data-done=true]")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    sides = [side(page, number).bounding_box() for number in (0, 1)]
    assert np.isclose(sides[0]["y"], sides[1]["y"]) == (width > 720)
