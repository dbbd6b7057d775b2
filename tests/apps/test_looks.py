"""The chat page with a conversation and everything open, light and dark, on a laptop and on a phone: axe-core
objects to nothing, what is pressed is large enough, and nothing moves for those who asked for that."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.apps.browsing import LAPTOP, PATIENCE, PHONE, App, answered, example, opened
from tests.workbench.view.test_accessibility import objections

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")

# smaller than a finger needs; the view is tested on its own, and a label is pressed in place of what it names
SMALL = """
() => [...document.querySelectorAll("button, a[href], input, select, textarea, [role=button], [role=tab]")]
  .filter((node) => !node.closest(".tv, [inert], [aria-hidden=true]"))
  .filter((node) => node.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
  .map((node) => [node, (node.closest("label") ?? node).getBoundingClientRect()])
  .filter(([, box]) => box.width > 1 && box.height > 1 && (box.width < 24 || box.height < 24))
  .map(([node, box]) => `${node.outerHTML.slice(0, 90)}: ${box.width} x ${box.height}`)
"""
MOVING = """
() => [...document.querySelectorAll(".gradio-container *")].filter((node) => {
  const style = getComputedStyle(node);
  return style.animationName !== "none" || parseFloat(style.transitionDuration) > 0;
}).map((node) => node.outerHTML.slice(0, 120))
"""


@pytest.fixture(scope="module")
def talk(app: App, browser: Browser) -> Iterator[Page]:
    """A conversation with three pictures, a word chosen, a picture in the composer, the camera open."""
    context = browser.new_context(viewport=LAPTOP, reduced_motion="reduce")
    page = opened(context.new_page(), app.url)
    expect(page.locator("#chat .example").first).to_be_visible(timeout=PATIENCE)
    assert objections(page) == []  # to the welcome and its cards
    example(page, 1)
    trace = answered(page, app)
    page.locator(f"#trace [data-token='{trace.generated_index[0]}']").click()
    open_side(page, "Make a picture")
    page.get_by_role("button", name="Add a star").click()
    page.get_by_role("button", name="Put it into the message").click()
    expect(page.locator("#composer .thumbnail-item")).to_have_count(1, timeout=PATIENCE)
    page.locator("#camera .label-wrap").click()
    expect(page.locator("#camera")).to_contain_text("Click to Access Webcam", timeout=PATIENCE)
    yield page
    context.close()


def open_side(page: Page, tab: str) -> None:
    """Open the side bar at one of its tabs."""
    if page.locator("#side.open").count():
        page.locator("#side [role=tab]", has_text=tab).click()
    else:
        page.locator("#actions button", has_text=tab).click()
    expect(page.locator("#side [role=tab][aria-selected=true]")).to_have_text(tab, timeout=PATIENCE)
    expect(page.locator("#side.open")).to_be_visible()


def close_side(page: Page) -> None:
    if page.locator("#side.open").count():
        page.locator("#side .toggle-button").click()
    expect(page.locator("#side.open")).to_have_count(0)


def shown(page: Page, scheme: str, size: dict) -> None:
    """The page in that light and of that size, the side bar closed."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size(size)
    close_side(page)
    page.wait_for_selector(f"#trace .tv[data-theme={scheme}]", state="attached")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_on_a_laptop_where_the_side_bar_stands_beside_the_conversation(
    talk: Page, scheme: str
):
    shown(talk, scheme, LAPTOP)
    open_side(talk, "Make a picture")
    assert objections(talk) == []
    open_side(talk, "Settings")
    tabs = talk.locator("#look [role=tab]")
    assert tabs.count()
    for tab in reversed(tabs.all()):  # the view's own comes last, and stays
        tab.click()
        assert objections(talk) == []


def test_axe_finds_no_violation_on_a_phone_with_and_without_the_side_bar(talk: Page):
    shown(talk, "dark", PHONE)
    assert objections(talk) == []
    open_side(talk, "Make a picture")
    assert objections(talk) == []


def test_everything_on_a_phone_is_large_enough_for_a_finger_and_in_sight(talk: Page):
    shown(talk, "light", PHONE)
    assert talk.evaluate(SMALL) == []
    assert talk.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for tab in ("Make a picture", "Settings"):
        open_side(talk, tab)
        assert talk.evaluate(SMALL) == []
        assert talk.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        box = talk.locator("#side .toggle-button").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]


def test_the_side_bar_stands_beside_the_page_on_a_laptop_and_covers_it_on_a_phone(talk: Page):
    shown(talk, "light", LAPTOP)
    open_side(talk, "Make a picture")
    edge = talk.locator("#side").bounding_box()
    expect(talk.locator("#composer")).to_be_in_viewport()
    assert talk.locator("#talk").bounding_box()["x"] >= edge["x"] + edge["width"]
    assert talk.evaluate("document.documentElement.scrollWidth") <= LAPTOP["width"]
    header, actions = talk.locator("#header h1").bounding_box(), talk.locator("#actions").bounding_box()
    assert actions["y"] >= header["y"] + header["height"] or actions["x"] >= header["x"] + 150
    talk.set_viewport_size(PHONE)
    expect(talk.locator("#workbench")).to_have_js_property("inert", True)
    talk.keyboard.press("Escape")
    expect(talk.locator("#side.open")).to_have_count(0)
    expect(talk.locator("#workbench")).to_have_js_property("inert", False)


def test_nothing_moves_for_those_who_asked_for_less_motion(talk: Page):
    shown(talk, "light", LAPTOP)
    talk.locator("#to-settings").click()
    assert talk.evaluate(MOVING) == []
    talk.emulate_media(reduced_motion="no-preference")
    assert talk.evaluate(MOVING) != [], "what moves is seen by this test"
