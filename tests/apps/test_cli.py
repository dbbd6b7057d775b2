"""The `workbench` command."""

import json
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from apps import cli
from apps.doctor import NEEDED, USEFUL, examine, report
from apps.server_options import settings_of
from tests.published import scout
from workbench.plan import DEFAULT_CONTEXT


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


def test_a_mistake_is_a_sentence_and_no_traceback(capsys, tmp_path):
    refused("plan", "nowhere")
    assert "workbench plan: error: nowhere is neither maverick, scout or demo" in capsys.readouterr().err
    values = scout()
    values["text_config"]["hidden_size"] = 10**30
    (tmp_path / "config.json").write_text(json.dumps(values))
    refused("plan", str(tmp_path))
    assert "workbench plan: error: hidden_size is 1000000000" in capsys.readouterr().err


def test_without_a_command_the_commands_are_named(capsys):
    refused()
    assert "COMMAND" in capsys.readouterr().err


def test_an_unknown_command_or_option_is_told_with_those_that_there_are(capsys):
    refused("sreve")
    said = capsys.readouterr().err
    assert "invalid choice: 'sreve'" in said
    names = ("chat", "lab", "serve", "plan", "trace", "engine-command", "doctor", "completion")
    assert all(name in said for name in names)
    refused("plan", "demo", "--contxt", "5")
    assert "workbench plan: error: unrecognized arguments: --contxt 5" in capsys.readouterr().err


COMMANDS = ("lab", "serve", "plan", "trace", "trace view", "engine-command", "doctor", "completion", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps(command, capsys):
    refused(*command.split(), "--help", code=0)
    said = capsys.readouterr().out
    assert said.startswith(f"usage: workbench {command}".strip()) and len(said) > 150


def test_help_tells_the_defaults_of_a_plan(capsys):
    refused("plan", "--help", code=0)
    assert f"({DEFAULT_CONTEXT}, or all it takes)" in capsys.readouterr().out


def test_help_needs_neither_torch_nor_a_model():
    told = "import sys, apps.cli; apps.cli.parser(); print({'torch', 'gradio', 'model'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=120)
    assert said.stdout.strip() == "set()", said.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["plan", "demo"], 0),
        (["serve", "--model", "/no/such/folder", "--port", "0"], 1),
        (["plan", "nowhere"], 2),
        (["engine-command", "nowhere"], 2),
        (["sreve"], 2),
    ],
)
def test_exit_codes_are_those_that_help_tells(arguments, code):
    # a message in place of a number ends a program with 1
    given = 0
    try:
        cli.main(arguments)
    except SystemExit as left:
        given = 1 if isinstance(left.code, str) else left.code
    assert given == code
    assert f"\n  {code} " in cli.parser().format_help()


def test_ctrl_c_ends_a_command_with_130_and_no_traceback(monkeypatch):
    def interrupted() -> dict:
        raise KeyboardInterrupt

    monkeypatch.setattr("apps.doctor.examine", interrupted)
    refused("doctor", code=130)


def test_doctor_ends_with_1_where_something_is_missing(monkeypatch):
    lacking = examine(needed=("no-such-package",))
    monkeypatch.setattr("apps.doctor.examine", lambda: lacking)
    refused("doctor", code=1)


# what each shell would offer after `workbench` and these words, the last one half typed
ASKED = {
    "bash": "source {script}; COMP_WORDS=(workbench {words}); COMP_CWORD={count}; _shtab_workbench; "
    'printf "%s\\n" "${{COMPREPLY[@]}}"',
    "fish": "source {script}; complete -C 'workbench {words}'",
    # zsh completes only in a terminal: that it can read the script has to do
    "zsh": "zsh -n {script} && echo {offered}",
}


@pytest.mark.parametrize("shell", ASKED)
@pytest.mark.parametrize(
    ("words", "offered"), [("eng", "engine-command"), ("engine-command scout --engine s", "sglang")]
)
def test_a_shell_completes_commands_and_choices(shell, words, offered, tmp_path, capsys):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    cli.main(["completion", shell])
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    asked = ASKED[shell].format(script=script, words=words, count=len(words.split()), offered=offered)
    said = subprocess.run([shell, "-c", asked], capture_output=True, text=True, timeout=60)
    assert [line.split()[0] for line in said.stdout.splitlines()] == [offered], said.stderr


def test_help_names_the_limits_of_a_server_with_their_defaults(capsys):
    refused("serve", "--help", code=0)
    said = " ".join(capsys.readouterr().out.split())
    assert "--max-images N pictures of a request (10)" in said and "--api-key KEY" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-batch", "0"], "max_batch is 0; expected a whole number from 1 up"),
        (["--model", "/no/such/folder", "--port", "0"], "/no/such/folder"),
        (["--device", "foo", "--port", "0"], "--device is 'foo'; expected one that is here, such as cpu"),
    ],
)
def test_a_server_that_cannot_start_says_why(arguments, words):
    with pytest.raises(SystemExit) as left:
        cli.main(["serve", *arguments])
    assert words in str(left.value.code) and "\n" not in str(left.value.code)


@pytest.mark.parametrize("command", [("serve",), ("engine-command", "scout")])
def test_a_port_that_cannot_be_is_not_understood(command, capsys):
    refused(*command, "--port", "99999")
    assert "argument --port: 99999 is no port; expected 0 to 65535" in capsys.readouterr().err


def test_a_key_from_a_file_is_taken_without_its_line_end(monkeypatch):
    monkeypatch.setenv("MOE_WORKBENCH_API_KEY", "good\n")
    options = cli.parser().parse_args(["serve", "--api-key", "better\n"])
    assert settings_of(options).api_keys == ("better", "good")


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
    refused("trace", "view", ".")
    assert "workbench trace view: error: no trace file at ." in capsys.readouterr().err


def test_trace_view_never_takes_the_place_of_the_trace_however_it_is_spelled(
    saved, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to(saved)
    for page in (saved, saved.name, "link"):
        refused("trace", "view", saved.name, "--output", str(page), "--no-open")
        assert "would take the place of" in capsys.readouterr().err
        assert wb.Trace.open(page).tokens == list("abcd")


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


def test_doctor_looks_for_all_that_is_installed_with_the_workbench():
    project = tomllib.loads((Path(cli.__file__).parents[1] / "pyproject.toml").read_text())["project"]
    asked = {re.match(r"[\w-]+", one)[0] for one in project["dependencies"]}
    assert {*NEEDED, *USEFUL} - {"transformers"} == asked


def test_a_package_that_is_missing_is_a_problem():
    found = examine(needed=("torch", "no-such-package"))
    assert found["problems"] == ["no-such-package is not installed; pip install no-such-package"]
    assert found["problems"][0] in report(found)


def test_chat_gets_all_that_follows_and_ctrl_c_ends_it_also_while_it_is_imported(monkeypatch):
    given = []

    def main(arguments: list[str]) -> None:
        given.extend(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr("apps.chat.main", main)
    refused("chat", "--model", "some", "--help", code=130)
    assert given == ["--model", "some", "--help"]


def test_lab_becomes_the_program_that_it_names(monkeypatch, tmp_path):
    became = []

    def execv(program: str, words: list[str]) -> None:
        assert program == words[0] == sys.executable and words[1] == "-m"
        became.append(words[2:])
        raise SystemExit(0)  # nothing after it runs

    monkeypatch.setattr("os.execv", execv)
    refused("lab", str(tmp_path), "--port", "9999", "--LabApp.token=secret", code=0)
    (lab,) = became
    assert {f"--ServerApp.root_dir={tmp_path}", "--ServerApp.port=9999", "--LabApp.news_url=None"} < set(lab)
    assert lab[-1] == "--LabApp.token=secret"
    # it is what `python -m` starts
    assert find_spec(f"{lab[0]}.__main__")


def test_a_folder_without_notebooks_is_named(capsys, tmp_path):
    refused("lab", str(tmp_path / "none"))
    assert f"{tmp_path / 'none'} is no folder" in capsys.readouterr().err
