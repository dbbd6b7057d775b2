"""Make the pictures of the docs again: the chat page, the first notebook in JupyterLab, the view as a page.

python docs/screenshots.py            # from the root of the repository; needs the test tools and Chromium
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the packages and the tests' JupyterLab, whether installed or not

import workbench as wb  # noqa: E402
from apps import chat  # noqa: E402
from benchmarks.browser import chromium  # noqa: E402
from model.demo.scenes import draw_scene  # noqa: E402
from tests.workbench.view.jlab import Desk, running  # noqa: E402

NOTEBOOK = "01_first_trace.ipynb"
LARGEST = 400_000  # bytes of one picture
PATIENCE = 600_000  # ms; the machine may have other things to do


def window(browser: Browser, width: int, height: int, scheme: str = "light") -> Page:
    """A page of that size that waits long for what it is told to wait for."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.set_default_timeout(PATIENCE)
    return page


def choose_first_word(page: Page) -> None:
    """Click the first word of the answer, and wait until its gaze is painted."""
    word = page.locator(".tv-token[data-generated]").first
    token = word.get_attribute("data-token")
    word.click()
    page.wait_for_selector(f".tv[data-attention^='{token}:']")
    page.mouse.move(1, 1)


def take(page: Page, path: Path, whole: bool = False) -> None:
    """Save what the window shows, or the whole page, with fewer colours if it would be too large."""
    page.screenshot(path=path, full_page=whole)
    if path.stat().st_size > LARGEST:
        with Image.open(path) as image:
            small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        small.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size:,} bytes")


def chat_page(browser: Browser, session: wb.Session, path: Path) -> None:
    """The chat page after its first example, a question about two pictures."""
    demo = chat.build(session)
    url = chat.launch(demo, "127.0.0.1", 0)
    page = window(browser, 1360, 1010)
    page.goto(url)
    page.locator("#chat .example").first.click()
    page.wait_for_selector("#trace .tv[data-done=true]")
    page.wait_for_selector("#composer [data-testid=submit-button]")
    choose_first_word(page)
    take(page, path)
    page.close()
    demo.close()


def lab_page(browser: Browser, model: str, path: Path) -> None:
    """The first notebook in a real JupyterLab, run from top to bottom, at its view."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = (ROOT / "notebooks" / NOTEBOOK).read_text(encoding="utf-8")
        text = text.replace('wb.load(\\"demo\\")', f'wb.load(\\"{model}\\")')
        (folder / NOTEBOOK).write_text(text, encoding="utf-8")
        with running(folder) as address, window(browser, 1360, 1010) as page:
            Desk(page, address, folder).run(folder / NOTEBOOK)
            page.wait_for_selector(".tv[data-done=true]")
            choose_first_word(page)
            page.locator(".tv").evaluate("view => view.closest('.jp-Cell').scrollIntoView({block: 'start'})")
            take(page, path)


def view_pages(browser: Browser, session: wb.Session, into: Path) -> None:
    """The page to mail, of a question about two pictures: wide and on a phone, light and dark."""
    pictures = [draw_scene(seed=1).image, draw_scene(seed=2, content=[("circle", "red")]).image]
    reply = session.chat("What colour is the circle in image 2?", images=pictures)
    with tempfile.TemporaryDirectory() as name:
        path = reply.trace.to_html(Path(name) / "trace.html")
        for width in (1280, 390):
            for scheme in ("light", "dark"):
                with window(browser, width, 900, scheme) as page:
                    page.goto(path.as_uri())
                    choose_first_word(page)
                    take(page, into / f"view-{width}-{scheme}.png", whole=True)


def main() -> None:
    """Make all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo", help="folder of a checkpoint, or demo")
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    with chromium() as browser:
        session = wb.load(options.model)
        view_pages(browser, session, options.into)
        chat_page(browser, session, options.into / "chat.png")
        lab_page(browser, options.model, options.into / "lab.png")


if __name__ == "__main__":
    main()
