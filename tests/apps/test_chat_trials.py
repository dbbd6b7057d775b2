"""The chat page in a real browser: an expert changed, another weight format, and the side bar beside them."""

import pytest
from playwright.sync_api import Page, expect

from apps.lab import Use
from tests.apps.browsing import PATIENCE, answered, ask, example

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def test_an_expert_is_forced_and_both_answers_stand_beside_each_other(visit, app):
    example(visit, 6)  # one picture
    trace = answered(visit, app)
    layer, expert = Use.of(trace).most
    tab(visit, "Expert lab")
    expect(visit.locator("#lab-about")).to_contain_text(f"expert {expert}.", timeout=PATIENCE)
    expect(visit.locator("#lab-expert input")).to_have_value(Use.of(trace).told(layer, expert))
    visit.locator("#lab-action label", has_text="force it").click()
    visit.locator("#lab-go").click()
    result = visit.locator("#lab-result section")
    expect(result).to_contain_text(f"Expert {expert} of layer {layer} forced", timeout=PATIENCE)
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


def test_another_format_answers_from_now_on_and_is_compared_with_the_answer_shown(visit, app):
    ask(visit, "What is there?")
    answered(visit, app)
    tab(visit, "Weight formats")
    visit.locator("#formats-go").click()
    result = visit.locator("#formats-result section")
    expect(result).to_contain_text("choices of experts differ", timeout=PATIENCE)
    expect(visit.locator("#formats-both .tv-compare[data-done=true] .tv-side")).to_have_count(
        2, timeout=PATIENCE
    )
    visit.locator("#format label", has_text="FP8").click()
    expect(visit.locator("#format-held")).to_contain_text("FP8: held as", timeout=PATIENCE)
    ask(visit, "And now?")
    assert "FP8" in answered(visit, app, answers=2).meta["weights"]
    expect(visit.locator("#trace")).to_be_visible()  # the answer from inside, whatever was tried before


def test_an_open_side_bar_stands_beside_the_conversation_and_not_over_it(visit):
    visit.set_viewport_size({"width": 1280, "height": 800})
    visit.locator("#to-settings").click()
    visit.wait_for_function(
        """() => {
          const box = (id) => document.querySelector(id).getBoundingClientRect();
          const [side, talk] = [box("#side"), box("#talk")];
          return side.left >= 0 && talk.left >= side.right && document.documentElement.scrollWidth <= 1280;
        }"""
    )
