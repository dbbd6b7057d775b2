"""Who may come in, and on which port."""

import socket

import pytest

from apps.launch import PORTS_TRIED, credentials, free_port


def test_a_file_names_who_may_come_in(tmp_path):
    file = tmp_path / "people"
    file.write_text("ada:first:second\n\n  bob:word  \n")
    assert credentials(file) == [("ada", "first:second"), ("bob", "word")]


@pytest.mark.parametrize("text", ["", "ada\n", "ada:\n", ":secret\n"])
def test_a_file_that_names_nobody_is_refused_and_no_password_is_repeated(tmp_path, text):
    file = tmp_path / "people"
    file.write_text(text)
    with pytest.raises(ValueError, match="name:password") as refused:
        credentials(file)
    assert "secret" not in str(refused.value)


def test_a_port_in_use_gives_the_next_one():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert port < free_port("127.0.0.1", port) <= port + PORTS_TRIED
