"""What a person can set: how an answer is drawn, and the system prompt that a model card suggests."""

from __future__ import annotations

import re
from pathlib import Path

from apps.conversation import LONGEST_TEXT, Refusal
from model import SamplingParams
from workbench.sentences import sentence

LONGEST_ANSWER = 2048  # tokens
HOTTEST = 2.0


def sampling(temperature: float, top_p: float, max_tokens: float, seed: str | None) -> SamplingParams:
    """Settings as a form gives them.

    Raises:
        Refusal: one is out of its range; says which and what is expected.
    """
    try:
        whole = int(seed) if (seed or "").strip() else None
        settings = SamplingParams(
            temperature=float(temperature), top_p=float(top_p), max_tokens=int(max_tokens), seed=whole
        )
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise Refusal(f"A setting does not fit: {sentence(error)}") from error
    for name, value, most in (
        ("The temperature", settings.temperature, HOTTEST),
        ("The longest answer", settings.max_tokens, LONGEST_ANSWER),
    ):
        if value > most:
            raise Refusal(f"A setting does not fit: {name} is {value:,}; expected at most {most:,}.")
    return settings


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
