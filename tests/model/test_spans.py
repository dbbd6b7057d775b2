"""A patch token shows what lies in its box: checked on gradients, where a colour is a place."""

import numpy as np
import pytest
from PIL import Image

from model.chat_template import ROLES
from model.images import ImageSettings, tile_image
from model.spans import PATCH, PATCH_TOKEN, STRUCTURE, TEXT, Spans, image_tokens, patch_boxes
from tests.reference import DEMO_TILES

AWKWARD = [
    (337, 337), (480, 640), (1080, 1920), (50, 47), (200, 1500), (1001, 333), (97, 1499), (1371, 1828),
    (3000, 2000),
]  # fmt: skip
SETTINGS = [(ImageSettings(), 12), (DEMO_TILES, 5)]


def gradients(height, width):
    """Red grows from left to right, green from top to bottom, blue is full wherever there is a picture."""
    y, x = np.indices((height, width))
    values = [255 * (x + 0.5) / width, 255 * (y + 0.5) / height, np.full((height, width), 255)]
    return Image.fromarray(np.stack(values, axis=2).round().astype(np.uint8))


def patches_of(tiled, tokens_per_side):
    """[patches, pixels, 3] in prompt order, as values between 0 and 1."""
    step = tiled.tiles.shape[-1] // tokens_per_side
    patches = (
        tiled.tiles.float().unfold(2, step, step).unfold(3, step, step)
    )  # [tiles, 3, row, col, step, step]
    return ((patches.permute(0, 2, 3, 4, 5, 1).flatten(3, 4).flatten(0, 2) + 1) / 2).numpy()


@pytest.mark.parametrize(("settings", "tokens_per_side"), SETTINGS, ids=["published", "demo"])
@pytest.mark.parametrize("size", AWKWARD, ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_patch_shows_what_lies_in_its_box(size, settings, tokens_per_side):
    height, width = size
    tiled = tile_image(gradients(height, width), settings)
    boxes = patch_boxes(tiled, tokens_per_side)
    patches = patches_of(tiled, tokens_per_side)
    covered = patches[..., 2] > 0.5
    padding = np.isnan(boxes).any(axis=1)
    assert np.isnan(boxes[padding]).all()
    # NaN where there is padding and nothing else, and only there
    assert (patches[padding] == 0).all()
    assert covered[~padding].any(axis=1).all()

    x0, y0, x1, y1 = boxes[~padding].T
    shown = np.where(covered[..., None], patches, np.nan)[~padding]
    centre_x, centre_y = np.nanmean(shown[..., 0], axis=1), np.nanmean(shown[..., 1], axis=1)
    assert np.abs(centre_x - (x0 + x1) / 2 / width).max() < 0.005
    assert np.abs(centre_y - (y0 + y1) / 2 / height).max() < 0.005


@pytest.mark.parametrize("size", AWKWARD, ids=lambda size: f"{size[0]}x{size[1]}")
def test_tiles_and_thumbnail_each_cover_the_picture_once(size):
    height, width = size
    tiled = tile_image(gradients(height, width), ImageSettings())
    boxes = patch_boxes(tiled, 12)
    layers = np.split(boxes, [-144]) if tiled.has_thumbnail else [boxes]
    for x0, y0, x1, y1 in (layer.T for layer in layers):
        assert np.nansum((x1 - x0) * (y1 - y0)) == pytest.approx(height * width, rel=1e-4)
        assert (np.nanmin(x0), np.nanmin(y0)) == (0, 0)
        assert (np.nanmax(x1), np.nanmax(y1)) == pytest.approx((width, height))


@pytest.mark.parametrize(
    ("width", "height", "padding", "patches"),
    [(337, 337, 407, 720), (1920, 1080, 120, 2304), (2000, 3000, 216, 2304), (3024, 4032, 0, 1872)],
)
def test_the_share_of_padding_is_the_known_one(width, height, padding, patches):
    boxes = patch_boxes(tile_image(gradients(height, width), ImageSettings()), 12)
    assert (np.isnan(boxes).all(axis=1).sum(), len(boxes)) == (padding, patches)


def test_one_tile_is_one_picture_and_its_markers():
    assert image_tokens(1, 1, 4) == ["<|image_start|>", "<|image|>", *[PATCH_TOKEN] * 4, "<|image_end|>"]


def test_tiles_are_separated_in_a_row_and_closed_at_its_end():
    two, x, y = [PATCH_TOKEN] * 2, "<|tile_x_separator|>", "<|tile_y_separator|>"
    rows = [*two, x, *two, x, *two, y]
    assert image_tokens(2, 3, 2) == ["<|image_start|>", *rows, *rows, "<|image|>", *two, "<|image_end|>"]
    assert len(image_tokens(4, 4, 144)) == 145 * 16 + 147


def test_every_patch_knows_its_tile_and_its_place_in_it():
    tiled = tile_image(gradients(160, 160), DEMO_TILES)
    spans = Spans.of_image(tiled, 5, image_index=3, turn=1, role="user")
    patch = spans.modality == PATCH
    assert patch.sum() == 5 * 25
    tile, row, col = np.indices((5, 5, 5)).reshape(3, -1)
    assert (spans.tile_index[patch] == tile).all()
    assert (spans.patch_row[patch] == row).all() and (spans.patch_col[patch] == col).all()
    assert (spans.is_thumbnail[patch] == (tile == 4)).all()
    assert spans.patch_box[patch][0].tolist() == [0, 0, 16, 16]
    assert spans.patch_box[patch][25 + 6].tolist() == [96, 16, 112, 32]
    assert spans.patch_box[patch][4 * 25].tolist() == [0, 0, 32, 32]
    # markers belong to the picture, and to no tile
    assert (
        (spans.image_index == 3).all()
        and (spans.turn == 1).all()
        and (spans.role == ROLES.index("user")).all()
    )
    assert (spans.modality[~patch] == STRUCTURE).all()
    assert (spans.tile_index[~patch] == -1).all() and np.isnan(spans.patch_box[~patch]).all()


def test_a_single_tile_is_no_thumbnail():
    spans = Spans.of_image(tile_image(gradients(40, 80), DEMO_TILES), 5, 0, 0, "user")
    assert not spans.is_thumbnail.any()
    assert np.nanmax(spans.patch_box[:, 2]) == 80


def test_generated_tokens_are_text_of_the_assistant():
    spans = Spans.of_generated(3, turn=2)
    assert len(spans) == 3
    assert (spans.role == ROLES.index("assistant")).all() and (spans.turn == 2).all()
    assert (spans.modality == TEXT).all() and (spans.image_index == -1).all()


def test_spans_grow_without_changing():
    prompt, more = Spans.of_text(2, 0, "user"), Spans.of_generated(1, 1)
    both = prompt.append(more)
    assert both.turn.tolist() == [0, 0, 1] and len(prompt) == 2
    assert len(prompt.append(Spans.of_generated(0, 1))) == 2
    types = [
        both.role.dtype,
        both.turn.dtype,
        both.modality.dtype,
        both.is_thumbnail.dtype,
        both.patch_box.dtype,
    ]
    assert types == ["int8", "int16", "int8", "bool", "float32"]
    assert both.patch_box.shape == (3, 4)


def test_the_repr_counts():
    spans = Spans.of_text(4, 0, "user").append(
        Spans.of_image(tile_image(gradients(9, 9), DEMO_TILES), 5, 0, 0, "user")
    )
    assert repr(spans) == "Spans(32 tokens in 1 turns: 4 of text, 25 patches and 3 markers of 1 images)"
