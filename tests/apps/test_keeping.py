"""What a browser keeps of a conversation, and what is believed of it when it comes back."""

import base64
import copy
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from apps import keeping
from apps.conversation import Refusal, Turn
from model.demo.scenes import draw_scene


@pytest.fixture
def talk(tmp_path: Path) -> list[Turn]:
    file = tmp_path / "circle.png"
    draw_scene(1, (90, 60)).image.save(file)
    return [Turn("One?", (file,), "Yes.", "", "run-1"), Turn("Two?", (), "", "(stopped)", "run-2")]


def test_a_conversation_comes_back_from_json_as_it_was(talk, tmp_path):
    text = json.dumps(keeping.kept(talk, "Be brief."))
    turns, system = keeping.restored(json.loads(text), tmp_path / "new")
    assert system == "Be brief."
    for before, after in zip(talk, turns, strict=True):
        assert (after.text, after.answer, after.note, after.run_id) == (
            before.text,
            before.answer,
            before.note,
            before.run_id,
        )
    assert turns[0].pictures[0].read_bytes() == talk[0].pictures[0].read_bytes()
    assert turns[0].pictures[0].parent == tmp_path / "new"
    assert str(tmp_path) not in text


def test_the_messages_can_be_asked_again_as_they_are(talk, session):
    told = keeping.kept(talk[:1], "Be brief.")["messages"]
    reply = session.chat(told[:-1], max_tokens=2)
    assert len(reply.trace.images) == 1 and "Be brief." in "".join(reply.trace.tokens)


def test_pictures_that_came_back_long_ago_go_from_the_disk(talk, tmp_path):
    folder = tmp_path / "new"
    kept = keeping.kept(talk)
    (first,) = keeping.restored(kept, folder)[0][0].pictures
    stray = folder / "stray.png"
    stray.write_bytes(first.read_bytes())
    long_ago = time.time() - keeping.SECONDS_A_PICTURE_IS_KEPT - 60
    for path in (first, stray):
        os.utime(path, (long_ago, long_ago))
    keeping.restored(kept, folder)
    assert list(folder.iterdir()) == [first]


def test_pictures_too_large_for_a_browser_are_left_out_and_the_question_says_so(talk, tmp_path):
    turns, _ = keeping.restored(keeping.kept(talk, most=100), tmp_path)
    assert turns[0].pictures == () and turns[0].note == keeping.TOO_LARGE
    assert turns[1].note == "(stopped)"


def test_a_picture_comes_back_whatever_its_files_ending_was(talk, tmp_path):
    other = tmp_path / "circle.ppm"
    Image.open(talk[0].pictures[0]).save(other)
    turns, _ = keeping.restored(keeping.kept([replace(talk[0], pictures=(other,))]), tmp_path / "new")
    assert turns[0].pictures[0].read_bytes() == other.read_bytes()


def test_a_picture_that_is_gone_is_left_out_and_the_question_says_so(talk, tmp_path):
    talk[0].pictures[0].unlink()
    turns, _ = keeping.restored(keeping.kept(talk), tmp_path / "new")
    assert turns[0].pictures == () and turns[0].note == keeping.GONE and turns[0].text == "One?"


def broken(kept: dict) -> dict[str, object]:
    """Kept conversations that somebody tampered with."""
    data = "data:image/png;base64," + base64.b64encode(b"just words").decode()
    image = {"type": "image_url", "image_url": {"url": data}}
    words = {"type": "text", "text": "Hi"}
    cases: dict[str, object] = {"a list": [], "a word": "hello", "another format": kept | {"format": "x"}}
    for name, messages in {
        "no answers": [{"role": "user", "content": "Hi"}],
        "two questions": [{"role": "user", "content": "Hi"}] * 2,
        "a tool": [{"role": "tool", "content": "Hi"}, {"role": "assistant", "content": ""}],
        "numbers": [7, 8],
        "no text": [{"role": "user", "content": [{"type": "text"}]}, {"role": "assistant", "content": ""}],
        "no picture": [{"role": "user", "content": [image, words]}, {"role": "assistant", "content": ""}],
        "six": [{"role": "user", "content": [image] * 6 + [words]}, {"role": "assistant", "content": ""}],
        "too long": [{"role": "user", "content": "x" * 30_000}, {"role": "assistant", "content": ""}],
    }.items():  # fmt: skip
        cases[name] = kept | {"messages": messages}
    for name, url in {
        "a file": "file:///etc/passwd",
        "a path": "/etc/passwd",
        "an address": "https://example.com/a.png",
        "a drawing": "data:image/svg+xml;base64,PHN2Zy8+",
        "no base64": "data:image/png;base64,%%%",
        "nothing": "",
    }.items():
        cases[name] = copy.deepcopy(kept)
        cases[name]["messages"][0]["content"][0]["image_url"]["url"] = url
    return cases


def test_what_is_no_conversation_is_refused_and_nothing_of_it_stays(talk, tmp_path):
    folder = tmp_path / "new"
    for name, value in broken(keeping.kept(talk)).items():
        with pytest.raises(Refusal, match=r"\.$"):
            keeping.restored(value, folder)
            raise AssertionError(f"{name} was accepted")
    assert not folder.exists() or not list(folder.iterdir())
