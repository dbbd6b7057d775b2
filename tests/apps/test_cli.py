"""The `workbench` command."""

import json

import pytest

from apps import cli


def test_plan_prints_a_table_or_json(capsys):
    cli.main(["plan", "demo", "--device", "24GB"])
    text = capsys.readouterr().out
    assert text.startswith("demo: ") and "1x 24 GB" in text and "H100" not in text
    cli.main(["plan", "demo", "--json", "--context", "1000", "--sequences", "2"])
    values = json.loads(capsys.readouterr().out)
    assert (values["context"], values["sequences"]) == (1000, 2)
    assert [device["name"] for device in values["devices"]][:2] == ["RTX 4090", "H100"]


def test_a_mistake_is_a_sentence_and_no_traceback(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["plan", "nowhere"])
    assert left.value.code == 2
    assert "workbench plan: error: nowhere is neither maverick, scout or demo" in capsys.readouterr().err


def test_without_a_command_the_commands_are_named(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([])
    assert left.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
