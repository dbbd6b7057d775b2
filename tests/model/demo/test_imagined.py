"""Things get colours that no picture shows them in: consistently, only where they stand free, and exactly."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.demo.drawing import COLOURS
from model.demo.imagined import Shades, repaint, repainted_cells
from model.demo.outlines import SHAPES
from model.demo.packing import Packer
from model.demo.pictures import CELLS, LABELS, draw_store
from model.demo.scenes import HELD_OUT_PAIRS
from model.demo.shape import IMAGES

NAMES = tuple(COLOURS)


@pytest.fixture(scope="module")
def store():
    return draw_store(120, 3, IMAGES, workers=1)


def named(picture):
    return [(thing.shape, thing.colour) for thing in picture.content.things]


def test_pictures_of_training_show_no_held_out_pair_and_repainted_ones_say_many(store):
    rng = np.random.default_rng(0)
    said = [name for picture in store.pictures for name in named(repaint(rng, [picture])[0])]
    drawn = {name for picture in store.pictures for name in named(picture)}
    assert not drawn & HELD_OUT_PAIRS
    share = np.mean([name in HELD_OUT_PAIRS for name in said if name[0] in SHAPES and name[1]])
    assert 0.1 < share < 0.35  # of the rows that are repainted; these are half of all


def test_what_has_one_name_in_a_row_of_pictures_has_one_name_afterwards(store):
    changed = 0
    for seed in range(30):
        row = [store.pictures[n] for n in np.random.default_rng(seed).integers(len(store.pictures), size=5)]
        row += row[:2]
        after = repaint(np.random.default_rng(seed), row)
        names: dict = {}
        for before, now in zip(row, after, strict=True):
            for old, new in zip(named(before), named(now), strict=True):
                assert names.setdefault(old, new) == new
                assert old[0] == new[0] and (old == new or (old[0] in SHAPES and old[1] in COLOURS))
                changed += old != new
            assert now.inside is before.inside and now.first_tile == before.first_tile
    assert changed > 30


def test_the_cells_of_a_repainted_thing_are_its_own(store):
    picture = next(p for p in store.pictures if len(p.content.things) > 1 and (p.inside.sum(0) > 1).any())
    cells = repainted_cells(replace(picture, repainted=((0, 1, 4),)))
    assert cells.shape[1] == 3 and (cells[:, 1:] == (1, 4)).all()
    for cell in cells[:, 0]:
        assert picture.inside[0, cell] and picture.inside[:, cell].sum() == 1
    assert repainted_cells(picture).shape == (0, 3)


def test_vectors_that_are_sums_of_a_shape_and_a_colour_are_repainted_exactly(store):
    torch.manual_seed(0)
    shapes, colours = torch.randn(2, LABELS["shape"], 16), torch.randn(2, LABELS["colour"], 16)
    tiles = torch.arange(store.pictures[-1].first_tile + store.pictures[-1].tiles)
    labels = store.labels[tiles]

    def written(pictures, colour_of):
        vectors = torch.zeros(len(tiles) * CELLS**2, 16)
        at = 0
        for picture in pictures:
            for number, thing in enumerate(picture.content.things):
                own = np.flatnonzero(picture.inside[number] & (picture.inside.sum(0) == 1))
                places = torch.from_numpy(at + own)
                middle = (labels.flatten(0, 1)[places, 0] >= 0).long()
                shape = (*SHAPES, "digit", None).index(thing.shape)
                colour = (*NAMES, None).index(colour_of(thing))
                vectors[places] = shapes[middle, shape] + colours[middle, colour]
            at += picture.inside.shape[1]
        return vectors.view(len(tiles), CELLS**2, 16)

    features = written(store.pictures, lambda thing: thing.colour)
    shades = Shades.read(features, labels, store.pictures)
    rng = np.random.default_rng(1)
    after = [repaint(rng, [picture])[0] for picture in store.pictures]
    cells = [
        repainted_cells(picture) + (picture.first_tile * CELLS**2, 0, 0)  # noqa: RUF005
        for picture in after
    ]
    painted = shades.paint(features, labels, torch.from_numpy(np.concatenate(cells)))
    wanted = written(after, lambda thing: thing.colour)
    assert not torch.allclose(features, wanted, atol=0.1)
    torch.testing.assert_close(painted, wanted, atol=5e-3, rtol=0)
    assert shades.paint(features, labels, torch.zeros(0, 3, dtype=torch.long)) is features


def test_a_batch_says_which_cells_get_which_colours_and_asks_about_them(processor, store):
    rng = np.random.default_rng(0)
    plain = Packer(processor.tokenizer, store, slots=2).batch(rng, 160, 4)
    assert len(plain.repainted) == 0
    batch = Packer(processor.tokenizer, store, imagined=1.0, slots=2).batch(rng, 160, 4)
    cell, before, after = batch.repainted.unbind(1)
    assert len(cell) and (before != after).all() and int(cell.max()) < len(batch.tiles) * CELLS**2
    drawn = store.labels[batch.tiles].flatten(0, 1)[cell]
    middles = drawn[:, 0] >= 0
    assert middles.any()
    # the middle of a repainted thing is drawn in the colour that it is painted over
    assert torch.equal(drawn[middles, 1].long(), before[middles])
