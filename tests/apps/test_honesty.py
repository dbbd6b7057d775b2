"""What a check of a map says, for numbers made by hand, and on a model that looks at what it names."""

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

import workbench as wb
from apps import page
from apps.conversation import Turn
from apps.honesty import ENOUGH, SQUARES, Verdict, check
from apps.shelf import Answer
from model.demo.scenes import draw_scene


def verdict(**numbers: float) -> Verdict:
    usual = {"agreement": 0.6, "lost": 0.9, "most": 0.9}
    return Verdict(
        word="Red", layer=5, heads=None, probability=1.0, chance=0.4, squares=25, rank=1, passes=26,
        losses=np.zeros((1, 5, 5)), needed=(Image.new("RGB", (9, 9)),), **(usual | numbers),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "begins"),
    [
        ({}, "Yes"),
        ({"lost": 0.1}, "Partly: the map agrees"),
        ({"agreement": 0.1}, "Partly: the brightest"),
        ({"agreement": -0.6, "lost": 0.0}, "No:"),
        ({"lost": 0.01, "most": 0.01}, "No single square"),
    ],
)
def test_the_numbers_are_put_into_one_sentence(numbers, begins):
    assert verdict(**numbers).sentence.startswith(begins)


@pytest.fixture(scope="module")
def demo() -> Iterator[wb.Session]:
    opened = wb.load("demo")
    yield opened
    opened.close()


def test_the_word_rests_on_the_thing_that_it_names(tmp_path, demo):
    scene = draw_scene(3, (80, 80), [("circle", "red"), ("star", "green")])
    file = tmp_path / "scene.png"
    scene.image.save(file)
    reply = demo.chat("What colour is the circle?", images=[scene.image])
    answer = Answer(reply.trace, [Turn("What colour is the circle?", (file,))])
    layer = reply.trace.meta["default_attention_layer"]
    word = int(reply.trace.generated_index[0])
    found, several = check(demo, answer, word, layer), check(demo, answer, word, layer, [0, 2])
    assert found.heads is None and "the mean of all heads" in page.honesty(found)
    assert several.heads == (0, 2) and "heads 0, 2" in page.honesty(several)
    row, column = divmod(int(found.losses[0].argmax()), SQUARES)
    x0, y0, x1, y1 = scene.things[0].box
    side = 80 / SQUARES
    assert found.most == found.losses.max() > ENOUGH
    # what was hidden reaches half a square further
    assert x0 < (column + 1.5) * side and (column - 0.5) * side < x1
    assert y0 < (row + 1.5) * side and (row - 0.5) * side < y1
    assert found.losses[0][row, column] > np.median(found.losses) + ENOUGH
    # painted bright there, and dark where nothing is lost
    lit = np.asarray(found.needed[0], float).sum(-1)
    assert lit[int((row + 0.5) * side), int((column + 0.5) * side)] > lit.min()
