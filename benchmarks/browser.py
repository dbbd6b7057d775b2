"""Chromium without a window and without a network: for benchmarks, tests and the pictures of the docs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # a camera that shows a test picture, and nobody who must allow it
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    # the browser, too, finds this machine alone
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]


class NoChromium(SystemExit):
    """There is no Chromium on this machine."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, open; the variable CHROMIUM names one that is not on the PATH.

    Raises:
        NoChromium: there is none; a command ends with that sentence.
    """
    program = next(filter(None, map(shutil.which, filter(None, (os.environ.get("CHROMIUM"), *NAMES)))), None)
    if program is None:
        raise NoChromium("no Chromium was found: install it, or name one in the variable CHROMIUM")
    from playwright.sync_api import sync_playwright  # a test tool

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()
