"""Goals are compared with what was measured, and with nothing else."""

from model.demo.goals import GOALS, at, compare_with_goals


def met(report):
    return {row["what"]: row["met"] for row in compare_with_goals(report)}


def test_a_goal_without_its_number_is_left_out():
    assert compare_with_goals({}) == []
    assert len(compare_with_goals({"digits": {"accuracy": 0.9}})) == 1
    assert compare_with_goals({"digits": {"accuracy": None}}) == []


def test_bounds_hold_in_their_direction():
    assert list(met({"digits": {"accuracy": 0.93}}).values()) == [True]
    assert list(met({"digits": {"accuracy": 0.929}}).values()) == [False]
    assert list(met({"routing": {"variation": 0.5}}).values()) == [True]
    assert list(met({"routing": {"variation": 0.51}}).values()) == [False]


def test_a_bound_may_be_a_number_of_the_same_report():
    assert list(met({"occlusion": {"after": 0.2, "chance": 0.25}}).values()) == [True]
    assert list(met({"occlusion": {"after": 0.3, "chance": 0.25}}).values()) == [False]
    assert met({"occlusion": {"after": 0.3}}) == {}


def test_values_and_bounds_are_also_texts():
    row = compare_with_goals({"accuracy": {"mean_over_types": {"en": 0.9512}}})[0]
    assert row["text"] == ("95.1%", ">= 95.0%")
    assert compare_with_goals({"routing": {"dead": 0}})[0]["text"] == ("0", "<= 0")


def test_a_path_leads_to_a_number_or_to_nothing():
    assert at({"a": {"b": 2}}, "a.b") == 2 and at({"a": {"b": 0}}, "a.b") == 0
    assert at({"a": 1}, "a.b") is None and at({}, "a") is None
    assert len({goal.what for goal in GOALS}) == len(GOALS)
