"""The examples for those who know transformers and vLLM: ours all run, and transformers says the same."""

import re
import subprocess
from pathlib import Path

import pytest

import workbench as wb
from model.checkpoint import DEMO_WEIGHTS
from tests.apps.serving import running

PAGE = (Path(__file__).parents[1] / "docs" / "drop-in.md").read_text()
ADDRESS = "http://127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    """Ours are marked `python`, those of others `py`."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def run(block: str, capsys) -> str:
    """What a block prints."""
    capsys.readouterr()
    exec(compile(block, "docs/drop-in.md", "exec"), {"__name__": "drop_in"})
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def url():
    session = wb.load("demo")
    with running(session) as address:
        yield address
    session.close()


@pytest.mark.slow
def test_our_examples_run_and_print_something(url, capsys):
    said = [run(block.replace(ADDRESS, url), capsys) for block in blocks("python")]
    assert len(said) == 6 and all(text.strip() for text in said)
    # the same question to the model, to a session, and in a batch
    first = said[0].splitlines()[0]
    assert first and said[1].splitlines()[0] == first
    assert first in said[2]


@pytest.mark.slow
def test_the_first_example_of_the_card_says_the_same_with_transformers(capsys):
    theirs, ours = blocks("py")[0], blocks("python")[0]
    here = theirs.replace('"meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8"', repr(str(DEMO_WEIGHTS)))
    # one process holds this model
    here = here.replace(', tp_plan="auto"', "")
    assert here.count("demo") and "tp_plan" not in here
    with_markers = run(ours, capsys).splitlines()[1]
    assert run(here, capsys).strip() == with_markers


def test_curl_gets_the_stream_that_the_card_shows(url):
    [command] = [block for block in blocks("sh") if block.startswith("curl ")]
    told = command.replace(ADDRESS, url)
    said = subprocess.run(["sh", "-c", told], capture_output=True, text=True, timeout=60)
    lines = [line for line in said.stdout.splitlines() if line]
    assert lines[-1] == "data: [DONE]" and '"completion_tokens":1' in lines[-2].replace(" ", ""), said.stderr


def test_the_commands_that_it_names_are_there():
    from apps import cli

    lines = re.findall(r"(?:^|`)workbench ([^`#\n]+)", PAGE, re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        options, rest = cli.parser().parse_known_args(line.split())
        assert not rest and options.run


def test_the_page_names_files_that_are_there():
    for name in re.findall(r"`(\w+/[\w/.-]+\.\w+)`", PAGE):
        assert (Path(__file__).parents[1] / name).is_file()
