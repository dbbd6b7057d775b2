"""One page for all tests of a file: to open another takes longer than most of what is looked at on it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

SIZE = {"width": 1280, "height": 800}
PATIENCE = 120_000  # ms until what does not come is given up; a machine may have other things to do


@pytest.fixture(scope="session", autouse=True)
def _patient() -> None:
    expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[Page]:
    with browser.new_context(viewport=SIZE) as context:
        opened = context.new_page()
        opened.set_default_timeout(PATIENCE)
        yield opened


@pytest.fixture
def page(window: Page) -> Iterator[Page]:
    """The page, empty and with nothing left of the test before; the test fails if a script on it raised."""
    window.set_viewport_size(SIZE)
    window.emulate_media(color_scheme="light", reduced_motion="no-preference", forced_colors="none")
    window.mouse.move(0, 0)
    errors: list[str] = []

    def note(error: Exception) -> None:
        errors.append(str(error))

    window.on("pageerror", note)
    yield window
    window.remove_listener("pageerror", note)
    window.goto("about:blank")
    assert not errors, f"scripts on the page raised: {errors}"
