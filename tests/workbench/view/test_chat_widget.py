"""A conversation through the widget's messages and traits; what it looks like is seen in test_jupyter.py."""

import time

import pytest
from PIL import Image

import workbench as wb
from model import replaced
from tests.speech import paced, saying, spoken
from tests.workbench.view.test_panel import png, told


@pytest.fixture(scope="module")
def session(maverick):
    return wb.load(maverick)


@pytest.fixture
def chat(session):
    widget = session.chat_widget(max_tokens=8)
    widget.sent = []
    widget._panel.send = lambda content, buffers=None: widget.sent.append(content)
    yield widget
    widget.close()


def hear(chat, *messages: dict) -> None:
    """What a screen sends."""
    for message in messages:
        chat._panel._listen(chat._panel, message, [])


def ask(chat, text: str, answer: str) -> None:
    with saying(chat.session.llama, spoken(answer, "<|eot|>")):
        hear(chat, {"type": "ask", "text": text})
        chat.wait()


def wait_until(true) -> None:
    """Look until it is true; a minute is for a machine that has other things to do."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "nothing happened for a minute"
        time.sleep(0.002)


def test_a_typed_question_is_answered_and_everything_is_in_python(chat):
    ask(chat, "  Hello ", "Hi!")
    assert chat.reply.text == chat.trace.text == "Hi!"
    assert chat.messages == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi!"},
    ]
    assert chat._panel._turns == [{"text": "Hello", "pictures": [], "answer": "Hi!", "note": ""}]
    assert chat.sent == [{"op": "sent", "text": "Hello"}]
    assert "tokens read, 4 written" in chat._panel._status
    assert not chat.busy and not chat._panel._busy


def test_the_view_below_shows_the_answer_and_what_is_chosen_in_it(chat):
    ask(chat, "Hello", "Hi!")
    assert chat.children == (chat._panel, chat.view)
    assert chat.view._snapshot["items"][-1]["op"] == "end"
    chat.view.selected = int(chat.trace.generated_index[0])
    assert chat.view.selection.text == "H"


def test_it_is_a_conversation_with_pictures_numbered_as_the_prompt_has_them(chat):
    hear(chat, *told(png("red"), "red.png", "a"), *told(png("blue"), "blue.png", "b"))
    ask(chat, "Which is red?", "The first.")
    assert not chat._panel._pictures
    hear(chat, *told(png("green"), "green.png", "c"))
    assert [p["number"] for p in chat._panel._pictures] == [3]
    ask(chat, "And now?", "None.")
    turns = chat._panel._turns
    assert [[p["number"] for p in turn["pictures"]] for turn in turns] == [[1, 2], [3]]
    assert [turn["answer"] for turn in turns] == ["The firs", "None."]
    assert turns[0]["note"] == "(the longest answer that was allowed)"
    assert len(chat.trace.images) == 3
    assert [message["role"] for message in chat.messages] == ["user", "assistant"] * 2
    again = chat.session.chat("Third?", history=chat.messages, max_tokens=1)
    assert len(again.trace.images) == 3


def test_it_grows_while_it_is_written_and_stops_when_told(chat):
    llama = chat.session.llama
    with paced(llama) as permits, saying(llama, spoken("abcdefgh")):
        hear(chat, {"type": "ask", "text": "Count"})
        permits.release(3)
        wait_until(lambda: chat._panel._writing == "abc")
        wait_until(lambda: chat.trace is not None and len(chat.trace.generated_index) == 3)
        assert chat.busy and chat._panel._busy
        assert chat._panel._turns[-1]["answer"] is None
        hear(chat, {"type": "stop"})
        permits.release(20)
        reply = chat.wait()
    assert reply.finish_reason == "cancelled"
    assert reply.text.startswith("abc") and len(reply.text) < 8
    assert chat._panel._turns[-1]["note"] == "(stopped)"
    assert chat.messages[-1]["content"] == reply.text


def test_a_second_question_has_to_wait_and_nothing_of_it_is_lost(chat):
    with paced(chat.session.llama) as permits:
        hear(chat, {"type": "ask", "text": "One"})
        wait_until(lambda: chat.sent)
        hear(chat, *told(png("red")), {"type": "ask", "text": "Two"})
        assert chat._panel._notice == "An answer is being written; stop it first."
        with pytest.raises(ValueError, match="stop it first"):
            chat.ask("Two")
        with pytest.raises(ValueError, match="stop it first"):
            chat.clear()
        chat.stop()
        permits.release(20)
        chat.wait()
    assert len(chat._panel._pictures) == 1
    assert [content["text"] for content in chat.sent] == ["One"]


def test_a_question_without_words_is_refused(chat):
    hear(chat, {"type": "ask", "text": " \n"})
    assert chat._panel._notice == "Write a question first."
    hear(chat, *told(png("red")), {"type": "ask", "text": ""})
    assert chat._panel._notice == "Write a question about the pictures, too."
    assert len(chat._panel._pictures) == 1 and not chat.busy


def test_a_question_that_is_too_long_stays_a_draft(chat):
    hear(chat, *told(png("red")), {"type": "ask", "text": "long " * 5000})
    with pytest.raises(ValueError, match="this model's context is 16384"):
        chat.wait()
    assert chat._panel._notice.startswith("The conversation has")
    assert len(chat._panel._pictures) == 1 and not chat.sent and not chat._panel._turns
    assert chat.messages == []
    ask(chat, "Short?", "Yes.")
    assert chat.reply.text == "Yes." and len(chat.trace.images) == 1


def test_an_answer_that_breaks_off_gives_the_question_back(chat):
    ask(chat, "One?", "Yes.")

    def fail(logits):
        raise OSError("the card is full")

    hear(chat, *told(png("red")))
    with replaced(chat.session.llama.hook_point("unembed.hook_logits"), fail):
        hear(chat, {"type": "ask", "text": "Two?"})
        with pytest.raises(OSError, match="the card is full"):
            chat.wait()
    assert chat._panel._notice == "The answer broke off: The card is full."
    assert chat.sent[-1] == {"op": "unsent", "text": "Two?"}
    assert [p["number"] for p in chat._panel._pictures] == [1]
    assert len(chat._panel._turns) == 1 and len(chat.messages) == 2
    ask(chat, "Three?", "Yes.")
    assert chat._panel._notice == "" and len(chat.messages) == 4


def test_python_can_ask_as_well(chat):
    with saying(chat.session.llama, spoken("Red.", "<|eot|>")):
        chat.ask("Which colour?", images=[Image.new("RGB", (30, 30), "red")])
        assert chat.wait().text == "Red."
    assert len(chat._panel._turns[0]["pictures"]) == 1


def test_a_call_that_is_refused_leaves_nothing_in_the_draft(chat):
    red = Image.new("RGB", (30, 30), "red")
    with pytest.raises(ValueError, match="write a question about the pictures, too"):
        chat.ask(" ", images=[red])
    with pytest.raises(ValueError, match="there is no picture at"):
        chat.ask("Which colour?", images=[red, "nowhere.png"])
    with paced(chat.session.llama) as permits:
        chat.ask("One")
        with pytest.raises(ValueError, match="stop it first"):
            chat.ask("Which colour?", images=[red])
        chat.stop()
        permits.release(20)
        chat.wait()
    assert not chat._panel._pictures
    with saying(chat.session.llama, spoken("Red.", "<|eot|>")):
        chat.ask("Which colour?", images=[red])
        chat.wait()
    assert len(chat.trace.images) == 1


def test_a_new_conversation_begins_with_image_1(chat):
    hear(chat, *told(png("red")))
    ask(chat, "Red?", "Yes.")
    hear(chat, {"type": "clear"}, *told(png("red")))
    assert chat.messages == [] and chat._panel._turns == [] and chat.reply is None
    assert chat._panel._pictures[0]["number"] == 1


def test_what_a_saved_notebook_keeps_reads_well(chat):
    hear(chat, *told(png("red")))
    ask(chat, "Red?", "Yes.")
    assert chat._as_text() == "user: (1 picture) Red?\nassistant: Yes."


def test_repr_is_short_and_unknown_settings_are_named(chat, session):
    assert len(repr(chat)) < 100
    with pytest.raises(TypeError, match="unknown setting among colour"):
        session.chat_widget(colour="red")
