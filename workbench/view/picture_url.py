"""A picture in a message to a screen."""

import base64
import io

from PIL import Image

LARGEST_PICTURE = 768  # pixels of the longer side on a screen; boxes stay in pixels of the original


def picture_url(image: Image.Image) -> str:
    """A picture as a data: URL, at most 768 pixels long; PNG or JPEG, whichever is smaller."""
    small = image.convert("RGB")
    small.thumbnail((LARGEST_PICTURE, LARGEST_PICTURE), Image.Resampling.LANCZOS)
    png, jpeg = io.BytesIO(), io.BytesIO()
    small.save(png, "PNG")
    small.save(jpeg, "JPEG", quality=90, subsampling=0)
    kind, data = min(("png", png.getvalue()), ("jpeg", jpeg.getvalue()), key=lambda pair: len(pair[1]))
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
