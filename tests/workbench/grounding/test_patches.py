"""Patches and pixels: whatever its size, every pixel of a picture is covered exactly once by each view."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from model.images import ImageSettings, tile_image
from model.processor import Inputs
from model.spans import Spans
from workbench.grounding import GroundingError, Patches, PatchMap

SETTINGS = ImageSettings(tile_size=24, max_tiles=6)
PER_SIDE = 3
SIZES = st.one_of(
    st.tuples(st.integers(1, 160), st.integers(1, 160)),
    st.tuples(st.just(1), st.integers(1, 300)),
    st.tuples(st.integers(1, 300), st.just(1)),
    st.tuples(st.integers(200, 400), st.integers(1, 40)),
)


def patches_of(*sizes: tuple[int, int]) -> Patches:
    images = [Image.new("RGB", size) for size in sizes]
    spans = [
        Spans.of_image(tile_image(image, SETTINGS), PER_SIDE, number, 0, "user")
        for number, image in enumerate(images)
    ]
    return Patches.of(Inputs(None, None, Spans.joined(spans), tuple(images)))


def found_by(patches: Patches, scores: np.ndarray) -> PatchMap:
    return PatchMap(patches, np.asarray(scores, float), "word", 0, "by hand")


@settings(max_examples=60)
@given(st.lists(SIZES, min_size=1, max_size=2), st.integers(0, 2**32 - 1))
@example([(1, 1)], 0)
@example([(1, 300)], 0)
@example([(300, 1)], 0)
@example([(97, 131), (400, 3)], 0)
def test_each_view_covers_every_pixel_exactly_once(sizes, seed):
    patches = patches_of(*sizes)
    scores = np.random.default_rng(seed).random(len(patches))
    found = found_by(patches, scores)
    ones = found_by(patches, np.ones(len(patches)))
    for image, (width, height) in enumerate(sizes):
        views = patches.views(image)
        assert "tiles" in views and ("thumbnail" in views) == bool(
            patches.thumbnail[patches.image == image].any()
        )
        for view in (*views, "merged"):
            covered = ones.on_pixels(image, view)
            assert covered.shape == (height, width)
            np.testing.assert_allclose(covered, 1, atol=1e-9)
        mine = (patches.image == image) & patches.real
        for view in views:
            one = mine & (patches.thumbnail == (view == "thumbnail"))
            pixels = found.on_pixels(image, view, mass=True)
            assert pixels.sum() == pytest.approx(scores[one].sum()), "no mass is lost, none made"
            assert pixels.min() >= 0
        merged = found.on_pixels(image, mass=True)
        assert merged.sum() == pytest.approx(scores[mine].sum())
        apart = [found.on_pixels(image, view) for view in views]
        np.testing.assert_allclose(found.on_pixels(image), np.mean(apart, 0))


@settings(max_examples=30)
@given(SIZES, st.integers(0, 10**6))
@example((33, 77), 5)
def test_a_pixel_lies_in_the_patch_whose_box_holds_its_middle(size, pick):
    patches = patches_of(size)
    real = np.flatnonzero(patches.real)
    patch = real[pick % len(real)]
    found = found_by(patches, np.arange(len(patches)) == patch)
    view = "thumbnail" if patches.thumbnail[patch] else "tiles"
    x0, y0, x1, y1 = patches.box[patch]
    seen = found.on_pixels(0, view)
    for y, x in np.argwhere(seen == 1):
        assert x0 - 1e-3 <= x and x + 1 <= x1 + 1e-3 and y0 - 1e-3 <= y and y + 1 <= y1 + 1e-3
    assert seen.sum() == pytest.approx((x1 - x0) * (y1 - y0), rel=1e-4), "as many pixels as its box has"


@settings(max_examples=30)
@given(SIZES, st.data())
def test_a_region_has_its_area_in_every_view(size, data):
    width, height = size
    patches = patches_of(size)
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    box = (x0, y0, data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height)))
    mask = np.zeros((height, width), bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    by_box, by_mask = patches.share_in(0, [box]), patches.share_in(0, mask=mask)
    np.testing.assert_allclose(by_box, by_mask, atol=1e-6)
    np.testing.assert_allclose(patches.share_in(0, [box, box]), by_box)
    for view in patches.views(0):
        grid = patches.grid(0, view)
        area = (by_box[grid.index] * grid.areas).sum()
        assert area == pytest.approx((box[2] - box[0]) * (box[3] - box[1]), rel=1e-4, abs=1e-4)


def test_padding_reaches_no_pixel_and_is_told():
    patches = patches_of((24, 10))
    assert not patches.real.all()
    found = found_by(patches, np.where(patches.real, 0.0, 1.0))
    assert not found.on_pixels(0).any() and found.padding == (~patches.real).sum()


def test_masked_patches_reach_no_pixel():
    patches = patches_of((24, 24))
    found = found_by(patches, np.ones(9)).masking(np.arange(9) == 4)
    pixels = found.on_pixels(0)
    assert not pixels[8:16, 8:16].any() and pixels.sum() == 8 * 64
    assert found.masking(np.asarray([patches.token[0]])).on_pixels(0)[0, 0] == 0
    assert found.of_images().tolist() == [8]
    with pytest.raises(GroundingError, match="token 999 is no patch"):
        found.masking(np.asarray([999]))
    with pytest.raises(GroundingError, match=r"\(3,\)"):
        found.masking(np.ones(3, bool))


def test_a_box_hides_what_it_holds_and_a_small_one_the_patch_it_lies_in():
    patches = patches_of((24, 24))
    assert patches.hidden_by(0, (0, 0, 16, 8)).nonzero()[0].tolist() == [0, 1]
    assert patches.hidden_by(0, (17, 17, 19, 19)).nonzero()[0].tolist() == [8]
    several = patches_of((48, 48))
    hidden = several.hidden_by(0, (0, 0, 8, 8))
    assert hidden[~several.thumbnail].sum() == 1 and hidden[several.thumbnail].sum() == 1


def test_a_map_on_other_cells_keeps_its_mass():
    patches = patches_of((50, 30), (1, 70))
    found = found_by(patches, np.random.default_rng(0).random(len(patches)))
    cells = Patches.cells([(50, 30), (1, 70)], 4, 4)
    moved = found.onto(cells)
    np.testing.assert_allclose(moved.of_images(), found.of_images())
    assert len(moved.scores) == 32


def test_a_table_has_a_row_for_every_patch():
    pandas = pytest.importorskip("pandas")
    table = found_by(patches_of((24, 20)), np.arange(9)).to_pandas()
    assert isinstance(table, pandas.DataFrame) and list(table.score) == list(range(9))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda p: p.grid(1), "image is 1; there are 1 pictures"),
        (lambda p: p.grid(0, "thumbnail"), "it has tiles"),
        (lambda p: p.to_pixels(np.ones(9), 0, "both"), "view is 'both'; expected one of"),
        (lambda p: p.share_in(0, [(0, 0, 25, 5)]), "not inside a picture of 24 x 24"),
        (lambda p: p.share_in(0, [(5, 0, 5, 5)]), "x0 < x1"),
        (lambda p: p.share_in(0, mask=np.ones((3, 3))), r"the mask is \(3, 3\)"),
        (lambda p: p.share_in(0), "boxes or a mask"),
        (lambda p: Patches.cells([(5, 5)], 0, 2), "0 x 2"),
        (lambda p: found_by(p, np.ones(4)), "expected one for each of 9"),
    ],
)
def test_what_cannot_be_asked_is_refused(ask, message):
    with pytest.raises(GroundingError, match=message):
        ask(patches_of((24, 24)))
