"""The ground the tests stand on holds."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.air_gap import guard


def test_another_machine_is_refused_and_remembered():
    with pytest.raises(guard.LeftTheMachine, match="example"):
        socket.create_connection(("example.org", 80), timeout=1)
    with socket.socket() as connection, pytest.raises(guard.LeftTheMachine, match=r"192\.0\.2\.1"):
        connection.connect(("192.0.2.1", 80))
    assert len(guard.attempts) >= 2
    # they were on purpose: the fixture that watches every test must not count them
    del guard.attempts[-2:]


def test_this_machine_is_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = server.getsockname()
        with socket.create_connection(here, timeout=1) as connection:
            assert connection.getpeername() == here


def test_a_started_process_stays_here_too():
    look_up = "import socket; socket.getaddrinfo('example.org', 80)"
    child = subprocess.run([sys.executable, "-c", look_up], capture_output=True, text=True)
    assert "LeftTheMachine" in child.stderr


def test_the_browser_runs_scripts_and_finds_no_other_machine(page):
    page.set_content("<h1>here</h1>")
    assert page.inner_text("h1") == "here"
    assert page.evaluate("fetch('http://example.org').then(() => 'out', () => 'refused')") == "refused"


def test_files_that_last_are_begun_before_those_that_do_not(request):
    lasting: dict[Path, bool] = {}
    for item in request.session.items:
        marks = {mark.name for mark in item.iter_markers()}
        lasting[item.path] = lasting.get(item.path, False) or bool(marks & {"slow", "browser"})
    assert list(lasting.values()) == sorted(lasting.values(), reverse=True)
