"""Answers are counted under what was asked, and means are means over types."""

import pytest

from model.demo.asking import Outcome
from model.demo.intervals import wilson
from model.demo.scores import mistakes, summarize, tally
from model.demo.turns import Meaning, Turn


def outcome(kind, answer, said, language="en", things=((0, 0),), **changes):
    values = {"wording": "train", "pictures": 1, "follow_up": False, "never_shown": False} | changes
    return Outcome(Turn(Meaning(kind, kind, kind, things=things), language, "?", answer), said, **values)


@pytest.fixture(scope="module")
def report():
    return summarize(
        [
            outcome("colour", "Red.", "Red."),
            outcome("colour", "Red.", "Blue.", wording="test", never_shown=True),
            outcome("colour", "Blue.", "Blue."),
            outcome("count", "2.", "2.", pictures=3, follow_up=True),
            outcome("colour", "Rot.", "Rot.", "de"),
            outcome("count", "2.", "1.", "de"),
            outcome("colour", "สีแดง", "", "th", things=()),
        ]
    )


def test_a_tally_has_its_interval():
    row = tally([outcome("count", "2.", said) for said in ("2.", "2.", "3.")])
    assert (row["right"], row["count"], row["accuracy"]) == (2, 3, pytest.approx(2 / 3))
    assert (row["low"], row["high"]) == wilson(2, 3)
    assert tally([])["count"] == 0


def test_the_report_counts_by_type_language_and_cell(report):
    accuracy = report["accuracy"]
    assert report["questions"] == 7 and accuracy["overall"] == pytest.approx(4 / 7)
    assert accuracy["by_type"] == {"colour": pytest.approx(3 / 5), "count": 0.5}
    assert accuracy["by_language"] == {"de": 0.5, "en": 0.75, "th": 0.0}
    assert accuracy["by_cell"] == {
        "colour": {"de": 1.0, "en": pytest.approx(2 / 3), "th": 0.0},
        "count": {"de": 0.0, "en": 1.0},
    }


def test_means_are_over_types_and_then_over_the_other_languages(report):
    means = report["accuracy"]["mean_over_types"]
    assert means["en"] == pytest.approx((2 / 3 + 1) / 2)
    assert means["others"] == pytest.approx(((1 + 0) / 2 + 0) / 2)
    row = report["detail"]["mean_over_types"]["en"]
    assert row["count"] == 4 and row["low"] < row["accuracy"] < row["high"]


def test_wordings_pictures_turns_and_pairs_are_counted_apart(report):
    accuracy = report["accuracy"]
    assert accuracy["by_wording"] == {"as in training": pytest.approx(4 / 6), "new": 0.0}
    assert accuracy["by_pictures"] == {"1": 0.5, "3": 1.0}
    assert accuracy["by_turn"] == {"first": 0.5, "follow-up": 1.0}
    # the answer that speaks of nothing belongs to neither
    assert accuracy["by_pair"] == {"never drawn": 0.0, "drawn in training": pytest.approx(4 / 5)}


def test_the_commonest_answer_is_that_of_each_language(report):
    row = report["detail"]["by_type"]["colour"]
    assert row["commonest answer"] == pytest.approx((2 + 1 + 1) / 5)
    assert (row["en"], row["others"], row["new wording"]) == (pytest.approx(2 / 3), 0.5, 0.0)


def test_the_worst_cell_is_one_of_those_with_enough_questions(report):
    assert "worst_cell" not in report["accuracy"]
    some = [outcome("count", "2.", "2." if n < 8 else "3.") for n in range(10)]
    worst = summarize([*some, outcome("colour", "Red.", "Blue.")])["accuracy"]["worst_cell"]
    assert worst == {"type": "count", "language": "en", "accuracy": 0.8, "count": 10}


def test_a_few_mistakes_of_each_type_are_kept():
    found = mistakes([outcome("count", "2.", said) for said in ("2.", "3.", "4.", "5.")], per_type=2)
    assert [mistake["said"] for mistake in found["count"]] == ["3.", "4."] and set(found) == {"count"}
    assert mistakes([outcome("count", "2.", "2.")]) == {}
