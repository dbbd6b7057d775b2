"""The `workbench` command.

workbench chat --model demo                   # the chat page in the browser
workbench lab                                 # JupyterLab on the notebooks
workbench serve --model demo                  # the OpenAI-compatible server
workbench plan maverick                       # what a model needs, and what it fits on
workbench plan path/to/config.json --json --context 131072 --device 8xH100
workbench trace view circle.safetensors       # a saved trace as a page
workbench engine-command maverick --gpus 8    # how to serve it on vLLM or SGLang, routed experts on
workbench doctor                              # versions, devices, kernels
workbench completion bash                     # what a shell reads to complete all this

It ends with 0; with 1 where something was found wrong or could not start; with 2 where it was not understood;
with 130 where Ctrl-C ended it. `lab` ends as the program that it becomes. Each command imports what it needs
only when it is given.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import shtab

from apps.server_options import add_arguments, port
from workbench import devices

Commands = argparse._SubParsersAction

EPILOG = """workbench COMMAND --help says more.

exit codes:
  0    it is done
  1    something was found wrong, or could not start
  2    the command was not understood
  130  Ctrl-C ended it"""

HOW_TO_COMPLETE = """Once, for good:

  bash  echo 'source <(workbench completion bash)' >> ~/.bashrc
  zsh   workbench completion zsh > "${fpath[1]}/_workbench"
  fish  workbench completion fish > ~/.config/fish/completions/workbench.fish"""

# no news, no update check, no extension catalogue: nothing leaves the machine
QUIET_LAB = (
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and do what it says."""
    options, rest = parser().parse_known_args(arguments)
    if rest and not options.passes_on:
        options.fail(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        options.run(options)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    whole = argparse.ArgumentParser(
        prog="workbench",
        description="Look inside a Llama 4.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = whole.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (
        _add_chat, _add_lab, _add_serve, _add_plan, _add_trace, _add_engine_command, _add_doctor,
        _add_completion,
    ):  # fmt: skip
        add(commands)
    return whole


def _add(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], None],
    words: str,
    more: str = "",
    **named: bool,
) -> argparse.ArgumentParser:
    """A command; `words` stand in the list of all, and with `more` in its own help."""
    command = commands.add_parser(
        name, help=words, description=f"{words[0].upper()}{words[1:]}. {more}", **named
    )
    command.set_defaults(run=run, fail=command.error, passes_on=False)
    return command


def _add_chat(commands: Commands) -> None:
    command = _add(commands, "chat", _chat, "the chat page in the browser", add_help=False)
    command.set_defaults(passes_on=True)  # the page has a command line of its own


def _chat(options: argparse.Namespace) -> None:
    from apps import chat  # Gradio and the model's own imports

    chat.main(options.rest)


def _become(module: str, *arguments: str) -> NoReturn:
    """Be that program from now on: its signals and its exit code are its own."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


def _add_lab(commands: Commands) -> None:
    more = "Any other option goes to JupyterLab as it is."
    command = _add(commands, "lab", _lab, "JupyterLab on the notebooks", more)
    folder = command.add_argument(
        "folder", nargs="?", type=Path, help="of the notebooks; by default those of the workbench"
    )
    folder.complete = shtab.DIRECTORY
    command.add_argument("--host", default="127.0.0.1", help="0.0.0.0 opens it to the network (%(default)s)")
    command.add_argument(
        "--port", type=int, default=8888, help="the next free one if it is taken (%(default)s)"
    )
    command.set_defaults(passes_on=True)


def _lab(options: argparse.Namespace) -> None:
    ours = Path(__file__).parents[1] / "notebooks"
    folder = options.folder or (ours if ours.is_dir() else Path.cwd())
    if not folder.is_dir():
        options.fail(f"{folder} is no folder; give the one that holds the notebooks")
    address = [f"--ServerApp.ip={options.host}", f"--ServerApp.port={options.port}"]
    as_root = ["--allow-root"] if hasattr(os, "getuid") and os.getuid() == 0 else []
    where = f"--ServerApp.root_dir={folder.resolve()}"
    _become("jupyterlab", where, *address, *QUIET_LAB, *as_root, *options.rest)


def _add_serve(commands: Commands) -> None:
    more = "Chat and completions with pictures, log-probabilities and streams; see /openapi.json there."
    command = _add(commands, "serve", _serve, "an OpenAI-compatible server", more)
    add_arguments(command)


def _serve(options: argparse.Namespace) -> None:
    from apps import server  # FastAPI and the model's own imports

    try:
        server.serve(options)
    except (OSError, ValueError) as error:
        raise SystemExit(f"The server could not start: {error}") from None


def _add_plan(commands: Commands) -> None:
    more = "Counts parameters, bytes and cache, in BF16, FP8, int4 or as stored. A config.json is enough."
    words = "what a model needs and what it fits on, before anything is downloaded"
    command = _add(commands, "plan", _plan, words, more)
    _add_model(command, "maverick, scout, demo, a config.json or the folder that holds one")
    command.add_argument("--context", type=int, help="tokens kept of a sequence (8192, or all it takes)")
    command.add_argument("--sequences", type=int, default=1, help="answered at a time (%(default)s)")
    command.add_argument(
        "--device",
        action="append",
        metavar="DEVICE",
        help="H100, 8xH100, 2x48GiB ...; give it several times for several (by default a selection)",
    )
    command.add_argument("--json", action="store_true", help="print JSON, in bytes")


def _add_model(command: argparse.ArgumentParser, words: str) -> None:
    command.add_argument("model", help=words).complete = shtab.FILE


def _plan(options: argparse.Namespace) -> None:
    from workbench import plan as planning  # torch

    try:
        found = planning.plan(
            options.model, options.context, options.sequences, options.device or devices.DEFAULT
        )
    except ValueError as error:
        options.fail(str(error))
    print(json.dumps(found.to_dict(), indent=2) if options.json else planning.table(found))


def _add_trace(commands: Commands) -> None:
    group = commands.add_parser("trace", help="look at a saved trace", description="Look at a saved trace.")
    parts = group.add_subparsers(title="commands", required=True, metavar="COMMAND")
    more = "The page is one file, opens offline, and can be mailed."
    command = _add(parts, "view", _view, "write a trace as a page, and open it", more)
    file = command.add_argument("file", type=Path, help="what trace.save() or the server gave")
    file.complete = shtab.FILE
    command.add_argument("--output", type=Path, help="the page; by default FILE with .html at its end")
    command.add_argument("--no-open", action="store_true", help="write it and leave the browser alone")


def _view(options: argparse.Namespace) -> None:
    from workbench.trace import Trace, TraceError  # needs no model

    try:
        trace = Trace.open(options.file)
        page = options.output or options.file.with_suffix(".html")
        if page.exists() and page.samefile(options.file):
            options.fail(f"the page would take the place of {options.file}; give another --output")
        trace.to_html(page)
    except (TraceError, OSError) as error:
        options.fail(str(error))
    print(page)
    if not options.no_open and not os.environ.get("CI"):
        webbrowser.open(page.resolve().as_uri())


def _add_engine_command(commands: Commands) -> None:
    more = "Notes stand before it as comments, a warning that it cannot fit goes to standard error."
    words = "print the command that serves a model on vLLM or SGLang, routed experts on"
    command = _add(commands, "engine-command", _engine_command, words, more)
    _add_model(command, "maverick, scout, or the folder of a checkpoint")
    add = command.add_argument
    add("--engine", choices=("vllm", "sglang"), default="vllm", help="(%(default)s)")
    add("--gpus", type=int, default=8, metavar="N", help="cards of one machine (%(default)s)")
    add("--card", default="H100", help="which: H100, H200, 80GiB ... (%(default)s)")
    add("--context", type=int, metavar="N", help="longest sequence in tokens (131072, or all it takes)")
    add("--weights", choices=("fp8", "bf16"), help="of maverick (fp8) and scout (bf16)")
    add("--port", type=port, help="the engine's own by default")
    add("--tools", action="store_true", help="parse the model's calls of tools")
    add("--json", action="store_true", help="print JSON: the command as a list, notes and warnings")


def _engine_command(options: argparse.Namespace) -> None:
    from apps.engine_command import engine_command  # torch, to count with

    wanted = ("model", "engine", "gpus", "card", "context", "weights", "port", "tools")
    try:
        made = engine_command(**{name: getattr(options, name) for name in wanted})
    except ValueError as error:
        options.fail(str(error))
    if options.json:
        values = {"command": made.arguments, "notes": made.notes, "warnings": made.warnings}
        print(json.dumps(values, indent=2))
        return
    print(made)
    for warning in made.warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _add_doctor(commands: Commands) -> None:
    more = "It ends with 1 if something that is needed is missing."
    words = "versions, devices, and which kernels can be used, or why not"
    _add(commands, "doctor", _doctor, words, more).add_argument(
        "--json", action="store_true", help="print JSON"
    )


def _doctor(options: argparse.Namespace) -> None:
    from apps import doctor

    found = doctor.examine()
    print(json.dumps(found, indent=2) if options.json else doctor.report(found))
    if found["problems"]:
        raise SystemExit(1)


def _add_completion(commands: Commands) -> None:
    words = "print what a shell reads to complete these commands with the tab key"
    command = _add(commands, "completion", _completion, words, HOW_TO_COMPLETE)
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument("shell", choices=("bash", "zsh", "fish"))


def _completion(options: argparse.Namespace) -> None:
    print(shtab.complete(parser(), shell=options.shell))


if __name__ == "__main__":
    main()
