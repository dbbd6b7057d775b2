"""The command line of `workbench serve`, apart from what it starts, so that its help is there at once."""

from __future__ import annotations

import argparse
import os
from dataclasses import fields

from apps import guarding
from apps.serving.settings import Settings

LIMITS = {
    "max_body": "bytes of a request",
    "max_images": "pictures of a request",
    "max_pixels": "pixels of one picture; in a traced request, of all together",
    "max_prompt": "tokens of a prompt (as many as the model takes)",
    "max_answer": "tokens of an answer (as many as the model takes)",
    "max_batch": "answers given at a time",
    "max_waiting": "requests that may wait",
    "max_traces": "traces that are kept",
}
SECONDS = {
    "body_seconds": "within which a request's body must have come",
    "trace_seconds": "that a trace can be fetched",
}


def port(text: str) -> int:
    """A number of a port, as argparse reads it."""
    if not 0 <= (number := int(text)) < 2**16:
        raise argparse.ArgumentTypeError(f"{text} is no port; expected 0 to 65535")
    return number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `settings_of` and `apps.server.serve` read."""
    default = {field.name: field.default for field in fields(Settings)}
    add = parser.add_argument
    add("--model", default="demo", help="folder of a checkpoint, or demo (%(default)s)")
    add("--served-name", metavar="NAME", help="what clients call it; by default the folder's name")
    add("--device", help="cuda, cpu ...; by default the first card if there is one")
    add("--quantize", choices=("fp8", "int4"), help="hold the experts of a plain checkpoint in less")
    add("--host", default="127.0.0.1", help="0.0.0.0 opens it to the network (%(default)s)")
    add("--port", type=port, default=8000, help="0 takes any free one (%(default)s)")
    add(
        "--api-key",
        action="append",
        default=[],
        metavar="KEY",
        help="clients must send one of these; MOE_WORKBENCH_API_KEY in the environment is one, too",
    )
    add("--allow-image-urls", action="store_true", help="fetch pictures from public http(s) addresses")
    for name, meaning in LIMITS.items():
        said = meaning if default[name] is None else f"{meaning} (%(default)s)"
        add(f"--{name.replace('_', '-')}", type=int, default=default[name], metavar="N", help=said)
    add(
        "--stream-interval",
        type=float,
        default=default["stream_interval"],
        metavar="S",
        help="send tokens together that come within so many seconds; 0 sends each at once (%(default)s)",
    )
    for name, meaning in SECONDS.items():
        said = f"{meaning} (%(default)s)"
        add(f"--{name.replace('_', '-')}", type=float, default=default[name], metavar="S", help=said)
    add(
        "--grace", type=int, default=30, metavar="S", help="that answers have left when it ends (%(default)s)"
    )
    guarding.add_arguments(parser)


def settings_of(options: argparse.Namespace) -> Settings:
    """What the command line allows.

    Raises:
        ValueError: a limit or a guard that cannot be.
    """
    from_environment = os.environ.get("MOE_WORKBENCH_API_KEY")
    return Settings(
        name=options.served_name,
        api_keys=(*options.api_key, *([from_environment] if from_environment else [])),
        image_urls=options.allow_image_urls,
        stream_interval=options.stream_interval,
        guard=guarding.policy_of(options),
        **{name: getattr(options, name) for name in (*LIMITS, *SECONDS)},
    )
