"""The overview in Chromium: cells say what the trace holds, loads stand beside chance, keys reach all."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.workbench.view.looking import RED, open_page, pixel_of_cell, until, wait_for_token
from tests.workbench.view.traces import make_trace
from workbench.trace import Trace

MODE = "What the overview shows"
MAP = "Overview of experts, layers down and words across; arrow keys choose a word and a layer"
LOAD = "Load of the experts, layers down and experts across; arrow keys choose a layer and an expert"


@pytest.fixture
def trace() -> Trace:
    return make_trace()


@pytest.fixture
def shown(page: Page, tmp_path: Path, trace: Trace) -> Page:
    open_page(page, tmp_path, trace)
    return page


def lightness(page: Page, trace: Trace, token: int, m: int) -> int:
    return sum(pixel_of_cell(page, trace, token, m)[:3])


def test_agreement_with_the_word_before_is_a_mode(shown: Page, trace: Trace):
    shown.get_by_label(MODE).select_option("before")
    expect(shown.get_by_text("the same expert as the word before", exact=True)).to_be_visible()
    experts = trace.routed_experts[:, 0, 0]
    same = [i for i in range(1, 60) if experts[i] == experts[i - 1]][:3]
    other = [i for i in range(1, 60) if experts[i] != experts[i - 1]][:3]
    lights = [lightness(shown, trace, i, 0) for i in same + other]
    assert max(lights[:3]) + 200 < min(lights[3:])


def test_one_expert_stands_out_with_its_words_in_other_layers(shown: Page, trace: Trace):
    expert = int(trace.routed_experts[RED, 2, 0])
    shown.locator("tr[data-layer='5'] .tv-badge").click()
    shown.get_by_label(MODE).select_option("one")
    expect(shown.get_by_text(f"went to expert {expert} of layer 5", exact=True)).to_be_visible()
    mine = trace.routed_experts[:, 2, 0] == expert
    hit, miss = int(np.flatnonzero(mine)[0]), int(np.flatnonzero(~mine)[0])
    inside, beside, outside = (
        lightness(shown, trace, token, m) for token, m in ((hit, 2), (hit, 4), (miss, 2))
    )
    assert inside + 100 < beside < outside - 100
    expect(shown.get_by_role("status")).to_contain_text(f"Chosen: expert {expert} of layer 5")


def test_another_layer_has_another_expert(shown: Page, trace: Trace):
    shown.locator("tr[data-layer='5'] .tv-badge").click()
    shown.locator("tr[data-layer='9'] th").click()
    expect(shown.get_by_role("status")).not_to_contain_text("Chosen: expert")


def test_arrow_keys_walk_over_words_and_layers(shown: Page, trace: Trace):
    shown.get_by_role("group", name=MAP).focus()
    shown.keyboard.press("ArrowLeft")
    wait_for_token(shown, RED - 1)
    shown.keyboard.press("ArrowDown")
    shown.keyboard.press("ArrowDown")
    expect(shown.locator("tr[data-chosen] th")).to_have_text("3")
    shown.keyboard.press("Home")
    wait_for_token(shown, 0)


def test_plus_enlarges_the_cells_until_experts_can_be_read_and_the_word_stays_in_sight(
    shown: Page, trace: Trace
):
    frame = shown.get_by_role("group", name=MAP)
    frame.focus()
    for _ in range(6):
        shown.keyboard.press("+")
    until(shown, lambda: frame.evaluate("e => e.scrollWidth") == 56 + 28 * len(trace))
    until(shown, lambda: frame.evaluate("e => e.scrollLeft") > 0)
    shown.keyboard.press("0")
    until(shown, lambda: frame.evaluate("e => e.scrollWidth <= e.clientWidth"))


def test_the_load_says_what_lots_would_give(shown: Page, trace: Trace):
    shown.get_by_role("radio", name="by expert").check()
    frame = shown.get_by_role("group", name=LOAD)
    frame.focus()
    shown.keyboard.press("Home")
    count = int((trace.routed_experts[:, 0, 0] == 0).sum())
    said = f"Expert 0 of layer 1 took {count} of {len(trace)} tokens"
    expect(shown.get_by_text(said)).to_contain_text("(10 to 25)")  # binom(138, 1/8)
    expect(shown.get_by_text("chance, 13 %")).to_be_visible()
    shown.get_by_label("Which tokens are counted").select_option("answer")
    written = trace.routed_experts[trace.generated_index, 0, 0]
    expect(shown.get_by_text(f"took {int((written == 0).sum())} of {len(written)} tokens")).to_be_visible()


def test_a_load_far_from_chance_is_called_so(page: Page, tmp_path: Path, trace: Trace):
    trace.routed_experts[:, 0, 0] = 3
    open_page(page, tmp_path, trace)
    page.get_by_role("radio", name="by expert").check()
    expect(page.get_by_text("Expert 3 of layer 1 took 138 of 138 tokens, 100 %: more than")).to_be_visible()


def test_bars_are_as_high_as_their_loads(shown: Page, trace: Trace):
    shown.get_by_role("radio", name="by expert").check()
    counts = np.bincount(trace.routed_experts[:, 0, 0], minlength=8)
    highest = max(counts.max(), 25)  # the band of chance ends there
    canvas = shown.get_by_role("group", name=LOAD).locator("canvas")
    tops = """canvas => Array.from({ length: 8 }, (_, expert) => {
        const pixels = canvas.getContext("2d");
        const at = y => [...pixels.getImageData(56 + expert * 48 + 6, y, 1, 1).data].join();
        const ground = 6 * 20 + 18 + 84 - 1;
        for (let y = 6 * 20 + 15; y < ground; y++) if (at(y) === at(ground)) return ground - y + 1;
    })"""
    until(shown, lambda: np.allclose(canvas.evaluate(tops), 84 * counts / highest, atol=3))
