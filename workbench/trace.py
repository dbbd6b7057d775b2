"""Trace: what was observed while one answer was generated.

One frozen object with named axes, saved as one safetensors file with JSON in its header: no pickle, and it
opens without the model. Absent is not zero: -1 marks an expert that was not captured, NaN a place without a
picture.
"""

from __future__ import annotations

import dataclasses
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from workbench.integrity import Integrity
    from workbench.view.widget import TraceWidget

FORMAT = "moe-workbench-trace"
VERSION = 1
PROMPT, GENERATED = 0, 1
NOT_CAPTURED = -1
LARGEST_IMAGE = 64_000_000  # pixels; a stored picture is far smaller

# name -> (axes, dtype). t tokens, m MoE layers, k experts per token, e experts, q query rows, a attention
# layers,
# h heads, g generated tokens, c alternatives per step, i images
LAYOUT = {
    "token_ids": ("t", np.int32),
    "phase": ("t", np.int8),
    "turn": ("t", np.int16),
    "role": ("t", np.int8),
    "modality": ("t", np.int8),
    "image_index": ("t", np.int16),
    "tile_index": ("t", np.int16),
    "is_thumbnail": ("t", np.bool_),
    "patch_row": ("t", np.int16),
    "patch_col": ("t", np.int16),
    "patch_box": ("t4", np.float32),
    "image_sizes": ("i2", np.int32),
    "moe_layers": ("m", np.int16),
    "routed_experts": ("tmk", np.int16),
    "routed_weights": ("tmk", np.float16),
    "router_logits": ("tme", np.float16),
    "attention": ("qaht", np.float16),
    "attention_layers": ("a", np.int16),
    "query_index": ("q", np.int32),
    "generated_index": ("g", np.int32),
    "logprobs": ("g", np.float32),
    "topk_ids": ("gc", np.int32),
    "topk_logprobs": ("gc", np.float32),
}
OPTIONAL = {"router_logits", "attention"}
# arrays that point along an axis, and the lowest value that they may have: -1 where nothing is meant
POINTERS = {
    "routed_experts": ("e", NOT_CAPTURED),
    "image_index": ("i", -1),
    "query_index": ("t", 0),
    "generated_index": ("t", 0),
}
# as safetensors names them; a type that numpy lacks is refused before it is read
_STORED = {"BOOL", "U8", "I8", "I16", "I32", "F16", "F32"}


class TraceError(ValueError):
    """A file that is no trace, or a trace whose parts do not fit together."""


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """One observed generation. Axes: see LAYOUT in this file.

    Attributes:
        token_ids, tokens: [token]; the strings are for display only.
        phase: [token] 0 prompt, 1 generated. turn, role, modality: [token] as in `model.processor.Spans`.
        image_index, tile_index, patch_row, patch_col: [token], -1 where the token is no image patch.
        is_thumbnail: [token]; the patch belongs to the whole picture's small copy, not to a tile.
        patch_box: [token, 4] x0, y0, x1, y1 in pixels of the original picture; NaN for text and padding.
        image_sizes: [image, 2] width and height of the original pictures; `images` may be reduced copies.
        moe_layers: [moe_layer] true layer numbers. num_experts: experts per layer.
        routed_experts: [token, moe_layer, rank]; -1 not captured.
        routed_weights: [token, moe_layer, rank] the applied gate, a sigmoid in 0..1; NaN not captured.
        router_logits: [token, moe_layer, expert] before top-k; None if not asked for.
        attention: [query, layer, head, token], probabilities of the chosen rows; None if not asked for.
        query_index: [query] the token whose row it is. attention_layers: [layer] true layer numbers.
        generated_index: [generated] their places. logprobs, topk_ids, topk_logprobs: the model's own step.
        edits: every intervention. provenance: per array REAL, RECOMPUTED or DERIVED. meta: model, versions,
            timing.
    """

    token_ids: np.ndarray
    tokens: list[str]
    phase: np.ndarray
    turn: np.ndarray
    role: np.ndarray
    modality: np.ndarray
    image_index: np.ndarray
    tile_index: np.ndarray
    is_thumbnail: np.ndarray
    patch_row: np.ndarray
    patch_col: np.ndarray
    patch_box: np.ndarray
    image_sizes: np.ndarray
    moe_layers: np.ndarray
    num_experts: int
    routed_experts: np.ndarray
    routed_weights: np.ndarray
    router_logits: np.ndarray | None
    attention: np.ndarray | None
    attention_layers: np.ndarray
    query_index: np.ndarray
    generated_index: np.ndarray
    logprobs: np.ndarray
    topk_ids: np.ndarray
    topk_logprobs: np.ndarray
    images: list[Image.Image] = field(default_factory=list)
    edits: list[dict] = field(default_factory=list)
    provenance: dict[str, str] = field(default_factory=dict)
    meta: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = {"t": len(self.tokens), "i": len(self.images), "e": self.num_experts}
        for name, (axes, dtype) in LAYOUT.items():
            array = getattr(self, name)
            if array is None and name in OPTIONAL:
                continue
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != len(axes):
                seen = (
                    f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
                )
                raise TraceError(f"{name} is {seen}; expected {np.dtype(dtype)} with axes {axes}")
            for axis, size in zip(axes, array.shape, strict=True):
                expected = int(axis) if axis.isdigit() else sizes.setdefault(axis, size)
                if size != expected:
                    raise TraceError(f"{name} has {size} along axis {axis!r} of {axes}; expected {expected}")
        for name, (axis, lowest) in POINTERS.items():
            values = getattr(self, name)
            if values.size and not (lowest <= values.min() and values.max() < sizes[axis]):
                raise TraceError(f"{name} reaches from {values.min()} to {values.max()} of {sizes[axis]}")
        if not isinstance(self.text, str):
            raise TraceError(f"meta has the text {self.text!r}; expected a string")

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 40 else self.text[:37] + "..."
        return (
            f"Trace({len(self)} tokens, {len(self.generated_index)} generated, {len(self.images)} images, "
            f"{len(self.moe_layers)} MoE layers x {self.num_experts} experts: {text!r})"
        )

    @property
    def text(self) -> str:
        """The answer."""
        return self.meta.get("text", "")

    def row_predicting(self, token: int) -> int:
        """The row that predicted `token`: the one before it. A word's attention and logits stand there.

        Raises:
            IndexError: there is no such token, or nothing predicts the first one.
        """
        if not 0 < token < len(self):
            raise IndexError(
                f"token {token} of {len(self)} is predicted by no row; expected 1 to {len(self) - 1}"
            )
        return token - 1

    def attention_row(self, token: int) -> np.ndarray | None:
        """Attention [layer, head, token] of the row that predicted `token`; None if not captured."""
        found = np.flatnonzero(self.query_index == self.row_predicting(token))
        return None if self.attention is None or not len(found) else self.attention[found[0]]

    def attention_on_images(self, token: int) -> np.ndarray | None:
        """Attention [image, layer, head] that the row predicting `token` gave to each picture's patches."""
        row = self.attention_row(token)
        if row is None:
            return None
        patches = [(self.image_index == i) & (self.patch_row >= 0) for i in range(len(self.images))]
        shares = [row[..., mine].sum(-1, dtype=np.float32) for mine in patches]
        return np.stack(shares) if shares else np.zeros((0, *row.shape[:2]), np.float32)

    def save(self, path: str | Path, images: bool = True) -> Path:
        """Write one safetensors file; `images=False` leaves the pictures out (their sizes stay).

        The file appears whole or not at all.
        """
        path = Path(path)
        if not path.parent.is_dir():
            raise FileNotFoundError(f"no folder {path.parent} to save the trace in")
        arrays = {name: getattr(self, name) for name in LAYOUT}
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items() if array is not None}
        arrays |= {f"image.{i}": _to_png(image) for i, image in enumerate(self.images if images else [])}
        header = {
            "tokens": self.tokens,
            "num_experts": self.num_experts,
            "edits": self.edits,
            "provenance": self.provenance,
            "meta": self.meta,
        }
        unfinished = path.with_name(path.name + ".unfinished")
        metadata = {"format": FORMAT, "version": str(VERSION), "header": json.dumps(header)}
        save_file(arrays, unfinished, metadata=metadata)
        unfinished.replace(path)
        return path

    @classmethod
    def open(cls, path: str | Path) -> Trace:
        """Read a file that `save` wrote; needs no model.

        Raises:
            TraceError: the file is broken, is no trace, or comes from a later version.
        """
        path = Path(path)
        if not path.is_file():
            raise TraceError(f"no trace file at {path}")
        try:
            with safe_open(path, framework="numpy") as file:
                header = _check_metadata(file.metadata() or {}, path)
                keys = list(file.keys())
                if strange := [key for key in keys if file.get_slice(key).get_dtype() not in _STORED]:
                    raise TraceError(f"{path} holds {strange[0]} in a type that no trace has")
                arrays = {key: file.get_tensor(key) for key in keys}
        except (SafetensorError, OSError) as error:
            raise TraceError(f"{path} is not a whole safetensors file: {error}") from None
        stored = sorted(key for key in arrays if key.startswith("image."))
        unknown = arrays.keys() - LAYOUT.keys() - set(stored)
        missing = LAYOUT.keys() - arrays.keys() - OPTIONAL
        if unknown or missing:
            raise TraceError(f"{path} has unknown arrays {sorted(unknown)} and lacks {sorted(missing)}")
        sizes = arrays["image_sizes"]
        if sizes.ndim != 2 or sizes.shape[1] != 2 or (sizes < 1).any():
            raise TraceError(f"{path} has image_sizes {sizes.shape}; expected a width and a height for each")
        pictures = [_from_png(arrays.pop(f"image.{i}", None), sizes[i], path) for i in range(len(sizes))]
        if len(pictures) < len(stored):
            raise TraceError(f"{path} holds {len(stored)} pictures and {len(pictures)} sizes")
        optional = {name: arrays.get(name) for name in OPTIONAL}
        try:
            return cls(**(arrays | optional | header), images=pictures)
        except (TypeError, TraceError) as error:
            raise TraceError(f"{path} is not a consistent trace: {error}") from None

    def check(self) -> Integrity:
        """Whether this can be what happened (see `workbench.integrity.check`)."""
        from workbench.integrity import check  # it knows the model, which nobody needs to open a trace

        return check(self)

    def view(self, **options: object) -> TraceWidget:
        """The linked view as a notebook widget (see `workbench.view.widget.TraceWidget`)."""
        from workbench.view.widget import TraceWidget  # a widget library nobody needs to open a trace

        return TraceWidget(self, **options)

    def to_html(self, path: str | Path) -> Path:
        """Write the linked view as one self-contained HTML file."""
        from workbench.view.html import to_html

        return to_html(self, path)


def _check_metadata(metadata: dict, path: Path) -> dict:
    if metadata.get("format") != FORMAT:
        raise TraceError(f"{path} is a safetensors file but no trace (format {metadata.get('format')!r})")
    version = metadata.get("version", "")
    if version != str(VERSION):
        raise TraceError(f"{path} has trace version {version!r}; this workbench reads version {VERSION}")
    try:
        header = json.loads(metadata["header"])
    except (KeyError, ValueError, RecursionError) as error:
        raise TraceError(f"{path} has a broken header: {error}") from None
    expected = {"tokens": list, "num_experts": int, "edits": list, "provenance": dict, "meta": dict}
    wrong = [
        n
        for n, kind in expected.items()
        if not isinstance(header, dict) or not isinstance(header.get(n), kind)
    ]
    if wrong or header.keys() != expected.keys() or not all(isinstance(t, str) for t in header["tokens"]):
        raise TraceError(
            f"{path} has a header that does not say {', '.join(wrong) or 'only what a trace says'}"
        )
    return header


def _to_png(image: Image.Image) -> np.ndarray:
    file = io.BytesIO()
    image.save(file, "PNG")
    return np.frombuffer(file.getvalue(), np.uint8)


def _from_png(data: np.ndarray | None, size: np.ndarray, path: Path) -> Image.Image:
    if data is None:
        # left out when it was saved: an empty picture of the right shape keeps the view's geometry
        width, height = (max(1, int(side)) for side in size)
        scale = min(1.0, 256 / max(width, height))
        return Image.new("RGB", (max(1, round(width * scale)), max(1, round(height * scale))), "#888888")
    png = data.tobytes()
    # its width and height stand right behind the signature and the first chunk's name: looked at before any
    # memory is taken
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    if width * height > LARGEST_IMAGE:
        raise TraceError(f"{path} holds a picture of {width} x {height} pixels")
    try:
        return Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise TraceError(f"{path} holds a broken picture: {error}") from None


def replace(trace: Trace, **changes: object) -> Trace:
    """A copy of the trace with some fields changed."""
    return dataclasses.replace(trace, **changes)
