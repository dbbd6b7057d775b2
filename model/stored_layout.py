"""Where each tensor of a checkpoint file goes: Hugging Face's names and shapes beside ours.

Experts are held [experts, out, in], with the gate's rows before the up projection's. A plain file stores them
fused and transposed; a compressed-tensors file stores each expert's three matrices apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from kernels.fp8 import BLOCK, BlockScaled, RowScaled
from model.config_keys import ConfigError
from model.llama4 import Llama4
from model.quantize import Form
from model.stored_formats import StoredFormat

# ours -> Hugging Face's, tried in order; everything else keeps its name
_RENAMES = (
    (r"^embed\.", "model.embed_tokens."),
    (r"^unembed\.", "lm_head."),
    (r"^norm\.", "model.norm."),
    (r"^blocks\.(\d+)\.attn\.", r"model.layers.\1.self_attn."),
    (r"^blocks\.(\d+)\.mlp\.", r"model.layers.\1.feed_forward."),
    (r"^blocks\.(\d+)\.moe\.(gate_up_proj|down_proj)$", r"model.layers.\1.feed_forward.experts.\2"),
    (r"^blocks\.(\d+)\.moe\.", r"model.layers.\1.feed_forward."),
    (r"^blocks\.(\d+)\.", r"model.layers.\1."),
    (r"^vision\.patch_embedding\.", "vision_model.patch_embedding.linear."),
    (r"^vision\.blocks\.(\d+)\.attn\.", r"vision_model.model.layers.\1.self_attn."),
    (r"^vision\.blocks\.(\d+)\.", r"vision_model.model.layers.\1."),
    (r"^vision\.adapter\.", "vision_model.vision_adapter.mlp."),
    (r"^vision\.", "vision_model."),
    (r"^projector\.", "multi_modal_projector.linear_1."),
)
_FUSED_EXPERTS = re.compile(r"\.moe\.(gate_up_proj|down_proj)$")
Place = tuple[int | slice, ...]


@dataclass(frozen=True)
class Stored:
    """How one parameter stands in a plain file."""

    key: str
    shape: tuple[int, ...]
    transposed: bool


@dataclass(frozen=True)
class Piece:
    """One tensor of a file, and where it goes.

    Args:
        key, shape: in the file.
        name: of our parameter, plain or quantized.
        part: "weights", or the "codes" or "scale" of a quantized one.
        place: which part of our tensor; () is all of it.
        transposed: whether its last two axes are the other way round in the file.
    """

    key: str
    shape: tuple[int, ...]
    name: str
    part: Literal["weights", "codes", "scale"] = "weights"
    place: Place = ()
    transposed: bool = False


def stored_layout(llama: Llama4) -> dict[str, Stored]:
    """For every parameter of `llama`, its key and shape in the published BF16 layout.

    A text-only checkpoint has no `language_model.` prefix.
    """
    prefix = "" if llama.config.vision is None else "language_model."
    layout = {}
    for name, parameter in llama.named_parameters():
        key = name
        for pattern, replacement in _RENAMES:
            key, changed = re.subn(pattern, replacement, name)
            if changed:
                break
        if not name.startswith(("vision.", "projector.")):
            key = prefix + key
        transposed = bool(_FUSED_EXPERTS.search(name))
        shape = tuple(parameter.shape)
        layout[name] = Stored(key, (shape[0], shape[2], shape[1]) if transposed else shape, transposed)
    return layout


def pieces(llama: Llama4, stored: StoredFormat) -> tuple[dict[str, Piece], dict[str, Form]]:
    """The tensors of a checkpoint of this format by key, and the form of each parameter quantized in it.

    Raises:
        ConfigError: experts of one layer are quantized differently, or the head is quantized.
    """
    linear = {f"{name}.weight" for name, module in llama.named_modules() if isinstance(module, nn.Linear)}
    found: dict[str, Piece] = {}
    forms: dict[str, Form] = {}
    for name, plain in stored_layout(llama).items():
        if _FUSED_EXPERTS.search(name):
            one_by_one = stored.experts_one_by_one
            layout = _each_expert(name, plain, stored) if one_by_one else _fused_experts(name, plain, stored)
        else:
            form = stored.form(plain.key.removesuffix(".weight")) if name in linear else None
            layout = [(form, piece) for piece in _matrix(name, plain.key, plain.shape, form)]
        kinds = set()
        for form, piece in layout:
            found[piece.key] = piece
            kinds.add(form)
        if len(kinds) > 1:
            raise ConfigError(
                f"some experts of {plain.key.rpartition('.')[0]} are quantized and some are not; "
                "the experts of a layer must be stored alike"
            )
        (form,) = kinds
        if form is not None:
            forms[name] = form
    if "unembed.weight" in forms:
        raise ConfigError(
            "lm_head is quantized in this checkpoint; this version reads it as plain weights only"
        )
    return found, forms


def _matrix(name: str, key: str, shape: tuple[int, ...], form: Form | None, place: Place = ()) -> list[Piece]:
    """A tensor [out, in] and, if it is quantized, its scale."""
    if form is None:
        return [Piece(key, shape, name, place=place)]
    scale_place = place
    if form is RowScaled:
        scale_shape = (shape[0], 1)
    else:
        scale_shape = (-(-shape[0] // BLOCK), -(-shape[1] // BLOCK))
        scale_place = tuple(_blocks(along) if isinstance(along, slice) else along for along in place)
    return [
        Piece(key, shape, name, "codes", place),
        Piece(key + "_scale", scale_shape, name, "scale", scale_place),
    ]


def _blocks(rows: slice) -> slice:
    return slice(-(-rows.start // BLOCK), -(-rows.stop // BLOCK))


def _fused_experts(name: str, plain: Stored, stored: StoredFormat) -> Iterator[tuple[Form | None, Piece]]:
    """[experts, in, out] (transformers: `Llama4TextExperts`, and `FbgemmFp8Llama4TextExperts`)."""
    form = stored.form(plain.key.rpartition(".")[0])
    if form is None:
        yield None, Piece(plain.key, plain.shape, name, transposed=True)
        return
    yield form, Piece(plain.key, plain.shape, name, "codes", transposed=True)
    experts, _, out = plain.shape
    beside = name.endswith("gate_up_proj")  # there the scales lie along the columns, at down_proj along rows
    shape = (experts, 1, out) if beside else (experts, out, 1)
    yield form, Piece(plain.key + "_scale", shape, name, "scale", transposed=beside)


def _each_expert(name: str, plain: Stored, stored: StoredFormat) -> Iterator[tuple[Form | None, Piece]]:
    """Linear modules `experts.0.gate_proj` and so on, [out, in]."""
    base, _, leaf = plain.key.rpartition(".")
    experts, width, out = plain.shape
    matrices = {"down_proj": ()}
    if leaf == "gate_up_proj":
        out //= 2
        matrices = {"gate_proj": (slice(0, out),), "up_proj": (slice(out, 2 * out),)}
    for expert in range(experts):
        for matrix, rows in matrices.items():
            module = f"{base}.{expert}.{matrix}"
            form = stored.form(module)
            if form is BlockScaled and rows and out % BLOCK:
                raise ConfigError(f"{module} has {out} rows in blocks of {BLOCK}; expected a multiple")
            for piece in _matrix(name, f"{module}.weight", (out, width), form, (expert, *rows)):
                yield form, piece
