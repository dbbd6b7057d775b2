"""The still picture shows what the page would, as far as a still can."""

import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tests.workbench.view.traces import make_trace
from workbench.trace import replace
from workbench.view.module import FOLDER
from workbench.view.still import EXPERT_COLOURS, featured_token, still_png


def drawn(trace) -> np.ndarray:
    image = Image.open(BytesIO(still_png(trace)))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB"))


def test_the_word_shown_is_the_last_that_says_something():
    trace = make_trace()
    assert trace.tokens[featured_token(trace)] == " red"
    assert featured_token(make_trace(answer=["<|eot|>"])) is None


def test_the_attended_square_is_brighter_than_the_rest():
    pixels = drawn(make_trace())
    background = np.array([0xF3, 0xEF, 0xE6])  # of picture 1, seen only where the veil is thin
    bright = (np.abs(pixels.astype(int) - background) < 6).all(-1)
    assert 500 < bright.sum() < 10000


@pytest.mark.parametrize("layers", [(), (1,), tuple(range(48))])
def test_any_number_of_layers_can_be_drawn(layers):
    assert drawn(make_trace(layers=layers, experts=128)).size


def test_traces_without_pictures_attention_or_answer_can_be_drawn():
    trace = make_trace()
    bare = replace(trace, attention=None, attention_layers=np.array([], np.int16))
    assert drawn(bare).size
    assert drawn(make_trace(with_pictures=False)).size
    assert drawn(make_trace(with_pictures=False, layers=(), text="")).size


def test_scripts_and_signs_that_a_figure_might_trip_over_are_drawn():
    answer = [" लाल", " สีแดง", " $x^$", " <b>", " \\frac{"]
    assert drawn(make_trace(answer=answer)).size


def test_experts_that_were_not_captured_are_left_out():
    trace = make_trace()
    assert drawn(replace(trace, routed_experts=np.full_like(trace.routed_experts, -1))).size


def test_an_expert_has_the_colour_that_it_has_in_the_live_view():
    source = (FOLDER / "js" / "colours.js").read_text(encoding="utf-8")
    palette = source.split("PALETTE = [")[1].split("];")[0]
    triples = re.findall(r"\[(\d+), (\d+), (\d+)\]", palette)
    assert ["#{:02x}{:02x}{:02x}".format(*map(int, triple)) for triple in triples] == EXPERT_COLOURS
