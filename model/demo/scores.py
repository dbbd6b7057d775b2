"""Shares of right answers, with their intervals: by type, language, wording, number of pictures and turn."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from model.demo.asking import Outcome
from model.demo.intervals import wilson
from model.demo.languages import CODES
from model.demo.questions import KINDS

_ENGLISH = "en"
_ENOUGH = 10  # questions; of fewer the worst is an accident


def tally(outcomes: Iterable[Outcome]) -> dict:
    """How many answers are right, their share, and its 95 % interval."""
    right = [outcome.right for outcome in outcomes]
    return share(sum(right), len(right))


def share(right: int, count: int) -> dict:
    """A share with its 95 % interval (Wilson's)."""
    low, high = wilson(right, count)
    return {"accuracy": right / max(1, count), "right": right, "count": count, "low": low, "high": high}


def summarize(outcomes: Sequence[Outcome]) -> dict:
    """The part of the report about answers: "questions", "accuracy" (shares alone) and "detail".

    A second question counts for its own type. `by_cell` goes by type, then by language. `mean_over_types` is
    the mean of the types' accuracies in English ("en"), and that mean's mean over the other languages
    ("others"). "commonest answer": what always giving a type's commonest answer would get, in each language.
    """
    groups: dict[str, dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    cells: dict[str, dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for outcome in outcomes:
        kind, code = outcome.turn.kind, outcome.turn.language
        groups["by_type"][kind].append(outcome)
        groups["by_language"][code].append(outcome)
        groups["by_wording"]["as in training" if outcome.wording == "train" else "new"].append(outcome)
        groups["by_pictures"][str(outcome.pictures)].append(outcome)
        groups["by_turn"]["follow-up" if outcome.follow_up else "first"].append(outcome)
        if outcome.turn.meaning.things:
            groups["by_pair"]["never drawn" if outcome.never_shown else "drawn in training"].append(outcome)
        cells[kind][code].append(outcome)
    order = {name: number for number, name in enumerate((*KINDS, *CODES))}
    detail: dict = {
        name: {
            key: tally(some) for key, some in sorted(group.items(), key=lambda g: (order.get(g[0], 0), g[0]))
        }
        for name, group in groups.items()
    }
    detail["by_cell"] = {
        kind: {code: tally(cells[kind][code]) for code in CODES if code in cells[kind]}
        for kind in KINDS
        if kind in cells
    }
    for kind, some in groups["by_type"].items():
        detail["by_type"][kind] |= _of_type(some)
    detail["mean_over_types"] = _mean_over_types(detail["by_cell"])
    accuracy = {
        name: {key: row["accuracy"] for key, row in rows.items()}
        for name, rows in detail.items()
        if name != "by_cell"
    }
    accuracy["by_cell"] = {
        kind: {code: row["accuracy"] for code, row in rows.items()}
        for kind, rows in detail["by_cell"].items()
    }
    detail["overall"] = tally(outcomes)
    return {
        "questions": len(outcomes),
        "accuracy": {"overall": detail["overall"]["accuracy"]} | accuracy | _worst_cell(detail["by_cell"]),
        "detail": detail,
    }


def mistakes(outcomes: Sequence[Outcome], per_type: int = 4) -> dict[str, list[dict]]:
    """The first wrong answers of each type, with what was asked and what is right."""
    found: dict[str, list[dict]] = defaultdict(list)
    for outcome in outcomes:
        some = found[outcome.turn.kind]
        if not outcome.right and len(some) < per_type:
            asked = {"question": outcome.turn.question, "right": outcome.turn.answer, "said": outcome.said}
            some.append(asked | {"language": outcome.turn.language, "pictures": outcome.pictures})
    return {kind: some for kind, some in found.items() if some}


def _of_type(some: Sequence[Outcome]) -> dict:
    answers: dict[str, Counter] = defaultdict(Counter)
    for outcome in some:
        answers[outcome.turn.language][outcome.turn.answer] += 1
    english = tally(o for o in some if o.turn.language == _ENGLISH)
    others = tally(o for o in some if o.turn.language != _ENGLISH)
    return {
        "en": english["accuracy"] if english["count"] else None,
        "others": others["accuracy"] if others["count"] else None,
        "new wording": tally(o for o in some if o.wording == "test")["accuracy"],
        "commonest answer": sum(max(found.values()) for found in answers.values()) / len(some),
    }


def _mean_over_types(cells: dict[str, dict[str, dict]]) -> dict:
    """Means over types. Their intervals are Wilson's at that mean: with as many questions in every cell a
    mean over cells varies no more than a share of all of them."""
    found = {}
    for name, codes in ((_ENGLISH, (_ENGLISH,)), ("others", tuple(c for c in CODES if c != _ENGLISH))):
        rows = [[row[code] for row in cells.values() if code in row] for code in codes]
        means = [float(np.mean([cell["accuracy"] for cell in row])) for row in rows if row]
        if means:
            count = sum(cell["count"] for row in rows for cell in row)
            low, high = wilson(float(np.mean(means)) * count, count)
            found[name] = {"accuracy": float(np.mean(means)), "count": count, "low": low, "high": high}
    return found


def _worst_cell(cells: dict[str, dict[str, dict]]) -> dict:
    every = [
        (row["accuracy"], KINDS.index(kind), kind, code, row["count"])
        for kind, rows in cells.items()
        for code, row in rows.items()
        if row["count"] >= _ENOUGH
    ]
    if not every:
        return {}
    accuracy, _, kind, code, count = min(every)
    return {"worst_cell": {"type": kind, "language": code, "accuracy": accuracy, "count": count}}
