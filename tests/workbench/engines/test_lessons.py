"""Notebooks over an engine: their cells as they stand, and another line that opens the session."""

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

import workbench as wb
from tests.apps.serving import running

NOTEBOOKS = Path(__file__).parents[3] / "notebooks"
OPENED = 'wb.load("demo")'


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    session = wb.load("demo")
    with running(session) as address:
        yield f"{address}/v1"
    session.close()


def lesson(name: str, **instead: str) -> dict:
    """The names that a notebook's cells leave, once every word of `instead` is another."""
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    for word, other in instead.items():
        assert word in code, f"{name} has no {word} any more"
        code = code.replace(word, other)
    names: dict = {}
    exec(compile(code, name, "exec"), names)
    return names


def test_the_first_lesson_runs_over_our_own_server_as_it_stands(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # it writes a trace and a page
    left = lesson("01_first_trace", **{OPENED: f"wb.connect({url!r})"})
    assert isinstance(left["session"], wb.EngineSession) and left["view"].trace is left["trace"]
    assert (tmp_path / "traces" / "first.html").stat().st_size > 10_000


def test_the_lesson_on_routing_runs_on_what_an_engine_tells_of_it(url):
    # SGLang's own encoding, which has neither gates nor logits; a fifth of the questions, for time
    opening = f'wb.connect({url!r}, engine="sglang", checkpoint="demo")'
    less = {'capture="routing"': 'capture="routing:ids"', "range(60)": "range(12)"}
    left = lesson("03_who_routes_where", **{OPENED: opening}, **less)
    assert len(left["traces"]) == 12 and left["traces"][0].router_logits is None
    assert left["by_language"].information and left["by_modality"]
