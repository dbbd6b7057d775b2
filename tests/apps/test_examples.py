"""The questions on the cards: drawn as they say, and answered right by the model that comes along."""

from pathlib import Path

import pytest

import workbench as wb
from apps import examples
from apps.handlers import MOST_PICTURES
from model.demo.scenes import HELD_OUT_PAIRS
from model.picture_files import open_image

ANSWERS = {
    "What colour is the circle in image 2?": "Green.",
    "Which image shows a heart?": "Image 2.",
    "How many triangles are there?": "2.",
    "What shape is in image 3?": "Heart.",
    "Welche Farbe hat das Herz in Bild 2?": "Lila.",
    "चित्र 1 में कितने तारे हैं?": "1।",
}


@pytest.fixture
def cards(tmp_path: Path) -> list[examples.Example]:
    return examples.draw(tmp_path)


def test_every_card_has_a_question_and_pictures_that_can_be_opened(cards):
    assert {card.text for card in cards} == ANSWERS.keys()
    for card in cards:
        assert 1 <= len(card.pictures) <= MOST_PICTURES
        assert all(open_image(path).mode == "RGB" for path in card.pictures)


def test_the_cards_show_what_the_model_can_do():
    assert max(len(names) for names in examples.EXAMPLES.values()) >= 4
    assert any("Bild" in text for text in examples.EXAMPLES) and any(
        "चित्र" in text for text in examples.EXAMPLES
    )
    used = {name for names in examples.EXAMPLES.values() for name in names}
    assert used == examples.SCENES.keys()
    for _, _, content in examples.SCENES.values():
        # the app needs no scikit-learn, and nobody's first picture is one of the hard ones
        assert not any(shape.isdigit() for shape, _ in content) and not HELD_OUT_PAIRS & set(content)


def test_the_demo_model_answers_every_card_right(cards):
    session = wb.load("demo")
    said = {card.text: session.chat(card.text, images=card.pictures).text for card in cards}
    session.close()
    assert said == ANSWERS
