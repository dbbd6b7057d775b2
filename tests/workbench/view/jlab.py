"""A real JupyterLab on this machine, with every setting in a folder of its own, and a page that shows it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from jupyter_client import BlockingKernelClient
from playwright.sync_api import Page

ROOT = Path(__file__).parents[3]
PATIENCE = (
    300  # seconds until something that does not happen is given up; the machine may have other things to do
)
NEWS = "@jupyterlab/apputils-extension:announcements"
# the notebook of that name is the one in front, and its kernel listens; the page may still be loading
CONNECTED = """(name) => {
  const front = window.jupyterapp?.shell.currentWidget;
  return front?.context?.path === name
    && front.sessionContext?.session?.kernel?.connectionStatus === "connected";
}"""
# what a command gives back is JupyterLab's own, and no value to hand to Python
DO = "async ([command, given]) => { await jupyterapp.commands.execute(command, given); }"
CLOSE = """() => {
  const front = jupyterapp.shell.currentWidget;
  front.context.model.dirty = false; // or it asks whether to save
  front.close();
}"""


def notebook(path: Path, *cells: str) -> Path:
    """A notebook with these code cells and the kernel of this Python."""
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    document.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(document, path)
    return path


class Desk:
    """JupyterLab in a page: one notebook at a time, all of them on the kernel that the first one started.

    The first notebook waits for JupyterLab to load and its kernel to import what it needs; no other does.
    """

    def __init__(self, page: Page, address: str, folder: Path) -> None:
        self.page, self.folder = page, folder
        self._address = address
        self._kernel: str | None = None
        self._client: BlockingKernelClient | None = None
        page.set_default_timeout(1000 * PATIENCE)

    def open(self, path: Path) -> None:
        """Put a notebook of the folder in front, and wait for its kernel."""
        if self._kernel is None:
            self.page.goto(f"{self._address}/doc/tree/{path.name}?reset")
        else:
            self._do("docmanager:open", path=path.name, factory="Notebook", kernel={"id": self._kernel})
        self.page.wait_for_function(CONNECTED, arg=path.name)
        self._kernel = self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.id")

    def run(self, path: Path) -> None:
        """The same, and run all its cells to their end."""
        self.open(path)
        self._do("notebook:run-all-cells")

    def save(self) -> None:
        """Write the notebook in front to its file."""
        self._do("docmanager:save")
        self.page.wait_for_function("!jupyterapp.shell.currentWidget.context.model.dirty")

    def ask(self, expression: str) -> object:
        """The value of an expression in the kernel, asked directly and not through the page."""
        asked = {"value": f"__import__('json').dumps({expression})"}
        reply = self._listening().execute_interactive(
            "", user_expressions=asked, timeout=PATIENCE, output_hook=lambda _: None
        )
        return json.loads(reply["content"]["user_expressions"]["value"]["data"]["text/plain"].strip("'"))

    def clear(self) -> None:
        """Put the notebook in front away, with its widgets."""
        self.page.evaluate(CLOSE)
        self.ask("__import__('ipywidgets').Widget.close_all()")

    def leave(self) -> None:
        """Let go of the kernel; who runs the server stops it."""
        if self._client is not None:
            self._client.stop_channels()

    def _do(self, command: str, **given: object) -> None:
        self.page.evaluate(DO, [command, given])

    def _listening(self) -> BlockingKernelClient:
        if self._client is None:
            file = self.folder / "runtime" / f"kernel-{self._kernel}.json"
            self._client = BlockingKernelClient(connection_file=str(file))
            self._client.load_connection_file()
            self._client.start_channels()
            self._client.wait_for_ready(timeout=PATIENCE)
        return self._client


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The address of a server over `folder`."""
    config = folder / "config"
    (config / "labconfig").mkdir(parents=True)
    (config / "labconfig" / "page_config.json").write_text(json.dumps({"disabledExtensions": {NEWS: True}}))
    places = {
        "JUPYTER_CONFIG_DIR": config,
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
        "IPYTHONDIR": folder / "ipython",
    }
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {name: str(path) for name, path in places.items()}
    environment |= {"JUPYTER_PREFER_ENV_PATH": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *(f"--port={port}", "--ip=127.0.0.1"),
        *("--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.password="),
        *("--ServerApp.disable_check_xsrf=True", "--LabApp.expose_app_in_browser=True"),
        f"--ServerApp.root_dir={folder}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    log = (folder / "server.log").open("w")
    server = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, server, folder / "server.log")
        yield address
        stop_kernels(address)
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE)
        log.close()


def wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert server.poll() is None, f"JupyterLab did not start:\n{log.read_text()[-2000:]}"
        try:
            with urllib.request.urlopen(f"{address}/api/status", timeout=PATIENCE):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"JupyterLab did not answer within {PATIENCE} s:\n{log.read_text()[-2000:]}")


def stop_kernels(address: str) -> None:
    with urllib.request.urlopen(f"{address}/api/kernels", timeout=PATIENCE) as answer:
        kernels = json.load(answer)
    for kernel in kernels:
        request = urllib.request.Request(f"{address}/api/kernels/{kernel['id']}", method="DELETE")
        with urllib.request.urlopen(request, timeout=PATIENCE):
            pass
