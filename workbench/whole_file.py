"""Files that appear whole or not at all: written beside their place, and put there once they are whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Where to write while the block runs; it takes the place of `path` then, and is gone on an error."""
    beside = path.parent / f"{path.name}.unfinished"  # `with_name` has its own words for "."
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
