"""The line: who waits for whom."""

from apps.line import Line
from tests.apps.asking import SHORT
from tests.apps.conftest import held


def test_an_answer_waits_for_the_earlier_ones_of_its_own_writer_and_for_no_other(session):
    line = Line()
    with held(session, passes=0):
        runs = [session.start("Hi", SHORT) for _ in range(3)]
        for run, writer in zip(runs, (session, "another", session), strict=True):
            line.put(run, writer)
        assert [line.before(run) for run in runs] == [0, 0, 1] and len(line) == 3
        runs[0].cancel()  # who leaves is not counted any more
        assert line.before(runs[2]) == 0 and len(line) == 2
        line.drop(runs[0])
        for run in runs:
            run.cancel()
    assert len(line) == 0
