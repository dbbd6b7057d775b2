"""The chat page in a browser: an expert changed, and another weight format; axe-core objects to neither."""

import pytest
from playwright.sync_api import Page, expect

from apps.lab import Use
from tests.apps.browsing import LAPTOP, PATIENCE, PHONE, answered, ask, example
from tests.apps.test_looks import SMALL
from tests.workbench.view.test_accessibility import objections

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")


def assert_everybody_can_use_it(page: Page, comparison: str) -> None:
    """In light and dark, and with a finger; what is read does not push what is said out of sight."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        expect(page.locator(f"{comparison} .tv-side .tv[data-theme={scheme}]")).to_have_count(2)
        assert objections(page) == []
    page.locator(f"{comparison} .tv-side").last.scroll_into_view_if_needed()
    expect(page.locator("#composer")).to_be_in_viewport()
    page.set_viewport_size(PHONE)
    assert page.evaluate(SMALL) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.set_viewport_size(LAPTOP)


def test_an_expert_is_forced_and_formats_are_compared_both_beside_the_answer_shown(visit, app):
    example(visit, 6)  # one picture
    trace = answered(visit, app)
    layer, expert = Use.of(trace).most
    visit.get_by_role("tab", name="Expert lab").click()
    expect(visit.locator("#lab-about")).to_contain_text(f"expert {expert}.", timeout=PATIENCE)
    expect(visit.locator("#lab-expert input")).to_have_value(Use.of(trace).told(layer, expert))
    visit.locator("#lab-action label", has_text="force it").click()
    visit.locator("#lab-gate label", has_text="one that you set").click()
    visit.get_by_role("spinbutton", name="Gate").fill("0.25")
    visit.locator("#lab-go").click()
    result = visit.locator("#lab-result section")
    expect(result).to_contain_text(
        f"Expert {expert} of layer {layer} forced with gate 0.25", timeout=PATIENCE
    )
    expect(result).to_contain_text("15 controls")
    expect(visit.locator("#lab-stop")).to_have_count(0)
    both = visit.locator("#lab-both .tv-compare[data-done=true] .tv-side")
    expect(both).to_have_count(2, timeout=PATIENCE)
    expect(both.locator("h2").filter(has_text="forced")).to_have_count(1)
    word = int(trace.generated_index[0])
    both.first.locator(f"[data-token='{word}']").click()  # its map is asked for, on both sides
    expect(both.locator(f".tv[data-attention^='{word}:']")).to_have_count(2, timeout=PATIENCE)
    written = both.first.locator(".tv-token[data-generated]").all_text_contents()
    assert "".join(written).split() == trace.text.split()
    assert_everybody_can_use_it(visit, "#lab-both")

    visit.get_by_role("tab", name="Weight formats").click()
    visit.locator("#formats-go").click()
    result = visit.locator("#formats-result section")
    expect(result).to_contain_text("choices of experts differ", timeout=PATIENCE)
    both = visit.locator("#formats-both .tv-compare[data-done=true] .tv-side")
    expect(both).to_have_count(2, timeout=PATIENCE)
    assert_everybody_can_use_it(visit, "#formats-both")
    visit.locator("#format label", has_text="FP8").click()
    expect(visit.locator("#format-held")).to_contain_text("FP8: held as", timeout=PATIENCE)
    ask(visit, "And now?")
    assert "FP8" in answered(visit, app, answers=2).meta["weights"]
    expect(visit.locator("#trace")).to_be_visible()  # the answer from inside, whatever was tried before
