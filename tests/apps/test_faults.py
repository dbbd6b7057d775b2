"""What goes wrong, without a page: each fault is told in a sentence, and the conversation goes on."""

import gc
import threading
import weakref

import httpx
import pytest
import torch

import workbench as wb
from apps import keeping
from apps.conversation import Refusal
from apps.handlers import CUT_OFF, Desk
from apps.shelf import Shelf
from model import replaced
from tests.apps.asking import SHORT, ask, said
from tests.apps.conftest import held
from workbench import Run, SamplingParams
from workbench.sentences import OUT_OF_MEMORY

# what gradio and its libraries warn about is theirs
pytestmark = pytest.mark.filterwarnings("ignore")
FIRST = "blocks.0.hook_resid_pre"


def test_a_picture_that_is_garbage_after_it_was_shown_is_named_and_the_chat_is_kept(desk, picture):
    before = ask(desk, "One?", picture)[-1].chat
    picture.write_bytes(b"garbage")
    with pytest.raises(Refusal, match=r"“circle.png”.*\.$"):
        ask(desk, "Two?")
    assert desk.conversation("ada").chat() == before
    desk.clear("ada")
    assert ask(desk, "And without it?")[-1].done


def test_memory_that_runs_out_while_an_answer_is_written_is_freed_and_the_chat_goes_on(desk, session):
    before = ask(desk, "One?")[-1].chat
    large: list[weakref.ref] = []

    def full(value: torch.Tensor) -> torch.Tensor:
        activation = value + 1
        large.append(weakref.ref(activation))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB\nat frame 7")

    with replaced(session.llama.hook_points[FIRST], full):
        last = ask(desk, "Two?")[-1]
    assert said(last)[-1][1] == f"The answer broke off: {OUT_OF_MEMORY}"
    assert last.chat[:2] == before and "broken off" in last.status
    gc.collect()
    assert large and large[0]() is None
    assert len(ask(desk, "And now?")[-1].chat) == 6


def test_a_model_whose_logits_are_not_numbers_is_told_in_a_sentence_and_the_chat_goes_on(desk, session):
    with replaced(session.llama.hook_points["unembed.hook_logits"], lambda x: x * torch.nan):
        last = ask(desk, "One?")[-1]
    words = said(last)[-1][1]
    assert words.startswith("The answer broke off: The model's logits are not numbers (NaN): ")
    assert last.done and "Traceback" not in words and desk.waiting == 0
    assert "wrote 6" in ask(desk, "And now?")[-1].status


class Full:
    """A session that has no memory left for a question."""

    def __init__(self, session: wb.Session, error: Exception) -> None:
        self.llama, self.name, self.error = session.llama, session.name, error

    def start(self, messages: list[dict], settings: SamplingParams) -> Run:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_memory_that_runs_out_before_an_answer_leaves_the_chat_as_it_was(session, error):
    desk = Desk(Full(session, error))
    with pytest.raises(Refusal, match="not enough memory"):
        ask(desk, "One?")
    assert desk.conversation("ada").chat() == [] and desk.waiting == 0


def test_another_error_before_an_answer_is_not_taken_for_a_refusal(session):
    with pytest.raises(RuntimeError, match="a bug"):
        ask(Desk(Full(session, RuntimeError("a bug"))), "One?")


def test_fifty_quick_questions_and_stops_leave_a_conversation_that_goes_on(desk):
    def send(number: int) -> None:
        try:
            ask(desk, f"Question {number}")
        except Refusal as refusal:
            refused.append(str(refusal))

    refused: list[str] = []
    threads = [threading.Thread(target=send, args=(number,)) for number in range(25)]
    for thread in threads:
        thread.start()
        desk.stop("ada")
    for thread in threads:
        thread.join(120)
    talk = desk.conversation("ada")
    assert not talk.busy and desk.waiting == 0
    assert all(words.endswith(("stop it first.", "ask again.")) for words in refused)
    assert len(talk.turns) + len(refused) == 25 and len({turn.text for turn in talk.turns}) == len(talk.turns)
    assert all(turn.answer or turn.note for turn in talk.turns)
    assert "wrote 6" in ask(desk, "And now?")[-1].status


def test_what_a_browser_keeps_of_an_answer_that_is_being_written_is_its_question(desk, session, tmp_path):
    ask(desk, "One?")
    with held(session, passes=3) as gate:
        frames = desk.send("ada", "Two?", [], SHORT)
        next(frames)
        assert gate.arrived.wait(60)
        kept = desk.kept("ada")
        frames.close()
    turns, _ = keeping.restored(kept, tmp_path)
    assert [turn.text for turn in turns] == ["One?", "Two?"]
    assert turns[0].note == "" and (turns[1].answer, turns[1].note) == ("", CUT_OFF)


class Remembered:
    """A session that knows which of its runs are still there."""

    def __init__(self, session: wb.Session) -> None:
        self.llama, self.name, self.session = session.llama, session.name, session
        self.runs: list[weakref.ref] = []

    def start(self, messages: list[dict], settings: SamplingParams) -> Run:
        run = self.session.start(messages, settings)
        self.runs.append(weakref.ref(run))
        return run


def test_visitors_who_came_and_went_leave_nothing_but_the_last_traces(session, picture):
    remembered = Remembered(session)
    desk = Desk(remembered, Shelf(most_answers=2))
    traces: list[weakref.ref] = []
    for number in range(6):
        visitor = f"visitor {number}"
        run_id = ask(desk, "What is this?", picture, visitor=visitor)[-1].run_id
        traces.append(weakref.ref(desk.shelf.get(run_id).trace()))
        if number % 2:  # in the middle of the next answer
            next(desk.send(visitor, "And now?", [], SHORT))
        desk.visitors.leave(visitor)
    session.in_turn(lambda: None)  # the engine may still hold what was cancelled
    gc.collect()
    assert len(remembered.runs) == 9 and not [run for run in remembered.runs if run()]
    assert len([trace for trace in traces if trace()]) <= 2
    assert not any(desk.visitors.knows(f"visitor {number}") for number in range(6))
    assert desk.waiting == 0 and len(desk.shelf) == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("gradio_api/run/predict", {"data": [1, 2], "fn_index": 0, "session_hash": "x"}),
        ("gradio_api/run/predict", {"data": None, "fn_index": 10_000, "session_hash": "x"}),
        ("gradio_api/run/send", {"data": []}),
        ("gradio_api/queue/join", {"data": [{}], "fn_index": -1, "session_hash": ["x"]}),
        ("gradio_api/queue/join", [[]]),
        (
            "gradio_api/component_server",
            {"component_id": 1, "fn_name": "pull", "session_hash": "x", "data": 7},
        ),
        ("gradio_api/upload", "no form"),
        ("login", {}),
        ("answers/nobody.html", {}),
    ],
)
def test_nonsense_at_any_door_gets_no_traceback(app, path, body):
    for answer in (httpx.post(f"{app.url}{path}", json=body, timeout=60), httpx.get(f"{app.url}{path}")):
        assert answer.status_code >= 400, answer.text
        assert not any(word in answer.text for word in ("Traceback", 'File "', ".py"))
