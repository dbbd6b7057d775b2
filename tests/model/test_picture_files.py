"""Pictures of every kind that people have, and files that are none."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from model.images import ImageSettings, tile_image
from model.picture_files import ImageError, open_image
from tests.reference import picture


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
    assert pixels(open_image(Image.new("F", (1, 1), float("nan")))) == [[0, 0, 0]]


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
    # a picture says its address, which differs between processes
    ids=lambda value: type(value).__name__ if isinstance(value, Image.Image) else str(value)[:40],
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
