"""Keys as a header carries them."""

from __future__ import annotations


def fits_header(key: str) -> bool:
    """Whether a header can carry it."""
    return bool(key) and key.isascii() and key.isprintable()


def header_key(given: str, what: str) -> str:
    """A key without white space around it: one from a file often has a line end.

    Args:
        given: the key, which no error repeats. what: what it is, for the error.

    Raises:
        ValueError: it is empty, or has characters that no header can carry.
    """
    key = given.strip()
    if not fits_header(key):
        raise ValueError(
            f"{what} is empty or has characters that no header can carry; expected printable ASCII"
        )
    return key
