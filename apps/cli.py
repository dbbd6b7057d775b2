"""The `workbench` command.

workbench plan maverick                       # what it needs, and what it fits on
workbench plan path/to/config.json --json --context 131072 --device 8xH100
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from workbench import devices
from workbench import plan as planning


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="workbench", description="Look inside a Llama 4.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_plan(commands)
    options = parser.parse_args(arguments)
    options.run(options)


def _add_plan(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "plan",
        help="what a model needs and what it fits on, before anything is downloaded",
        description="Count parameters, bytes and cache of a model, in BF16, FP8 and int4 or as it is stored, "
        "and say which devices hold it. A config.json is enough.",
    )
    command.add_argument("model", help="maverick, scout, demo, a config.json or the folder that holds one")
    command.add_argument(
        "--context", type=int, help=f"tokens kept of a sequence ({planning.DEFAULT_CONTEXT})"
    )
    command.add_argument("--sequences", type=int, default=1, help="answered at a time (%(default)s)")
    command.add_argument(
        "--device",
        action="append",
        metavar="DEVICE",
        help="H100, 8xH100, 2x48GiB ...; give it several times for several (by default a selection)",
    )
    command.add_argument("--json", action="store_true", help="print JSON, in bytes")
    command.set_defaults(run=_plan, fail=command.error)


def _plan(options: argparse.Namespace) -> None:
    try:
        found = planning.plan(
            options.model, options.context, options.sequences, options.device or devices.DEFAULT
        )
    except ValueError as error:
        options.fail(str(error))
    print(json.dumps(found.to_dict(), indent=2) if options.json else planning.table(found))


if __name__ == "__main__":
    main()
