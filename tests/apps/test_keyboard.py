"""The whole page by keyboard alone, from a question to a picture made by hand; a ring shows the place."""

import pytest
from playwright.sync_api import Page, expect

from tests.apps.browsing import (
    PATIENCE,
    WORDS,
    App,
    answered,
    assert_experts_are_those_of,
)
from tests.apps.conftest import held

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")

FARTHEST = 120  # presses of the Tab key

# a ring around what has the focus, or around what stands for it; the body is where a round begins again
RING = """
() => {
  if (document.activeElement === document.body) return true;
  for (let node = document.activeElement, up = 0; node && up < 8; node = node.parentElement, up += 1) {
    const { outlineStyle: style, outlineWidth: width, outlineColor: colour } = getComputedStyle(node);
    if (style !== "none" && parseFloat(width) >= 1 && !colour.endsWith(", 0)")) return true;
  }
  return false;
}
"""


def reach(page: Page, place: str, key: str = "Tab") -> None:
    """Go on until something there has the focus; a ring shows where one is at every stop."""
    for _ in range(FARTHEST):
        if page.evaluate("(place) => document.activeElement.matches(place)", place):
            return
        page.keyboard.press(key)
        page.wait_for_function(RING)
    raise AssertionError(f"{place} is not reached by {key}")


def test_a_question_a_stop_an_earlier_answer_its_words_and_a_picture_by_keyboard_alone(
    visit: Page, app: App, session
):
    keys = visit.keyboard
    expect(visit.locator("#composer textarea")).to_be_focused(timeout=PATIENCE)
    keys.type("Hello there")
    keys.press("Enter")
    first = answered(visit, app)

    with held(session, passes=4) as gate:
        reach(visit, "#composer textarea", "Shift+Tab")
        keys.type("And now?")
        keys.press("Enter")
        assert gate.arrived.wait(60)
        visit.wait_for_selector("#composer .stop-button")
        reach(visit, "#composer .stop-button")
        keys.press("Enter")
        second = answered(visit, app, answers=2)
    assert len(first.generated_index) == WORDS and len(second.generated_index) == 4

    for _ in range(2):  # past the answer that was stopped, to the one before
        keys.press("Shift+Tab")
        reach(visit, "#chat [data-testid=bot]", "Shift+Tab")
    keys.press("Enter")
    visit.wait_for_selector(f"#trace .tv[data-n='{len(first)}']")

    reach(visit, ".tv-words")
    keys.press("End")
    assert_experts_are_those_of(visit, first, len(first) - 1)
    keys.press("ArrowLeft")
    assert_experts_are_those_of(visit, first, len(first) - 2)

    reach(visit, "#to-maker", "Shift+Tab")
    keys.press("Enter")
    expect(visit.locator("#side [role=tab]", has_text="Make a picture")).to_be_focused(timeout=PATIENCE)
    reach(visit, "[aria-label='Add a star']")
    keys.press("Enter")
    reach(visit, ".maker-stage [role=button]")
    keys.press("ArrowRight")
    expect(visit.locator(".maker-stage [role=button]")).to_have_attribute("aria-label", "red star at 65, 70")
    reach(visit, ".maker-tools button:last-child")
    keys.press("Enter")
    expect(visit.locator("#composer .thumbnail-item")).to_have_count(1, timeout=PATIENCE)
    expect(visit.locator("#composer textarea")).to_be_focused(timeout=PATIENCE)
    keys.type("What is this?")
    keys.press("Enter")
    third = answered(visit, app, answers=3)
    assert third.images[0].getpixel((65, 70)) == (255, 0, 0)


def test_the_side_bar_gives_the_focus_back_when_escape_closes_it(visit: Page):
    reach(visit, "#to-settings", "Shift+Tab")
    visit.keyboard.press("Enter")
    expect(visit.locator("#side [role=tab]", has_text="Settings")).to_be_focused(timeout=PATIENCE)
    reach(visit, "#system textarea")
    visit.keyboard.press("Escape")
    expect(visit.locator("#side.open")).to_have_count(0)
    expect(visit.locator("#to-settings")).to_be_focused()


@pytest.mark.parametrize(("link", "place"), [("To the message", "textarea"), ("To the view", "[role]")])
def test_links_at_the_top_lead_past_the_conversation(visit: Page, link: str, place: str):
    expect(visit.locator("#composer textarea")).to_be_focused(timeout=PATIENCE)
    skip = visit.get_by_role("link", name=link)
    reach(visit, ".skip a", "Shift+Tab")
    if not skip.evaluate("link => link === document.activeElement"):
        visit.keyboard.press("Shift+Tab")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    assert skip.bounding_box()["width"] > 40, "it is seen while it has the focus"
    part = skip.get_attribute("href")
    visit.keyboard.press("Enter")
    assert visit.evaluate(
        "([part, place]) => document.activeElement.matches(`${part} ${place}, ${part} button`)", [part, place]
    )


def test_a_closed_side_bar_is_no_stop_of_the_tab_key(visit: Page):
    for _ in range(12):
        visit.keyboard.press("Shift+Tab")
        assert not visit.evaluate("document.activeElement.closest('#side') !== null")


def test_a_screen_reader_is_told_an_answer_when_it_is_whole(visit: Page, app: App, session):
    log = visit.locator("#chat [role=log]")
    with held(session, passes=3) as gate:
        visit.keyboard.type("Hello")
        visit.keyboard.press("Enter")
        assert gate.arrived.wait(60)
        expect(log).to_have_attribute("aria-busy", "true", timeout=PATIENCE)
    answered(visit, app)
    expect(log).to_have_attribute("aria-busy", "false", timeout=PATIENCE)
