"""The scene maker: what is drawn is what was placed, and it stays known."""

import numpy as np
import pytest

from apps.conversation import Refusal
from apps.maker import (
    DRAWN,
    LONGEST_LINE,
    MOST_THINGS,
    PEN,
    Placed,
    Truths,
    draw,
    palette,
    placed,
)
from model.demo.drawing import COLOURS
from model.demo.outlines import SHAPES

CIRCLE = {"shape": "circle", "colour": "red", "x": 100, "y": 80, "radius": 40}
LINE = CIRCLE | {"shape": DRAWN, "colour": "blue", "line": [[-1, -0.5], [0, 0.5], [1, 0]]}


def test_a_shape_is_drawn_where_it_was_placed_and_its_box_is_tight():
    image, known = draw(placed([CIRCLE]))
    assert image.size == (palette()["width"], palette()["height"])
    assert image.getpixel((100, 80)) == (255, 0, 0) and image.getpixel((10, 10)) == (250, 250, 250)
    (thing,) = known
    assert (thing.shape, thing.colour) == ("circle", "red")
    red = np.asarray(image)[..., 1] < 125
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    assert thing.box == pytest.approx((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), abs=1)


def test_what_is_covered_is_not_known():
    under = Placed("circle", "blue", 100, 80, 20)
    _, known = draw([under, Placed("square", "red", 100, 80, 80)])
    assert [thing.colour for thing in known] == ["red"]


def test_every_shape_and_colour_can_be_drawn_and_the_browser_is_told_the_same_outlines():
    told = palette()
    assert told["shapes"].keys() == set(SHAPES) and told["colours"].keys() == COLOURS.keys()
    for shape in SHAPES:
        corners = np.asarray(told["shapes"][shape])
        _, known = draw([Placed(shape, "blue", 160, 120, 100)])
        low, high = 100 * corners.min(0) + (160, 120), 100 * corners.max(0) + (160, 120)
        assert known[0].box == pytest.approx((*low, *high), abs=2)


def test_a_line_is_drawn_along_its_points_and_known_by_the_box_of_its_stroke():
    image, (line,) = draw(placed([LINE]))
    for place in ((60, 60), (100, 100), (140, 80), (80, 80)):  # its points, and half way between two
        assert image.getpixel(place) == (0, 0, 255), place
    assert image.getpixel((100, 60)) == (250, 250, 250)
    assert (line.shape, line.colour) == (DRAWN, "blue")
    assert line.box == pytest.approx((60 - PEN / 2, 60 - PEN / 2, 140 + PEN / 2, 100 + PEN / 2), abs=1)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "circle",
        [7],
        [CIRCLE] * (MOST_THINGS + 1),
        [CIRCLE | {"shape": "cow"}],
        [CIRCLE | {"colour": ["red"]}],
        [CIRCLE | {"x": float("nan")}],
        [CIRCLE | {"x": "left"}],
        [CIRCLE | {"x": 10**400}],  # a whole number in JSON has no end
        [CIRCLE | {"radius": 10**9}],
        [CIRCLE | {"y": -30}],
        [LINE | {"line": None}],
        [LINE | {"line": []}],
        [LINE | {"line": [[0, 0]] * (LONGEST_LINE + 1)}],
        [LINE | {"line": [[0, 0, 0]]}],
        [LINE | {"line": [[0, 7]]}],
        [LINE | {"line": [[0, 10**400]]}],
        [LINE | {"line": [[0, float("nan")]]}],
        [LINE | {"line": [0.5]}],
    ],
)
def test_what_cannot_be_drawn_is_refused_with_a_sentence(value, tmp_path):
    with pytest.raises(Refusal, match=r"\.$"):
        Truths().make(value, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_picture_is_known_by_what_is_in_it_wherever_it_lies(tmp_path):
    truths = Truths()
    path = truths.make([CIRCLE], tmp_path)
    copy = tmp_path / "elsewhere.png"
    copy.write_bytes(path.read_bytes())
    assert truths.of(copy) == truths.of(path) != []
    copy.write_bytes(path.read_bytes() + b"\0")
    assert truths.of(copy) is None and truths.of(tmp_path / "gone.png") is None
