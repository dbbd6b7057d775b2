"""The widget in a real JupyterLab: shown, clicked, growing, and not in the way of the notebook's own keys."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client import BlockingKernelClient
from playwright.sync_api import Page, expect

from tests.workbench.view.jlab import notebook, running
from tests.workbench.view.looking import DONE, RED, experts_of, experts_shown, veil_at, wait_for_token, word
from tests.workbench.view.traces import SIDE, make_trace

pytestmark = pytest.mark.slow

SHOW = """
from tests.workbench.view.test_widget import GrowingRun
from tests.workbench.view.traces import make_trace
from workbench.view.widget import TraceWidget
trace = make_trace()
widget = TraceWidget(trace)
widget
"""
FOLLOW = """
growing = TraceWidget(make_trace(with_pictures=False))
growing.follow(GrowingRun(trace))
growing
"""
CONNECTED = (
    "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus === 'connected'"
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("lab")
    with running(folder) as address:
        yield address, folder


def run_all(page: Page, lab: tuple[str, Path], name: str, *cells: str) -> None:
    address, folder = lab
    notebook(folder / f"{name}.ipynb", *cells)
    page.goto(f"{address}/doc/tree/{name}.ipynb?reset")
    page.wait_for_function(CONNECTED, timeout=120_000)
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")


def in_kernel(page: Page, lab: tuple[str, Path], expression: str) -> object:
    """The value of an expression in the notebook's kernel, asked directly and not through the page."""
    kernel = page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.id")
    client = BlockingKernelClient(connection_file=str(lab[1] / "runtime" / f"kernel-{kernel}.json"))
    client.load_connection_file()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    asked = {"value": f"__import__('json').dumps({expression})"}
    reply = client.execute_interactive("", user_expressions=asked, timeout=60, output_hook=lambda _: None)
    client.stop_channels()
    return json.loads(reply["content"]["user_expressions"]["value"]["data"]["text/plain"].strip("'"))


def test_a_notebook_shows_the_widget_and_hears_of_clicks(page: Page, lab: tuple[str, Path]):
    run_all(page, lab, "show", SHOW)
    page.wait_for_selector(f'{DONE}[data-attention="{RED}:7:-1:thumbnail"]', timeout=120_000)
    trace = make_trace()
    assert experts_shown(page) == experts_of(trace, RED)
    assert veil_at(page, 0, (7 % SIDE + 0.5) / SIDE, 0.5) < 10

    word(page, "circle", 1).click()
    page.wait_for_selector(f'.tv[data-attention^="{RED - 6}:"]')
    assert in_kernel(page, lab, "widget.selected") == RED - 6

    # "b" inserts a cell in JupyterLab's command mode; here it must do nothing
    cells = page.locator(".jp-Cell").count()
    page.keyboard.press("b")
    page.keyboard.press("ArrowRight")
    wait_for_token(page, RED - 5)
    assert page.locator(".jp-Cell").count() == cells

    in_kernel(page, lab, f"setattr(widget, 'selected', {RED})")
    wait_for_token(page, RED)
    expect(page.locator('.tv [aria-selected="true"]')).to_have_text(" red")


def test_a_running_answer_grows_in_the_notebook(page: Page, lab: tuple[str, Path]):
    run_all(page, lab, "follow", SHOW, FOLLOW)
    growing = page.locator(".tv").nth(1)
    expect(growing).to_have_attribute("data-run", "run-1", timeout=120_000)
    expect(growing).to_have_attribute("data-done", "true", timeout=60_000)
    expect(growing).to_have_attribute("data-n", str(len(make_trace())))
    expect(growing.locator(".tv-frame")).to_have_count(2)
