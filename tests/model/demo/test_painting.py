"""What is painted over is gone, and nothing else has changed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model.demo.painting import draw_trials, filled, grown, measure_painting, painted_over
from model.demo.samples import Sample
from model.demo.scenes import Scene, Thing, draw_scene
from model.demo.turns import Meaning, Turn
from tests.model.demo.held_out import fresh


def scene_of(boxes, size=(80, 60), ground=(200, 210, 190)):
    """Plain rectangles on plain ground; later ones lie on top."""
    pixels = np.full((size[1], size[0], 3), ground, dtype=np.uint8)
    masks = np.zeros((len(boxes), size[1], size[0]), dtype=bool)
    things = []
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        rgb = (250 - 60 * index, 20 * index, 10)
        pixels[y0:y1, x0:x1] = rgb
        masks[:, y0:y1, x0:x1] = False
        masks[index, y0:y1, x0:x1] = True
        things.append(Thing("square", "red", rgb, (x0, y0, x1, y1), 0.2))
    return Scene(tuple(things), size, Image.fromarray(pixels), masks)


def sample_of(scene, things=((0, 0),)):
    turn = Turn(Meaning("colour", "colour", "colour", 0, things=things), "en", "What colour?", "Red.")
    return Sample((scene,), (turn,), "en", "train")


def pixels_of(sample):
    return np.asarray(sample.scenes[0].image).astype(int)


def test_on_plain_ground_nothing_remains_of_the_thing():
    trial = painted_over(sample_of(scene_of([(10, 10, 30, 25), (60, 40, 75, 55)])))
    before, after, control = map(pixels_of, (trial.whole, trial.without, trial.elsewhere))
    assert (after[:35, :45] == (200, 210, 190)).all()
    assert (after[:, 45:] == before[:, 45:]).all()
    # on plain ground the control changes nothing at all
    assert (control == before).all()


def test_the_control_is_as_large_and_touches_no_thing():
    scene = draw_scene(3, (120, 90), [("circle", "red"), ("star", "blue")])
    rng = np.random.default_rng(0)
    # a pattern, so that every painted pixel shows
    pattern = rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)
    trial = painted_over(sample_of(replace(scene, image=Image.fromarray(pattern))))
    whole, without, elsewhere = map(pixels_of, (trial.whole, trial.without, trial.elsewhere))
    gone, patch = ((pixels != whole).any(-1) for pixels in (without, elsewhere))
    assert patch.sum() == pytest.approx(gone.sum(), rel=0.02)
    assert not patch[scene.masks.any(0)].any() and (gone & scene.masks[0]).sum() > 0.95 * scene.masks[0].sum()
    assert not gone[scene.masks[1]].any()


def test_what_lies_on_the_thing_stays():
    scene = scene_of([(10, 10, 40, 30), (30, 15, 50, 25)])
    trial = painted_over(sample_of(scene))
    after = pixels_of(trial.without)
    assert (after[15:25, 30:50] == scene.things[1].rgb).all()
    assert (after[12, 12:28] == (200, 210, 190)).all()


def test_without_room_for_the_control_there_is_no_trial():
    assert painted_over(sample_of(scene_of([(2, 2, 78, 58)]))) is None


def test_an_answer_about_several_things_or_none_is_no_trial():
    scene = scene_of([(10, 10, 20, 20), (40, 40, 50, 50)])
    assert painted_over(sample_of(scene, ((0, 0), (0, 1)))) is None
    assert painted_over(sample_of(scene, ())) is None


def test_a_shaded_ground_goes_on_under_the_hole():
    y, x = np.mgrid[0:64, 0:64]
    shaded = np.stack([x * 2 + 40, y * 2 + 40, x + y], -1).astype(np.uint8)
    scene = replace(scene_of([(24, 24, 40, 40)], (64, 64)), image=Image.fromarray(shaded))
    hole = scene.masks[0]
    restored = np.asarray(filled(np.random.default_rng(0), scene, hole, hole)).astype(int)
    assert np.abs(restored - shaded)[hole].mean() < 4
    assert (restored[~hole] == shaded[~hole]).all()


@given(st.integers(0, 1000), st.integers(1, 60))
def test_a_rim_is_as_wide_on_every_side(seed, extent):
    mask = np.random.default_rng(seed).random((14, 17)) < 0.05
    reach = max(2, round(0.06 * extent))
    found = grown(mask, (0, 0, extent, 1))
    for row, column in np.ndindex(mask.shape):
        near = mask[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
        assert found[row, column] == near.any()


def test_trials_are_one_question_each_about_one_thing_in_all_types():
    trials = draw_trials(2, 1, ("digit", "size"))
    assert [trial.whole.turns[0].kind for trial in trials] == ["digit", "digit", "size", "size"]
    assert [trial.whole.turns[0].meaning.answer for trial in trials[2:]] == ["big", "small"]
    for trial in trials:
        assert trial.whole.turns == trial.without.turns == trial.elsewhere.turns
        assert len(trial.whole.turns[0].meaning.things) == 1


def test_guessing_is_the_commonest_answer_whatever_the_language(processor):
    meanings = [
        Meaning("colour", "colour", "colour", 0, things=((0, 0),), said=("square", colour, None))
        for colour in ("red", "red", "blue")
    ]
    scene = scene_of([(10, 10, 30, 25)])
    trials = [
        painted_over(Sample((scene,), (Turn(meaning, code, "?", answer),), code, "train"))
        for meaning, code, answer in zip(meanings, ("en", "de", "en"), ("Red.", "Rot.", "Blue."), strict=True)
    ]
    report = measure_painting(fresh(processor), processor, trials)
    assert report["chance"] == pytest.approx(2 / 3) == report["by_type"]["colour"]["chance"]
    assert report["questions"] == 3 and 0 <= report["detail"]["after"]["low"] <= report["after"] <= 1
