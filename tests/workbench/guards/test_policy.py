"""What follows from a verdict, from none, and how much of a growing answer may be shown meanwhile."""

from collections.abc import Callable

import pytest

from workbench.guards import Category, GuardError, Policy, Verdict, Watch

HATE = Category("S10", "Hate")
POISON = "poison"


class Judge:
    """Finds one word; keeps what it was shown; fails while `away`."""

    name, can_fail = "judge", True

    def __init__(self, word: str = POISON, away: Callable[[str], bool] = lambda text: False) -> None:
        self.word = word
        self.away = away
        self.seen: list[str] = []

    def judge_input(self, messages: list[dict]) -> Verdict:
        return self.judge_output([], messages[-1]["content"])

    def judge_output(self, messages: list[dict], answer: str) -> Verdict:
        if self.away(answer):
            raise GuardError("away")
        self.seen.append(answer)
        return Verdict(True, (HATE,)) if self.word in answer else Verdict(False)


def asked(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def test_what_is_unsafe_ends_or_is_flagged():
    block, flag = Policy(Judge(), "block", "closed"), Policy(Judge(), "flag", "closed")
    for policy, stopped in ((block, True), (flag, False)):
        finding = policy.output(asked("?"), POISON)
        assert (finding.result, finding.stopped, finding.categories) == ("unsafe", stopped, (HATE,))
        assert "Hate (S10)" in finding.sentence and ("Flagged" in finding.sentence) is not stopped
        assert policy.input(asked("hello")).sentence == policy.output([], "hello").sentence == ""
    assert block.input(asked(POISON)).to_json() == {
        "stage": "input", "result": "unsafe", "stopped": True, "guard": "judge",
        "categories": [{"code": "S10", "name": "Hate"}],
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["flag", "block"])
def test_without_a_verdict_the_choice_that_was_made_counts(mode):
    for fails, stopped in (("closed", True), ("open", False)):
        policy = Policy(Judge(away=lambda text: True), mode, fails)
        for finding in (policy.input(asked("hello")), policy.output([], "hello")):
            assert (finding.result, finding.stopped) == ("unjudged", stopped)
            assert "could not judge" in finding.sentence


@pytest.mark.parametrize("fields", [{"mode": "off"}, {"fails": "maybe"}, {"fails": None}, {"window": 0}])
def test_a_policy_that_cannot_be_is_refused(fields):
    with pytest.raises(ValueError, match=r"the guard's \w+ is .*; expected"):
        Policy(**({"guard": Judge(), "mode": "block", "fails": "open"} | fields))


def grown(watch: Watch, answer: str, size: int = 1) -> list[str]:
    """What is shown after each token of an answer, and after its end."""
    tokens = [answer[at : at + size] for at in range(0, len(answer), size)]
    shown = []
    for count in range(1, len(tokens) + 1):
        watch.look(tokens[:count], ended=count == len(tokens))
        shown.append("".join(tokens[: watch.shown]))
    return shown


def test_a_window_is_shown_when_the_next_one_has_been_judged():
    judge = Judge()
    watch = Watch(Policy(judge, "block", "closed", window=10), asked("?"))
    shown = grown(watch, "x" * 35)
    assert [len(text) for text in shown] == [0] * 19 + [10] * 10 + [20] * 5 + [35]
    assert [len(text) for text in judge.seen] == [10, 20, 30, 35]


@pytest.mark.parametrize("at", range(40))
@pytest.mark.parametrize("size", [1, 4])
def test_nothing_of_what_is_found_is_shown_wherever_it_stands(at, size):
    watch = Watch(Policy(Judge(), "block", "closed", window=10), asked("?"))
    shown = grown(watch, "x" * at + POISON + "x" * (40 - at), size)
    assert watch.stopped and watch.finding.categories == (HATE,)
    assert set(shown[-1]) <= {"x"} and len(shown[-1]) <= at
    assert shown[-1] == max(shown, key=len)


def test_what_is_longer_than_a_window_is_found_too():
    word = "abcdefghijklmnopqrstuvwxyz"
    watch = Watch(Policy(Judge(word), "block", "closed", window=5), asked("?"))
    shown = grown(watch, f"{'x' * 7}{word}{'x' * 20}")
    assert watch.stopped and word not in shown[-1] and len(shown[-1]) < 7 + len(word)


def test_nothing_is_left_out_of_a_long_answer_that_is_judged_once():
    judge = Judge()
    watch = Watch(Policy(judge, "block", "closed"), asked("?"))
    watch.look([POISON, *["x" * 100] * 100], ended=True)
    assert watch.stopped and watch.shown == 0


def test_a_growing_answer_is_not_read_from_its_beginning_for_ever():
    judge = Judge()
    answer = "".join(map(str, range(4_000)))
    grown(Watch(Policy(judge, "block", "closed"), asked("?")), answer, 200)
    assert max(map(len, judge.seen)) < 5_000
    # what was judged before stands before what is new, without a gap
    ends = range(200, len(answer) + 200, 200)
    assert judge.seen == [answer[max(0, end - 4_200) : end] for end in ends]


def test_a_flagged_answer_is_shown_to_its_end():
    watch = Watch(Policy(Judge(), "flag", "closed", window=10), asked("?"))
    answer = f"xxxx{POISON}{'x' * 30}"
    assert grown(watch, answer)[-1] == answer
    assert watch.finding.result == "unsafe" and not watch.stopped


@pytest.mark.parametrize("fails", ["closed", "open"])
def test_a_guard_that_goes_away_in_the_middle_ends_the_answer_or_lets_it_pass(fails):
    judge = Judge(away=lambda text: len(text) > 25)
    watch = Watch(Policy(judge, "block", fails, window=10), asked("?"))
    shown = grown(watch, "x" * 60)[-1]
    assert watch.finding.result == "unjudged" and watch.stopped is (fails == "closed")
    assert len(shown) == (10 if fails == "closed" else 60)


def test_an_empty_answer_needs_no_verdict():
    judge = Judge(away=lambda text: True)
    watch = Watch(Policy(judge, "block", "closed"), asked("?"))
    watch.look([""], ended=True)
    assert watch.shown == 1 and watch.finding.result == "safe"
