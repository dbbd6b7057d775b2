"""The store holds what the processor would make, and labels what the pictures show."""

import numpy as np
import pytest

from model.demo.pictures import CELLS, NOTHING, draw_store, label_cells
from model.demo.scenes import COLOURS, SHAPES, draw_scene
from model.demo.shape import IMAGES, build_processor
from model.images import tile_image


@pytest.mark.parametrize("size", [(64, 60), (150, 90), (300, 200), (90, 320)])
def test_cells_inside_a_box_agree_with_the_processors_patch_boxes(size):
    processor = build_processor()
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


def test_labels_name_every_thing_of_a_single_tile_picture():
    scene = draw_scene(4, (80, 80), [("star", "red"), ("moon", "blue")])
    labels, _ = label_cells(scene.things, tile_image(scene.image, IMAGES), IMAGES.tile_size)
    named = {(SHAPES[shape], tuple(COLOURS)[colour]) for shape, colour in labels[0] if shape >= 0}
    assert named == {("star", "red"), ("moon", "blue")}
    assert (labels[0, :, 0] == NOTHING).sum() == CELLS**2 - 2


def test_a_store_is_the_same_for_the_same_seed():
    first, again = (draw_store(6, 3, IMAGES, workers=1) for _ in range(2))
    assert np.array_equal(first.tiles, again.tiles) and np.array_equal(first.labels, again.labels)
    assert [p.content for p in first.pictures] == [p.content for p in again.pictures]
    assert len(first.pictures) == 6 and first.tiles.shape[0] == first.crowds[-1] + 1
