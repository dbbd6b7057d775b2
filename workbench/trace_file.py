"""A trace's file: one safetensors file, with JSON and a digest in its header. No pickle, and no model needed.

Whoever opens a file trusts nothing in it: what it claims is held to what is there before memory is taken, and
the digest shows any byte that was changed by accident. (It is no signature: who changes a file on purpose can
compute it anew.)
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from workbench.layout import LAYOUT, OPTIONAL, TraceError
from workbench.whole_file import unfinished

if TYPE_CHECKING:
    from workbench.trace import Trace

    Made = TypeVar("Made", bound=Trace)

FORMAT = "moe-workbench-trace"
VERSION = 2
READABLE = (1, 2)  # 1: without attention_heads and digest
LARGEST_IMAGE = 64_000_000  # pixels; a stored picture is far smaller
LARGEST_IMAGES = 256_000_000  # pixels of all pictures together
MOST_IMAGES = 1000
_LEFT_OUT = 256  # pixels along the longer side of what stands for a picture that was left out
# as safetensors names them; a type that numpy lacks is refused before it is read
_STORED = {"BOOL", "U8", "I8", "I16", "I32", "F16", "F32"}
_HEADER = {"tokens": list, "num_experts": int, "edits": list, "provenance": dict, "meta": dict}


def write(trace: Trace, path: str | Path, images: bool = True) -> Path:
    """See `Trace.save`."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to save the trace in")
    _check_pictures([image.size for image in trace.images], path)
    arrays = {name: getattr(trace, name) for name in LAYOUT}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items() if array is not None}
    arrays |= {f"image.{i}": _to_png(image) for i, image in enumerate(trace.images if images else [])}
    header = json.dumps({name: getattr(trace, name) for name in _HEADER})
    metadata = {"format": FORMAT, "version": str(VERSION), "header": header}
    with unfinished(path) as beside:
        save_file(arrays, beside, metadata=metadata | {"digest": digest(arrays, header)})
    return path


def read(made: type[Made], path: str | Path) -> Made:
    """See `Trace.open`."""
    path = Path(path)
    if not path.is_file():
        raise TraceError(f"no trace file at {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            version, header = _check_metadata(metadata, path)
            keys = list(file.keys())
            if strange := [key for key in keys if file.get_slice(key).get_dtype() not in _STORED]:
                raise TraceError(f"{path} holds {strange[0]} in a type that no trace has")
            arrays = {key: file.get_tensor(key) for key in keys}
    except (SafetensorError, OSError) as error:
        raise TraceError(f"{path} is not a whole safetensors file: {error}") from None
    stored = dict(arrays)
    if version == 1 and "attention_heads" not in arrays:
        header["provenance"].setdefault("attention_heads", "DERIVED (all of them, in a file of version 1)")
        arrays["attention_heads"] = None
    pictures = _pictures(arrays, path)
    unknown, missing = arrays.keys() - LAYOUT.keys(), LAYOUT.keys() - arrays.keys() - OPTIONAL
    if unknown or missing:
        raise TraceError(f"{path} has unknown arrays {sorted(unknown)} and lacks {sorted(missing)}")
    try:
        trace = made(**(dict.fromkeys(OPTIONAL) | arrays | header), images=pictures)
    except (TypeError, TraceError) as error:
        raise TraceError(f"{path} is not a consistent trace: {error}") from None
    if version > 1 and metadata.get("digest") != digest(stored, metadata["header"]):
        raise TraceError(f"{path} was changed after it was saved: its digest is another")
    return trace


def digest(arrays: Mapping[str, np.ndarray], header: str) -> str:
    """BLAKE2b of the JSON header and of every array with its name, type and shape."""
    state = hashlib.blake2b(header.encode(errors="surrogatepass"), digest_size=32)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        # the shape of the array itself: the copy of one without axes has one
        state.update(f"\n{name} {array.dtype.str} {np.shape(arrays[name])}\n".encode())
        state.update(array.reshape(-1).view(np.uint8))
    return state.hexdigest()


def _check_metadata(metadata: dict, path: Path) -> tuple[int, dict]:
    if metadata.get("format") != FORMAT:
        raise TraceError(f"{path} is a safetensors file but no trace (format {metadata.get('format')!r})")
    version = metadata.get("version", "")
    if version not in map(str, READABLE):
        raise TraceError(
            f"{path} has trace version {version[:20]!r}; this workbench reads versions 1 to {VERSION}"
        )
    try:
        header = json.loads(metadata["header"])
    except (KeyError, ValueError, RecursionError) as error:
        raise TraceError(f"{path} has a broken header: {error}") from None
    if not isinstance(header, dict):
        header = {}
    wrong = [name for name, kind in _HEADER.items() if type(header.get(name)) is not kind]
    if wrong or header.keys() != _HEADER.keys():
        raise TraceError(
            f"{path} has a header that does not say {', '.join(wrong) or 'only what a trace says'}"
        )
    parts = {
        "tokens that are no texts": all(isinstance(token, str) for token in header["tokens"]),
        "edits that are no objects": all(isinstance(edit, dict) for edit in header["edits"]),
        "a provenance that is no text": all(isinstance(said, str) for said in header["provenance"].values()),
        # a router has int16 numbers for its experts
        "an impossible number of experts": 0 <= header["num_experts"] < 2**15,
    }
    if strange := [what for what, right in parts.items() if not right]:
        raise TraceError(f"{path} has a header with {strange[0]}")
    return int(version), header


def _pictures(arrays: dict[str, np.ndarray], path: Path) -> list[Image.Image]:
    """Take the pictures out of what was stored, and put a grey one where one was left out."""
    stored = {key: arrays.pop(key) for key in list(arrays) if key.startswith("image.")}
    sizes = arrays.get("image_sizes", np.zeros((0, 2), np.int32))
    if sizes.dtype != np.int32 or sizes.ndim != 2 or sizes.shape[1] != 2 or (sizes < 1).any():
        raise TraceError(
            f"{path} has image_sizes {sizes.shape} in {sizes.dtype}; expected a width and a height, int32"
        )
    if len(sizes) > MOST_IMAGES:
        raise TraceError(f"{path} claims {len(sizes):,} pictures; expected at most {MOST_IMAGES:,}")
    names = [f"image.{i}" for i in range(len(sizes))]
    if strange := sorted(stored.keys() - set(names)):
        raise TraceError(
            f"{path} holds {len(stored)} pictures and {len(sizes)} sizes; {strange[0]} has no size"
        )
    _check_pictures([_png_size(stored[name]) for name in names if name in stored], path)
    return [
        _from_png(stored[name], path) if name in stored else _left_out(size)
        for name, size in zip(names, sizes, strict=True)
    ]


def _check_pictures(sizes: list[tuple[int, int]], path: Path) -> None:
    if len(sizes) > MOST_IMAGES:
        raise TraceError(f"{len(sizes):,} pictures for {path}; expected at most {MOST_IMAGES:,}")
    for width, height in sizes:
        if width * height > LARGEST_IMAGE:
            raise TraceError(f"{path} holds a picture of {width} x {height} pixels")
    if (pixels := sum(width * height for width, height in sizes)) > LARGEST_IMAGES:
        raise TraceError(f"{path} holds pictures of {pixels:,} pixels; expected at most {LARGEST_IMAGES:,}")


def _to_png(image: Image.Image) -> np.ndarray:
    file = io.BytesIO()
    image.save(file, "PNG")
    return np.frombuffer(file.getvalue(), np.uint8)


def _left_out(size: np.ndarray) -> Image.Image:
    """An empty picture of the right shape, which keeps the view's geometry."""
    width, height = (int(side) for side in size)
    scale = min(1.0, _LEFT_OUT / max(width, height))
    return Image.new("RGB", (max(1, round(width * scale)), max(1, round(height * scale))), "#888888")


def _png_size(data: np.ndarray) -> tuple[int, int]:
    """Width and height as they stand right behind the signature and the first chunk's name: looked at before
    any memory is taken."""
    png = data.tobytes()[:24]
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def _from_png(data: np.ndarray, path: Path) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data.tobytes()), formats=["PNG"])
        if image.size != _png_size(data):
            raise ValueError(f"it says that it is {image.size} in another place than the first")
        return image.convert("RGB")
    # what Pillow's PNG reader raises for one broken chunk or another
    except (
        OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error,
        Image.DecompressionBombError, Image.DecompressionBombWarning,
    ) as error:  # fmt: skip
        raise TraceError(f"{path} holds a broken picture: {error}") from None
