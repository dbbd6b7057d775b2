"""The evaluation measures everything it names, and says how."""

import hashlib
import json

import pytest

from model.demo import evaluate
from model.demo import markdown as md
from model.demo.card import write_card, write_section
from model.demo.evaluate import Plan, tasks
from model.demo.languages import CODES
from model.demo.questions import KINDS
from model.demo.tables import table
from tests.model.demo.reported import TINY, reported, saved


@pytest.fixture(scope="module")
def report(processor):
    return reported(processor)


def test_the_report_has_the_numbers_that_it_promises(report):
    accuracy = report["accuracy"]
    assert set(accuracy["by_language"]) == {"en", "th"} and set(accuracy["mean_over_types"]) == {
        "en",
        "others",
    }
    assert {"colour", "describe"} <= set(accuracy["by_type"]) == set(accuracy["by_cell"])
    assert report["digits"]["count"] == 2 and report["occlusion"]["questions"] == 1
    assert {"pointing", "image_selection"} <= set(report["grounding"])
    assert {"layers", "variation", "dead"} <= set(report["routing"])
    assert set(report["variants"]) == {"fp8", "int4"}
    assert 0 <= report["variants"]["int4"]["routing_agreement"]["overall"] <= 1
    assert report["speed"]["megabytes"] > 1 and report["goals"]


def test_a_report_belongs_to_its_weights(report, processor):
    file = saved(processor) / "model.safetensors"
    assert report["weights"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_whole_plan_asks_every_type_in_every_language():
    plan = Plan()
    assert plan.kinds == KINDS and plan.languages == CODES and plan.digits is None
    todo = tasks(plan, 0)
    asked = [task for task in todo if task.part == "answers"]
    assert sum(task.size for task in asked) == plan.per_cell * len(KINDS) * len(CODES) >= 2000
    assert {task.form for task in todo} == {None, "fp8", "int4"}


def test_the_table_shows_every_measurement(report):
    text = table(report)
    for part in ("colour", "mean over types, English", "handwritten digits", "painted over", "pointing",
                 "load varies", "int4", "tokens/s", "MISSED", "seed 3"):  # fmt: skip
        assert part in text, part


def test_the_card_and_the_section_of_a_report_that_was_just_made_are_written(report, processor):
    pointing = md.percent(report["grounding"]["pointing"])
    for write in (write_card, write_section):
        assert pointing in " ".join(write(saved(processor)).split())


def test_a_quick_report_without_variants_has_its_table_too(report):
    quick = {**report, "variants": {}}
    assert "int4:" not in table(quick) and "first token" in table(quick)


def test_the_command_writes_what_it_prints(processor, tmp_path, capsys, monkeypatch):
    less = Plan(**vars(TINY) | {"kinds": ("colour",), "languages": ("en",), "watched": 4, "variants": 0})
    monkeypatch.setattr(evaluate, "QUICK", less)
    file = tmp_path / "report.json"
    evaluate.main(["--quick", "--model", str(saved(processor)), "--workers", "0", "--json", str(file)])
    written = json.loads(file.read_text())
    assert f"seed {written['seed']}" in capsys.readouterr().out
    assert written["accuracy"]["by_language"].keys() == {"en"} and written["variants"] == {}
