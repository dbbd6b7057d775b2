"""The questions on the cards: drawn as they say, and answered right by the model that comes along."""

from pathlib import Path

import pytest

import workbench as wb
from apps import examples
from apps.handlers import MOST_PICTURES
from model.picture_files import open_image

ANSWERS = {
    "What colour is the circle in image 2?": "Green.",
    "Which image shows a heart?": "Image 2.",
    "How many triangles are there?": "Two.",
    "Is there a yellow star in the image?": "Yes.",
}


@pytest.fixture
def cards(tmp_path: Path) -> list[examples.Example]:
    return examples.draw(tmp_path)


def test_every_card_has_a_question_and_pictures_that_can_be_opened(cards):
    assert {card.text for card in cards} == ANSWERS.keys()
    for card in cards:
        assert 1 <= len(card.pictures) <= MOST_PICTURES
        assert all(open_image(path).mode == "RGB" for path in card.pictures)


def test_the_demo_model_answers_every_card_right(cards):
    session = wb.load("demo")
    said = {card.text: session.chat(card.text, images=card.pictures).text for card in cards}
    session.close()
    assert said == ANSWERS
