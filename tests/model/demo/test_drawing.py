"""What scenes are painted with: handwriting kept apart for tests, shades, backgrounds, masks, noise."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from model.demo.drawing import (
    COLOURS,
    draw_background,
    draw_shade,
    drawn_outline,
    handwriting,
    with_noise,
)
from model.demo.outlines import SHAPES


def images(split):
    return {image.tobytes() for value in handwriting(split) for image in value}


def test_every_digit_of_the_set_is_in_one_split_and_every_fifth_is_for_tests():
    digits = load_digits()
    counts = {split: [len(value) for value in handwriting(split)] for split in ("train", "test")}
    assert sum(counts["train"]) + sum(counts["test"]) == len(digits.images) == 1797
    assert sum(counts["test"]) == 360 and min(counts["test"]) > 25
    for value in range(10):
        assert counts["train"][value] + counts["test"][value] == (digits.target == value).sum()


def test_no_handwriting_of_the_tests_is_drawn_in_training():
    assert not images("train") & images("test")


def test_a_digit_is_what_its_list_says():
    digits = load_digits()
    for value in range(10):
        known = {
            np.minimum(i * 16, 255).astype(np.uint8).tobytes() for i in digits.images[digits.target == value]
        }
        assert {image.tobytes() for image in handwriting("test")[value]} <= known


@pytest.mark.parametrize("colour", COLOURS)
def test_shades_of_a_colour_vary_and_stay_near_it(colour):
    rng = np.random.default_rng(0)
    shades = np.asarray([draw_shade(rng, colour) for _ in range(300)])
    anchors = np.asarray(COLOURS[colour])
    assert len(np.unique(shades, axis=0)) > 50
    low, high = anchors.min(0) - 10, anchors.max(0) + 10
    assert ((shades >= low) & (shades <= high)).all()
    # what people type is drawn as it is now and then
    assert (shades == anchors[0]).all(1).any()


def test_shades_without_a_name_are_far_from_every_colour_that_has_one():
    rng = np.random.default_rng(0)
    shades = np.asarray([draw_shade(rng, None) for _ in range(300)])
    for anchors in COLOURS.values():
        named = np.asarray([np.asarray(a) + (np.subtract(b, a)) * t for a in anchors for b in anchors
                            for t in (0, 0.25, 0.5, 0.75, 1)])  # fmt: skip
        assert np.linalg.norm(shades[:, None] - named, axis=-1).min() > 75
    # not one colour more, but many
    assert shades.std(0).min() > 40


def test_backgrounds_are_plain_shaded_striped_or_dotted_and_let_the_things_stand_out():
    rng = np.random.default_rng(1)
    plain, light = 0, []
    for _ in range(200):
        shade = draw_shade(rng, tuple(COLOURS)[rng.integers(len(COLOURS))])
        pixels = np.asarray(draw_background(rng, 60, 40, [shade])).astype(int)
        assert pixels.shape == (40, 60, 3)
        plain += len(np.unique(pixels.reshape(-1, 3), axis=0)) == 1
        light.append(pixels.mean())
        assert np.abs(pixels.mean((0, 1)) - shade).sum() > 60
    assert 0.55 < plain / 200 < 0.9
    assert min(light) < 40 and max(light) > 240 and any(100 < value < 200 for value in light)


@pytest.mark.parametrize("shape", [*SHAPES, *"0123456789"])
def test_the_mask_is_where_the_paint_is(shape):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        image, mask = Image.new("RGB", (60, 50), (0, 0, 0)), np.zeros((50, 60), dtype=bool)
        drawn_outline(
            rng, image, mask, shape, "test", (255, 255, 255), (30, 25), 20, soft=True, outlined=False
        )
        painted = np.asarray(image)[..., 0]
        assert np.array_equal(painted >= 128, mask) and 60 < mask.sum() < 1600


def test_an_outlined_shape_has_a_rim_of_another_colour_inside_its_mask():
    image, mask = Image.new("RGB", (60, 60), (90, 90, 90)), np.zeros((60, 60), dtype=bool)
    rng = np.random.default_rng(0)
    drawn_outline(rng, image, mask, "circle", "train", (250, 220, 0), (30, 30), 25, soft=False, outlined=True)
    inside = {tuple(rgb) for rgb in np.asarray(image)[mask].tolist()}
    assert inside == {(250, 220, 0), (0, 0, 0)}


def test_noise_moves_every_value_by_no_more_than_its_strength():
    plain = Image.new("RGB", (50, 50), (3, 128, 252))
    noisy = np.asarray(with_noise(np.random.default_rng(0), plain, 6)).astype(int)
    moved = noisy - np.asarray((3, 128, 252))
    assert np.abs(moved).max() == 6 and noisy.min() >= 0 and noisy.max() <= 255
    assert len(np.unique(moved[..., 1])) == 13
