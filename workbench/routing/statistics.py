"""Everything about routing that needs no further question, at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.routing.findings import Finding
from workbench.routing.loads import Load, load
from workbench.routing.order import Transitions, repetition, transitions
from workbench.routing.preference import Preference, preference
from workbench.routing.tokens import Routed, gather, told_edited
from workbench.trace import Trace

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False, repr=False)
class Statistics:
    """The answers of `load`, `preference`, `repetition` and `transitions`; None where they cannot be given.

    Attributes:
        tokens: that were counted. left_out: tokens whose routing was not captured. edited_layers: left out,
            since expert weights were edited there.
    """

    tokens: int
    left_out: int
    edited_layers: tuple[int, ...]
    load: Load
    preference: Preference | None
    repetition: Finding | None
    transitions: Transitions | None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every number with its chance level."""
        several = [one.findings for one in (self.load, self.preference, self.transitions) if one is not None]
        single = () if self.repetition is None else (self.repetition,)
        return tuple(finding for some in several for finding in some) + single

    def __repr__(self) -> str:
        rows = [
            f"{self.tokens:,} tokens, {self.left_out} without routing{told_edited(self.edited_layers)}; "
            "rows above chance and random routers:"
        ]
        rows += [f"  {one.question}: {int(one.significant.sum())} of {len(one)}" for one in self.findings]
        return "\n".join(rows)

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each number and layer."""
        tables = [one.to_pandas() for one in self.findings]  # says how to get pandas where it is missing
        import pandas

        return pandas.concat(tables, ignore_index=True)


def statistics(traces: Trace | Sequence[Trace] | Routed) -> Statistics:
    """Load, preference, repetition and transitions of every layer, each beside its chance level.

    What it means: see `load`, `preference`, `repetition` and `transitions`. When it misleads: it is many
    numbers at once, and at 5 % one in twenty looks significant by accident; look for what holds in several
    layers and on other text. Source: as there.
    """
    routed = gather(traces)
    pairs = (routed.unit[1:] == routed.unit[:-1]) & (routed.token[1:] == routed.token[:-1] + 1)
    return Statistics(
        tokens=len(routed),
        left_out=routed.left_out,
        edited_layers=routed.edited_layers,
        load=load(routed),
        preference=None if routed.margin is None else preference(routed),
        repetition=repetition(routed) if pairs.any() else None,
        transitions=transitions(routed) if len(routed.layers) > 1 else None,
    )
