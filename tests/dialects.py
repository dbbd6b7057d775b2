"""Tiny quantized checkpoints, each written by the library that defines its form."""

import json
from pathlib import Path

import torch
from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config
from compressed_tensors.quantization.quant_scheme import PRESET_SCHEMES, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import FbgemmFp8Config
from transformers.integrations import fbgemm_fp8
from transformers.quantizers.base import SequentialLlama4TextExperts

from model import Llama4Config, Processor
from model.images import ImageSettings
from tests.tiny import TILE, byte_tokenizer, reference

# a block of 128 wide experts, and model rows of one block and a half
SMALL = {"hidden_size": 192, "intermediate_size": 128, "num_hidden_layers": 4, "num_local_experts": 4}
# as the published file has it, by pattern: only the routed experts are quantized
ONLY_ROUTED = [
    "re:.*lm_head", "re:.*self_attn", "re:.*router", "re:.*vision_model", "re:.*multi_modal_projector",
    "re:.*shared_expert", "re:.*feed_forward.(gate|up|down)_proj",
]  # fmt: skip
# llm-compressor's recipe for Scout: shared experts and dense layers too
FP8_DYNAMIC = [name for name in ONLY_ROUTED if "shared" not in name and "feed_forward" not in name]


def dress(folder: Path) -> Path:
    """What a checkpoint has beside weights and config."""
    config = Llama4Config.from_file(folder / "config.json")
    Processor(byte_tokenizer(), config, ImageSettings(tile_size=TILE, max_tiles=4)).save(folder)
    return folder


def in_dtype(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The parameters alone: a rotary table is complex."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model


def experts_apart(model: nn.Module) -> None:
    """The experts as modules, which is how transformers swaps them for compressed-tensors."""
    for layer in model.language_model.model.layers:
        if not layer.is_moe_layer:
            continue
        fused = layer.feed_forward.experts
        apart = SequentialLlama4TextExperts(model.config.text_config)
        for expert, mlp in enumerate(apart):
            gate, up = fused.gate_up_proj[expert].T.chunk(2)
            for matrix, weight in (("gate", gate), ("up", up), ("down", fused.down_proj[expert].T)):
                getattr(mlp, f"{matrix}_proj").weight = nn.Parameter(weight.contiguous(), requires_grad=False)
        layer.feed_forward.experts = apart


def scales(weight: Tensor, scheme: QuantizationScheme) -> Tensor:
    """The scale of every row, or of every block of 128 by 128."""
    if scheme.weights.strategy == "channel":
        low, high = weight.aminmax(dim=1, keepdim=True)
    else:
        blocks = [part.split(128, dim=1) for part in weight.split(128)]
        low = torch.stack([torch.stack([block.min() for block in row]) for row in blocks])
        high = torch.stack([torch.stack([block.max() for block in row]) for row in blocks])
    return calculate_qparams(low, high, scheme.weights)[0]


def write_compressed(
    folder: Path,
    kind: str,
    ignore: list[str],
    scheme: str = "FP8_DYNAMIC",
    dtype=torch.bfloat16,
    **text: object,
) -> Path:
    """A compressed-tensors checkpoint of a random model."""
    model = in_dtype(reference(kind, **SMALL | text), dtype)
    experts_apart(model)
    groups = {"group_0": QuantizationScheme(targets=["Linear"], **PRESET_SCHEMES[scheme])}
    config = QuantizationConfig(config_groups=groups, ignore=ignore, format="float-quantized")
    apply_quantization_config(model, config, show_progress=False)
    for module in model.modules():
        if hasattr(module, "weight_scale"):
            module.weight_scale.data = scales(module.weight, module.quantization_scheme).to(dtype)
    compressor = ModelCompressor(config)
    compressor.compress_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    model.config.to_json_file(folder / "config.json", use_diff=False)
    compressor.update_config(folder)
    return dress(folder)


def quantize_rows_as_fbgemm(rows: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    """`torch.ops.fbgemm.quantize_fp8_per_row`, which needs a card."""
    scale = rows.float().abs().amax(dim=1) / 448
    return (rows.float() / scale[:, None]).clamp(-448, 448).to(torch.float8_e4m3fn), scale


def write_fbgemm(folder: Path, monkeypatch, kept: list[str] | None = None, **text: object) -> Path:
    """A checkpoint laid out by transformers' own fbgemm_fp8 conversion."""
    monkeypatch.setattr(fbgemm_fp8, "get_quantize_fp8_per_row", lambda: quantize_rows_as_fbgemm)
    monkeypatch.setattr(fbgemm_fp8, "quantize_fp8_per_row", quantize_rows_as_fbgemm, raising=False)
    # accelerate's way of saying it
    monkeypatch.setattr(fbgemm_fp8, "init_empty_weights", lambda **_: torch.device("meta"), raising=False)
    model = in_dtype(reference("maverick", **SMALL | text), torch.bfloat16)
    plain = model.state_dict()
    config = FbgemmFp8Config(modules_to_not_convert=kept)
    fbgemm_fp8.replace_with_fbgemm_fp8_linear(
        model, ["language_model.lm_head"] if kept is None else kept, config, pre_quantized=True
    )
    convert = fbgemm_fp8.FbgemmFp8Quantize(None).convert
    tensors = {}
    for key, value in model.state_dict().items():
        if value.dtype == torch.float8_e4m3fn:
            tensors |= convert({key: [plain[key]]}, model)
        elif key in plain:
            tensors[key] = plain[key]
    assert tensors.keys() == model.state_dict().keys()
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "model.safetensors")
    model.config.to_json_file(folder / "config.json", use_diff=False)
    edit_config(folder, quantization_config=config.to_dict())
    return dress(folder)


def edit_config(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
