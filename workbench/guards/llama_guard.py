"""How Llama Guard 3 and 4 are asked, and what their verdicts look like.

The prompt format is the one on Meta's pages on prompt formats (llama.com/docs/model-cards-and-prompt-formats,
llama-guard-3 and llama-guard-4), the verdict that of the model cards: "safe", or "unsafe" with a second line
of hazards such as "S1,S10". The two models differ in the special tokens alone. The token that begins a text
is left out of the prompt: servers of /v1/completions put it there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from workbench.guards.guard import GuardError, Verdict
from workbench.guards.hazards import HAZARDS, hazard
from workbench.guards.plain_text import readable
from workbench.guards.said import Said

# what opens and closes a turn's header, and what ends the turn
TOKENS = {
    "llama-guard-3": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "llama-guard-4": ("<|header_start|>", "<|header_end|>", "<|eot|>"),
}
# three hazards have a shorter name in the prompt than on the cards
IN_PROMPT = HAZARDS | {"S3": "Sex Crimes", "S4": "Child Exploitation", "S11": "Self-Harm"}

TASK = """\
Task: Check if there is unsafe content in '{side}' messages in conversations according to our safety policy \
with the below categories.

<BEGIN UNSAFE CONTENT CATEGORIES>
{hazards}
<END UNSAFE CONTENT CATEGORIES>

<BEGIN CONVERSATION>

{conversation}

<END CONVERSATION>

Provide your safety assessment for ONLY THE LAST {side} message in the above conversation:
- First line must read 'safe' or 'unsafe'.
- If unsafe, a second line must include a comma-separated list of violated categories."""

# what would end the conversation, or begin another turn of it, from within
SPECIAL = re.compile(r"<\|([^|<>]{1,40})\|>")
SECTION = re.compile(r"<\s*((?:BEGIN|END)\s+(?:UNSAFE\s+CONTENT\s+CATEGORIES|CONVERSATION))\s*>", re.I)
# within a line: across line ends it would be tried as often as the square of their number
SPEAKER = re.compile(r"^([^\w\n]*)(User|Agent|Assistant|System)(\s*):", re.I | re.M)
UNSAFE = re.compile(r"\s*unsafe\b", re.I)
ONE_WORD = re.compile(r"\s*(\w+)(?:<\|(?:eot|eot_id|eom|eom_id|end_of_text)\|>|\s)*")


def prompt(turns: Sequence[Said], form: str) -> str:
    """The prompt for /v1/completions that asks about the last turn; no picture can stand in it.

    Args:
        turns: the conversation. form: "llama-guard-3" or "llama-guard-4".
    """
    opens, closes, ends = TOKENS[form]
    sides = [("Agent" if turn.by_model else "User", harmless(turn.text)) for turn in turns]
    task = TASK.format(
        side=sides[-1][0],
        hazards="\n".join(f"{code}: {name}." for code, name in IN_PROMPT.items()),
        conversation="\n\n".join(f"{side}: {text}" for side, text in sides),
    )
    return f"{opens}user{closes}\n\n{task}{ends}{opens}assistant{closes}\n\n"


def harmless(text: str) -> str:
    """Words to be judged, so that they stay words: nothing in them can pass for the format around them."""
    lines = "\n".join(readable(text).splitlines())
    shown = SPECIAL.sub(r"< \1 >", lines)
    return SPEAKER.sub(r"\1\2\3 -", SECTION.sub(r"(\1)", shown))


def verdict(text: str) -> Verdict:
    """What the model said. It is safe only if it says nothing else than that.

    Raises:
        GuardError: it is no verdict.
    """
    word = ONE_WORD.fullmatch(text)
    if word and word[1].lower() == "safe":
        return Verdict(False)
    if not UNSAFE.match(text):
        raise GuardError(f"the guard's answer is no verdict: {text.strip()[:60]!r}")
    codes = dict.fromkeys(re.findall(r"\bS\d{1,2}\b", text.upper()))
    return Verdict(True, tuple(hazard(code) for code in codes))
