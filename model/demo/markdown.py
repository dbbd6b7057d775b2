"""The report of `model.demo.evaluate` as Markdown tables, for the model's card and the README."""

from __future__ import annotations

import re
from textwrap import fill

from model.demo.languages import CODES, language

TITLES = {
    "colour": "what colour",
    "shape": "what shape",
    "size": "big or small",
    "count": "how many",
    "position": "left or right, top or bottom",
    "relation": "is one left of, above ... another",
    "which": "which image has ...",
    "same": "the same in two images",
    "odd": "the odd one out",
    "digit": "which handwritten digit",
    "describe": "describe an image",
    "exist": "is there a ...",
    "none": "asked about what is not there",
    "chat": "greetings and other talk",
}


def percent(share: float | None) -> str:
    """97.3 %, or a dash where nothing was counted."""
    return "-" if share is None else f"{100 * share:.1f} %"


def interval(row: dict) -> str:
    """A 95 % interval."""
    return f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"


def rows(header: tuple[str, ...], body: list[tuple[str, ...]], left: int = 1) -> str:
    """A table; the first `left` columns are words, the others numbers."""
    marks = ["---" if column < left else "--:" for column in range(len(header))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, tuple(marks), *body))


def wrapped(text: str, width: int = 110) -> str:
    """The text with its paragraphs filled to a width; tables, headings and lists stay as they are."""
    parts = []
    for part in text.strip().split("\n\n"):
        if not part.lstrip("\n").startswith(("|", "#", "-")):
            # code is not broken
            whole = re.sub("`[^`]+`", lambda code: code[0].replace(" ", "\0"), " ".join(part.split()))
            part = fill(whole, width, break_long_words=False, break_on_hyphens=False).replace("\0", " ")
        parts.append(part)
    return "\n\n".join(parts)


def types_table(report: dict) -> str:
    """Accuracy by type of question."""
    body = [
        (
            TITLES[kind],
            percent(row["en"]),
            percent(row["others"]),
            f"{row['right']} / {row['count']}",
            interval(row),
            percent(row["new wording"]),
            percent(row["commonest answer"]),
        )
        for kind, row in report["detail"]["by_type"].items()
    ]
    means = report["accuracy"]["mean_over_types"]
    overall = report["detail"]["overall"]
    last = f"{overall['right']} / {overall['count']}"
    body.append(
        ("**mean**", percent(means.get("en")), percent(means.get("others")), last, interval(overall), "", "")
    )
    header = ("question", "English", "other languages", "right, in all", "95 % interval")
    return rows((*header, "in wordings never trained", "always the commonest answer"), body)


def languages_table(report: dict) -> str:
    """Accuracy by type and language, in percent."""
    cells = report["accuracy"]["by_cell"]
    codes = [code for code in CODES if code in report["accuracy"]["by_language"]]
    body = [
        (kind, *(f"{100 * row[code]:.0f}" if code in row else "-" for code in codes))
        for kind, row in cells.items()
    ]
    means = report["accuracy"]["by_language"]
    body.append(("**all**", *(f"{100 * means[code]:.0f}" for code in codes)))
    return rows(("", *codes), body)


def by_language(report: dict) -> str:
    """One sentence with every language's accuracy, best first."""
    means = report["accuracy"]["by_language"]
    ordered = sorted(means, key=means.get, reverse=True)
    return ", ".join(f"{language(code).name} {percent(means[code])}" for code in ordered)


def groups(report: dict, name: str) -> str:
    """A group of `accuracy` in one line."""
    found = report["detail"].get(name, {})
    return ", ".join(f"{key}: {percent(row['accuracy'])} of {row['count']:,}" for key, row in found.items())


def painting_table(report: dict) -> str:
    """Accuracy with the asked thing painted over."""
    found = report["occlusion"]
    body = [
        (
            name,
            *(percent(row[key]) for key in ("before", "after", "chance", "control")),
            str(row["questions"]),
        )
        for name, row in [*found["by_type"].items(), ("**all**", found)]
    ]
    header = ("", "as it is", "thing painted over", "guessing", "as large a patch elsewhere", "questions")
    return rows(header, body)


def pointing_table(report: dict) -> str:
    """Where the chosen heads look, with what the same measurement gives without looking."""
    regions = report["grounding"]["regions"]
    names = list(dict.fromkeys(name for row in regions.values() for name in row["baselines"]))
    body = [
        (
            region.replace("_", " "),
            percent(row["hit"]),
            interval(row),
            str(row["words"]),
            *(percent(row["baselines"].get(name)) for name in names),
            f"{row['energy_times']:.1f} x",
        )
        for region, row in regions.items()
    ]
    header = ("among the patches of", "on the thing", "95 % interval", "words")
    return rows((*header, *(name.replace("_", " ") for name in names), "energy in the box"), body)


def selection(report: dict) -> str:
    """How much attention falls on the asked picture."""
    found = report["grounding"].get("selection")
    if not found:
        return ""
    return (
        f"With two to five pictures {percent(found['mass'])} of the attention to patches falls on the asked "
        f"one (an even map: {percent(found['chance_mass'])}), which has the most of all pictures for "
        f"{percent(found['most'])} of {found['words']:,} words (a guess: {percent(found['chance_most'])})."
    )


def experts_table(report: dict) -> str:
    """Load and information per layer with experts: value, shuffled labels, random routers, untrained."""
    layers = report["routing"]["layers"]
    names = list(dict.fromkeys(name for row in layers.values() for name in row["information"]))
    body = []
    for layer, row in layers.items():
        cells = []
        for name in names:
            found = row["information"].get(name)
            keys = ("bits", "null", "random_routers", "untrained_model")
            values = [None if found is None else found.get(key) for key in keys]
            cells.append(" / ".join("-" if value is None else f"{value:.2f}" for value in values))
        body.append((layer, f"{row['variation']:.2f}", str(row["dead"]), *cells))
    return rows(("layer", "variation of load", "dead", *names), body)


def variants_table(report: dict) -> str:
    """The same model in fewer bits."""
    body = [
        (
            form,
            row["what"],
            percent(row["accuracy"]),
            percent(row["as it is"]),
            f"{100 * row['difference_low']:+.1f} to {100 * row['difference_high']:+.1f}",
            percent(row["same_answers"]),
            percent(row["routing_agreement"]["overall"]),
        )
        for form, row in report["variants"].items()
    ]
    header = ("", "", "exact match", "as it is", "difference, points", "same answer", "same expert")
    return rows(header, body, left=2) if body else "Not measured."


def goals_table(report: dict) -> str:
    """What was wanted, and what came of it."""
    body = [
        (row["what"], *(text.replace("%", " %") for text in row["text"]), "yes" if row["met"] else "**no**")
        for row in report["goals"]
    ]
    return rows(("goal", "measured", "wanted", "met"), body)
