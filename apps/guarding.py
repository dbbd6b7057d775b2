"""The command line of the guard, the same for every program that has one."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.keys import header_key

if TYPE_CHECKING:
    from workbench.guards import Policy

KEY = "MOE_WORKBENCH_GUARD_KEY"
LLAMA_GUARD = "meta-llama/Llama-Guard-4-12B"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `policy_of` reads."""
    group = parser.add_argument_group(
        "guard",
        "What is asked and what is answered is judged before it goes on. A key for a guard on the network is "
        f"read from {KEY} in the environment.",
    )
    add = group.add_argument
    add(
        "--guard",
        metavar="RULES|URL",
        help="rules: the built-in ones; a .toml file: your own; http(s)://HOST/v1: a guard model",
    )
    add(
        "--guard-mode",
        choices=("off", "flag", "block"),
        default="block",
        help="flag lets everything pass and says what was found (%(default)s)",
    )
    add(
        "--guard-fails",
        choices=("closed", "open"),
        help="what becomes of what a guard model could not judge: closed stops it, open lets it pass and "
        "says so; must be chosen for a URL",
    )
    add("--guard-model", default=LLAMA_GUARD, metavar="NAME", help="at the URL (%(default)s)")
    add(
        "--guard-form",
        choices=("chat", "llama-guard-3", "llama-guard-4"),
        default="chat",
        help="chat asks /chat/completions, pictures included; the others ask /completions in the format that "
        "was published for that model, without pictures (%(default)s)",
    )
    add("--guard-seconds", type=float, default=10.0, metavar="S", help="of a verdict at most (%(default)s)")
    add(
        "--guard-window",
        type=int,
        default=120,
        metavar="N",
        help="characters of an answer that are judged at a time while it is written (%(default)s)",
    )


def policy_of(options: argparse.Namespace) -> Policy | None:
    """The guard that a command line asks for; None if it asks for none.

    Raises:
        ValueError: the guard cannot be, or a choice was not made.
    """
    if options.guard is None or options.guard_mode == "off":
        return None
    from workbench.guards import Policy, RemoteGuard, Rules  # not for a program's --help

    if options.guard == "rules":
        guard = Rules.built_in()
    elif options.guard.startswith(("http://", "https://")):
        key, form = os.environ.get(KEY), options.guard_form
        key = header_key(key, KEY) if key else None
        guard = RemoteGuard(options.guard, options.guard_model, form, key, options.guard_seconds)
    elif options.guard.endswith(".toml"):
        guard = Rules.from_file(Path(options.guard))
    else:
        raise ValueError(
            f"--guard is {options.guard!r}; expected rules, a .toml file of rules, or http(s)://HOST/v1"
        )
    if guard.can_fail and options.guard_fails is None:
        raise ValueError(
            "--guard-fails is not given, and a guard on the network may be away: choose closed (what was not "
            "judged is stopped) or open (it passes, and is marked)"
        )
    return Policy(guard, options.guard_mode, options.guard_fails or "closed", options.guard_window)
