"""Experiments with one expert, through the settings' traits and the screen's messages."""

import pytest
import traitlets

import workbench as wb
from model import Llama4Config, Processor, SamplingParams
from tests.workbench.interventions.runs import OTHER_EXPERT, PLANTED_EXPERT, PLANTED_LAYER, planted
from tests.workbench.view.test_panel import png, told
from workbench.interventions import ForceExpert, ScaleExpert, SilenceExpert
from workbench.view.expert_lab import Stopped, loads


@pytest.fixture(scope="module")
def session(maverick):
    llama = planted(Llama4Config.from_file(maverick / "config.json"))
    return wb.Session(llama, Processor.from_folder(maverick), "planted")


@pytest.fixture
def lab(session):
    bench = wb.expert_lab(session, "What is seen?", sampling=SamplingParams(max_tokens=6))
    bench.controls.layer, bench.controls.expert = PLANTED_LAYER, PLANTED_EXPERT
    yield bench
    bench.close()


def hear(lab, *messages: dict) -> None:
    """What a screen sends."""
    for message in messages:
        lab.controls._listen(lab.controls, message, [])


def test_an_experiment_shows_a_beside_b_and_the_controls(lab):
    hear(lab, {"type": "run", "text": "What is seen?"})
    found = lab.wait()
    assert found is lab.comparison and found.effect.percentile == 100
    controls, numbers, traces = lab.children
    assert controls is lab.controls
    assert numbers.value == found._repr_html_() and "percentile" in numbers.value
    assert (traces.a, traces.b) == (found.a.trace, found.b.trace)
    assert lab.controls._loads == loads(found.a.trace)
    assert not lab.controls._busy and lab.controls._status.startswith("Done: SilenceExpert")


def test_a_run_brings_its_settings_along_for_they_may_still_be_under_way(lab):
    settings = {"action": "force", "layer": PLANTED_LAYER, "expert": OTHER_EXPERT, "tokens": "all",
                "instead": "nothing", "gate_from": "fixed", "gate": 0.25, "factor": 2.0}  # fmt: skip
    hear(lab, {"type": "run", "text": "What is seen?", "settings": settings})
    (edit,) = lab.wait().edits
    assert edit == ForceExpert(PLANTED_LAYER, OTHER_EXPERT, gate=0.25)
    for wrong in ({"action": "sing"}, {"expert": 10**6}, {}):
        hear(lab, {"type": "run", "text": "What?", "settings": (settings | wrong) if wrong else {}})
        assert "do not fit" in lab.controls._notice and not lab.busy


def test_the_load_counts_places_by_layer_and_expert(lab):
    lab.run()
    trace = lab.wait().a.trace
    row = lab.controls._loads[trace.moe_layers.tolist().index(PLANTED_LAYER)]
    assert sum(row) == len(trace) and row[PLANTED_EXPERT] + row[OTHER_EXPERT] == len(trace)
    assert row[PLANTED_EXPERT] == "".join(trace.tokens).count("\n")


def test_a_second_experiment_takes_the_place_of_the_first(lab):
    lab.run()
    first = lab.wait()
    lab.controls.action, lab.controls.factor = "scale", 0.5
    lab.run()
    assert lab.wait() is not first
    assert len(lab.children) == 3


def test_settings_come_to_the_edit_they_say(lab):
    at = {"layers": PLANTED_LAYER, "expert": PLANTED_EXPERT}
    assert lab.controls.edit == SilenceExpert(**at, instead="nothing")
    lab.controls.instead, lab.controls.tokens = "next", "prompt"
    assert lab.controls.edit == SilenceExpert(**at, tokens="prompt", instead="next")
    lab.controls.action, lab.controls.tokens = "force", "all"
    assert lab.controls.edit == ForceExpert(**at, gate="own")
    lab.controls.gate_from, lab.controls.gate = "fixed", 0.25
    assert lab.controls.edit == ForceExpert(**at, gate=0.25)
    lab.controls.action, lab.controls.factor = "scale", 4.0
    assert lab.controls.edit == ScaleExpert(**at, factor=4.0)


def test_long_work_tells_how_far_it_is_and_stops_when_told(lab):
    told_steps = []

    def watch(change):
        told_steps.append(change["new"])
        if change["new"] > 0.3:
            lab.stop()

    lab.controls.observe(watch, names="_progress")
    lab.run()
    with pytest.raises(Stopped):
        lab.wait()
    assert told_steps == sorted(told_steps) and 0.3 < told_steps[-1] < 0.6
    assert lab.controls._notice == "Stopped." and lab.comparison is None
    assert not lab.controls._busy
    lab.controls.unobserve(watch, names="_progress")
    lab.run()
    assert lab.wait().effect.percentile == 100, "after a stop everything is as before"


def test_an_edit_that_does_nothing_is_told(lab):
    lab.controls.expert = 6  # asked by nobody
    lab.run()
    with pytest.raises(RuntimeError, match="changed nothing"):
        lab.wait()
    assert "none of these tokens goes to expert 6" in lab.controls._notice
    assert lab.comparison is None


def test_a_question_is_needed_and_its_pictures_are_asked_about(lab):
    hear(lab, {"type": "run", "text": " "})
    assert lab.controls._notice == "Write a question first."
    hear(lab, *told(png("red")), {"type": "run", "text": "What?"})
    assert len(lab.wait().a.trace.images) == 1
    assert len(lab.controls.images) == 1, "they stay for the next experiment"


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("layer", 0, "layer=0: the layers with experts are"),
        ("expert", 8, "expert=8: there are experts 0 to 7"),
    ],
)
def test_a_setting_that_the_model_does_not_have_raises(lab, name, value, named):
    with pytest.raises(traitlets.TraitError, match=named):
        setattr(lab.controls, name, value)


def test_repr_is_short(lab):
    assert (
        repr(lab) == f"ExpertLab('planted', SilenceExpert(layers={PLANTED_LAYER}, expert={PLANTED_EXPERT}))"
    )
