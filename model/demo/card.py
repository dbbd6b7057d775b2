"""The model's card and the README's section, written from measured files: `python -m model.demo.card`.

`training.json` comes from the training, `evaluation.json` from `python -m model.demo.evaluate --json`. No
number is typed by hand. `--compare NAME REPORT` first notes another model's report in `compared.json`: the
same training without one of its terms.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from model.checkpoint import DEMO_WEIGHTS
from model.config import Llama4Config
from model.demo import markdown as md
from model.demo.drawing import COLOURS
from model.demo.goals import at
from model.demo.languages import CODES, language
from model.demo.outlines import SHAPES
from model.demo.prose import CARD, SECTION

BEGIN, END = "<!-- written by python -m model.demo.card: begin -->", "<!-- written by it: end -->"
README = Path(__file__).parents[2] / "README.md"
COMPARED = "compared.json"
_COMPARED = {
    "exact match, English": "accuracy.mean_over_types.en",
    "other languages": "accuracy.mean_over_types.others",
    "pointing": "grounding.pointing",
    "asked picture": "grounding.image_selection",
    "thing painted over": "occlusion.after",
    "variation of load": "routing.variation",
}


def write_card(folder: Path) -> str:
    """The card's text, from the files in `folder`.

    Raises:
        FileNotFoundError: training.json, evaluation.json or config.json is missing.
    """
    report, training = _read(folder, "evaluation.json"), _read(folder, "training.json")
    config = Llama4Config.from_file(folder / "config.json")
    compared = folder / COMPARED
    text = CARD.format(
        **_facts(report),
        codes=", ".join(CODES),
        layers=config.text.num_hidden_layers,
        chunk=config.text.attention_chunk_size,
        experts=config.text.num_local_experts,
        vision_layers=config.vision.num_hidden_layers,
        vocabulary=config.text.vocab_size,
        parameters=(folder / "model.safetensors").stat().st_size / 2e6,
        shapes=", ".join(SHAPES),
        colours=", ".join(COLOURS),
        measured=_measured(report),
        goals=md.goals_table(report),
        languages=md.languages_table(report),
        wording=md.groups(report, "by_wording"),
        pictures=md.groups(report, "by_pictures"),
        pairs=md.groups(report, "by_pair"),
        digit_interval=md.interval(report["digits"]),
        painting=md.painting_table(report),
        pointing=md.pointing_table(report),
        routing=md.experts_table(report),
        variants=md.variants_table(report),
        speed=_speed(report),
        trained=_trained(training),
        history=_history(training),
        grounding=training["grounding"],
        mention=training["mention"],
        quiet=training["quiet"],
        parting=training["parting"],
        imagined=md.percent(training["imagined"]),
        tongues=training["tongues"],
        compared=_compared(report, training, json.loads(compared.read_text()) if compared.is_file() else []),
    )
    return md.wrapped(text) + "\n"


def write_section(folder: Path) -> str:
    """The README's section about the model in `folder`, without its heading and marks."""
    report = _read(folder, "evaluation.json")
    found = report["occlusion"]
    text = SECTION.format(
        **_facts(report),
        by_language=md.by_language(report),
        **{key: md.percent(found[key]) for key in ("before", "after", "chance", "control")},
        pointing=md.percent(report["grounding"]["pointing"]),
        pointing_chance=md.percent(at(report, "grounding.regions.together.chance")),
        shape_count=len(SHAPES),
        colour_count=len(COLOURS),
    )
    return md.wrapped(text)


def put_section(readme: str, section: str) -> str:
    """A README's text with what stands between the two marks replaced.

    Raises:
        ValueError: the marks are not there, or more than once.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(BEGIN) > readme.index(END):
        raise ValueError(f"the README needs one line {BEGIN!r} and, after it, one line {END!r}")
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}\n\n{section}\n\n{END}{rest.split(END)[1]}"


def note_compared(folder: Path, name: str, report: dict) -> None:
    """Add another model's numbers to compared.json, or replace those of the same name."""
    file = folder / COMPARED
    rows = [row for row in (json.loads(file.read_text()) if file.is_file() else []) if row["name"] != name]
    rows.append(
        {"name": name, "seed": report["seed"], "questions": report["questions"]}
        | {path: at(report, path) for path in _COMPARED.values()}
    )
    file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _read(folder: Path, name: str) -> dict:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def _facts(report: dict) -> dict:
    """What both texts say."""
    names = [language(code).name for code in CODES]
    return {
        "names": ", ".join(sorted(names)[:-1]) + " and " + sorted(names)[-1],
        "types": md.types_table(report),
        "turns": md.groups(report, "by_turn"),
        "digit_count": report["digits"]["count"],
        "digits": md.percent(report["digits"]["accuracy"]),
        "selection": md.selection(report),
    }


def _measured(report: dict) -> str:
    cells = sum(map(len, report["accuracy"]["by_cell"].values()))
    return (
        f"`python -m model.demo.evaluate --seed {report['seed']}`: {report['questions']:,} questions in "
        f"{report['dialogues']:,} dialogues, about {report['questions'] // max(1, cells)} for each type in "
        f"each language; {report['seconds'] / 60:.1f} minutes, {report['processes']} processes, torch "
        f"{report['torch']}. Intervals are Wilson's, 95 %."
    )


def _speed(report: dict) -> str:
    speed = report["speed"]
    return (
        f"On {speed['threads']} CPU threads the first token of a question about two pictures comes after "
        f"{speed['first_token_seconds']:.2f} s, then {speed['tokens_per_second'] or 0:.0f} tokens a second "
        f"(medians of {speed['questions']}). The folder has {speed['megabytes']:.1f} MB."
    )


def _trained(training: dict) -> str:
    see = training["see"]
    return (
        f"`python -m model.demo.train`, seed {training['seed']}, "
        f"data {training.get('data_version', 'unknown')}, commit {training['git_commit']}, torch "
        f"{training['torch']}, {training.get('device', 'cpu')}, {training['threads']} CPU threads: "
        f"{training['pictures']:,} drawn pictures (48 to 640 pixels: one to four tiles and a thumbnail) "
        f"and a quarter as many crowded tiles. First the vision tower alone, read by a throw-away head: "
        f"{see['steps']:,} steps of {see['tiles']} tiles. Then {training['steps_made']:,} steps of packed "
        f"dialogues in {training['training_minutes']} minutes, the tower standing still up to "
        f"{training['join_from']:.0%} of them, rates falling from {training['constant_until']:.0%} on. Muon "
        f"({training['muon_rate']}) for matrices, AdamW ({training['adam_rate']}) for the rest."
    )


def _history(training: dict) -> str:
    if "history" in training:
        return training["history"]
    if training.get("start_from"):
        return "The run began with the weights of an earlier one."
    return "The committed weights came out of one run."


def _compared(report: dict, training: dict, others: list[dict]) -> str:
    if not others:
        return "What the same training gives without one of these terms has not been measured."
    own = {"name": "as it is", "questions": report["questions"]}
    own |= {path: at(report, path) for path in _COMPARED.values()}
    body = [
        (row["name"], f"{row['questions']:,}", *(_number(row.get(path), path) for path in _COMPARED.values()))
        for row in (own, *others)
    ]
    said = (
        "With and without: below this model stand shorter trainings, to be compared with each other. Each "
        "began with untrained text weights behind this model's vision tower (`python -m model.demo.train "
        "--tower demo`, `--without TERM`), and all are alike but for the term that is named."
    )
    told = md.rows(("", "questions", *_COMPARED), body)
    return "\n\n".join(filter(None, (said, told, training.get("compared", ""))))


def _number(value: float | None, path: str) -> str:
    return f"{value:.2f}" if value is not None and path == "routing.variation" else md.percent(value)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m model.demo.card", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=DEMO_WEIGHTS, help="the model (default %(default)s)")
    parser.add_argument("--readme", type=Path, help="the README whose section is written (default: ours)")
    parser.add_argument("--compare", nargs=2, metavar=("NAME", "REPORT"), help="another model's report")
    chosen = parser.parse_args(arguments)
    if chosen.compare:
        name, file = chosen.compare
        note_compared(chosen.folder, name, json.loads(Path(file).read_text(encoding="utf-8")))
    (chosen.folder / "README.md").write_text(write_card(chosen.folder), encoding="utf-8")
    # another model's card leaves our README alone
    readme = chosen.readme or (README if chosen.folder == DEMO_WEIGHTS and README.is_file() else None)
    if readme:
        text = put_section(readme.read_text(encoding="utf-8"), write_section(chosen.folder))
        readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
