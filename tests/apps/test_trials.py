"""The line of trials: progress, turns, stopping, and what goes wrong. No model is asked."""

import threading
from collections.abc import Callable, Iterator

import pytest

from apps.conversation import Refusal
from apps.trials import Progress, Stopped, Tell, Trials

PATIENCE = 60  # seconds; a busy machine is no failure


def until(run: Iterator, words: str) -> Progress:
    """The first progress that says this."""
    return next(step for step in run if isinstance(step, Progress) and words in step.words)


def held(gate: threading.Event) -> Callable[[Tell], str]:
    def work(tell: Tell) -> str:
        tell("in the middle", 1, 4)
        assert gate.wait(PATIENCE)
        return "done"

    return work


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_progress_is_told_and_the_result_comes_last(gate):
    run = Trials().run("ada", held(gate))
    assert until(run, "in the middle") == Progress("in the middle (2 of 4)", 0.25)
    gate.set()
    assert list(run)[-1] == "done"


def test_nobody_has_two_at_a_time(gate):
    trials = Trials()
    run = trials.run("ada", held(gate))
    until(run, "in the middle")
    with pytest.raises(Refusal, match="already; stop it first"):
        next(trials.run("ada", held(gate)))
    gate.set()
    assert list(run)[-1] == "done"
    assert list(trials.run("ada", lambda tell: "again"))[-1] == "again"


def test_a_second_visitor_waits_for_the_first_and_is_told_so(gate):
    trials = Trials()
    first = trials.run("ada", held(gate))
    until(first, "in the middle")
    second = trials.run("grace", lambda tell: "mine")
    assert until(second, "Waiting").words == "Waiting: 1 trial first."
    gate.set()
    assert (list(first)[-1], list(second)[-1]) == ("done", "mine")


def test_who_stops_is_told_at_once_and_may_begin_another(gate):
    trials = Trials()
    run = trials.run("ada", held(gate))  # it cannot notice before the gate opens
    until(run, "in the middle")
    trials.stop("ada")
    with pytest.raises(Refusal, match=r"Stopped\."):
        list(run)
    another = trials.run("ada", lambda tell: "another")
    until(another, "Waiting: 1 trial first.")
    gate.set()
    assert list(another)[-1] == "another"


@pytest.mark.parametrize("how", ["stopped", "gone"])
def test_the_work_of_a_visitor_who_stopped_or_left_ends_at_its_next_step(how):
    trials, ended = Trials(), threading.Event()

    def work(tell: Tell) -> None:
        try:
            while True:
                tell("on and on", 0, 1)
                threading.Event().wait(0.01)
        except Stopped:
            ended.set()
            raise

    run = trials.run("ada", work)
    until(run, "on and on")
    trials.stop("ada") if how == "stopped" else run.close()
    assert ended.wait(PATIENCE)


def test_stopping_where_nothing_runs_is_harmless():
    Trials().stop("ada")


@pytest.mark.parametrize("error", [ValueError, RuntimeError, OSError])
def test_what_cannot_be_done_is_refused_with_a_sentence(error):
    def work(tell: Tell) -> None:
        raise error("there is no room\nand much more that nobody wants to read")

    with pytest.raises(Refusal) as refused:
        list(Trials().run("ada", work))
    assert str(refused.value) == "There is no room."
