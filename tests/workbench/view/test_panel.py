"""Pictures reach the kernel whole or are refused with a sentence, and wait for the question in order."""

import base64
import io

import pytest
from PIL import Image

from workbench.view.panel import LARGEST_FILE, MOST_COMING, Panel


def png(colour: str, size: tuple[int, int] = (40, 30)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def told(data: bytes, name: str = "red.png", at: str = "a", parts: int = 1) -> list[dict]:
    """A file as a screen sends it."""
    step = 3 * (len(data) // parts // 3 + 1)  # whole triples: their base64 texts join
    pieces = [data[i : i + step] for i in range(0, max(len(data), 1), step)]
    about = {"type": "picture", "id": at, "name": name, "parts": len(pieces)}
    return [about | {"part": i, "data": base64.b64encode(piece).decode()} for i, piece in enumerate(pieces)]


def hear(panel: Panel, *messages: object) -> None:
    for message in messages:
        panel._listen(panel, message, [])


@pytest.fixture
def panel() -> Panel:
    return Panel(lambda message: None)


def test_a_picture_arrives_in_parts_whatever_their_order(panel):
    whole = png("#d33a2c", (300, 200))
    parts = told(whole, parts=4)
    assert len(parts) > 2
    hear(panel, *reversed(parts[1:]))
    assert not panel.images and not panel._pictures
    hear(panel, parts[0])
    assert [image.size for image in panel.images] == [(300, 200)]
    shown = panel._pictures[0]
    assert (shown["name"], shown["number"]) == ("red.png", 1)
    assert len(shown["src"]) < 10_000


def test_what_was_broken_off_is_not_kept_for_ever(panel):
    first, last = told(png("red", (300, 200)), parts=2)
    hear(panel, first)
    for number in range(MOST_COMING):
        hear(panel, first | {"id": f"later {number}"})
    hear(panel, last)
    assert not panel.images, "its first part is gone"
    hear(panel, last | {"id": f"later {MOST_COMING - 1}"})
    assert len(panel.images) == 1, "the newest are awaited"


def test_a_file_that_is_no_picture_is_refused_by_its_name_and_the_others_stay(panel):
    hear(panel, *told(png("red")), *told(b"Dear all,", "notes.txt", "b"))
    assert panel._notice.startswith("“notes.txt” is not a picture that can be read; known are PNG")
    assert [picture["id"] for picture in panel._pictures] == ["a"]
    hear(panel, *told(b"", "empty.png", "c"), *told(b"x" * 400, "long.bin", "d"))
    assert panel._notice.startswith("“long.bin” is not a picture"), "also where the data are long"
    hear(panel, *told(png("blue"), "blue.png", "e"))
    assert panel._notice == "", "a picture that is fine takes the sentence away"


def test_a_damaged_picture_is_refused(panel):
    hear(panel, *told(png("red", (300, 300))[:-40], "torn.png"))
    assert panel._notice.startswith("“torn.png” is damaged")
    assert not panel.images


def test_a_file_that_was_too_large_to_send_is_told(panel):
    hear(panel, {"type": "large", "name": "huge.tif"})
    assert (
        panel._notice == f"“huge.tif” is larger than {LARGEST_FILE // 1_000_000} MB; make it smaller first."
    )


def test_pictures_can_be_taken_away_before_they_are_sent_and_the_rest_is_numbered_anew(panel):
    for at, colour in (("a", "red"), ("b", "green"), ("c", "blue")):
        hear(panel, *told(png(colour), f"{colour}.png", at))
    hear(panel, {"type": "remove", "id": "b"}, {"type": "remove", "id": "nobody"})
    assert [(p["name"], p["number"]) for p in panel._pictures] == [("red.png", 1), ("blue.png", 2)]
    panel.number_from(3)
    assert [p["number"] for p in panel._pictures] == [4, 5]


def test_pictures_that_were_taken_come_back_before_newer_ones(panel):
    panel.add(Image.new("RGB", (20, 20), "red"), "one")
    taken = panel.take()
    assert not panel.images and not panel._pictures
    panel.add(Image.new("RGB", (20, 20), "blue"), "two")
    panel.put_back(taken)
    assert [p["name"] for p in panel._pictures] == ["one", "two"]


@pytest.mark.parametrize("message", ["text", None, {}, {"type": "picture"}, {"type": "picture", "id": 3}])
def test_odd_messages_do_no_harm(panel, message):
    hear(panel, message)
    assert not panel.images


def test_what_goes_wrong_behind_a_message_becomes_a_sentence():
    def refuse(message):
        raise ValueError("there is no such thing")

    panel = Panel(refuse)
    hear(panel, {"type": "run"})
    assert panel._notice == "There is no such thing."
