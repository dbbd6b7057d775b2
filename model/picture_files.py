"""A picture from wherever it is, as a person sees it: upright, in colour, transparency over white.

Files come from strangers: their size is looked at before they are decoded, only formats that Pillow decodes
by itself are tried, nothing is fetched from the network, and whatever is wrong becomes one sentence. A box in
a picture always means its pixels as they are handed out here.
"""

from __future__ import annotations

import base64
import io
import struct
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "MPO", "GIF", "WEBP", "AVIF", "BMP", "TIFF", "PPM")
"""The files that are opened. Pillow knows more, but some start other programs (EPS runs Ghostscript)."""
MOST_PIXELS = 89_000_000
"""Larger pictures are refused before they are decoded; Pillow warns just above this."""

# what Pillow's decoders raise on a damaged file
_DAMAGED = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, RuntimeError,
    struct.error,
)  # fmt: skip


class ImageError(ValueError):
    """A picture that cannot be read, or settings that no picture can be cut by."""


class TooManyPixels(ImageError):
    """A picture so large that Pillow does not open it."""


def open_image(value: Image.Image | str | Path) -> Image.Image:
    """Open a PIL image, a path, or a `data:` URL: RGB, upright, transparency over white, the first frame.

    Raises:
        ImageError: with a sentence that says what is wrong with it.
    """
    if isinstance(value, Image.Image):
        return _decode(value, "the picture", upright=False)
    if not isinstance(value, str | Path):
        raise ImageError(f"a picture is a PIL image, a path or a data: URL, got {type(value).__name__}")
    text = str(value)
    name = _name(text)
    if text.startswith(("http://", "https://")):
        raise ImageError(
            f"pictures are not fetched from the network: save {name} to a file and give its path"
        )
    with opened(value) as image:
        return _decode(image, name, upright=True)


def opened(value: str | Path) -> Image.Image:
    """A path or a `data:` URL of which only the header was read: it has a size, and no pixel is decoded yet.

    Raises:
        TooManyPixels: so many that not even that is done.
        ImageError: with a sentence that says what is wrong with it.
    """
    text = str(value)
    name = _name(text)
    source = _from_data_url(text) if text.startswith("data:") else Path(value)
    Image.init()  # or the first picture of a program finds no format known
    try:
        return Image.open(source, formats=[name for name in FORMATS if name in Image.OPEN])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooManyPixels(f"{name} has more than {MOST_PIXELS:,} pixels; make it smaller first") from None
    except FileNotFoundError:
        raise ImageError(f"there is no picture at {name}") from None
    except _DAMAGED as error:
        raise ImageError(
            f"{name} is not a picture that can be read; known are {', '.join(FORMATS)}"
        ) from error


def _name(text: str) -> str:
    return repr(text if len(text) < 200 else f"{text[:60]}...")


def _from_data_url(url: str) -> io.BytesIO:
    header, comma, payload = url.partition(",")
    if not comma:
        raise ImageError(f"a data: URL is 'data:image/png;base64,...', got {url[:80]!r}")
    try:
        return io.BytesIO(
            base64.b64decode(payload) if header.endswith(";base64") else unquote_to_bytes(payload)
        )
    except ValueError as error:  # what is not even ASCII is no binascii.Error
        raise ImageError(f"the data: URL {url[:40]!r}... is not valid base64: {error}") from None


def _decode(image: Image.Image, name: str, upright: bool) -> Image.Image:
    width, height = image.size
    if not width or not height:
        raise ImageError(f"{name} has no pixels: it is {width} x {height}")
    if width * height > MOST_PIXELS:
        raise ImageError(
            f"{name} has {width * height:,} pixels; at most {MOST_PIXELS:,} are read, make it smaller"
        )
    try:
        image.load()
        if upright:
            image = ImageOps.exif_transpose(image)
        return _to_rgb(image)
    except _DAMAGED as error:
        raise ImageError(f"{name} is damaged and cannot be read to its end: {error}") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow would clip sixteen bits at 255
        image = Image.fromarray((np.asarray(image, dtype=np.uint16) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        image = _stretched(image)
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _stretched(image: Image.Image) -> Image.Image:
    # 32-bit grey values have no agreed range: show the darkest as black and the brightest as white
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    low, high = values.min(), values.max()
    return Image.fromarray(((values - low) * (255 / max(high - low, 1e-9))).round().astype(np.uint8))
