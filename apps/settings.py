"""What a person can set: how an answer is drawn, and the system prompt that a model card suggests."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from apps.conversation import LONGEST_TEXT, Refusal
from model import SamplingParams

LONGEST_ANSWER = 2048  # tokens
HOTTEST = 2
SMALLEST_TOP_P = 0.05  # the sliders' ends, too
LARGEST_SEED = 10**18 - 1  # what can be written in 18 digits


def sampling(temperature: float, top_p: float, max_tokens: float, seed: str | None) -> SamplingParams:
    """Settings as a form gives them.

    Raises:
        Refusal: one is out of its range; says which and what is expected.
    """
    drawn = "" if seed is None else str(seed).strip()
    return SamplingParams(
        temperature=_setting("temperature", temperature, float, 0, HOTTEST),
        top_p=_setting("top-p", top_p, float, SMALLEST_TOP_P, 1),
        max_tokens=_setting("longest answer", max_tokens, int, 1, LONGEST_ANSWER),
        seed=_setting("seed", drawn, int, 0, LARGEST_SEED) if drawn else None,
    )


def _setting(name: str, given: object, kind: type[float] | type[int], least: float, most: float) -> float:
    with suppress(TypeError, ValueError, OverflowError):
        value = kind(given)
        if least <= value <= most:
            return value
    is_what = "empty" if given is None else f"{str(given)[:20]!r}"
    number = "whole number" if kind is int else "number"
    raise Refusal(
        f"A setting does not fit: the {name} is {is_what}; expected a {number} from {least:,} to {most:,}."
    )


def suggested_system_prompt(folder: Path) -> str:
    """The system prompt that the model card beside the weights (README.md) suggests; empty if it has none.

    A card names it in a heading or a line with the words "system prompt" and gives it as a quotation or as
    code that begins with "You are"; it goes on as long as the quotation does.
    """
    try:
        lines = (folder / "README.md").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    named = False
    for at, line in enumerate(lines):
        named = named or "system prompt" in line.lower()
        bare = line.lstrip("> `*").strip()
        if named and bare.startswith("You are") and (line != bare or _fenced(lines[:at])):
            return _quotation(lines[at:], quoted=line.startswith(">"))[:LONGEST_TEXT]
    return ""


def _fenced(before: list[str]) -> bool:
    return sum(line.lstrip().startswith("```") for line in before) % 2 == 1


def _quotation(lines: list[str], quoted: bool) -> str:
    said: list[str] = []
    for line in lines:
        ended = not line.startswith(">") if quoted else re.match(r"\s*(```|#|\||<|---)", line)
        if ended:
            break
        said.append(line.removeprefix(">").strip().strip("`"))
        if not quoted and line.rstrip().endswith("`"):
            break
    return "\n".join(said).strip()
