"""The chat page as a program: put together, and started from the command line. `events.py` says what happens
on it.

    python -m apps.chat --model demo        # or the folder of a checkpoint

Everything the page loads comes from this machine, and a content security policy keeps the browser to that.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import gradio as gr

import workbench as wb
from apps import examples, guarding
from apps.events import Page
from apps.formats import NAMES, STORED, Formats, names_of
from apps.handlers import Desk
from apps.keeping import SECONDS_A_PICTURE_IS_KEPT
from apps.launch import PORTS_TRIED, credentials, end_on_signals, free_port, launch, private_folder
from apps.settings import suggested_system_prompt
from apps.sites import sites_of
from model.quantize import RECIPES
from workbench.guards import Policy
from workbench.sentences import does_not_fit, out_of_memory

__all__ = ["PORTS_TRIED", "build", "free_port", "launch", "main"]


def build(
    model: wb.Session | Formats,
    longest_answer: int = 256,
    suggestion: str = "",
    guard: Policy | None = None,
) -> gr.Blocks:
    """The page for one model, with the `desk` that serves its visitors; `launch` shows it.

    Args:
        model: in one weight format, or in several to switch between.
        longest_answer: in tokens, as the settings have it at first. suggestion: a system prompt that is
            offered at a click (see `apps.settings.suggested_system_prompt`).
        guard: judges questions and answers; None: nobody does.
    """
    # Gradio would look for a newer version of itself, and report its use
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    folder = private_folder()
    # by default all Gradio programs share one folder, and whichever ends first deletes the others' pictures
    os.environ.setdefault("GRADIO_TEMP_DIR", str(folder / "uploads"))
    with gr.Blocks(
        title="moe-workbench",
        fill_width=True,
        analytics_enabled=False,
        delete_cache=(3600, SECONDS_A_PICTURE_IS_KEPT),
    ) as demo:
        desk = Desk(model, folder=folder / "restored", guard=guard)
        page = Page(desk, examples.draw(folder), longest_answer, suggestion, folder)
        page.connect(demo)
    demo.desk = desk
    return demo.queue(max_size=64)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m apps.chat", description="Chat about pictures and look inside."
    )
    add = made.add_argument
    add("--model", default="demo", help="folder of a checkpoint, or demo")
    held = made.add_mutually_exclusive_group()
    held.add_argument("--quantize", choices=RECIPES, help="hold the experts of a plain checkpoint in less")
    held.add_argument(
        "--formats",
        type=names_of,
        metavar="LIST",
        help=f"weight formats to switch between, of {','.join(NAMES)} ({STORED}: as it is stored); each is "
        "loaded when it is first chosen, the first one at once. All for the demo model",
    )
    add("--host", default="127.0.0.1", help="0.0.0.0 opens it to the network")
    add("--port", type=int, default=7860, help="the next free one is taken if it is in use")
    add("--auth", type=Path, help="file with a line name:password for each who may come in")
    add(
        "--share",
        action="store_true",
        help="show the page to the internet, too, through a tunnel of Gradio's servers; needs --auth. Off by "
        "default: nothing leaves this machine",
    )
    add(
        "--root-path",
        metavar="PATH|ADDRESS",
        help="where a proxy shows the page, such as /chat; the whole address, such as "
        "https://example.org/chat, if the proxy passes on neither Host nor X-Forwarded-Host",
    )
    add(
        "--framed-by",
        type=sites_of,
        default=(),
        metavar="SITES",
        help="web sites that may show the page in a frame, such as https://example.org, with commas between; "
        "none by default, because a site could lay its own buttons over the page",
    )
    guarding.add_arguments(made)
    return made


def formats_of(options: argparse.Namespace) -> tuple[str, ...]:
    """The weight formats that a command line asks for."""
    if options.formats or options.quantize:
        return options.formats or (options.quantize,)
    return NAMES if options.model == "demo" else (STORED,)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line (by default the program's), load the model, show the page until Ctrl-C.

    Raises:
        SystemExit: it was not understood, or the page could not start, or a signal ended it.
    """
    asked = parser()
    options = asked.parse_args(arguments)
    if not 1 <= options.port <= 65535:
        asked.error(f"--port is {options.port}; expected 1 to 65535")
    if options.share and options.auth is None:
        asked.error("--share opens the page to the internet; say with --auth FILE who may come in")
    try:
        _show(options)
    except KeyboardInterrupt:  # before the page was there; then Gradio ends it
        raise SystemExit(130) from None


def _show(options: argparse.Namespace) -> None:
    try:
        auth = credentials(options.auth) if options.auth else None
        guard = guarding.policy_of(options)
        port = free_port(options.host, options.port)
        formats = _loaded(options)
    except (OSError, ValueError) as error:
        raise SystemExit(f"The chat page could not start: {error}") from None
    if port != options.port:
        print(f"Port {options.port} is in use, so this page takes {port}; --port or PORT= chooses another.")
    if options.host not in ("127.0.0.1", "localhost", "::1") and auth is None:
        print(f"Listening on {options.host}: everybody who reaches this address can use the model.")
    end_on_signals()
    demo = build(formats, suggestion=suggested_system_prompt(Path(options.model)), guard=guard)
    shown = {name: getattr(options, name) for name in ("root_path", "framed_by", "share")}
    url = launch(demo, options.host, port, auth=auth, inbrowser=not os.environ.get("CI"), **shown)
    print(f"{formats.first!r}\nThe chat page is at {url} (Ctrl-C ends it)", flush=True)
    demo.block_thread()


def _loaded(options: argparse.Namespace) -> Formats:
    """The model.

    Raises:
        ValueError: it is not usable, or does not fit. OSError: a file is missing.
    """
    try:
        return Formats.of_model(options.model, formats_of(options))
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise ValueError(does_not_fit(options.model)) from None


if __name__ == "__main__":
    main()
