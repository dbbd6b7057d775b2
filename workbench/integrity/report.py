"""What a check of a trace found."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.trace import TraceError


class IntegrityError(TraceError):
    """A trace that cannot be what happened."""


@dataclass(frozen=True)
class Flaw:
    """One thing that cannot be so.

    Attributes:
        array: the array of the trace that is wrong. what: what is wrong with it, and where.
        certain: False where a true trace could look so, though hardly ever does.
    """

    array: str
    what: str
    certain: bool = True

    def __str__(self) -> str:
        return f"{self.array}: {'' if self.certain else '(suspect) '}{self.what}"


@dataclass(frozen=True)
class Integrity:
    """What a check found; true where it found nothing wrong.

    Attributes:
        flaws: what is wrong.
        verified: arrays that follow from another array or from the model, and do so.
        unverified: arrays that could only be looked at for themselves, and why.
    """

    flaws: tuple[Flaw, ...]
    verified: tuple[str, ...]
    unverified: dict[str, str]

    def __bool__(self) -> bool:
        return not self.flaws

    def __str__(self) -> str:
        lines = [f"{len(self.flaws)} flaws" if self.flaws else "nothing wrong"]
        lines += [f"  {flaw}" for flaw in self.flaws]
        lines += [f"  verified: {', '.join(self.verified) or 'nothing'}"]
        lines += [f"  not verified: {name} ({why})" for name, why in self.unverified.items()]
        return "\n".join(lines)

    def raise_if_broken(self) -> None:
        """Nothing, for a sound trace.

        Raises:
            IntegrityError: there are flaws; names them.
        """
        if self.flaws:
            raise IntegrityError("; ".join(map(str, self.flaws)))

    def to_json(self) -> dict:
        """The same in plain words and lists, for a trace's `meta`."""
        return {
            "flaws": [str(flaw) for flaw in self.flaws],
            "verified": list(self.verified),
            "unverified": dict(self.unverified),
        }
