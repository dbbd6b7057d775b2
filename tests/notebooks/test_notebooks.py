"""The course: lessons of one form that run from top to bottom and are stored without what running leaves."""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RENDERED = sorted((ROOT / "docs" / "course").glob("*.md"))

# the notebooks' client talks to its kernel over sockets that it leaves to the garbage collector
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def sources(notebook: NotebookNode, kind: str) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def test_the_lessons_are_numbered_from_one():
    assert len(NOTEBOOKS) >= 8
    assert [int(path.stem[:2]) for path in NOTEBOOKS] == list(range(1, len(NOTEBOOKS) + 1))


@every_notebook
def test_a_notebook_is_stored_without_outputs(path: Path):
    notebook = read(path)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert notebook.metadata.keys() == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert not any(cell.metadata for cell in notebook.cells)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


@every_notebook
def test_a_notebook_is_a_lesson(path: Path):
    notebook = read(path)
    said, code = sources(notebook, "markdown"), sources(notebook, "code")
    text = "\n\n".join(said)
    assert 10 <= len(notebook.cells) <= 20
    assert said[0].startswith(f"# {int(path.stem[:2])}. ") and "**The question:" in said[0]
    assert re.search(r"not\s+derived\s+from\s+Meta's\s+weights", text)
    assert "## What would fool you\n" in text and "## Exercises\n" in text
    assert text.count("<details>") == text.count("</details>") > 0
    assert len(text.split()) > len("\n".join(code).split())


@every_notebook
def test_a_notebook_keeps_to_the_public_interface_and_defines_no_helpers(path: Path):
    tree = ast.parse("\n".join(sources(read(path), "code")))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.alias):
            name = node.attr if isinstance(node, ast.Attribute) else node.name
            assert not re.match(r"_[^_]", name), f"{name} is private"
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            # what notebooks share belongs in the workbench; a kernel is a lesson's subject
            assert [ast.unparse(one) for one in node.decorator_list] == ["triton.jit"], node.name


# A notebook begins in a folder of its own, and of the one before it no name, no widget and no module of ours
# is left; what stays is what takes long to import.
AFRESH = """
import os, sys
from ipywidgets import Widget
Widget.close_all()
for name in [name for name in sys.modules if name.split(".")[0] in ("kernels", "model", "workbench")]:
    del sys.modules[name]
os.chdir({folder!r})
get_ipython().run_line_magic("reset", "-f")
"""


def opened(folder: Path) -> NotebookClient:
    """What executes notebooks, in one kernel that begins in this folder."""
    return NotebookClient(
        new_notebook(),
        timeout=600,
        kernel_name="python3",
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
    )


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NotebookClient]:
    """One kernel for all notebooks: it imports torch and its company once."""
    folder = tmp_path_factory.mktemp("kernel")
    with pytest.MonkeyPatch.context() as patch:
        # it finds the packages without being installed
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        shared = opened(folder)
        with shared.setup_kernel():
            yield shared


@pytest.mark.slow
@every_notebook
def test_a_notebook_runs_top_to_bottom(path: Path, client: NotebookClient, tmp_path: Path):
    notebook = read(path)
    # a library reads the environment when it is imported: who sets it needs a kernel of its own
    alone = any("os.environ" in code for code in sources(notebook, "code"))
    client = opened(tmp_path) if alone else client
    client.nb = notebook
    notebook.cells.insert(0, new_code_cell(AFRESH.format(folder=str(tmp_path))))
    client.execute(cleanup_kc=alone)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [data for output in outputs for data in output.get("data", {})]
    complaints = [output.text for output in outputs if output.get("name") == "stderr"]
    assert "image/png" in shown, "no figure was drawn"
    assert not [text for text in complaints if "Warning" in text]
    if path.stem == "01_first_trace":
        assert "application/vnd.jupyter.widget-view+json" in shown
        assert (tmp_path / "traces" / "first.html").stat().st_size > 10_000


@pytest.mark.slow
def test_a_notebook_knows_nothing_of_the_one_before_it(client: NotebookClient, tmp_path: Path):
    afresh = AFRESH.format(folder=str(tmp_path))
    before = "import workbench as wb\nimport workbench.routing"
    client.nb = new_notebook(
        cells=[new_code_cell(cell) for cell in (before, afresh, "import workbench", "wb")]
    )
    with pytest.raises(CellExecutionError, match="name 'wb' is not defined"):
        client.execute(cleanup_kc=False)
    client.nb = new_notebook(cells=[new_code_cell("workbench.routing")])
    with pytest.raises(CellExecutionError, match="has no attribute 'routing'"):
        client.execute(cleanup_kc=False)


def test_the_rendered_lesson_is_the_notebooks_own_and_small():
    assert RENDERED, "render a lesson: python docs/course.py"
    for page in RENDERED:
        text = page.read_text(encoding="utf-8")
        lesson = read(ROOT / "notebooks" / f"{page.stem}.ipynb")
        changed = [cell.source for cell in lesson.cells if cell.source.strip() not in text]
        assert not changed, f"render it again, python docs/course.py {page.stem}: {changed[0][:80]}"
        pictures = [page.parent / name for name in re.findall(r"!\[Figure: [^\]]+\]\(([^)]+)\)", text)]
        assert pictures and all(picture.is_file() for picture in pictures)
        assert sum(file.stat().st_size for file in (page, *pictures)) < 1_000_000
