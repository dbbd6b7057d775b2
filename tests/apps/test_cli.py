"""The `workbench` command."""

import json
import socket
import subprocess
import sys

import numpy as np
import pytest

import workbench as wb
from apps import cli
from apps.doctor import examine, report


@pytest.fixture
def saved(tmp_path):
    """A trace of four tokens."""
    trace = wb.Trace.from_vllm(np.array([[[0]], [[1]], [[2]], [[1]]]), [1, 2, 3, 4], 4, tokens=list("abcd"))
    return trace.save(tmp_path / "some.safetensors")


def refused(*arguments: str, code: int = 2) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == code


def test_plan_prints_a_table_or_json(capsys):
    cli.main(["plan", "demo", "--device", "24GB"])
    text = capsys.readouterr().out
    assert text.startswith("demo: ") and "1x 24 GB" in text and "H100" not in text
    cli.main(["plan", "demo", "--json", "--context", "1000", "--sequences", "2"])
    values = json.loads(capsys.readouterr().out)
    assert (values["context"], values["sequences"]) == (1000, 2)
    assert [device["name"] for device in values["devices"]][:2] == ["RTX 4090", "H100"]


def test_a_mistake_is_a_sentence_and_no_traceback(capsys):
    refused("plan", "nowhere")
    assert "workbench plan: error: nowhere is neither maverick, scout or demo" in capsys.readouterr().err


def test_without_a_command_the_commands_are_named(capsys):
    refused()
    assert "COMMAND" in capsys.readouterr().err


def test_an_unknown_command_or_option_is_told_with_those_that_there_are(capsys):
    refused("sreve")
    said = capsys.readouterr().err
    assert "invalid choice: 'sreve'" in said
    assert all(name in said for name in ("chat", "lab", "serve", "plan", "trace", "doctor"))
    refused("plan", "demo", "--contxt", "5")
    assert "workbench plan: error: unrecognized arguments: --contxt 5" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["lab", "serve", "plan", "trace", "trace view", "doctor", ""])
def test_every_command_helps(command, capsys):
    refused(*command.split(), "--help", code=0)
    said = capsys.readouterr().out
    assert said.startswith(f"usage: workbench {command}".strip()) and len(said) > 150


def test_help_names_the_limits_of_a_server_with_their_defaults(capsys):
    refused("serve", "--help", code=0)
    said = " ".join(capsys.readouterr().out.split())
    assert "--max-images N pictures of a request (10)" in said and "--api-key KEY" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-batch", "0"], "max_batch is 0; expected a whole number from 1 up"),
        (["--model", "/no/such/folder", "--port", "0"], "/no/such/folder"),
    ],
)
def test_a_server_that_cannot_start_says_why(arguments, words):
    with pytest.raises(SystemExit) as left:
        cli.main(["serve", *arguments])
    assert words in str(left.value.code) and "\n" not in str(left.value.code)


def test_a_server_whose_port_is_taken_says_so_before_it_loads_the_model():
    with socket.create_server(("127.0.0.1", 0)) as door, pytest.raises(SystemExit) as left:
        cli.main(["serve", "--model", "/no/such/folder", "--port", str(door.getsockname()[1])])
    assert "in use" in str(left.value.code)


def test_trace_view_writes_a_page_beside_the_trace_or_where_it_is_told(saved, tmp_path, capsys):
    cli.main(["trace", "view", str(saved), "--no-open"])
    page = tmp_path / "some.html"
    assert capsys.readouterr().out.strip() == str(page)
    assert page.read_text().startswith("<!doctype html>")
    cli.main(["trace", "view", str(saved), "--output", str(tmp_path / "other.html"), "--no-open"])
    assert (tmp_path / "other.html").read_text() == page.read_text()


def test_trace_view_says_what_is_no_trace(saved, tmp_path, capsys):
    refused("trace", "view", str(tmp_path / "none.safetensors"))
    assert "no trace file at" in capsys.readouterr().err
    refused("trace", "view", str(saved), "--output", str(saved))
    assert "would take the place of" in capsys.readouterr().err
    assert wb.Trace.open(saved).tokens == list("abcd")


def test_doctor_tells_versions_devices_and_why_a_kernel_cannot_be_used(capsys, monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "0")  # whatever another test has asked for
    cli.main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["torch"] and found["problems"] == []
    cpu = found["devices"][0]
    assert cpu["device"] == "cpu" and cpu["kernels"]["torch"] == "usable"
    assert cpu["kernels"]["triton"] == "needs tensors on a CUDA device, got cpu"
    cli.main(["doctor"])
    said = capsys.readouterr().out
    assert "needs tensors on a CUDA device" in said and "Nothing is missing." in said


def test_a_package_that_is_missing_is_a_problem():
    found = examine(needed=("torch", "no-such-package"))
    assert found["problems"] == ["no-such-package is not installed; pip install no-such-package"]
    assert found["problems"][0] in report(found)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "words"), [("chat", "--model"), ("lab", "--ServerApp")])
def test_chat_and_lab_become_the_programs_that_they_name(command, words):
    arguments = ["--help"] if command == "chat" else ["--help-all"]
    started = [sys.executable, "-m", "apps.cli", command, *arguments]
    ended = subprocess.run(started, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0 and words in ended.stdout
