"""Pictures are what they say: boxes, masks, colours, the same for the same seed."""

import numpy as np
import pytest
from PIL import Image

from model.demo.scenes import COLOURS, SHAPES, draw_scene


def test_the_same_seed_draws_the_same_picture_and_another_seed_another():
    first, again, other = draw_scene(7), draw_scene(7), draw_scene(8)
    assert first.image.tobytes() == again.image.tobytes() and first.things == again.things
    assert first.image.size != other.image.size or first.image.tobytes() != other.image.tobytes()
    assert draw_scene((1, 7)).things != draw_scene((2, 7)).things


def test_boxes_are_tight_around_masks_inside_the_picture_and_disjoint():
    for seed in range(200):
        scene = draw_scene(seed)
        width, height = scene.size
        assert scene.image.size == scene.size and scene.masks.shape == (len(scene.things), height, width)
        assert scene.masks.sum(0).max() == 1
        for thing, mask in zip(scene.things, scene.masks, strict=True):
            x0, y0, x1, y1 = thing.box
            assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
            assert mask.sum() == mask[y0:y1, x0:x1].sum()
            assert mask[y0].any() and mask[y1 - 1].any() and mask[:, x0].any() and mask[:, x1 - 1].any()


def test_a_mask_holds_the_things_colour_and_its_surroundings_do_not():
    for seed in range(200):
        scene = draw_scene(seed)
        pixels = np.asarray(scene.image).astype(int)
        for thing, mask in zip(scene.things, scene.masks, strict=True):
            far = np.abs(pixels - thing.rgb).sum(-1)
            # outlines, noise and soft edges take some of the pixels
            assert (far[mask] < 60).mean() > 0.3, (seed, thing)
            nothing = far[~scene.masks.any(0)]
            assert (nothing < 60).mean() < 0.1, (seed, thing)


def test_content_and_size_can_be_chosen():
    scene = draw_scene(3, size=(320, 240), content=[("circle", "red"), ("moon", "blue")])
    assert scene.image.size == (320, 240)
    assert [(thing.shape, thing.colour) for thing in scene.things] == [("circle", "red"), ("moon", "blue")]
    for shape in SHAPES:
        assert draw_scene(5, (64, 64), [(shape, "green")]).things[0].shape == shape


def test_a_drawn_colour_lies_nearest_to_the_anchors_of_its_own_name():
    anchors = [(name, np.asarray(rgb)) for name, shades in COLOURS.items() for rgb in shades]
    things = [thing for seed in range(300) for thing in draw_scene(seed).things]
    near = [min(anchors, key=lambda a: np.abs(a[1] - thing.rgb).sum())[0] == thing.colour for thing in things]
    assert np.mean(near) > 0.99


def test_sizes_shapes_and_counts_all_vary():
    scenes = [draw_scene(seed) for seed in range(300)]
    assert {len(scene.things) for scene in scenes} == {1, 2, 3, 4}
    assert {thing.shape for scene in scenes for thing in scene.things} == set(SHAPES)
    assert {thing.colour for scene in scenes for thing in scene.things} == set(COLOURS)
    ratios = [scene.size[0] / scene.size[1] for scene in scenes]
    assert min(ratios) < 0.6 and max(ratios) > 1.7
    assert min(min(scene.size) for scene in scenes) <= 60 and max(max(scene.size) for scene in scenes) >= 400


@pytest.mark.parametrize(
    ("size", "content", "expected"),
    [
        ((20, 300), None, "at least 32 pixels"),
        ((100, 100), [("pyramid", "red")], "pyramid"),
        ((100, 100), [("circle", "mauve")], "mauve"),
        ((40, 40), [("circle", "red")] * 30, "no room for 30 things"),
    ],
    ids=["too small", "unknown shape", "unknown colour", "too many things"],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(size, content, expected):
    with pytest.raises(ValueError, match=expected):
        draw_scene(0, size, content)


def test_the_picture_is_plain_rgb():
    image = draw_scene(0).image
    assert isinstance(image, Image.Image) and image.mode == "RGB"
