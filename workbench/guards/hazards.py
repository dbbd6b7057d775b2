"""The hazards that Llama Guard 3 and 4 know, S1 to S14.

Names from the model cards (github.com/meta-llama/PurpleLlama, Llama-Guard3/8B and Llama-Guard4/12B), which
follow the hazard taxonomy of MLCommons; S14 is Meta's own, and judges text only.
"""

from __future__ import annotations

from workbench.guards.guard import Category

HAZARDS = {
    "S1": "Violent Crimes",
    "S2": "Non-Violent Crimes",
    "S3": "Sex-Related Crimes",
    "S4": "Child Sexual Exploitation",
    "S5": "Defamation",
    "S6": "Specialized Advice",
    "S7": "Privacy",
    "S8": "Intellectual Property",
    "S9": "Indiscriminate Weapons",
    "S10": "Hate",
    "S11": "Suicide & Self-Harm",
    "S12": "Sexual Content",
    "S13": "Elections",
    "S14": "Code Interpreter Abuse",
}


def hazard(code: str) -> Category:
    """The category of a code; a code that no card has stays, without a name of its own."""
    return Category(code, HAZARDS.get(code, "a hazard without a published name"))
