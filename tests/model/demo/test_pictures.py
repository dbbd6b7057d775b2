"""The store holds what the processor would make, and labels what the pictures show."""

import numpy as np
import pytest
import torch

from model.demo.drawing import COLOURS
from model.demo.outlines import SHAPES
from model.demo.pictures import CELLS, LABELS, NOTHING, UNCLEAR, draw_store, label_cells
from model.demo.scenes import HELD_OUT_PAIRS, draw_scene
from model.demo.shape import IMAGES
from model.images import tile_image


@pytest.fixture(scope="module")
def store():
    return draw_store(24, 3, IMAGES, workers=1)


@pytest.mark.parametrize("size", [(64, 60), (150, 90), (300, 200), (90, 320)])
def test_cells_inside_a_box_agree_with_the_processors_patch_boxes(size, processor):
    scene = draw_scene(11, size)
    message = {"role": "user", "content": [{"type": "image", "image": scene.image}]}
    spans = processor([message]).spans
    boxes = spans.patch_box[spans.patch_row >= 0]
    _, inside = label_cells(scene.things, tile_image(scene.image, IMAGES), IMAGES.tile_size)
    for thing, cells in zip(scene.things, inside, strict=True):
        x0, y0, x1, y1 = thing.box
        overlap = (boxes[:, 0] < x1) & (boxes[:, 2] > x0) & (boxes[:, 1] < y1) & (boxes[:, 3] > y0)
        assert cells.any() and (overlap[cells]).all()
        # the middle of the thing is seen once, and once more in the thumbnail
        x, y = thing.centre
        holding = (boxes[:, 0] <= x) & (boxes[:, 2] > x) & (boxes[:, 1] <= y) & (boxes[:, 3] > y)
        assert cells[holding].all() and 1 <= holding.sum() <= 2


def test_labels_name_everything_about_the_things_of_a_single_tile_picture():
    scene = draw_scene(4, (80, 80), [("star", "red"), ("3", "blue")])
    labels, _ = label_cells(scene.things, tile_image(scene.image, IMAGES), IMAGES.tile_size)
    named = {tuple(row) for row in labels[0].tolist() if row[0] >= 0}
    expected = set()
    for thing in scene.things:
        x, y = thing.centre
        shape = SHAPES.index("star") if thing.digit < 0 else len(SHAPES)
        size = {"small": 0, None: 1, "big": 2}[thing.size]
        colour = tuple(COLOURS).index(thing.colour)
        expected.add((shape, colour, thing.digit, size, int(x / 10), int(y / 10)))
    assert named == expected and len(LABELS) == 6
    assert (labels[0, :, 0] == NOTHING).sum() == CELLS**2 - 2


def test_what_has_no_name_is_labelled_as_a_thing_of_its_own_kind():
    scene = draw_scene(4, (80, 80), [(None, "red"), ("star", None)])
    labels, _ = label_cells(scene.things, tile_image(scene.image, IMAGES), IMAGES.tile_size)
    named = {tuple(row[:2]) for row in labels[0].tolist() if row[0] >= 0}
    nameless = LABELS["shape"] - 1, LABELS["colour"] - 1
    assert named == {(nameless[0], tuple(COLOURS).index("red")), (SHAPES.index("star"), nameless[1])}
    assert len(SHAPES) < nameless[0] and len(COLOURS) == nameless[1]  # neither a digit nor white


def test_a_thing_cut_by_a_seam_is_not_named_by_its_tiles_but_by_the_thumbnail():
    for seed in range(40):
        scene = draw_scene((8, seed), (160, 160), [("circle", "blue")])
        (thing,) = scene.things
        cut = tile_image(scene.image, IMAGES)
        labels, _ = label_cells(scene.things, cut, IMAGES.tile_size)
        shapes = labels[..., 0]
        assert (shapes[-1] >= 0).sum() == 1 and (shapes[:-1] != NOTHING).sum() == 1
        # where it lies can only be read where the whole picture is seen
        parts, whole = labels[:-1][shapes[:-1] >= 0], labels[-1][shapes[-1] >= 0]
        assert (parts[:, 4:] == -1).all() and (whole[:, 4:] >= 0).all()
        shown = cut_to_its_tile(thing.box[0::2]) * cut_to_its_tile(thing.box[1::2])
        if abs(shown - 0.7) > 0.05:
            assert (shapes[:-1] == UNCLEAR).sum() == (shown < 0.7)


def cut_to_its_tile(ends, side=80) -> float:
    """The share of a stretch that lies in the tile which holds its middle."""
    low, high = ends
    start = (low + high) / 2 // side * side
    return (min(high, start + side) - max(low, start)) / (high - low)


def test_stored_tiles_are_the_processors_pixels_bit_for_bit(store):
    for number, picture in list(enumerate(store.pictures))[:8]:
        scene = draw_scene((3, 1, number))
        assert scene.things == picture.content.things and scene.size == picture.content.size
        tiles = torch.arange(picture.first_tile, picture.first_tile + picture.tiles)
        assert torch.equal(store.pixels(tiles, torch.bfloat16), tile_image(scene.image, IMAGES).tiles)


def test_a_store_is_the_same_for_the_same_seed_whoever_draws_it(store):
    again = draw_store(24, 3, IMAGES, workers=1)
    assert np.array_equal(store.tiles, again.tiles) and np.array_equal(store.labels, again.labels)
    assert [p.content for p in store.pictures] == [p.content for p in again.pictures]
    other = draw_store(4, 4, IMAGES, workers=1)
    assert [p.content for p in other.pictures] != [p.content for p in store.pictures[:4]]


def test_crowds_come_behind_the_pictures_and_every_tile_is_accounted_for(store):
    assert len(store.pictures) == 24 and store.tiles.dtype == torch.uint8
    ends = [picture.first_tile + picture.tiles for picture in store.pictures]
    assert [picture.first_tile for picture in store.pictures] == [0, *ends[:-1]]
    assert int(store.crowds[0]) == ends[-1] and len(store.crowds) == 6
    assert len(store.tiles) == len(store.labels) == int(store.crowds[-1]) + 1
    assert (store.labels[store.shows][..., 0] >= 0).any(1).all() and int(store.shows.max()) < ends[-1]


def test_held_out_pairs_are_in_no_picture_and_no_crowd_of_the_training(store):
    pairs = {(SHAPES.index(s), tuple(COLOURS).index(c)) for s, c in HELD_OUT_PAIRS}
    labels = store.labels.flatten(0, 1)
    named = {tuple(row[:2]) for row in labels[labels[:, 0] >= 0].tolist()}
    assert len(named) > 20 and not named & pairs
