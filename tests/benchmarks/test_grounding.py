"""The benchmark of grounding asks about what is there, and prints what it writes; on a tiny random model."""

import json
from itertools import islice

import pytest

import workbench as wb
from benchmarks import grounding
from model import checkpoint
from tests.tiny import write_checkpoint


@pytest.fixture
def tiny_demo(tmp_path, monkeypatch):
    """A tiny checkpoint in the demo model's place."""
    monkeypatch.setattr(checkpoint, "DEMO_WEIGHTS", write_checkpoint("maverick", tmp_path))


def test_every_question_has_its_answer_and_one_thing_in_one_of_two_pictures(tiny_demo):
    session = wb.load("demo", device="cpu")
    for question in islice(grounding.draw_questions(session, seed=0), 3):
        case = question.asked
        answer = session.processor.tokenizer.decode(case.inputs.token_ids[case.answer :].tolist())
        assert question.word in answer and case.word(question.word).start >= case.answer
        (picture,) = question.truth.images
        assert question.truth.masks[picture].shape == case.inputs.images[picture].size[::-1]
        assert 0 < question.truth.masks[picture].mean() < 1 and len(case.inputs.images) == 2
    session.close()


def test_the_report_prints_what_it_writes(tiny_demo, tmp_path, capsys):
    asked = ["--questions", "4", "--words", "2", "--orders", "2", "--json", str(tmp_path / "all.json")]
    grounding.main(asked)
    printed = capsys.readouterr().out
    for said in ("pointing", "untrained", "deletion in tokens", "insertion in pixels", "and vision"):
        assert said in printed
    written = json.loads((tmp_path / "all.json").read_text())
    assert written["faithfulness"].keys() == {
        f"{what} in {where}" for what in ("deletion", "insertion") for where in grounding.WHERE
    }
    assert all(len(values) == 2 for maps in written["faithfulness"].values() for values in maps.values())
    assert all(len(values) == 2 for values in written["sanity"].values())


def test_an_interval_of_means_is_students():
    mean, low, high = grounding.mean_interval([1.0, 2.0, 3.0, 4.0])
    assert mean == 2.5 and high - mean == pytest.approx(3.182 * (5 / 3) ** 0.5 / 2, rel=0.01)
    assert mean - low == pytest.approx(high - mean)
