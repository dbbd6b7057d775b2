"""What a page is told while an answer grows: the first word at once, and the newest word's map with it."""

import pytest

from apps import handlers
from tests.apps.conftest import held
from workbench import SamplingParams

FOUR = SamplingParams(max_tokens=4)


def test_a_frame_brings_the_map_of_its_newest_word_which_a_view_would_ask_for(desk, session, picture):
    with held(session, passes=3) as gate:
        frames = desk.send("ada", "What is this?", [picture], FOUR)
        frame = next(frames)
        assert gate.arrived.wait(60)
        while "wrote 3" not in frame.status:
            frame = next(frames)
        gate.open()
        rest = list(frames)
    (told,) = [item for item in frame.view["items"] if item["op"] == "attn"]
    trace = desk.shelf.get(frame.run_id).trace()
    assert told["token"] == trace.generated_index[2]
    question = {"run": frame.run_id, "token": told["token"], "layer": told["layer"], "head": told["head"]}
    later = desk.attention(question)  # of a longer row, whose rest is summed in another order
    assert later | {"rest": pytest.approx(later["rest"], abs=1e-5)} == told
    assert told["layer"] == trace.meta["default_attention_layer"] and "missing" not in told
    assert [item["op"] for item in rest[-1].view["items"]] == ["append", "end"]


def test_the_first_word_is_shown_when_it_is_there_and_not_by_the_clock(desk, session, monkeypatch):
    monkeypatch.setattr(handlers, "SECONDS_BETWEEN_FRAMES", 3600)
    with held(session, passes=1) as gate:
        frames = desk.send("ada", "Talk", [], FOUR)
        assert "wrote 1" in next(frames).status
        assert gate.arrived.wait(60)
        gate.open()
        assert "wrote 4" in list(frames)[-1].status


def test_a_conversation_holds_no_answer_that_has_ended(desk):
    frames = list(desk.send("ada", "Talk", [], FOUR))
    assert desk.conversation("ada").current is None and not desk.conversation("ada").busy
    assert desk.shelf.get(frames[-1].run_id).trace().text == desk.conversation("ada").turns[0].answer
