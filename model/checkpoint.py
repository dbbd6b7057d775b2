"""Checkpoints in the Hugging Face layout: safetensors and JSON in, safetensors and JSON out.

Every key is accounted for before a byte of weights is read: unknown, missing and misshapen ones are errors
that name them (a loader that skips a key yields a model that talks fluent nonsense). Pickle files are never
opened.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from kernels.pages import in_large_pages
from model.config import Llama4Config
from model.llama4 import Llama4
from model.processor import Processor
from model.quantize import RECIPES, QuantizedWeight, make_room, quantized, recipe
from model.stored_formats import stored_format
from model.stored_layout import Piece, pieces, stored_layout

DEMO_WEIGHTS = Path(__file__).parent / "demo" / "weights"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
SMALL = 2**30  # bytes
QUIET_BELOW = 256 * 2**20  # bytes; a smaller checkpoint is there before a progress bar could be read

_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
_STORED_AS = {"weights": tuple(_DTYPES), "codes": ("F8_E4M3",), "scale": tuple(_DTYPES)}


class WeightsError(ValueError):
    """A checkpoint that cannot be loaded as it is; the message names the file or key."""


def load(
    path: str | Path,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    quantize: str | None = None,
) -> tuple[Llama4, Processor]:
    """Load a checkpoint folder, or the embedded model with `load("demo")`.

    Args:
        path: folder with config.json, safetensors (one file, or shards with an index) and the tokenizer.
        device: where the weights go.
        dtype: of plain weights and activations; by default the checkpoint's own, but float32 on a CPU for a
            checkpoint below 1 GiB, where it is both exact and faster.
        quantize: what to do to a plain checkpoint while it is read: None, "fp8" (the routed experts, one
            scale a row) or "int4" (routed and shared experts, groups of 128). A checkpoint that is quantized
            already is held as it is stored.

    Returns:
        The model in eval mode, without gradients, and its processor.

    Raises:
        ConfigError, TokenizerError, WeightsError: each names the file, key or value that does not fit.
            Also for `quantize` of a model without experts, where it would do nothing.
        ValueError: `quantize` is none of these.
    """
    folder = DEMO_WEIGHTS if str(path) == "demo" else Path(path).expanduser()
    if not folder.is_dir():
        raise WeightsError(
            f"no checkpoint folder at {folder}; give a folder in the Hugging Face layout, or 'demo'"
        )
    if quantize is not None and quantize not in RECIPES:
        raise ValueError(f"quantize is {quantize!r}; expected None, {' or '.join(map(repr, RECIPES))}")
    config = Llama4Config.from_file(folder / "config.json")
    if quantize and config.quantization:
        raise WeightsError(
            f"{folder} is quantized already ({config.quantization.get('quant_method')}); load it without "
            f"quantize={quantize!r}"
        )
    device = torch.device(device)
    small = sum(file.stat().st_size for file in weight_files(folder)) < SMALL
    dtype = dtype or (torch.float32 if small and device.type == "cpu" else checkpoint_dtype(config))
    processor = Processor.from_folder(folder, config)
    with torch.device("meta"):
        llama = Llama4(config)
    read_weights(llama, folder, device, dtype, quantize)
    return llama.requires_grad_(False).eval(), processor


def checkpoint_dtype(config: Llama4Config) -> torch.dtype:
    """The dtype that config.json names.

    Raises:
        WeightsError: it is none of the three that this model computes in.
    """
    known = {str(d).removeprefix("torch."): d for d in _DTYPES.values()}
    name = str(config.dtype).removeprefix("torch.")
    if name not in known:
        raise WeightsError(f"config.json names dtype {config.dtype!r}; expected one of {', '.join(known)}")
    return known[name]


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint folder, in the order of their names.

    Raises:
        WeightsError: there are none, the index names a file that is absent or outside the folder, or the
            folder holds pickles only.
    """
    # where both stand, as transformers does: a save into a folder of shards leaves the old ones beside it
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if (folder / INDEX).is_file():
        return _shards(folder)
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pth", ".pkl", ".ckpt"))
    if pickles:
        raise WeightsError(
            f"{folder} holds {pickles[0]}, a pickle file, which can run any code when opened; "
            "only .safetensors are read. Convert it with transformers' save_pretrained first"
        )
    raise WeightsError(f"no {SINGLE} or {INDEX} in {folder}")


def _shards(folder: Path) -> list[Path]:
    try:
        names = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise WeightsError(f"{folder / INDEX} is not a safetensors index: {error!r}") from None
    if not names:
        raise WeightsError(f"{folder / INDEX} names no file")
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise WeightsError(f"{INDEX} names {name!r}; expected a .safetensors file in the same folder")
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        raise WeightsError(
            f"{len(missing)} of {len(names)} shards are missing in {folder}: {', '.join(missing[:3])}"
        )
    return [folder / name for name in sorted(names)]


def read_weights(
    llama: Llama4, folder: Path, device: torch.device, dtype: torch.dtype, quantize: str | None = None
) -> None:
    """Fill `llama`, built on the meta device; memory never exceeds the weights and one shard.

    Raises:
        ConfigError, WeightsError: see the top of this file.
    """
    files = weight_files(folder)
    by_key, forms = pieces(llama, stored_format(llama.config.quantization))
    if quantize is not None:
        forms = recipe(quantize, llama)
        if not forms:
            raise WeightsError(
                f"quantize={quantize!r} is about experts, and {folder} has none; load it without"
            )
    total = check_headers(files, by_key)
    try:
        make_room(llama, forms, device)
    except ValueError as error:
        raise WeightsError(f"{folder} cannot be held as {quantize}: {error}") from None
    for name, parameter in list(llama.named_parameters()):
        owner, _, leaf = name.rpartition(".")
        room = in_large_pages(torch.empty(parameter.shape, dtype=dtype, device=device))
        setattr(llama.get_submodule(owner), leaf, nn.Parameter(room, requires_grad=False))
    with tqdm(
        total=total, unit="B", unit_scale=True, desc=f"Loading {folder.name}", disable=total < QUIET_BELOW
    ) as progress:
        for file in files:
            with safe_open(file, framework="pt") as shard:
                for key in shard.keys():  # noqa: SIM118 - safe_open is no dict
                    if key not in by_key:
                        continue  # the tied head, which check_headers let pass
                    stored = shard.get_tensor(key)
                    _put(llama, by_key[key], stored, device)
                    progress.update(stored.nbytes)
    if llama.config.text.tie_word_embeddings:
        llama.unembed.weight = llama.embed.weight


def check_headers(files: list[Path], expected: dict[str, Piece]) -> int:
    """Compare the files' headers with what the model needs; returns the bytes to read."""
    tied_head = {"lm_head.weight", "language_model.lm_head.weight"} - expected.keys()
    found: dict[str, Path] = {}
    wrong, total = [], 0
    for file in files:
        try:
            shard = safe_open(file, framework="pt")
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{file} is not a whole safetensors file: {error}") from None
        with shard:
            for key in shard.keys():  # noqa: SIM118
                view = shard.get_slice(key)
                shape, dtype = tuple(view.get_shape()), view.get_dtype()
                allowed = _STORED_AS[expected[key].part if key in expected else "weights"]
                if key in found:
                    wrong.append(f"{key} is in {found[key].name} and in {file.name}")
                elif key not in expected and key not in tied_head:
                    wrong.append(f"{key} in {file.name} has no place in this model")
                elif key in expected and shape != expected[key].shape:
                    wrong.append(f"{key} is {list(shape)}, expected {list(expected[key].shape)}")
                elif dtype not in allowed:
                    one_of = "one of " if len(allowed) > 1 else ""
                    wrong.append(f"{key} is {dtype}, expected {one_of}{', '.join(allowed)}")
                found[key] = file
        total += file.stat().st_size
    wrong += [f"{key} is missing" for key in expected.keys() - found.keys()]
    if wrong:
        shown = "; ".join(sorted(wrong)[:5])
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise WeightsError(f"{files[0].parent} does not fit its config.json: {shown}{more}")
    return total


def _put(llama: Llama4, piece: Piece, stored: Tensor, device: torch.device) -> None:
    """Copy one tensor of a file to its place; the file may change or vanish under us later."""
    owner, _, leaf = piece.name.rpartition(".")
    room = getattr(llama.get_submodule(owner), leaf)
    stored = stored.transpose(-1, -2) if piece.transposed else stored
    if piece.part != "weights":
        whole = room.get_buffer(piece.part)[piece.place]
        # all experts of a layer may be one tensor of many gigabytes, which the checks would copy
        for part, of in zip(stored, whole, strict=True) if stored.dim() == 3 else [(stored, whole)]:
            part = part.to(device)
            _refuse_broken(piece, part)
            of.copy_(part)
    elif isinstance(room, QuantizedWeight):
        try:
            room.put(stored)
        except ValueError as error:
            raise WeightsError(f"{piece.key}: {error}") from None
    else:
        room.data[piece.place].copy_(stored)


def _refuse_broken(piece: Piece, stored: Tensor) -> None:
    """Raise WeightsError for NaN codes, and for scales that scale nothing."""
    if piece.part == "codes" and int((stored.view(torch.int8) & 0x7F).max()) == 0x7F:
        raise WeightsError(f"{piece.key} has NaN among its FP8 codes; the file is damaged")
    if piece.part == "scale" and not bool(((stored > 0) & stored.isfinite()).all()):
        raise WeightsError(f"{piece.key} has scales that are not positive and finite; the file is damaged")


def save(llama: Llama4, processor: Processor, folder: str | Path, dtype: torch.dtype | None = None) -> None:
    """Write a checkpoint folder that `load` and `transformers` both read.

    Args:
        llama: the model.
        processor: its tokenizer and image settings.
        folder: made if absent. The weights are replaced in one step, so that a kill leaves the old or the new
            ones.
        dtype: of the stored weights; by default the model's own.

    Raises:
        WeightsError: the model is quantized.
    """
    if quantized(llama):
        raise WeightsError(
            "a quantized model cannot be saved as it is; save the plain checkpoint it came from, or make its "
            "weights plain first: model.quantize.dequantize(llama)"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    dtype = dtype or llama.dtype
    tensors = {}
    for name, stored in stored_layout(llama).items():
        value = llama.get_parameter(name).detach().to("cpu", dtype)
        tensors[stored.key] = (value.transpose(1, 2) if stored.transposed else value).contiguous()
    unfinished = folder / (SINGLE + ".unfinished")
    save_file(tensors, unfinished, metadata={"format": "pt"})
    unfinished.replace(folder / SINGLE)
    config = llama.config.to_dict() | {"dtype": str(dtype).removeprefix("torch.")}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    text = llama.config.text
    generation = {"bos_token_id": text.bos_token_id, "eos_token_id": list(text.eos_token_id) or None,
                  "pad_token_id": text.pad_token_id}  # fmt: skip
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n", encoding="utf-8")
    processor.save(folder)
