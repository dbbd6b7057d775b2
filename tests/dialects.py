"""Tiny quantized checkpoints, each written by the library that defines its form."""

import json
from functools import partial
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

from model import Llama4, Llama4Config, Processor, recorded
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


def rounded_per_token(x: Tensor, group: int | None = None) -> Tensor:
    """`x` in float32, every row, or every `group` values of it, rounded to E4M3 with a scale of its own."""
    parts = []
    for part in x.float().split(group or x.shape[-1], dim=-1):
        scale = (part.abs().amax(dim=-1, keepdim=True) / 448).clamp(min=1e-30)
        parts.append((part / scale).clamp(-448, 448).to(torch.float8_e4m3fn).float() * scale)
    return torch.cat(parts, dim=-1)


def round_linear(linear: nn.Module, group: int | None = None) -> None:
    """W8A8 in transformers' model: what enters a linear is rounded."""
    linear.register_forward_pre_hook(lambda _, inputs: (rounded_per_token(inputs[0], group),))


def round_experts(model: nn.Module) -> None:
    """The same for transformers' fused experts, whose weights hold the values of codes already."""

    def forward(experts: nn.Module, x: Tensor) -> Tensor:
        x = rounded_per_token(x.view(experts.num_experts, -1, experts.hidden_size))
        gate, up = torch.bmm(x, experts.gate_up_proj).chunk(2, dim=-1)
        inner = rounded_per_token(up * experts.act_fn(gate))
        return torch.bmm(inner, experts.down_proj).view(-1, experts.hidden_size)

    for layer in model.language_model.model.layers:
        if layer.is_moe_layer:
            layer.feed_forward.experts.forward = partial(forward, layer.feed_forward.experts)


def assert_agrees_with_emulation(llama: Llama4, emulated: nn.Module, unrounded: Tensor, ids: Tensor) -> None:
    """Logits and chosen experts are those of transformers with activations rounded to E4M3 per token."""
    routing: list[Tensor] = []
    for layer in emulated.language_model.model.layers:
        if layer.is_moe_layer:
            layer.feed_forward.router.register_forward_hook(lambda _, __, out: routing.append(out[1]))
    expected = emulated(ids).logits
    points = [point for name, point in llama.hook_points.items() if name.endswith("expert_indices")]
    with recorded(points) as kept:
        ours = llama(ids)
    assert len(routing) == len(kept) == len(llama.config.text.moe_layers)
    for chosen, logits in zip(kept.values(), routing, strict=True):
        assert torch.equal(chosen, logits.topk(1).indices)
    error, effect = (ours - expected).abs(), (unrounded - expected).abs()
    # sums in another order let an activation fall to the neighbouring code here and there, and the tokens
    # after it see it; every other token is exact
    assert error.mean() < 0.02 * effect.mean()
    assert (error.amax(dim=-1) <= 1e-4).float().mean() > 0.25
    assert (effect.amax(dim=-1) > 0.02).all()


def edit_config(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
