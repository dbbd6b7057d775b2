"""The chat page in a real browser: keeping, saving, checking, making, setting."""

import json

import pytest
from playwright.sync_api import expect

from apps.examples import EXAMPLES
from tests.apps.browsing import (
    PATIENCE,
    WORDS,
    answered,
    ask,
    assert_experts_are_those_of,
    example,
)

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_conversation_survives_a_reload_with_its_pictures_and_its_trace(visit, app):
    example(visit)
    trace = answered(visit, app)
    before = visit.locator("#chat .message-wrap").inner_text()
    visit.reload()
    visit.wait_for_selector(f"#trace .tv[data-n='{len(trace)}']")
    assert visit.locator("#chat .message-wrap").inner_text() == before
    expect(visit.locator("#chat .user-row img")).to_have_count(2)
    ask(visit, "And now?")
    assert len(answered(visit, app, answers=2).images) == 2
    visit.locator("#new").click()
    expect(visit.locator("#chat .bot-row")).to_have_count(0, timeout=PATIENCE)
    visit.reload()
    visit.wait_for_selector("#chat .example")
    expect(visit.locator("#chat .bot-row")).to_have_count(0)


def test_an_answer_is_saved_and_its_trace_opened_again(visit, app, tmp_path):
    example(visit)
    trace = answered(visit, app)
    saved = {}
    for name in ("trace", "page", "conversation"):
        with visit.expect_download() as download:
            visit.locator("#save a", has_text=name).click()
        saved[name] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[name])
    assert "Inside an answer" in saved["page"].read_text()
    assert json.loads(saved["conversation"].read_text())["messages"][-1]["content"] == trace.text
    visit.locator("#new").click()
    visit.wait_for_selector("#trace .tv[data-n='0']")
    with visit.expect_file_chooser() as chooser:
        visit.locator("#open").click()
    chooser.value.set_files(saved["trace"])
    visit.wait_for_selector(f"#trace .tv[data-n='{len(trace)}']")
    visit.locator("#trace .tv-words").press("End")
    assert_experts_are_those_of(visit, trace, len(trace) - 1)
    expect(visit.locator("#save a")).to_have_text(["trace", "page"])  # a file has no conversation


def test_a_map_is_checked_by_hiding_squares_and_the_score_stands_beside_it(visit, app):
    example(visit, 6)  # one picture
    trace = answered(visit, app)
    visit.locator("#honest").click()  # no word is chosen yet, or the newest is shown
    word = int(trace.generated_index[0])
    visit.locator(f"#trace [data-token='{word}']").click()
    visit.wait_for_selector(f"#trace .tv[data-attention^='{word}:']")
    visit.locator("#honest").click()
    finding = visit.locator("#finding section")
    expect(finding).to_contain_text("26 passes of the model", timeout=PATIENCE)
    expect(finding).to_contain_text("Agreement")
    expect(finding.locator("img")).to_have_count(1)
    visit.locator("#truth").click()
    expect(finding).to_contain_text("blue triangle", timeout=PATIENCE)


def test_a_made_picture_goes_into_the_chat_and_its_truth_is_told_on_demand(visit, app):
    visit.locator("#to-maker").click()
    visit.get_by_role("button", name="green", exact=True).click()
    visit.get_by_role("button", name="Add a star").click()
    star = visit.locator(".maker-stage polygon")
    star.focus()
    for _ in range(4):
        visit.keyboard.press("ArrowRight")
    visit.get_by_role("button", name="Put it into the message").click()
    expect(visit.locator("#composer .thumbnail-item")).to_have_count(1, timeout=PATIENCE)
    visit.locator("#side .toggle-button").click()
    ask(visit, "What is this?")
    trace = answered(visit, app)
    assert trace.images[0].getpixel((80, 70)) == (0, 128, 0)
    visit.locator("#truth").click()
    expect(visit.locator("#finding section")).to_contain_text("green star", timeout=PATIENCE)


def test_the_side_bar_has_a_system_prompt_and_settings_that_are_used(visit, app):
    visit.locator("#to-settings").click()
    visit.locator("#system textarea").fill("Say little.")
    visit.get_by_label("number input for Longest answer").fill("3")
    visit.get_by_label("number input for Longest answer").press("Tab")
    ask(visit, "Hello")
    trace = answered(visit, app)
    assert "Say little." in "".join(trace.tokens) and len(trace.generated_index) == 3
    assert "longest answer reached" in visit.locator("#status").inner_text()
    visit.locator("#system textarea").fill("")
    visit.get_by_label("number input for Longest answer").fill(str(WORDS))
    visit.get_by_label("number input for Longest answer").press("Tab")


def test_the_cards_speak_twelve_languages_and_arabic_runs_from_the_right(visit, app):
    cards = visit.locator("#chat .example")
    expect(cards).to_have_count(len(EXAMPLES))
    cards.nth(len(EXAMPLES) - 1).click()
    answered(visit, app)
    words = visit.locator("#chat .user-row .md p").last
    across = words.evaluate(
        """(block) => {
          const range = document.createRange();
          range.selectNodeContents(block);
          const [text, box] = [range.getBoundingClientRect(), block.getBoundingClientRect()];
          return [box.right - text.right, getComputedStyle(block).unicodeBidi];
        }"""
    )
    assert across[0] <= 1 and across[1] == "plaintext"


def test_what_the_camera_sees_becomes_a_picture_of_the_message(visit, app):
    visit.get_by_role("button", name="Make a picture").click()
    visit.get_by_role("button", name="Take one with the camera").click()
    visit.locator("#camera").get_by_text("Access").click()
    # the button can be pressed once the camera shows something: a press before that would be lost
    visit.locator("#camera [aria-label='capture photo']").click()
    expect(visit.locator("#composer .thumbnail-item")).to_have_count(1, timeout=PATIENCE)
    # the camera is free for the next one
    expect(visit.locator("#camera").get_by_text("Access")).to_be_visible()
    ask(visit, "What do you see?")
    (picture,) = answered(visit, app).images
    assert picture.width > 100  # the browser's test camera
