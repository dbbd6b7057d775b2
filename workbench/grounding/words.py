"""Words: from what a person types, or a token's number, to the tokens of one word in a conversation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.grounding.patches import GroundingError

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True)
class Word:
    """A word in a conversation: tokens `start` to `stop` (exclusive). Row `start - 1` predicts its first."""

    text: str
    start: int
    stop: int


def find_word(tokens: Sequence[str], answer: int, word: int | str | None) -> Word:
    """The tokens of a word.

    Args:
        tokens: display text of every token of the conversation.
        answer: where the answer begins.
        word: a token's number, or a text: where it stands first as a word of its own in the answer, else
            anywhere in it, else in the prompt; None for the answer's first token.

    Raises:
        GroundingError: there is no such token or text, or nothing comes before it.
    """
    if word is None and answer >= len(tokens):
        raise GroundingError("there is no answer yet; name a word of the prompt, or let the model answer")
    if word is None or not isinstance(word, str):
        number = answer if word is None else int(word)
        if not 0 < number < len(tokens):
            raise GroundingError(
                f"token {number} is predicted by no row; expected 1 to {len(tokens) - 1}, or a word's text"
            )
        return Word(tokens[number], number, number + 1)
    for first, last in ((answer, len(tokens)), (1, answer)):
        if found := _found(tokens[first:last], word):
            return Word(word, first + found[0], first + found[1])
    said = "".join(tokens[answer:])
    raise GroundingError(f"{word!r} is not in the conversation; the answer is {said!r}")


def _found(tokens: Sequence[str], word: str) -> tuple[int, int] | None:
    # by bytes: a token may hold a part of a character
    parts = [_bytes(token) for token in tokens]
    text, sought = b"".join(parts), re.escape(word.encode())
    alone = re.search(rb"(?<![A-Za-z0-9])" + sought + rb"(?![A-Za-z0-9])", text)
    hit = alone or re.search(sought, text)
    if hit is None or not word:
        return None
    ends, total = [], 0
    for part in parts:
        total += len(part)
        ends.append(total)
    first = next(number for number, end in enumerate(ends) if end > hit.start())
    last = next(number for number, end in enumerate(ends) if end >= hit.end())
    return first, last + 1


def _bytes(token: str) -> bytes:
    pieces = _BYTE.split(token)  # text, byte, text, byte, ..., text
    return b"".join(
        bytes.fromhex(piece) if number % 2 else piece.encode() for number, piece in enumerate(pieces)
    )
