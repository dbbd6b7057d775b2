"""Which version of a package is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

OURS = "moe-workbench"


def installed(package: str) -> str | None:
    """Its version; None where it is not installed, as this one is not where its source is run in place."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
