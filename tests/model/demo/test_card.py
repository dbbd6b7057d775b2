"""The card and the README's section say what the report says, and nothing else."""

import json
import shutil

import pytest

from model.demo import card
from model.demo.card import BEGIN, COMPARED, END, put_section, write_card, write_section
from model.demo.markdown import wrapped
from model.demo.train import WEIGHTS

UNMEASURED = "without one of these terms has not been measured"


@pytest.fixture
def folder(tmp_path):
    """A copy of the committed model; a fresh report's card is written in `test_evaluate.py`."""
    return shutil.copytree(WEIGHTS, tmp_path / "model", ignore=shutil.ignore_patterns(COMPARED))


def change(folder, **parts):
    file = folder / "evaluation.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | parts))


def test_the_card_says_what_it_is_and_is_not_made_of(folder):
    text = " ".join(write_card(folder).split())
    assert "is not derived from Meta's weights" in text and "Apache-2.0" in text
    assert "attention terms" in text and "load-balance" in text and "*supervised*" in text
    assert "Arabic, English, French" in text and UNMEASURED in text


def test_numbers_come_from_the_files(folder):
    change(folder, digits={"accuracy": 0.9371, "right": 337, "count": 360, "low": 0.9, "high": 0.96})
    told = " ".join(write_card(folder).split())  # lines break anywhere
    assert "93.7 % (90.0 to 96.0)" in told and "93.7 %" in write_section(folder)
    training = folder / "training.json"
    training.write_text(json.dumps(json.loads(training.read_text()) | {"history": "Two runs.", "seed": 77}))
    assert "Two runs." in write_card(folder) and "seed 77" in write_card(folder)


def test_every_row_of_a_table_has_as_many_cells(folder):
    for text in (write_card(folder), write_section(folder)):
        tables = [part.split("\n") for part in text.split("\n\n") if part.startswith("|")]
        assert tables and all(len({line.count("|") for line in lines}) == 1 for lines in tables)


def test_a_model_without_one_of_the_terms_stands_beside_it(folder):
    other = {"seed": 5, "questions": 1234, "grounding": {"pointing": 0.4321}}
    card.note_compared(folder, "without attention terms", other)
    card.note_compared(folder, "without attention terms", other)
    text = write_card(folder)
    assert text.count("| without attention terms | 1,234 |") == 1 and "43.2 %" in text
    assert UNMEASURED not in " ".join(text.split())


def test_a_section_replaces_what_stands_between_the_marks():
    readme = f"# Title\n\n{BEGIN}\n\nold\n\n{END}\n\n## More\n"
    once = put_section(readme, "new\n\n| a |")
    assert once == f"# Title\n\n{BEGIN}\n\nnew\n\n| a |\n\n{END}\n\n## More\n"
    assert put_section(once, "new\n\n| a |") == once


@pytest.mark.parametrize("readme", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_readme_without_its_marks_is_refused(readme):
    with pytest.raises(ValueError, match="begin -->"):
        put_section(readme, "new")


def test_the_command_writes_the_card_and_a_readmes_section(folder, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n")
    card.main(["--folder", str(folder), "--readme", str(readme)])
    assert (folder / "README.md").read_text() == write_card(folder)
    assert write_section(folder) in readme.read_text()


def test_paragraphs_are_filled_and_tables_and_code_are_left_whole():
    text = wrapped("one two\nthree `a b c d`\n\n| x  y |\n| --- |\n\n# Head  line", width=14)
    assert text == "one two three\n`a b c d`\n\n| x  y |\n| --- |\n\n# Head  line"
