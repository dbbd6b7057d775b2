"""Putting a page on the network: a free port, who may come in, a private folder, what else is served."""

from __future__ import annotations

import atexit
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from apps.assets import Assets
from apps.page import CSS, SCRIPT, LocalOnly, theme
from apps.routes import routes

LARGEST_UPLOAD = "64mb"  # a trace; pictures have a limit of their own
PORTS_TRIED = 20
MOST_DESCRIBED = 64  # visitors for whom Gradio holds the page's description, which it can make anew
MOST_THREADS = 96  # each answer that is watched sleeps in one


def launch(demo: gr.Blocks, host: str, port: int, **options: Any) -> str:
    """Show a page that `apps.chat.build` made, and return its address at once. The port must be free.

    Args:
        options: more for Gradio, such as `auth=[(name, password)]` or `root_path="/chat"` behind a proxy that
            strips it.
    """
    _, url, _ = demo.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        footer_links=[],
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        max_threads=MOST_THREADS,
        max_file_size=LARGEST_UPLOAD,
        state_session_capacity=MOST_DESCRIBED,
        theme=theme(),
        css_paths=CSS,
        js=SCRIPT.read_text(encoding="utf-8"),
        app_kwargs={
            "middleware": [Middleware(LocalOnly), Middleware(Assets)],
            "routes": routes(demo.desk),
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
        },
        **options,
    )
    return url


def private_folder() -> Path:
    """A folder that only this user can read, and that is gone when the program ends."""
    folder = Path(tempfile.mkdtemp(prefix="moe-workbench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def credentials(path: Path) -> list[tuple[str, str]]:
    """Who may log in: a file with a line `name:password` for each.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is none of these; says its number and not what stands in it.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        name, colon, password = line.strip().partition(":")
        if line.strip() and not (name and colon and password):
            raise ValueError(f"line {number} of {path} is not name:password")
        if line.strip():
            found.append((name, password))
    if not found:
        raise ValueError(f"{path} names nobody; expected a line name:password for each who may come in")
    return found


def free_port(host: str, wanted: int) -> int:
    """The wanted port, or the next one that nobody listens on.

    Raises:
        OSError: none of the next ones is free, or there is no such host.
    """
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                door.bind(address)
            except OSError as error:
                taken = error
            else:
                return port
    raise OSError(f"no free port from {wanted} to {wanted + PORTS_TRIED - 1} on {host}: {taken}")
