"""What every test stands on: one thread, no way out of the machine, and a browser for those that look."""

import gc
import os
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from playwright.sync_api import Browser, Page

from benchmarks.browser import NoChromium, chromium
from tests.air_gap import guard

# read when a library is first imported, so they are set before any test file is; processes that a
# test starts inherit them
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "NO_PROXY": "127.0.0.1,localhost",
    "TOKENIZERS_PARALLELISM": "false",
    # two test files run at a time; more threads than that only wait for each other
    "OMP_NUM_THREADS": "1",
    # a started process finds sitecustomize.py there and refuses the network, as this one does
    "PYTHONPATH": str(Path(guard.__file__).parent),
}

NO_CARD = "needs a CUDA device"

# a slow machine is no failure, and a red run is the same red run for everybody
settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    """Close the way out; `--hypothesis-profile=explore` draws new examples in every run."""
    os.environ.update(ENVIRONMENT)
    if not torch.cuda.is_available():
        # Triton reads it when it is first imported, and many libraries import it; what its interpreter
        # computes wrongly (bfloat16, casts to E4M3) is tested on a card alone
        os.environ["TRITON_INTERPRET"] = "1"
    settings.load_profile(config.getoption("--hypothesis-profile") or "house")
    # pytest-xdist would begin with the files of most tests; the order below is by time
    config.option.loadscopereorder = False
    guard.close()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported here stays: the garbage collector need not look at it, neither now nor later."""
    gc.disable()
    done = yield
    gc.freeze()
    gc.enable()
    return done


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before -m chooses by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark what opens a browser, leave out what needs a card where there is none, and begin with what lasts.

    One worker runs a whole file, so a long one that comes last would keep it busy while the others wait:
    files with many slow tests and browsers come first.
    """
    for item in items:
        if "browser" in item.fixturenames:
            item.add_marker("browser")
    # torch takes seconds to import: only if a test asks for a card
    for_a_card = [item for item in items if item.get_closest_marker("gpu")]
    if for_a_card:
        import torch

        if not torch.cuda.is_available():
            for item in for_a_card:
                item.add_marker(pytest.mark.skip(reason=NO_CARD))
    yield
    weights = {"slow": 5, "browser": 1}
    cost: Counter[Path] = Counter()
    for item in items:
        cost[item.path] += sum(weights.get(mark.name, 0) for mark in item.iter_markers())
    items.sort(key=lambda item: -cost[item.path])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what only a card could have tested: it has not passed."""
    skipped = terminalreporter.stats.get("skipped", ())
    names = sorted(report.nodeid for report in skipped if NO_CARD in str(report.longrepr))
    if names:
        terminalreporter.section(f"had no GPU: {len(names)} tests")
        for name in names:
            terminalreporter.write_line(name)


@pytest.fixture(autouse=True)
def _stays_on_this_machine() -> Iterator[None]:
    """Fail a test that tried to reach another machine, even if the error was swallowed."""
    before = len(guard.attempts)
    yield
    assert not guard.attempts[before:], f"left the machine: {guard.attempts[before:]}"


# one browser per file, not per run: Playwright keeps an event loop running on this thread while it
# is open, and a notebook executed later in the same process would trip over it
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window and without a network; CHROMIUM names one that is not on the PATH."""
    try:
        with chromium() as opened:
            yield opened
    except NoChromium as missing:
        # a person may go on without; where the outcome decides, nothing is left out unseen
        pytest.fail(str(missing)) if os.environ.get("CI") else pytest.skip(str(missing))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page of 1280 by 800; the test fails if a script on it raised."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert not errors, f"scripts on the page raised: {errors}"
