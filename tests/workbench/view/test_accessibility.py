"""axe-core objects to nothing, in light and dark, and the view moves and reads as people asked for."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.workbench.view import traces
from tests.workbench.view.looking import DONE, HOSTS, open_page
from tests.workbench.view.test_compare_view import BLUE
from tests.workbench.view.traces import make_trace
from workbench.trace import Trace
from workbench.view.html import compare_to_html


def objections(page: Page, only: str | None = None) -> list[str]:
    """What axe-core reports, one line each: the rule, and the first element that breaks it.

    Args:
        page: what to look at. only: one rule, where another look at the same page has asked for all.
    """
    options: dict = {"resultTypes": ["violations"]}
    if only is not None:
        options["runOnly"] = {"type": "rule", "values": [only]}
    found = Axe().run(page, options=options).response["violations"]
    return [f"{rule['id']}: {rule['help']}: {rule['nodes'][0]['html'][:200]}" for rule in found]


def objections_to_both_themes(page: Page) -> list[str]:
    """In the light, and what darkness changes: the colours."""
    page.emulate_media(color_scheme="light", reduced_motion="reduce")  # no colour is on its way
    page.wait_for_selector(f"{DONE}[data-theme=light]")
    light = objections(page)
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector(f"{DONE}[data-theme=dark]")
    return light + objections(page, only="color-contrast")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trace]:
    """Makes traces with everything in them and little of each: axe looks at every cell of every table."""
    monkeypatch.setattr(traces, "SIDE", 2)
    return partial(make_trace, layers=(3, 7))


def open_everything(page: Page) -> None:
    page.get_by_label("What the words are shaded by").select_option("surprise")
    page.get_by_label("Head of the attention").select_option("some")
    page.locator(".tv-token[data-generated]").nth(3).click()
    for button in page.get_by_role("button", name="as a table").all():
        button.click()


def test_axe_finds_no_violation_in_a_trace(page: Page, tmp_path: Path, small: Callable[..., Trace]):
    open_page(page, tmp_path, small())
    assert objections_to_both_themes(page) == []
    open_everything(page)
    assert objections_to_both_themes(page) == []
    page.get_by_role("radio", name="by expert").check()
    page.get_by_role("radio", name="experts").check()
    page.get_by_label("What the words are shaded by").select_option("expert")
    assert objections_to_both_themes(page) == []


def test_axe_finds_no_violation_in_a_comparison(page: Page, tmp_path: Path, small: Callable[..., Trace]):
    page.goto(compare_to_html(small(), small(answer=BLUE), tmp_path / "both.html").as_uri())
    page.wait_for_selector(".tv-compare[data-done=true]")
    assert objections_to_both_themes(page) == []


def test_axe_would_find_a_button_without_a_name(page: Page, tmp_path: Path):
    open_page(page, tmp_path, make_trace())
    page.locator(".tv-button").first.evaluate(
        "e => { e.textContent = ''; e.removeAttribute('aria-label'); e.removeAttribute('title'); }"
    )
    assert any(line.startswith("button-name") for line in objections(page))


def test_every_control_is_reached_by_keyboard_alone(page: Page, tmp_path: Path):
    open_page(page, tmp_path, make_trace())
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('aria-label') ?? ''"))
    for name in (
        "Words of the conversation",
        "What the words are shaded by",
        "image 1; arrow keys choose a square of it",
        "Strength of the overlay",
        "Layer of the attention",
        "Experts by layer; arrow up and down choose a layer, Enter its expert",
        "What the overview shows",
        "Larger cells",
        "Words as CSV",
        "Experts of every word as SVG",
    ):
        assert name in reached, name


def test_nothing_moves_for_those_who_asked_for_less_motion(page: Page, tmp_path: Path):
    page.emulate_media(reduced_motion="reduce")
    open_page(page, tmp_path, make_trace())
    moving = page.evaluate(
        """[...document.querySelectorAll(".tv *")].filter(e => {
            const style = getComputedStyle(e);
            return style.animationName !== "none" || parseFloat(style.transitionDuration) > 0;
        }).length"""
    )
    assert moving == 0


def test_the_theme_follows_the_system_while_the_page_is_open(page: Page, tmp_path: Path):
    page.emulate_media(color_scheme="light")
    open_page(page, tmp_path, make_trace())
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector(f"{DONE}[data-theme=dark]")
    expect(page.locator(".tv")).to_have_css("background-color", "rgb(20, 22, 27)")


@pytest.mark.parametrize("host", HOSTS)
def test_the_theme_is_that_of_the_page_around_whatever_the_system_is(page: Page, tmp_path: Path, host: str):
    dark, light = HOSTS[host]
    open_page(page, tmp_path, make_trace(with_pictures=False))
    page.evaluate(dark)
    page.wait_for_selector(f"{DONE}[data-theme=dark]")
    page.emulate_media(color_scheme="dark")
    page.evaluate(light)
    page.wait_for_selector(f"{DONE}[data-theme=light]")


def test_colours_that_widgets_bring_along_do_not_make_a_dark_page_light(page: Page, tmp_path: Path):
    # ipywidgets outside JupyterLab define JupyterLab's light colours, whatever the page around is like
    open_page(page, tmp_path, make_trace(with_pictures=False))
    page.add_style_tag(content=":root { --jp-layout-color0: white; --jp-ui-font-color1: black; }")
    page.evaluate(HOSTS["VS Code"][0])
    page.wait_for_selector(f"{DONE}[data-theme=dark]")
    expect(page.locator(".tv")).to_have_css("background-color", "rgb(20, 22, 27)")
    assert objections(page) == []
