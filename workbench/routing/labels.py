"""What tokens are, as numbers to count with: labels that a trace knows, and labels that somebody gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.layout import MODALITIES, ROLES
from workbench.routing.findings import RoutingError
from workbench.routing.tokens import Routed

PHASES = ("prompt", "generated")
POSITIONS = 8  # equal parts of a trace
_COLUMNS = {
    "modality": ("modality", MODALITIES),
    "role": ("role", ROLES),
    "phase": ("phase", PHASES),
    "turn": ("turn", None),
    "image": ("image_index", None),
    "tile": ("tile_index", None),
    "token": ("token_ids", None),
}


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of the tokens that have one.

    Attributes:
        name: the kind. values: [L] as people know them. kept: bool [all tokens]. of_token: [kept tokens] from
            0. of_units: every trace has one label throughout.
    """

    name: str
    values: np.ndarray
    kept: np.ndarray
    of_token: np.ndarray
    of_units: bool


def labels_of(
    routed: Routed, by: str | np.ndarray | Sequence[object], name: str | None, at_least: int
) -> Labels:
    """See `specialization` for what `by` may be.

    Raises:
        RoutingError: no such label, the wrong number of labels, or fewer than two values with enough tokens.
    """
    if isinstance(by, str):
        name, (raw, there) = by, _known(routed, by)
    else:
        name, (raw, there) = name or "label", _given(routed, list(by))
    values, number = np.unique(raw[there], return_inverse=True)
    often = np.bincount(number, minlength=len(values)) >= at_least
    kept = there.copy()
    kept[there] = often[number]
    if often.sum() < 2:
        raise RoutingError(
            f"{name} has {often.sum()} values with at least {at_least} routed tokens; "
            "nothing can be told of fewer than two"
        )
    of_token = (np.cumsum(often) - 1)[number[often[number]]]
    unit = routed.unit[kept]
    within = np.diff(unit) == 0
    of_units = len(routed.meta) > 1 and not (np.diff(of_token)[within] != 0).any()
    return Labels(name, _names(name, values[often]), kept, of_token, of_units)


def _known(routed: Routed, by: str) -> tuple[np.ndarray, np.ndarray]:
    if by in _COLUMNS:
        column = routed.columns[_COLUMNS[by][0]]
        return column, column >= 0
    if by == "position":
        length = np.bincount(routed.unit, minlength=len(routed.meta))[routed.unit]
        starts = np.searchsorted(routed.unit, np.arange(len(routed.meta)))
        within = np.arange(len(routed)) - starts[routed.unit]
        return within * POSITIONS // length, np.ones(len(routed), bool)
    if all(by in meta for meta in routed.meta):
        return _given(routed, [meta[by] for meta in routed.meta])
    known = ", ".join([*_COLUMNS, "position"])
    raise RoutingError(
        f"no label {by!r}: it is none of {known}, and not in the meta of every trace; "
        f"give labels yourself, one for each token or each trace: specialization(traces, [...], {by!r})"
    )


def _given(routed: Routed, labels: list[object]) -> tuple[np.ndarray, np.ndarray]:
    """Labels one for each trace, one for each routed token, or a list for each trace."""
    units = len(routed.meta)
    if len(labels) == units and all(np.ndim(one) == 1 for one in labels):
        # by place in the trace, so that tokens without routing need no thought
        sizes = np.bincount(routed.unit, minlength=units)
        ends = [int(routed.token[routed.unit == unit].max(initial=-1)) for unit in range(units)]
        for unit, one in enumerate(labels):
            if len(one) <= ends[unit] or len(one) > sizes[unit] + routed.left_out:
                raise RoutingError(f"trace {unit} has {len(one)} labels for its {sizes[unit]} routed tokens")
        rows = [list(one) for one in labels]
        flat = [rows[unit][token] for unit, token in zip(routed.unit, routed.token, strict=True)]
    elif len(labels) == len(routed):
        flat = labels
    elif units == 1 and len(labels) == len(routed) + routed.left_out:
        flat = [labels[token] for token in routed.token]
    elif len(labels) == units:
        flat = [labels[unit] for unit in routed.unit]
    else:
        raise RoutingError(
            f"{len(labels)} labels for {len(routed)} tokens of {units} traces; "
            "give one for each token, one for each trace, or a list for each trace"
        )
    there = np.array([label is not None and label != "" and label != -1 for label in flat], bool)
    return np.array(
        [label if ok else flat[int(there.argmax())] for label, ok in zip(flat, there, strict=True)]
    ), there


def _names(name: str, values: np.ndarray) -> np.ndarray:
    words = _COLUMNS.get(name, ("", None))[1]
    return values if words is None else np.array([words[value] for value in values])
