"""Checkpoints in the Hugging Face layout: safetensors and JSON in, safetensors and JSON out.

Every key is accounted for before a byte of weights is read: unknown, missing and misshapen ones are errors
that name them (a loader that skips a key yields a model that talks fluent nonsense). Pickle files are never
opened.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from model.config import Llama4Config
from model.llama4 import Llama4
from model.processor import Processor

DEMO_WEIGHTS = Path(__file__).parent / "demo" / "weights"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
SMALL = 2**30  # bytes
QUIET_BELOW = 256 * 2**20  # bytes; a smaller checkpoint is there before a progress bar could be read

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
_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


class WeightsError(ValueError):
    """A checkpoint that cannot be loaded as it is; the message names the file or key."""


@dataclass(frozen=True)
class Stored:
    """How one parameter stands in the file."""

    key: str
    shape: tuple[int, ...]
    transposed: bool


def stored_layout(llama: Llama4) -> dict[str, Stored]:
    """For every parameter of `llama`, its key and shape in the published BF16 layout.

    Experts are stored [experts, in, out] there and held [experts, out, in] here. A text-only checkpoint has
    no `language_model.` prefix.
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
        dtype: of weights and activations; by default the checkpoint's own, but float32 on a CPU for a
            checkpoint below 1 GiB, where it is both exact and faster.
        quantize: None; "fp8" and "int4" are not built yet.

    Returns:
        The model in eval mode, without gradients, and its processor.

    Raises:
        ConfigError, TokenizerError, WeightsError: each names the file, key or value that does not fit.
    """
    folder = DEMO_WEIGHTS if str(path) == "demo" else Path(path).expanduser()
    if not folder.is_dir():
        raise WeightsError(
            f"no checkpoint folder at {folder}; give a folder in the Hugging Face layout, or 'demo'"
        )
    if quantize is not None:
        raise WeightsError(f"quantize={quantize!r} is not built yet; load without it")
    config = Llama4Config.from_file(folder / "config.json")
    if config.quantization:
        method = config.quantization.get("quant_method")
        raise WeightsError(
            f"{folder} is quantized with {method!r}; this version reads BF16, FP16 and FP32 checkpoints"
        )
    device = torch.device(device)
    small = sum(file.stat().st_size for file in weight_files(folder)) < SMALL
    dtype = dtype or (torch.float32 if small and device.type == "cpu" else checkpoint_dtype(config))
    processor = Processor.from_folder(folder, config)
    with torch.device("meta"):
        llama = Llama4(config)
    read_weights(llama, folder, device, dtype)
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
    except (ValueError, KeyError, AttributeError, TypeError) as error:
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


def read_weights(llama: Llama4, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
    """Fill `llama`, built on the meta device; memory never exceeds the weights and one shard.

    Raises:
        WeightsError: see the top of this file.
    """
    files = weight_files(folder)
    by_key = {stored.key: name for name, stored in stored_layout(llama).items()}
    total = check_headers(files, stored_layout(llama))
    with tqdm(
        total=total, unit="B", unit_scale=True, desc=f"Loading {folder.name}", disable=total < QUIET_BELOW
    ) as progress:
        for file in files:
            with safe_open(file, framework="pt") as shard:
                for key in shard.keys():  # noqa: SIM118 - safe_open is no dict
                    if key not in by_key:
                        continue  # the tied head, which check_headers let pass
                    stored = shard.get_tensor(key)
                    progress.update(stored.nbytes)
                    _assign(llama, by_key[key], stored, device, dtype)
    if llama.config.text.tie_word_embeddings:
        llama.unembed.weight = llama.embed.weight


def check_headers(files: list[Path], layout: dict[str, Stored]) -> int:
    """Compare the files' headers with what the model needs; returns the bytes to read."""
    expected = {stored.key: stored for stored in layout.values()}
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
                if key in found:
                    wrong.append(f"{key} is in {found[key].name} and in {file.name}")
                elif key not in expected and key not in tied_head:
                    wrong.append(f"{key} in {file.name} has no place in this model")
                elif key in expected and shape != expected[key].shape:
                    wrong.append(f"{key} is {list(shape)}, expected {list(expected[key].shape)}")
                elif dtype not in _DTYPES:
                    wrong.append(f"{key} is {dtype}, expected one of {', '.join(_DTYPES)}")
                found[key] = file
        total += file.stat().st_size
    wrong += [f"{key} is missing" for key in expected.keys() - found.keys()]
    if wrong:
        shown = "; ".join(sorted(wrong)[:5])
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise WeightsError(f"{files[0].parent} does not fit its config.json: {shown}{more}")
    return total


def _assign(llama: Llama4, name: str, stored: Tensor, device: torch.device, dtype: torch.dtype) -> None:
    owner, _, leaf = name.rpartition(".")
    if _FUSED_EXPERTS.search(name):
        stored = stored.transpose(1, 2)
    # a copy: the stored tensor is a view of the file, which may change or vanish under us
    value = torch.empty(stored.shape, dtype=dtype, device=device).copy_(stored)
    setattr(llama.get_submodule(owner), leaf, nn.Parameter(value, requires_grad=False))


def save(llama: Llama4, processor: Processor, folder: str | Path, dtype: torch.dtype | None = None) -> None:
    """Write a checkpoint folder that `load` and `transformers` both read.

    Args:
        llama: the model.
        processor: its tokenizer and image settings.
        folder: made if absent. The weights are replaced in one step, so that a kill leaves the old or the new
            ones.
        dtype: of the stored weights; by default the model's own.
    """
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
