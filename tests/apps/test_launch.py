"""What the page is started with: by make, as a Space, for whom, and on which port."""

import argparse
import gc
import os
import runpy
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr
import httpx
import pytest

from apps import chat
from apps.launch import PORTS_TRIED, credentials, free_port, launch

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = Path(__file__).parents[2]


def made(*variables: str) -> argparse.Namespace:
    """What `make chat` asks the page for."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("M")}
    told = subprocess.run(
        ["make", "--dry-run", "chat", *variables],
        cwd=ROOT, env=plain, capture_output=True, text=True, check=True,
    )  # fmt: skip
    command = told.stdout[told.stdout.index(" -m apps.chat ") :].replace("\\\n", " ")
    return chat.parser().parse_args(shlex.split(command)[2:])


def test_make_chooses_the_model_its_formats_and_the_port():
    options = made("FORMATS=int4,bf16", "MODEL=/some/where", "PORT=7000")
    assert chat.formats_of(options) == ("int4", "bf16")
    assert (options.model, options.port) == ("/some/where", 7000)
    assert chat.formats_of(made("QUANTIZE=fp8")) == ("fp8",)
    assert chat.formats_of(made("MODEL=/some/where")) == ("bf16",)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        (["FORMATS=bf16,fp4"], "'fp4' is no weight format; expected some of bf16,fp8,int4"),
        (["FORMATS=bf16,int4", "QUANTIZE=int4"], "not allowed with argument --quantize"),
    ],
)
def test_formats_that_cannot_be_are_refused_with_a_sentence(variables, says, capsys):
    with pytest.raises(SystemExit):
        made(*variables)
    assert says in capsys.readouterr().err


def test_nothing_is_shared_unless_it_is_asked_for_and_never_with_everybody(capsys):
    assert chat.parser().parse_args([]).share is False
    with pytest.raises(SystemExit):
        chat.main(["--share"])
    assert "say with --auth FILE who may come in" in capsys.readouterr().err


def test_a_space_listens_where_its_proxy_looks_and_is_shown_by_hugging_face():
    started = runpy.run_path(str(ROOT / "apps" / "deploy" / "space" / "app.py"))
    options = chat.parser().parse_args(started["ARGUMENTS"])
    assert (options.host, options.port) == ("0.0.0.0", 7860)
    assert options.framed_by == ("https://huggingface.co",)


def test_a_file_names_who_may_come_in(tmp_path):
    file = tmp_path / "people"
    file.write_text("ada:first:second\n\n  bob:word  \n")
    assert credentials(file) == [("ada", "first:second"), ("bob", "word")]


def test_a_mark_that_an_editor_puts_before_a_file_belongs_to_no_name(tmp_path):
    file = tmp_path / "people"
    file.write_text("anna:word\n", encoding="utf-8-sig")
    assert credentials(file) == [("anna", "word")]


@pytest.mark.parametrize("text", ["", "ada\n", "ada:\n", ":secret\n"])
def test_a_file_that_names_nobody_is_refused_and_no_password_is_repeated(tmp_path, text):
    file = tmp_path / "people"
    file.write_text(text)
    with pytest.raises(ValueError, match="name:password") as refused:
        credentials(file)
    assert "secret" not in str(refused.value)


def test_a_model_too_large_for_memory_is_a_sentence_that_says_what_to_do(monkeypatch):
    def load(*_: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to ...")

    monkeypatch.setattr("apps.formats.Formats.of_model", load)
    with pytest.raises(SystemExit) as left:
        chat.main(["--model", "some/where"])
    assert str(left.value.code).startswith("The chat page could not start: some/where does not fit in memory")
    assert "`workbench plan some/where`" in str(left.value.code)


def test_ctrl_c_before_the_page_is_there_ends_with_130_and_no_traceback(monkeypatch):
    def load(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("apps.formats.Formats.of_model", load)
    with pytest.raises(SystemExit) as left:
        chat.main([])
    assert left.value.code == 130


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_page_leaves_none_of_its_pictures(tmp_path, ending):
    command = [sys.executable, "-m", "apps.chat", "--port", str(free_port("127.0.0.1", 7900))]
    place = os.environ | {"TMPDIR": str(tmp_path), "CI": "1"}
    with subprocess.Popen(command, env=place, stdout=subprocess.PIPE, text=True) as page:
        try:
            assert any(line.startswith("The chat page is at") for line in page.stdout)
            assert list(tmp_path.glob("moe-workbench-*"))
            page.send_signal(ending)
            assert page.wait(60) == 128 + ending
        finally:
            page.kill()
    assert not list(tmp_path.glob("moe-workbench-*"))


def test_a_page_can_listen_on_the_sixth_version_of_the_internet_protocol():
    try:
        port = free_port("::1", 0)
    except OSError:
        pytest.skip("this machine has no ::1")
    with gr.Blocks(analytics_enabled=False) as demo:
        demo.desk = None  # nobody asks
        url = launch(demo, "::1", port)
    assert urlsplit(url).hostname == "::1"
    assert httpx.get(url).status_code == 200
    demo.close()
    gc.collect()


def test_a_port_in_use_gives_the_next_one():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert port < free_port("127.0.0.1", port) <= port + PORTS_TRIED


def test_a_port_that_somebody_takes_after_the_look_gives_the_next_one(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken, gr.Blocks(analytics_enabled=False) as demo:
        port = taken.getsockname()[1]

        def look(host: str, wanted: int) -> int:
            return wanted if wanted == port else free_port(host, wanted)

        monkeypatch.setattr("apps.launch.free_port", look)
        demo.desk = None  # nobody asks
        url = launch(demo, "127.0.0.1", port)
        assert port < urlsplit(url).port <= port + PORTS_TRIED
        assert httpx.get(url).status_code == 200
    demo.close()
    gc.collect()
