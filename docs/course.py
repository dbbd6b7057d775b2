"""Render a lesson of the course with its figures, for visitors who have nothing to run it on.

python docs/course.py                          # from the root of the repository; needs the test tools
python docs/course.py 05_is_the_map_honest     # another lesson
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
LESSON = "04_what_it_looks_at"
PAGES = ROOT / "docs" / "course"
HEAD = """<!-- written by python docs/course.py: the notebook and what it showed when it was run -->

*This is [`notebooks/{name}.ipynb`](../../notebooks/{name}.ipynb) as it looks when it has been run.
`make lab` opens it, and the others of the course, to run and to change.*

"""


def executed(path: Path) -> NotebookNode:
    """The notebook after a run from top to bottom in an empty folder."""
    # the packages are found whether installed or not
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook, kernel_name="python3", timeout=600, resources={"metadata": {"path": folder}}
        ).execute()
    return notebook


def write(notebook: NotebookNode, name: str) -> Path:
    """The notebook as one Markdown page, and its figures in a folder of its name beside it."""
    figures = PAGES / name
    shutil.rmtree(figures, ignore_errors=True)
    figures.mkdir(parents=True)
    text, made = MarkdownExporter().from_notebook_node(
        notebook, resources={"output_files_dir": name, "unique_key": "figure"}
    )
    for file, data in made["outputs"].items():
        (PAGES / file).write_bytes(data)
    page = PAGES / f"{name}.md"
    page.write_text(HEAD.format(name=name) + described(text.strip()) + "\n", encoding="utf-8")
    return page


def described(text: str) -> str:
    """The page with every figure named after the heading that it stands under, for those who hear it read."""
    heading, lines = "", []
    for line in text.splitlines():
        heading = line.lstrip("# ") if re.match(r"#+ [A-Z0-9]", line) else heading
        lines.append(re.sub(r"^!\[png\]", f"![Figure: {heading}]", line))
    return "\n".join(lines)


def main() -> None:
    """Read the command line and render."""
    parser = argparse.ArgumentParser(description="Render a lesson of the course into docs/course.")
    parser.add_argument("lesson", nargs="?", default=LESSON, help="a notebook's name without its ending")
    name = parser.parse_args().lesson
    page = write(executed(ROOT / "notebooks" / f"{name}.ipynb"), name)
    files = [page, *(PAGES / name).iterdir()]
    print(f"{page}: {sum(file.stat().st_size for file in files):,} bytes with {len(files) - 1} figures")


if __name__ == "__main__":
    main()
