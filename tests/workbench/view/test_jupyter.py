"""The widgets in a real JupyterLab: shown, clicked, growing, not in the way of the notebook's own keys."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from jupyter_client import BlockingKernelClient
from playwright.sync_api import Page, expect

from tests.workbench.view.jlab import notebook, running
from tests.workbench.view.looking import DONE, RED, experts_of, experts_shown, veil_at, wait_for_token, word
from tests.workbench.view.test_panel import png
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
CHAT = """
import workbench as wb
session = wb.load("demo")
chat = session.chat_widget(max_tokens=40)
chat
"""
PAIR = """
import workbench as wb
from tests.workbench.view.traces import make_trace
pair = wb.compare(make_trace(), make_trace(seed=1))
pair
"""
LAB = """
import workbench as wb
lab = wb.expert_lab(wb.load("demo"), "Hello!", sampling=wb.SamplingParams(max_tokens=4), draws=3)
lab
"""
PASTE = """
(field) => {
  const data = new DataTransfer();
  const bytes = Uint8Array.from(atob("%s"), (character) => character.charCodeAt(0));
  data.items.add(new File([bytes], "pasted.png", {type: "image/png"}));
  field.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
}
"""
SOON = 120_000  # ms until something happens on a machine that has other things to do
CONNECTED = (  # the page may still be loading
    "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus"
    " === 'connected'"
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
    assert in_kernel(page, lab, "[widget.selected, widget.selection.token, widget.selection.text]") == [
        RED - 6,
        RED - 6,
        " circle",
    ]

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


def test_a_typed_question_about_a_picture_is_answered(page: Page, lab: tuple[str, Path]):
    run_all(page, lab, "chat", CHAT)
    chat = page.locator(".tvp-chat")
    expect(chat).to_be_visible(timeout=SOON)
    cells = page.locator(".jp-Cell").count()
    files = [("red.png", "image/png", png("red")), ("notes.txt", "text/plain", b"Dear all,")]
    chat.locator("input[type=file]").set_input_files(
        [{"name": name, "mimeType": kind, "buffer": data} for name, kind, data in files]
    )
    expect(chat.get_by_role("alert")).to_contain_text(
        "“notes.txt” is not a picture that can be read", timeout=SOON
    )
    expect(chat.locator(".tvp-tray li")).to_have_count(1)
    expect(chat.locator(".tvp-tray")).to_contain_text("image 1")

    message = chat.get_by_label("Message")
    message.press_sequentially("What colour is bdd?")
    message.press("Enter")
    page.wait_for_selector(DONE, timeout=SOON)
    expect(chat.get_by_role("button", name="Send")).to_be_visible(timeout=SOON)
    answer = chat.locator(".tvp-said:not(.tvp-asked) p").first
    expect(message).to_have_value("")
    expect(answer).not_to_have_attribute("aria-busy", "true")
    assert in_kernel(page, lab, f"chat.reply.text == {answer.inner_text()!r}")
    assert in_kernel(page, lab, "chat.messages[-1]['content'] == chat.trace.text")

    message.evaluate(PASTE % base64.b64encode(png("blue")).decode())
    expect(chat.locator(".tvp-tray")).to_contain_text("image 2", timeout=SOON)
    remove = chat.get_by_role("button", name="Remove image 2")
    remove.press("b")
    remove.press("Enter")
    expect(chat.locator(".tvp-tray li")).to_have_count(0)
    message.fill("And now?")
    chat.get_by_role("button", name="Send").click()
    expect(chat.locator(".tvp-asked")).to_have_count(2, timeout=SOON)
    expect(chat.get_by_role("button", name="Send")).to_be_visible(timeout=SOON)
    assert in_kernel(page, lab, "len(chat.messages)") == 4

    first = in_kernel(page, lab, "int(chat.trace.generated_index[0])")
    page.locator(f'.tv-token[data-token="{first}"]').click()
    page.wait_for_selector(f'.tv[data-attention^="{first}:"]', timeout=SOON)
    assert in_kernel(page, lab, "chat.view.selection.token") == first
    assert page.locator(".jp-Cell").count() == cells


def test_a_saved_notebook_keeps_the_conversation_as_a_picture(page: Page, lab: tuple[str, Path]):
    ask = "chat.ask('Hello!'); chat.wait(); None"
    run_all(page, lab, "saved", CHAT, ask)
    page.wait_for_selector(DONE, timeout=SOON)
    expect(page.locator(".tvp-chat").get_by_role("button", name="Send")).to_be_visible(timeout=SOON)
    in_kernel(page, lab, "chat.wait() is chat.reply")
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("!jupyterapp.shell.currentWidget.context.model.dirty")
    path = lab[1] / "saved.ipynb"
    assert path.stat().st_size < 250_000
    document = nbformat.read(path, as_version=4)
    assert "widgets" not in document.metadata
    kept = document.cells[0].outputs[-1].data
    assert kept["text/plain"].startswith("user: Hello!\nassistant: ") and "image/png" in kept
    assert page.locator(".jp-OutputArea img[src^='data:image/png']").count() == 0, (
        "a live page shows no picture"
    )


def test_a_notebook_that_ran_elsewhere_shows_its_picture_until_it_is_run(page: Page, lab: tuple[str, Path]):
    address, folder = lab
    data, _ = make_trace().view()._repr_mimebundle_()
    path = notebook(folder / "elsewhere.ipynb", "wb.load('demo')")
    document = nbformat.read(path, as_version=4)
    document.cells[0].outputs = [nbformat.v4.new_output("display_data", data)]
    nbformat.write(document, path)
    page.goto(f"{address}/doc/tree/elsewhere.ipynb?reset")
    picture = page.locator(".jp-OutputArea img")
    expect(picture).to_be_visible(timeout=SOON)
    page.wait_for_function(CONNECTED, timeout=SOON)
    assert picture.evaluate("image => image.naturalWidth") > 400
    expect(page.locator(".jp-OutputArea")).not_to_contain_text("widget")


def test_two_traces_stand_side_by_side_and_a_click_on_one_is_heard(page: Page, lab: tuple[str, Path]):
    run_all(page, lab, "pair", PAIR)
    page.wait_for_selector(".tv-compare[data-done=true]", timeout=SOON)
    expect(page.locator(".tv-side")).to_have_count(2)
    first = int(make_trace().generated_index[0])
    page.locator(".tv-side").nth(1).locator(f'.tv-token[data-token="{first}"]').click()
    expect(page.locator('.tv-side [aria-selected="true"]')).to_have_count(2)
    expect(page.locator(f'.tv-side .tv[data-attention^="{first}:"]')).to_have_count(2, timeout=SOON)
    assert in_kernel(page, lab, "pair.selected") == first


def test_an_expert_is_chosen_by_keyboard_and_tried(page: Page, lab: tuple[str, Path]):
    run_all(page, lab, "lab", LAB)
    bench = page.locator(".tvp-lab")
    expect(bench).to_be_visible(timeout=SOON)
    cells = page.locator(".jp-Cell").count()
    bench.get_by_role("slider", name="Expert").press("ArrowRight")
    bench.get_by_role("slider", name="Layer").press("ArrowRight")
    bench.get_by_label("force it").check()
    bench.get_by_role("button", name="Run A and B").press("Enter")
    expect(page.locator(".tv-compare")).to_be_visible(timeout=SOON)
    expect(bench.get_by_role("status")).to_contain_text("Done: ForceExpert(", timeout=SOON)
    assert page.get_by_role("cell", name="mean KL(A || B)").count() == 1
    settings = in_kernel(page, lab, "[lab.controls.layer, lab.controls.expert, lab.comparison.b.text]")
    assert settings[1] == 1 and settings[0] > in_kernel(page, lab, "lab.controls._model['layers'][0]")
    assert page.locator(".jp-Cell").count() == cells
