"""The measurement counts right what is right, and its intervals hold."""

import json

import numpy as np
import pytest

from model.demo import evaluate
from model.demo.dialogues import KINDS
from model.demo.evaluate import Outcome, Sample, ask_model, draw_samples, summarize, table, wilson
from model.demo.scenes import draw_scene
from model.demo.shape import build_processor
from model.demo.turns import Pointer, Turn
from model.llama4 import Llama4


def outcome(kind, answer, said, **changes):
    values = {"wording": "train", "pictures": 1, "follow_up": False, "pointed": ()} | changes
    return Outcome(Turn(kind, "?", answer), said, **values)


def test_held_out_samples_are_repeatable_and_half_of_them_newly_worded():
    first, again, other = (draw_samples(2, seed, ["colour", "which"]) for seed in (0, 0, 1))
    assert [s.turns for s in first] == [s.turns for s in again] != [s.turns for s in other]
    assert [s.wording for s in first] == ["train", "test"] * 2
    assert [s.turns[0].kind for s in first] == ["colour", "colour", "which", "which"]


def test_only_the_exact_answer_counts():
    assert outcome("colour", "Red.", "Red.").right
    assert not any(
        outcome("colour", "Red.", said).right for said in ("red.", "Red", "Red. ", "A red circle.")
    )


def test_the_report_counts_by_type_wording_and_pictures():
    outcomes = [
        outcome("colour", "Red.", "Red.", pointed=((True, 0.1), (False, 0.3))),
        outcome("colour", "Red.", "Blue.", wording="test"),
        outcome("count", "Two.", "Two.", pictures=3, follow_up=True),
    ]
    report = summarize(outcomes)
    assert report["questions"] == 3 and report["accuracy"]["overall"] == pytest.approx(2 / 3)
    assert report["accuracy"]["by_type"] == {"colour": 0.5, "count": 1.0}
    assert report["accuracy"]["by_wording"] == {"as in training": 1.0, "new": 0.0}
    assert report["accuracy"]["by_pictures"] == {"1": 0.5, "3": 1.0}
    assert report["accuracy"]["by_turn"] == {"first": 0.5, "follow-up": 1.0}
    assert report["grounding"] == {"pointing": 0.5, "chance": pytest.approx(0.2), "words": 2}
    assert report["detail"]["type"]["colour"]["count"] == 2
    text = table(report)
    assert "colour*" in text and "50.0%" in text and "1 / 2" in text


def test_wilsons_interval_for_eight_of_ten():
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(10, 10)[1] == 1.0 and wilson(0, 10)[0] == 0.0


def test_a_dialogue_goes_on_from_the_models_own_answer():
    processor = build_processor()
    llama = Llama4(processor.config)
    scenes = tuple(draw_scene(seed, (70, 70)) for seed in (1, 2))
    turns = (Turn("count", "How many?", "Two."), Turn("count", "And in image 2?", "One."))
    first, second = ask_model(llama, processor, Sample(scenes, turns, "train"))
    assert (first.follow_up, second.follow_up) == (False, True)
    assert first.pictures == second.pictures == 2 and isinstance(first.said, str)


def test_patches_on_a_thing_are_those_that_its_box_covers():
    patches = np.asarray([(0, 0, 10, 10), (10, 0, 20, 10), (0, 0, 20, 20), (np.nan,) * 4], dtype=np.float32)
    assert evaluate._overlaps(patches, (0, 0, 12, 10)).tolist() == [True, False, True, False]


def test_a_pointer_finds_the_row_that_predicts_its_word():
    processor = build_processor()
    llama = Llama4(processor.config)
    scene = draw_scene(5, (80, 80), [("star", "red")])
    answer = "A red star."
    turn = Turn(
        "describe", "Describe it.", answer, 0, pointers=(Pointer(2, 5, 0, (0,)), Pointer(6, 10, 0, (0,)))
    )
    content = [{"type": "image", "image": scene.image}, {"type": "text", "text": turn.question}]
    inputs = processor([{"role": "user", "content": content}])
    sample = Sample((scene,), (turn,), "train")
    pointed = list(
        evaluate._pointing(llama, processor, inputs, sample, turn, processor.tokenizer.encode(answer))
    )
    assert len(pointed) == 2 and all(0 < chance < 1 for _, chance in pointed)


def test_the_command_prints_a_table_and_writes_the_report(tmp_path, capsys):
    evaluate.main(["--per-type", "1", "--seed", "3", "--json", str(tmp_path / "report.json")])
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report["accuracy"]["by_type"]) == set(KINDS) and report["accuracy"]["by_language"].keys() == {
        "en"
    }
    assert all(kind in capsys.readouterr().out for kind in ("colour*",))
