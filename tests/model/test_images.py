"""The oracle is transformers' Llama4ImageProcessor; `tests/reference.py` says how it runs anywhere."""

import base64
import hashlib
import io
import json
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from model import images
from model.images import ImageError, ImageSettings, best_canvas, open_image, tile_image
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
        ({"do_normalize": False}, "do_normalize is False"),
        ({"resample": 3}, "resample is 3"),
        ({"rescale_factor": 1.0}, r"rescale_factor is 1\.0"),
        ({"max_patches": 0}, "1 or more, got 336 and 0"),
    ],
)
def test_settings_that_the_reference_does_not_have_are_refused(tmp_path, values, complaint):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    with pytest.raises(ImageError, match=complaint):
        ImageSettings.from_folder(tmp_path)


def saved(image: Image.Image, path, **how) -> str:
    image.save(path, **how)
    return str(path)


def pixels(image: Image.Image) -> list:
    return np.asarray(image).reshape(-1, 3).tolist()


def test_a_picture_opens_from_a_path_a_url_and_pil_alike(tmp_path):
    path = tmp_path / "a.png"
    saved(picture(9, 14), path)
    url = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    escaped = "data:image/png," + "".join(f"%{byte:02x}" for byte in path.read_bytes())
    for value in (path, str(path), url, escaped, picture(9, 14), Image.open(path)):
        opened = open_image(value)
        assert opened.mode == "RGB"
        assert pixels(opened) == pixels(picture(9, 14))


def test_one_pixel_and_ten_thousand_pixels_in_a_row_are_pictures(tmp_path):
    for width in (1, 10_000):
        opened = open_image(saved(picture(1, width), tmp_path / "a.png"))
        assert opened.size == (width, 1)
        assert torch.isfinite(tile_image(opened, ImageSettings()).tiles).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGBa"])
def test_transparency_lies_over_white(mode):
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 255))
    image.putpixel((1, 0), (90, 0, 0, 0))
    assert pixels(open_image(image.convert(mode))) == [[0, 0, 0], [255, 255, 255]]


def test_a_palette_with_transparency_of_its_own_lies_over_white():
    image = Image.new("PA", (2, 1))
    image.putpalette([10, 20, 30])
    image.putpixel((0, 0), (0, 255))
    assert pixels(open_image(image)) == [[10, 20, 30], [255, 255, 255]]


def test_half_transparent_is_half_white():
    assert pixels(open_image(Image.new("RGBA", (1, 1), (0, 0, 0, 128)))) == [[127, 127, 127]]


def test_a_palette_with_a_clear_colour_and_a_colour_key_are_transparent(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 0, 0])
    palette.putpixel((1, 0), 1)
    assert pixels(open_image(saved(palette, tmp_path / "a.png"))) == [[10, 20, 30], [200, 0, 0]]
    clear = saved(palette, tmp_path / "b.png", transparency=1)
    assert pixels(open_image(clear)) == [[10, 20, 30], [255, 255, 255]]
    keyed = saved(Image.new("RGB", (1, 1), (9, 9, 9)), tmp_path / "c.png", transparency=(9, 9, 9))
    assert pixels(open_image(keyed)) == [[255, 255, 255]]


def test_cmyk_becomes_rgb(tmp_path):
    opened = open_image(saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), tmp_path / "a.jpg"))
    red, green, blue = opened.getpixel((4, 4))
    assert red > 240 and green < 20 and blue < 20


def test_sixteen_bits_of_grey_keep_their_range(tmp_path):
    values = np.array([[0, 0x4000, 0x8000, 0xFFFF]], dtype=np.uint16)
    for suffix in ("png", "tiff"):
        opened = open_image(saved(Image.fromarray(values), tmp_path / f"a.{suffix}"))
        assert [level for level, *_ in pixels(opened)] == [0, 0x40, 0x80, 0xFF]


def test_grey_values_of_no_known_range_go_from_black_to_white():
    for dtype in (np.int32, np.float32):
        opened = open_image(Image.fromarray(np.array([[-1000, 0, 1000]], dtype=dtype)))
        assert [level for level, *_ in pixels(opened)] == [0, 128, 255]
    assert pixels(open_image(Image.new("F", (1, 1), 7))) == [[0, 0, 0]]


def test_an_animation_is_its_first_frame(tmp_path):
    first, second = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    for suffix in ("gif", "webp"):
        file = saved(first, tmp_path / f"a.{suffix}", save_all=True, append_images=[second], duration=50)
        red, _, blue = open_image(file).getpixel((1, 1))
        assert red > 240 and blue < 20


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    sideways = saved(picture(9, 14), tmp_path / "a.png", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(sideways))
    assert open_image(sideways).size == ((9, 14) if orientation > 4 else (14, 9))
    assert pixels(open_image(sideways)) == pixels(upright)


def test_a_file_that_ends_early_is_refused(tmp_path):
    for suffix in ("png", "jpg", "gif", "webp", "bmp"):
        path = tmp_path / f"a.{suffix}"
        saved(picture(99, 99), path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ImageError, match=rf"a\.{suffix}' (is damaged|is not a picture)"):
            open_image(path)


def test_a_file_with_changed_bytes_is_a_picture_or_refused(tmp_path):
    draw = np.random.default_rng(0)
    path = tmp_path / "a"
    for suffix in ("PNG", "JPEG", "GIF", "BMP", "PPM"):
        buffer = io.BytesIO()
        picture(20, 30).save(buffer, suffix)
        for _ in range(40):
            data = bytearray(buffer.getvalue())
            for place in draw.integers(0, min(len(data), 200), 3):
                data[place] = draw.integers(256)
            path.write_bytes(data)
            try:
                assert open_image(path).mode == "RGB"
            except ImageError as error:
                assert str(path) in str(error)


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


@pytest.mark.filterwarnings("default::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_500, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_claims(side, side))
    if side < 10_000:
        with (
            pytest.warns(Image.DecompressionBombWarning),
            pytest.raises(ImageError, match="90,250,000 pixels"),
        ):
            open_image(path)
    else:
        with pytest.raises(ImageError, match=r"bomb\.png' has more than 89,000,000 pixels; make it smaller"):
            open_image(path)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (
            "https://example.org/a.png",
            "not fetched from the network: save 'https://example.org/a.png' to a file",
        ),
        ("nowhere.png", "there is no picture at 'nowhere.png'"),
        ("", "is not a picture"),
        ("a\0b.png", "is not a picture"),
        ("x" * 5000, "is not a picture"),
        ("data:image/png;base64", "a data: URL is"),
        ("data:image/png;base64,abc", "not valid base64"),
        ("data:image/png;base64,aGVsbG8=", "is not a picture that can be read; known are PNG, JPEG"),
        (b"bytes", "a PIL image, a path or a data: URL, got bytes"),
        (None, "got NoneType"),
        (Image.new("RGB", (0, 5)), "has no pixels: it is 0 x 5"),
    ],
    ids=str,
)
def test_what_is_no_picture_is_refused_with_a_sentence(value, complaint):
    with pytest.raises(ImageError, match=complaint):
        open_image(value)


def test_a_text_file_and_a_folder_are_no_pictures(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    for path in (tmp_path, tmp_path / "a.png"):
        with pytest.raises(ImageError, match="is not a picture that can be read"):
            open_image(path)


def test_formats_that_start_other_programs_are_not_opened(tmp_path):
    eps = tmp_path / "a.png"
    eps.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    with pytest.raises(ImageError, match="is not a picture that can be read"):
        open_image(eps)
