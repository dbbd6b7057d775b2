"""What is asked, and what is refused with a sentence before anything is computed."""

import pytest
from PIL import Image

from apps import conversation
from apps.conversation import Conversation, Refusal, Turn, check_question, messages


def test_the_model_is_told_the_system_prompt_first_and_pictures_before_the_words(picture):
    told = messages([Turn("One?", (picture,), "Yes."), Turn("Two?")], "Be brief.")
    assert [message["role"] for message in told] == ["system", "user", "assistant", "user"]
    assert told[0]["content"] == "Be brief."
    assert [part["type"] for part in told[1]["content"]] == ["image", "text"]
    assert messages([Turn("One?")], "  ")[0]["role"] == "user"


def test_a_question_has_words_and_at_most_five_pictures(picture):
    check_question([], Turn("Six?", (picture,) * 5), "")
    with pytest.raises(Refusal, match="at most 5 pictures, not 6"):
        check_question([], Turn("Six?", (picture,) * 6), "")
    with pytest.raises(Refusal, match="about the pictures, too"):
        check_question([], Turn("", (picture,)), "")
    with pytest.raises(Refusal, match="system prompt has 30,000"):
        check_question([], Turn("One?"), "x" * 30_000)


def test_a_conversation_holds_so_many_pictures_and_no_more(picture):
    earlier = [Turn("Five?", (picture,) * 5)] * 4
    check_question(earlier, Turn("Go on?"), "")
    with pytest.raises(Refusal, match="would have 21"):
        check_question(earlier, Turn("One more?", (picture,)), "")


def test_a_file_of_too_many_bytes_is_not_opened(picture, monkeypatch):
    monkeypatch.setattr(conversation, "LARGEST_PICTURE", 20)
    with pytest.raises(Refusal, match=r"“circle.png” has .* MiB"):
        messages([Turn("One?", (picture,))])


def test_pictures_have_so_many_pixels_together(tmp_path, monkeypatch):
    monkeypatch.setattr(conversation, "MOST_PIXELS", 15_000)
    file = tmp_path / "large.png"
    Image.new("RGB", (100, 100)).save(file)
    messages([Turn("One?", (file,))])
    with pytest.raises(Refusal, match=r"“large.png” smaller"):
        messages([Turn("One?", (file,), "Yes."), Turn("Two?", (file,))])


def test_a_picture_that_went_away_is_named(tmp_path):
    with pytest.raises(Refusal, match=r"“gone.png” is not kept here any more"):
        messages([Turn("One?", (tmp_path / "gone.png",))])


def test_a_note_is_shown_and_not_told(picture):
    talk = Conversation([Turn("One?", (picture,), "Yes.", "(stopped)")])
    assert talk.chat()[1]["content"] == "Yes.\n\n(stopped)"
    assert messages([*talk.turns, Turn("Two?")])[1]["content"] == "Yes."
    assert talk.pictures == 1


def test_pictures_that_the_model_was_not_shown_are_not_numbered_in_the_chat(picture):
    talk = Conversation([Turn("One?", (picture,) * 2, refused=True), Turn("Two?", (picture,), "Yes.")])
    refused, _, asked, _ = (message["content"] for message in talk.chat())
    assert refused == ["(2 pictures, not shown to the model)", "One?"]
    assert [part["type"] for part in asked[:1]] == ["file"] and talk.pictures == 1


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("2*3*4, a_b_c and _d_", r"2\*3\*4, a_b_c and \_d\_"),
        ("List<int>, a < b, &lt; and R&D", r"List\<int>, a < b, \&lt; and R&D"),
        ("# One\n- two\n3. three", "\\# One\n\\- two\n3\\. three"),
        ("`code`, $5, $$x$$ and [a](b) or [c]", r"\`code\`, $5, \$$x\$$ and \[a](b) or [c]"),
        ("*a*\n```\n*b* = 1\n```\n*c*", "\\*a\\*\n```\n*b* = 1\n```\n\\*c\\*"),
        ("¿Qué hay en la imagen 2?", "¿Qué hay en la imagen 2?"),
    ],
)
def test_a_question_is_shown_as_it_was_written(written, told):
    talk = Conversation([Turn(written, (), "**Yes**")])
    assert [message["content"] for message in talk.chat()] == [[told], "**Yes**"]
    assert messages(talk.turns)[0]["content"][-1]["text"] == written
