"""The oracle is transformers' Llama4ImageProcessor; `tests/reference.py` says how it runs anywhere."""

import hashlib
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model import images
from model.images import ImageError, ImageSettings, best_canvas, tile_image
from tests.reference import DEMO_TILES, image_processing, image_processor, picture

# height, width; the first 16 hexadecimal digits of the SHA-256 of transformers' pixel values for tiles of 336
# and of 80 pixels, taken with transformers 5.23 and the real torchvision 0.28
REFERENCE = {
    (336, 336): ("280656d6a11d9e35", "b180ec60210636a4"),
    (337, 337): ("4aa1e046a539f77f", "bff8763df53d4a64"),
    (480, 640): ("e01a7301f21c8ec2", "586c87423fcd4766"),
    (1, 1): ("60bd0e6d278a5b14", "e3c658a2dc6136d1"),
    (3, 2900): ("ca1eb665e0d971e5", "ccdc6cd133adf375"),
    (1080, 1920): ("265b64543de6f15d", "4b479b742a214ba7"),
    (50, 47): ("0ed2fd1620e9f68c", "1ad9493ec30df7da"),
    (1001, 333): ("e6561075ef0dae74", "11e0fe2546ec8061"),
    (1371, 1828): ("575097b4a522fc00", "59281129cc20d3ee"),
    (768, 1024): ("ab3c0bd332497c1b", "53baa5f511322ae6"),
}
CANVASES = {
    (336, 336): (1, 1),
    (337, 337): (2, 2),
    (336, 672): (1, 2),
    (480, 640): (2, 2),
    (768, 1024): (3, 4),
    (1024, 1024): (4, 4),
    (1080, 1920): (3, 5),
    (2000, 2000): (4, 4),
    (3000, 4000): (3, 4),
    (200, 1500): (1, 5),
    (10, 4000): (1, 12),
}


def digest(tiles: torch.Tensor) -> str:
    return hashlib.sha256(tiles.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("settings", [ImageSettings(), DEMO_TILES], ids=["published", "demo"])
@pytest.mark.parametrize("size", REFERENCE, ids=lambda size: f"{size[0]}x{size[1]}")
def test_pixel_values_are_transformers_bit_for_bit(size, settings):
    ours = tile_image(picture(*size), settings)
    theirs = image_processor(settings)(picture(*size), return_tensors="pt")
    assert ours.tiles.dtype == torch.bfloat16
    assert torch.equal(ours.tiles, theirs["pixel_values"])
    assert [ours.rows, ours.cols] == theirs["aspect_ratios"][0].tolist()
    assert digest(ours.tiles) == REFERENCE[size][settings is DEMO_TILES]


def test_pixel_values_are_transformers_on_the_largest_canvas_too():
    settings = ImageSettings(tile_size=80, resize_to_max_canvas=True)
    theirs = image_processor(settings)(picture(61, 150), return_tensors="pt")["pixel_values"]
    assert torch.equal(tile_image(picture(61, 150), settings).tiles, theirs)


@pytest.mark.parametrize("size", CANVASES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_canvas_of_the_examples_is_chosen(size):
    assert best_canvas(*size, ImageSettings()) == CANVASES[size]


@given(
    st.integers(1, 9000),
    st.integers(1, 9000),
    st.sampled_from([ImageSettings(), DEMO_TILES, ImageSettings(resize_to_max_canvas=True)]),
)
def test_every_size_goes_on_the_canvas_and_to_the_size_that_transformers_chooses(height, width, settings):
    from transformers.image_utils import SizeDict

    theirs, S = image_processing(), settings.tile_size
    canvases = theirs.find_supported_resolutions(settings.max_tiles, SizeDict(height=S, width=S))
    canvas = theirs.get_best_fit((height, width), torch.tensor(canvases), settings.resize_to_max_canvas)
    rows, cols = best_canvas(height, width, settings)
    assert [rows * S, cols * S] == canvas.tolist()
    room = canvas
    if not settings.resize_to_max_canvas:
        room = min(max(height, S), canvas[0]), min(max(width, S), canvas[1])
    expected = theirs.get_max_res_without_distortion((height, width), room)
    assert images._size_on_canvas(height, width, rows, cols, settings) == tuple(
        max(int(x), 1) for x in expected
    )


def test_all_256_levels_are_rounded_as_bfloat16_rounds_them():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    tiles = tile_image(Image.fromarray(levels), ImageSettings(tile_size=16)).tiles
    scaled = (torch.arange(256) / 255).bfloat16()
    expected = ((scaled.float() - 0.5).bfloat16().float() / 0.5).bfloat16()
    assert torch.equal(tiles[0, 0].flatten(), expected)


def test_the_thumbnail_is_last_and_there_is_none_for_one_tile():
    whole = tile_image(Image.new("RGB", (640, 480), "white"), ImageSettings())
    assert whole.has_thumbnail and len(whole.tiles) == whole.rows * whole.cols + 1
    # padding is black, and the thumbnail has none
    assert whole.tiles[-1].min() == 1 and whole.tiles[:-1].min() == -1
    single = tile_image(picture(20, 20), ImageSettings())
    assert not single.has_thumbnail and len(single.tiles) == 1
    assert repr(whole) == "TiledImage(640 x 480 pixels as 2 x 2 tiles + thumbnail)"
    assert repr(single) == "TiledImage(20 x 20 pixels as 1 x 1 tiles)"


def test_only_rgb_pictures_are_cut():
    with pytest.raises(ImageError, match="mode 'L'; open it with open_image"):
        tile_image(Image.new("L", (5, 5)), ImageSettings())


@pytest.mark.parametrize("file", ["preprocessor_config.json", "processor_config.json"])
def test_settings_are_read_in_both_spellings(tmp_path, file):
    values = DEMO_TILES.to_dict()
    nested = {"image_processor": values, "patch_size": 8} if file.startswith("processor") else values
    (tmp_path / file).write_text(json.dumps(nested))
    assert ImageSettings.from_folder(tmp_path) == DEMO_TILES


def test_a_folder_without_settings_has_the_published_ones(tmp_path):
    assert ImageSettings.from_folder(tmp_path) == ImageSettings()
    # transformers 4 wrote the processor's own numbers alone
    (tmp_path / "processor_config.json").write_text('{"patch_size": 14}')
    assert ImageSettings.from_folder(tmp_path) == ImageSettings()


def test_transformers_own_settings_file_is_read(tmp_path):
    image_processor(DEMO_TILES).save_pretrained(tmp_path)
    assert ImageSettings.from_folder(tmp_path) == DEMO_TILES


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"size": {"height": 336, "width": 300}}, "tiles are square"),
        ({"size": {"shortest_edge": 336}}, "tiles are square"),
        ({"size": 336}, "tiles are square, expected the same height and width, got the size 336"),
        ({"do_normalize": False}, "do_normalize is False"),
        ({"resample": 3}, "resample is 3"),
        ({"rescale_factor": 1.0}, r"rescale_factor is 1\.0"),
        ({"rescale_factor": "x"}, "rescale_factor is 'x'"),
        ({"rescale_factor": 10**400}, "rescale_factor is 1000"),
        ({"max_patches": 0}, "max_tiles is 0; expected a whole number from 1 to 1024"),
        ({"max_patches": 10**6}, "max_tiles is 1000000"),
        ({"max_patches": 2.5}, r"max_tiles is 2\.5"),
        ({"max_patches": "16"}, "max_tiles is '16'"),
        ({"size": {"height": 336.0, "width": 336.0}}, r"tile_size is 336\.0"),
        ({"size": {"height": "336", "width": "336"}}, "tile_size is '336'"),
        ({"size": {"height": [], "width": []}}, "tile_size is "),
        ({"size": {"height": 0, "width": 0}}, "tile_size is 0; expected a whole number of pixels from 1 up"),
        ({"resize_to_max_canvas": "no"}, "resize_to_max_canvas is 'no'; expected true or false"),
        ({"image_mean": [0.5] * 4}, r"image_mean is .*; expected three numbers"),
        ({"image_mean": 0.5}, r"image_mean is 0\.5"),
        ({"image_mean": [0.5, 0.5, float("nan")]}, "image_mean is"),
        ({"image_std": [0, 0, 0]}, r"image_std is \(0, 0, 0\)"),
        ({"image_std": [0.5, 0.5, 10**400]}, "image_std is"),
        ({"image_std": ["0.5"] * 3}, "image_std is"),
        ({"image_processor": [1]}, r"settings of pictures are \[1\]; expected an object"),
        ([1], r"settings of pictures are \[1\]; expected an object"),
    ],
)
def test_settings_that_the_reference_does_not_have_are_refused(tmp_path, values, complaint):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    with pytest.raises(ImageError, match=rf"preprocessor_config\.json: .*{complaint}"):
        ImageSettings.from_folder(tmp_path)


def test_a_null_is_the_default_as_in_transformers(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(dict.fromkeys(DEMO_TILES.to_dict())))
    assert ImageSettings.from_folder(tmp_path) == ImageSettings()


@pytest.mark.parametrize("damaged", [b"{", b"\xff", b"[" * 100_000], ids=["cut", "not UTF-8", "deep"])
def test_settings_that_are_not_json_are_named(tmp_path, damaged):
    (tmp_path / "preprocessor_config.json").write_bytes(damaged)
    with pytest.raises(ImageError, match=r"preprocessor_config\.json is not JSON"):
        ImageSettings.from_folder(tmp_path)
