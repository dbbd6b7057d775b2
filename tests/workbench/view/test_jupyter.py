"""The widgets in a real JupyterLab: shown, clicked, growing, and what a saved notebook keeps of them."""

import base64
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Browser, Page, expect

from tests.workbench.view.jlab import Desk, notebook, running
from tests.workbench.view.looking import DONE, RED, experts_of, experts_shown, veil_at, wait_for_token, word
from tests.workbench.view.test_panel import png
from tests.workbench.view.traces import SIDE, make_trace
from workbench.view.saved import VIEW

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
PICTURE = ".jp-RenderedImage img"  # in place of a widget
# a notebook with every widget, as it is saved
SAVED = {
    "view": """
import workbench as wb
from tests.workbench.view.traces import make_trace
make_trace().view()
""",
    "compare": "wb.compare(make_trace(), make_trace(seed=1))",
    "chat": """
session = wb.load("demo")
chat = session.chat_widget(max_tokens=20)
chat
""",
    "ask": """
chat.ask("Hello!")
print(chat.wait())
""",
    "lab": """
lab = wb.expert_lab(session, "Hello!", sampling=wb.SamplingParams(max_tokens=3), draws=2)
lab
""",
    "try": """
lab.controls.expert = int(chat.trace.routed_experts[0, 0, 0])
lab.run()
print(lab.wait())
""",
}
MOST = 600_000  # bytes of that: five pictures of about 60 kB in base64, and room for other fonts


@pytest.fixture(scope="module")
def jupyter(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("lab")
    with running(folder) as address, browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        opened = Desk(context.new_page(), address, folder)
        yield opened
        opened.leave()


@pytest.fixture
def desk(jupyter: Desk) -> Iterator[Desk]:
    """JupyterLab with nothing open; the test fails if a script on it raised."""
    errors: list[str] = []

    def note(error: Exception) -> None:
        # a notebook was put away before its kernel had answered all that JupyterLab asked of it
        if "Canceled future" not in str(error):
            errors.append(str(error))

    jupyter.page.on("pageerror", note)
    yield jupyter
    jupyter.clear()
    jupyter.page.remove_listener("pageerror", note)
    assert not errors, f"scripts on the page raised: {errors}"


def run(desk: Desk, name: str, *cells: str) -> Page:
    """A new notebook with these cells, run; the page that shows it."""
    desk.run(notebook(desk.folder / f"{name}.ipynb", *cells))
    return desk.page


def test_a_notebook_shows_the_widget_and_hears_of_clicks(desk: Desk):
    page = run(desk, "show", SHOW)
    page.wait_for_selector(f'{DONE}[data-attention="{RED}:7:-1:thumbnail"]')
    trace = make_trace()
    assert experts_shown(page) == experts_of(trace, RED)
    assert veil_at(page, 0, (7 % SIDE + 0.5) / SIDE, 0.5) < 10

    word(page, "circle", 1).click()
    page.wait_for_selector(f'.tv[data-attention^="{RED - 6}:"]')
    assert desk.ask("[widget.selected, widget.selection.token, widget.selection.text]") == [
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

    desk.ask(f"setattr(widget, 'selected', {RED})")
    wait_for_token(page, RED)
    expect(page.locator('.tv [aria-selected="true"]')).to_have_text(" red")


def test_a_running_answer_grows_in_the_notebook(desk: Desk):
    page = run(desk, "follow", SHOW, FOLLOW)
    growing = page.locator(".tv").nth(1)
    expect(growing).to_have_attribute("data-run", "run-1")
    expect(growing).to_have_attribute("data-done", "true")
    expect(growing).to_have_attribute("data-n", str(len(make_trace())))
    expect(growing.locator(".tv-frame")).to_have_count(2)


def test_a_typed_question_about_a_picture_is_answered(desk: Desk):
    page = run(desk, "chat", CHAT)
    chat = page.locator(".tvp-chat")
    expect(chat).to_be_visible()
    cells = page.locator(".jp-Cell").count()
    files = [("red.png", "image/png", png("red")), ("notes.txt", "text/plain", b"Dear all,")]
    chat.locator("input[type=file]").set_input_files(
        [{"name": name, "mimeType": kind, "buffer": data} for name, kind, data in files]
    )
    expect(chat.get_by_role("alert")).to_contain_text("“notes.txt” is not a picture that can be read")
    expect(chat.locator(".tvp-tray li")).to_have_count(1)
    expect(chat.locator(".tvp-tray")).to_contain_text("image 1")

    message = chat.get_by_label("Message")
    message.press_sequentially("What colour is bdd?")
    message.press("Enter")
    page.wait_for_selector(DONE)
    expect(chat.get_by_role("button", name="Send")).to_be_visible()
    answer = chat.locator(".tvp-said:not(.tvp-asked) p").first
    expect(message).to_have_value("")
    expect(answer).not_to_have_attribute("aria-busy", "true")
    assert desk.ask(f"chat.reply.text == {answer.inner_text()!r}")
    assert desk.ask("chat.messages[-1]['content'] == chat.trace.text")

    message.evaluate(PASTE % base64.b64encode(png("blue")).decode())
    expect(chat.locator(".tvp-tray")).to_contain_text("image 2")
    remove = chat.get_by_role("button", name="Remove image 2")
    remove.press("b")
    remove.press("Enter")
    expect(chat.locator(".tvp-tray li")).to_have_count(0)
    message.fill("And now?")
    chat.get_by_role("button", name="Send").click()
    expect(chat.locator(".tvp-asked")).to_have_count(2)
    expect(chat.get_by_role("button", name="Send")).to_be_visible()
    assert desk.ask("len(chat.messages)") == 4

    first = desk.ask("int(chat.trace.generated_index[0])")
    page.locator(f'.tv-token[data-token="{first}"]').click()
    page.wait_for_selector(f'.tv[data-attention^="{first}:"]')
    assert desk.ask("chat.view.selection.token") == first
    assert page.locator(".jp-Cell").count() == cells


def test_a_notebook_that_ran_elsewhere_shows_its_picture_until_it_is_run(desk: Desk):
    page = desk.page
    data, _ = make_trace().view()._repr_mimebundle_()
    path = notebook(desk.folder / "elsewhere.ipynb", "wb.load('demo')")
    document = nbformat.read(path, as_version=4)
    document.cells[0].outputs = [nbformat.v4.new_output("display_data", data)]
    nbformat.write(document, path)
    desk.open(path)
    picture = page.locator(PICTURE)
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 400
    expect(page.locator(".jp-OutputArea")).not_to_contain_text("widget")


def test_two_traces_stand_side_by_side_and_a_click_on_one_is_heard(desk: Desk):
    page = run(desk, "pair", PAIR)
    page.wait_for_selector(".tv-compare[data-done=true]")
    expect(page.locator(".tv-side")).to_have_count(2)
    first = int(make_trace().generated_index[0])
    page.locator(".tv-side").nth(1).locator(f'.tv-token[data-token="{first}"]').click()
    expect(page.locator('.tv-side [aria-selected="true"]')).to_have_count(2)
    expect(page.locator(f'.tv-side .tv[data-attention^="{first}:"]')).to_have_count(2)
    assert desk.ask("pair.selected") == first


def test_an_expert_is_chosen_by_keyboard_and_tried(desk: Desk):
    page = run(desk, "lab", LAB)
    bench = page.locator(".tvp-lab")
    expect(bench).to_be_visible()
    cells = page.locator(".jp-Cell").count()
    bench.get_by_role("slider", name="Expert").press("ArrowRight")
    bench.get_by_role("slider", name="Layer").press("ArrowRight")
    bench.get_by_label("force it").check()
    bench.get_by_role("button", name="Run A and B").press("Enter")
    expect(page.locator(".tv-compare")).to_be_visible()
    expect(bench.get_by_role("status")).to_contain_text("Done: ForceExpert(")
    assert page.get_by_role("cell", name="mean KL(A || B)").count() == 1
    settings = desk.ask("[lab.controls.layer, lab.controls.expert, lab.comparison.b.text]")
    assert settings[1] == 1 and settings[0] > desk.ask("lab.controls._model['layers'][0]")
    assert page.locator(".jp-Cell").count() == cells


@pytest.fixture(scope="module")
def saved(jupyter: Desk) -> Path:
    """The notebook with every widget, run and saved by JupyterLab."""
    page = run(jupyter, "saved", *SAVED.values())
    expect(page.locator(".tv-compare")).to_have_count(2)
    expect(page.locator(".tvp-chat").get_by_role("button", name="Send")).to_be_visible()
    expect(page.locator(PICTURE)).to_have_count(0)  # a live page shows the widgets alone
    jupyter.save()
    jupyter.clear()
    return jupyter.folder / "saved.ipynb"


def outputs(path: Path, cell: str) -> list[dict]:
    notebook = nbformat.read(path, as_version=4)
    return [output.data for output in notebook.cells[list(SAVED).index(cell)].outputs if "data" in output]


def test_a_saved_notebook_is_small_and_has_no_widget_state(saved: Path):
    assert saved.stat().st_size < MOST
    assert "widgets" not in nbformat.read(saved, as_version=4).metadata
    assert "createTraceView" not in saved.read_text()


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("view", "The circle in image 1 is red.\n\n(138 tokens"),
        ("compare", "A: The circle in image 1 is red."),
        ("chat", "user: Hello!\nassistant: "),
        ("lab", "with SilenceExpert("),
    ],
)
def test_every_widget_leaves_a_picture_and_a_text_in_it(saved: Path, cell: str, said: str):
    last = outputs(saved, cell)[-1]
    assert VIEW in last and len(last["image/png"]) > 5000
    assert said in last["text/plain"]
    assert not any(" object at 0x" in output["text/plain"] for output in outputs(saved, cell))


def test_a_page_without_a_kernel_shows_the_picture_of_every_widget(saved: Path, page: Page):
    path = saved.with_suffix(".html")
    path.write_text(HTMLExporter().from_filename(str(saved))[0], encoding="utf-8")
    page.goto(path.as_uri(), wait_until="domcontentloaded")
    pictures = page.locator(".jp-OutputArea img")
    expect(pictures).to_have_count(4)
    page.wait_for_function(
        "[...document.querySelectorAll('.jp-OutputArea img')].every(image => image.naturalWidth > 400)"
    )
    assert [picture.is_visible() for picture in pictures.all()] == [True] * 4
    expect(page.locator(f'script[type="{VIEW}"]')).to_have_count(0)


def test_a_widget_that_changes_later_stands_before_its_picture_in_it(saved: Path):
    for cell in ("chat", "lab"):
        widget, picture = outputs(saved, cell)
        assert widget[VIEW]["model_id"] != picture[VIEW]["model_id"]
        assert "image/png" not in widget
