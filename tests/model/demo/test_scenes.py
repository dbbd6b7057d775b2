"""Pictures are what they say: boxes, masks, colours, splits, the same for the same seed."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from model.demo import drawing
from model.demo.drawing import COLOURS
from model.demo.outlines import SHAPES
from model.demo.scenes import BIG, DIGITS, HELD_OUT_PAIRS, SMALL, draw_content, draw_scene
from model.demo.shape import IMAGES
from model.images import tile_image


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene((1, seed)) for seed in range(150)]


@pytest.fixture(scope="module")
def cuts(scenes):
    return [tile_image(scene.image, IMAGES) for scene in scenes[:80]]


def test_the_same_seed_draws_the_same_picture_and_another_seed_another():
    first, again, other = draw_scene(7), draw_scene(7), draw_scene(8)
    assert first.image.tobytes() == again.image.tobytes() and first.things == again.things
    assert (first.masks == again.masks).all()
    assert first.image.size != other.image.size or first.image.tobytes() != other.image.tobytes()
    assert draw_scene((1, 7)).things != draw_scene((2, 7)).things


def test_boxes_are_tight_around_masks_and_no_pixel_belongs_to_two_things(scenes):
    for scene in scenes:
        width, height = scene.size
        assert scene.image.size == scene.size and scene.masks.shape == (len(scene.things), height, width)
        assert scene.masks.sum(0).max() == 1
        for thing, mask in zip(scene.things, scene.masks, strict=True):
            x0, y0, x1, y1 = thing.box
            assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
            assert mask.sum() == mask[y0:y1, x0:x1].sum()
            assert mask[y0].any() and mask[y1 - 1].any() and mask[:, x0].any() and mask[:, x1 - 1].any()
            assert thing.centre == ((x0 + x1) / 2, (y0 + y1) / 2)
            assert thing.extent == pytest.approx(((x1 - x0) * (y1 - y0) / (width * height)) ** 0.5)


def test_a_mask_holds_the_things_colour_and_its_surroundings_do_not(scenes):
    for scene in scenes:
        pixels = np.asarray(scene.image).astype(int)
        for thing, mask in zip(scene.things, scene.masks, strict=True):
            far = np.abs(pixels - thing.rgb).sum(-1)
            # outlines, noise and soft edges take some of the pixels
            assert (far[mask] < 60).mean() > 0.3, thing
            nothing = far[~scene.masks.any(0)]
            assert (nothing < 60).mean() < 0.1, thing


def overlapping(scene) -> bool:
    boxes = [thing.box for thing in scene.things]
    return any(
        a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for a, b in pairwise(sorted(boxes))
    )


def test_things_overlap_now_and_then_but_never_hide_each_other(scenes):
    several = [scene for scene in scenes if len(scene.things) > 1]
    assert 0.02 < np.mean([overlapping(scene) for scene in several]) < 0.9
    # what lies below loses pixels, at most three in ten
    content, hidden = [("square", "red"), ("circle", "blue"), ("heart", "green")], 0
    for seed in range(60):
        scene = draw_scene((2, seed), (90, 90), content)
        for thing, mask in zip(scene.things, scene.masks, strict=True):
            x0, y0, x1, y1 = thing.box
            if thing.shape == "square":  # turned by up to 14 degrees it fills most of its box
                filled = mask.sum() / ((x1 - x0) * (y1 - y0))
                hidden += filled < 0.65
                assert filled > 0.4
    assert hidden < 30


def test_things_reach_the_borders_and_lie_across_the_seams_of_tiles(scenes, cuts):
    gaps = [
        min(t.box[0], t.box[1], scene.size[0] - t.box[2], scene.size[1] - t.box[3])
        for scene in scenes
        for t in scene.things
    ]
    assert min(gaps) <= 1 and np.mean(np.asarray(gaps) <= 3) > 0.1
    across = 0
    for scene, cut in zip(scenes, cuts, strict=False):
        scale = cut.resized[0] / scene.size[0]
        for thing in scene.things:
            left, right = thing.box[0] * scale, thing.box[2] * scale
            across += int(left // IMAGES.tile_size) < int((right - 1) // IMAGES.tile_size)
    assert across > 15


def test_sizes_shapes_places_and_counts_all_vary(scenes, cuts):
    assert {len(scene.things) for scene in scenes} == {1, 2, 3, 4}
    assert {thing.shape for scene in scenes for thing in scene.things} == {*SHAPES, "digit", None}
    assert {thing.colour for scene in scenes for thing in scene.things} == {*COLOURS, None}
    assert len({thing.digit for scene in scenes for thing in scene.things}) > 6
    sizes = [thing.size for scene in scenes for thing in scene.things]
    assert all(0.1 < sizes.count(size) / len(sizes) < 0.7 for size in ("big", "small", None))
    ratios = [scene.size[0] / scene.size[1] for scene in scenes]
    assert min(ratios) < 0.6 and max(ratios) > 1.7
    assert min(min(scene.size) for scene in scenes) < 60 and max(max(scene.size) for scene in scenes) >= 400
    assert {len(cut.tiles) for cut in cuts} >= {1, 3, 5}  # one; two and four with a thumbnail


def test_a_size_word_keeps_away_from_what_people_might_call_either(scenes):
    for thing in (thing for scene in scenes for thing in scene.things):
        assert (thing.size == "big") == (thing.extent >= BIG)
        assert (thing.size == "small") == (thing.extent <= SMALL)
    assert SMALL < BIG


def test_held_out_pairs_are_never_drawn_for_training_and_often_for_tests():
    assert len(HELD_OUT_PAIRS) == len(SHAPES) == len({shape for shape, _ in HELD_OUT_PAIRS})
    assert all(shape in SHAPES and colour in COLOURS for shape, colour in HELD_OUT_PAIRS)
    rng = np.random.default_rng(0)
    training = [pair for _ in range(4000) for pair in draw_content(rng, "train")]
    assert not HELD_OUT_PAIRS & set(training)
    assert set(training) >= {(s, c) for s in SHAPES for c in COLOURS} - HELD_OUT_PAIRS
    tests = [draw_content(rng, "test") for _ in range(1000)]
    assert all(shape and colour for content in tests for shape, colour in content)
    assert 0.4 < np.mean([bool(HELD_OUT_PAIRS & set(content)) for content in tests]) < 0.75


def test_training_draws_every_colour_on_nameless_shapes_and_every_shape_in_nameless_colours():
    rng = np.random.default_rng(2)
    training = [pair for _ in range(3000) for pair in draw_content(rng, "train")]
    assert {(None, colour) for colour in COLOURS} <= set(training)
    assert {(shape, None) for shape in (*SHAPES, *DIGITS)} <= set(training)
    assert 0.15 < np.mean([shape is None for shape, _ in training]) < 0.25
    assert 0.15 < np.mean([colour is None for _, colour in training]) < 0.25


def test_half_of_the_training_pictures_can_be_told_in_full():
    rng = np.random.default_rng(4)
    several = [content for _ in range(3000) if len(content := draw_content(rng, "train")) > 2]
    told = [all(shape and colour for shape, colour in content) for content in several]
    assert 0.5 < np.mean(told) < 0.65


def test_a_thing_without_a_shape_or_a_colour_has_no_name():
    assert not any(thing.named for thing in draw_scene(3, content=[(None, "red"), ("star", None)]).things)


def test_content_and_size_can_be_chosen():
    scene = draw_scene(3, size=(320, 240), content=[("circle", "red"), ("7", "blue")])
    assert scene.image.size == (320, 240)
    assert [(t.shape, t.colour, t.digit) for t in scene.things] == [
        ("circle", "red", -1),
        ("digit", "blue", 7),
    ]
    for shape in (*SHAPES, *DIGITS):
        (thing,) = draw_scene(5, (64, 64), [(shape, "green")]).things
        assert (str(thing.digit) if thing.shape == "digit" else thing.shape) == shape


def test_a_drawn_colour_lies_nearest_to_the_anchors_of_its_own_name(scenes):
    anchors = [(name, np.asarray(rgb)) for name, shades in COLOURS.items() for rgb in shades]
    things = [thing for scene in scenes for thing in scene.things if thing.colour]
    near = [min(anchors, key=lambda a: np.abs(a[1] - thing.rgb).sum())[0] == thing.colour for thing in things]
    assert np.mean(near) > 0.99


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"size": (20, 300)}, "at least 32 pixels"),
        ({"content": [("pyramid", "red")]}, "pyramid"),
        ({"content": [("circle", "mauve")]}, "mauve"),
        ({"content": [("12", "red")]}, "12"),
        ({"size": (32, 32), "content": [("circle", "red")] * 8}, "no room for 8 things"),
        ({"content": []}, "0 things"),
        ({"content": [("circle", "red")] * 9}, "9 things"),
        ({"split": "exam"}, "exam"),
    ],
    ids=[
        "too small",
        "unknown shape",
        "unknown colour",
        "no digit",
        "no room",
        "nothing",
        "too many",
        "unknown split",
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(given, expected):
    with pytest.raises(ValueError, match=expected):
        draw_scene(0, **given)


def test_without_scikit_learn_pictures_have_no_digits_and_a_named_digit_says_what_to_install(monkeypatch):
    def digits() -> set[int]:
        return {thing.digit for seed in range(30) for thing in draw_scene((1, seed)).things}

    assert max(digits()) >= 0
    for name in ("sklearn", "sklearn.datasets"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(drawing, "_handwriting", drawing._handwriting.__wrapped__)  # nothing read before
    assert digits() == {-1}
    with pytest.raises(ImportError, match=r"digits come from scikit-learn: pip install scikit-learn$"):
        draw_scene(0, content=[("3", "black")])


def test_the_picture_is_plain_rgb():
    image = draw_scene(0).image
    assert isinstance(image, Image.Image) and image.mode == "RGB"
