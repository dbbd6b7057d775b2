"""An executed notebook, as it is saved: small, no widget state, pictures and texts that read well."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from playwright.sync_api import Page, expect

from workbench.view.saved import VIEW

ROOT = Path(__file__).parents[3]
MOST = 600_000  # bytes: five pictures of about 60 kB in base64, and room for other fonts

CELLS = {
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


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS.values()])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        where = {"metadata": {"path": str(folder)}}
        NotebookClient(
            notebook, timeout=600, kernel_name="python3", store_widget_state=False, resources=where
        ).execute()
    nbformat.write(notebook, folder / "saved.ipynb")
    return folder / "saved.ipynb"


def outputs(path: Path, cell: str) -> list[dict]:
    notebook = nbformat.read(path, as_version=4)
    return [output.data for output in notebook.cells[list(CELLS).index(cell)].outputs if "data" in output]


pytestmark = [
    pytest.mark.slow,
    # the notebook's client talks to its kernel over sockets that it leaves to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_it_is_small_and_has_no_widget_state(saved: Path):
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
def test_every_widget_leaves_a_picture_and_a_text(saved: Path, cell: str, said: str):
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


def test_a_widget_that_changes_later_stands_before_its_picture(saved: Path):
    for cell in ("chat", "lab"):
        widget, picture = outputs(saved, cell)
        assert widget[VIEW]["model_id"] != picture[VIEW]["model_id"]
        assert "image/png" not in widget
