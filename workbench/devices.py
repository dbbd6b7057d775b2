"""Cards by name, and what of their memory a model may take."""

from __future__ import annotations

import re
from dataclasses import dataclass

GIB = 2**30
# of each card, for its driver, activations, and what gets lost between blocks
RESERVE = 2 * GIB
# what their drivers report, in MiB
CARDS = {
    "RTX 4090": 24564,
    "RTX 5090": 32607,
    "L40S": 46068,
    "A100": 81920,
    "H100": 81559,
    "H200": 143771,
    "B200": 183359,
}
DEFAULT = ("RTX 4090", "H100", "H200", "4xH100", "8xH100", "8xH200")


@dataclass(frozen=True)
class Device:
    """A number of equal cards; `memory` is of one, in bytes."""

    name: str
    count: int
    memory: int

    @classmethod
    def parse(cls, text: str) -> Device:
        """Read "H100", "8xH100", "2x48GiB" or "24GB".

        Raises:
            ValueError: it is none of these.
        """
        many, card = re.fullmatch(r"(?:(\d+)\s*x\s*)?(.*)", text.strip(), re.IGNORECASE).groups()
        count = 1 if many is None else int(many)
        amount = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(gib|gb)", card, re.IGNORECASE)
        if amount:
            unit, size = ("GiB", GIB) if amount[2].lower() == "gib" else ("GB", 10**9)
            name, memory = f"{amount[1]} {unit}", int(float(amount[1]) * size)
        else:
            known = {_plain(name): name for name in CARDS}
            name = known.get(_plain(card), "")
            memory = CARDS.get(name, 0) * 2**20
        if not count or not memory:
            raise ValueError(
                f"{text!r} is no device; expected one of {', '.join(CARDS)}, or an amount of memory such as "
                "24GB or 48GiB, each alone or many as in 8xH100"
            )
        return cls(name, count, memory)

    @property
    def usable(self) -> int:
        """Bytes for weights and keys and values."""
        return self.count * max(0, self.memory - RESERVE)

    def __str__(self) -> str:
        return f"{self.count}x {self.name}"


def _plain(name: str) -> str:
    return re.sub(r"[\s-]", "", name).lower()
