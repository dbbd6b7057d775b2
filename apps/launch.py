"""Putting a page on the network: a free port, who may come in, a private folder, what else is served."""

from __future__ import annotations

import atexit
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import gradio as gr
from starlette.middleware import Middleware

from apps.assets import Assets
from apps.page import CSS, SCRIPT, theme
from apps.routes import routes
from apps.sites import OwnSite

LARGEST_UPLOAD = "64mb"  # a trace; pictures have a limit of their own
PORTS_TRIED = 20
MOST_DESCRIBED = 64  # visitors for whom Gradio holds the page's description, which it can make anew
MOST_THREADS = 96  # each answer that is watched sleeps in one


def launch(
    demo: gr.Blocks,
    host: str,
    port: int,
    root_path: str | None = None,
    framed_by: Sequence[str] = (),
    share: bool = False,
    **options: Any,
) -> str:
    """Show a page that `apps.chat.build` made, and return its address at once.

    Args:
        port: the wanted one; the next that is free is taken if it is in use. 0: any that is free.
        root_path: where a proxy shows the page: a path that it strips, such as /chat, or a whole address.
        framed_by: sites that may show it in a frame; see `apps.sites`.
        share: ask Gradio's servers for a public address, which Gradio prints, or why there is none.
        options: more for Gradio, such as `auth=[(name, password)]`.

    Raises:
        OSError: no port near the wanted one is free, or there is no such host.
    """
    own_site = Middleware(OwnSite, framed_by=framed_by, address=root_path or "")
    show = partial(
        demo.launch,
        server_name=f"[{host}]" if ":" in host else host,  # as it stands in an address
        root_path=root_path,
        share=share,
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
            "middleware": [own_site, Middleware(Assets)],
            "routes": routes(demo.desk),
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
        },
        **options,
    )
    for _ in range(PORTS_TRIED):
        free = free_port(host, port)
        try:
            _, url, _ = show(server_port=free)
        except OSError as error:  # between our look and Gradio's somebody else has taken it
            port, taken = port and free + 1, error
        else:
            return url
    raise taken


def end_on_signals() -> None:
    """Let signals that end the program end it as `sys.exit` does, which removes its private folder.

    One that is ignored stays so: `nohup` asks for that.
    """

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)  # as a shell reports them

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows lacks the second
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)


def private_folder() -> Path:
    """A folder that only this user can read, and that is gone when the program ends.

    It stays where a signal ends the program at once; see `end_on_signals`.
    """
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
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        name, colon, password = line.strip().partition(":")
        if line.strip() and not (name and colon and password):
            raise ValueError(f"line {number} of {path} is not name:password")
        if line.strip():
            found.append((name, password))
    if not found:
        raise ValueError(f"{path} names nobody; expected a line name:password for each who may come in")
    return found


def free_port(host: str, wanted: int) -> int:
    """The wanted port, or the next one that nobody listens on; for 0 any, as the system chooses.

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
                return door.getsockname()[1]
    raise OSError(f"no free port from {wanted} to {wanted + PORTS_TRIED - 1} on {host}: {taken}")
