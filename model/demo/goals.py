"""What the demo model should reach, beside what it reaches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A number of the report and its bound; `most`: the bound is not to be exceeded."""

    what: str
    path: str  # in the report, with dots
    bound: float | str  # a number, or the path of another number of the report
    most: bool = False
    form: str = ".1%"


GOALS = (
    Goal("exact match, mean over types, English", "accuracy.mean_over_types.en", 0.95),
    Goal(
        "exact match, mean over types, mean of the other languages", "accuracy.mean_over_types.others", 0.92
    ),
    Goal("exact match, worst type in one language", "accuracy.worst_cell.accuracy", 0.75),
    Goal("handwritten digits of the test split", "digits.accuracy", 0.93),
    Goal("asked thing painted over: no better than guessing", "occlusion.after", "occlusion.chance", True),
    Goal("attention to patches on the asked picture, of 2 to 5", "grounding.image_selection", 0.95),
    Goal("pointing: most attended patch on the thing", "grounding.pointing", 0.90),
    Goal("the same among patches of tiles", "grounding.regions.tiles.hit", 0.90),
    Goal("the same among patches of thumbnails", "grounding.regions.thumbnail.hit", 0.90),
    Goal("attention inside the thing's box, times chance", "grounding.energy_times_chance", 3, form=".1f"),
    Goal("experts that no token is sent to", "routing.dead", 0, True, "d"),
    Goal("variation of expert load, most uneven layer", "routing.variation", 0.5, True, ".2f"),
    Goal(
        "expert and modality: bits, times the null, least layer", "routing.modality_times_null", 2, form=".1f"
    ),
    Goal(
        "expert and language: bits over random routers, best layer",
        "routing.language_over_random_routers",
        0.0,
        form=".2f",
    ),
    Goal("FP8 experts: change of accuracy", "variants.fp8.difference", -0.01, form="+.1%"),
    Goal("int4 experts: change of accuracy", "variants.int4.difference", -0.01, form="+.1%"),
    Goal(
        "first token of a question about two pictures, seconds", "speed.first_token_seconds", 0.5, True, ".2f"
    ),
    Goal("tokens per second", "speed.tokens_per_second", 100, form=".0f"),
    Goal("size of the folder, MB", "speed.megabytes", 16, True, ".1f"),
)


def compare_with_goals(report: dict) -> list[dict]:
    """For each goal whose number the report has: what, value, bound, whether it is met, and as text."""
    rows = []
    for goal in GOALS:
        value = at(report, goal.path)
        bound = at(report, goal.bound) if isinstance(goal.bound, str) else goal.bound
        if value is None or bound is None:
            continue
        met = value <= bound if goal.most else value >= bound
        sign = "<=" if goal.most else ">="
        text = (f"{value:{goal.form}}", f"{sign} {bound:{goal.form}}")
        rows.append({"what": goal.what, "value": value, "bound": bound, "met": met, "text": text})
    return rows


def at(report: dict, path: str) -> float | None:
    """The number at a path with dots; None where there is none."""
    value = report
    for name in path.split("."):
        if not isinstance(value, dict) or value.get(name) is None:
            return None
        value = value[name]
    return value
