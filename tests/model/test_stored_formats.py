"""Quantized checkpoints: each form, written by the library that defines it, is read as that one reads it."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CompressedTensorsConfig, Llama4ForConditionalGeneration

from kernels.fp8 import BlockScaled, RowScaled
from model import ConfigError, Llama4, WeightsError, load
from model.quantize import QuantizedLinear, dequantize, quantized
from model.stored_formats import stored_format
from tests.dialects import (
    FP8_DYNAMIC,
    ONLY_ROUTED,
    SMALL,
    assert_agrees_with_emulation,
    edit_config,
    round_experts,
    round_linear,
    write_compressed,
    write_fbgemm,
)
from tests.tiny import reference

IDS = torch.arange(40)[None]
EXPERT = "language_model.model.layers.1.feed_forward.experts.2"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Compressed-tensors checkpoints: as Maverick is published, llm-compressor's recipe, and blocks."""
    new = tmp_path_factory.mktemp
    return {
        "published": write_compressed(new("published"), "maverick", ONLY_ROUTED),
        "dynamic": write_compressed(new("dynamic"), "scout", FP8_DYNAMIC, dtype=torch.float32),
        "block": write_compressed(new("block"), "maverick", FP8_DYNAMIC, "FP8_BLOCK", dtype=torch.float32),
    }


@pytest.fixture
def folder(folders, tmp_path) -> Path:
    """A checkpoint in the published form, to be broken."""
    return Path(shutil.copytree(folders["published"], tmp_path / "checkpoint"))


def by_transformers(folder: Path, dtype: torch.dtype) -> nn.Module:
    """What transformers makes of it, weights made plain while they are read."""
    with pytest.warns(UserWarning, match="already has a `quantization_config`"):
        model = Llama4ForConditionalGeneration.from_pretrained(
            folder, quantization_config=CompressedTensorsConfig(dequantize=True), dtype=dtype
        )
    return model.eval().requires_grad_(False)


def plain_fbgemm(folder: Path) -> nn.Module:
    """transformers runs this form on cards alone, so its plain model is given the file's values."""
    stored = load_file(folder / "model.safetensors")
    plain = reference("maverick", **SMALL)
    values = {key: stored[key].float() for key in plain.state_dict()}
    for key in values:
        scale = stored.get(f"{key}_scale", torch.ones(1))
        values[key] *= scale.transpose(1, 2) if key.endswith("experts.down_proj") else scale
    plain.load_state_dict(values)
    return plain


def matrices(folder: Path, llama: Llama4) -> Iterator[tuple[str, Tensor]]:
    """Key of every quantized matrix in the file, and our plain weight for it."""
    for key in load_file(folder / "model.safetensors"):
        if not key.endswith(".weight_scale"):
            continue
        key = key.removesuffix("_scale")
        parts = key.split(".")
        layer, name = llama.blocks[int(parts[3])], parts[-2]
        if "experts" in parts:
            expert = int(parts[-3])
            both = layer.moe.gate_up_proj[expert]
            halves = dict(zip(("gate_proj", "up_proj"), both.chunk(2), strict=True))
            yield key, halves.get(name, layer.moe.down_proj[expert])
        elif "shared_expert" in parts:
            yield key, layer.moe.shared_expert.get_submodule(name).weight
        else:
            yield key, layer.mlp.get_submodule(name).weight


# what is read


@pytest.mark.parametrize("name", ["published", "dynamic", "block"])
def test_every_weight_is_exactly_what_transformers_dequantizes(folders, name):
    theirs = dict(by_transformers(folders[name], torch.bfloat16).named_parameters())
    llama, _ = load(folders[name], dtype=torch.bfloat16)
    dequantize(llama)
    compared = [torch.equal(ours, theirs[key]) for key, ours in matrices(folders[name], llama)]
    assert all(compared)
    routed = 4 * len(llama.config.text.moe_layers) * 3
    shared_or_dense = 4 * 3  # every layer has one of the two; Maverick's routed layers have a shared one
    assert len(compared) == routed + (0 if name == "published" else shared_or_dense)


@pytest.mark.parametrize("name", ["published", "dynamic", "block"])
def test_logits_of_the_plain_weights_are_those_of_transformers(folders, name):
    theirs = by_transformers(folders[name], torch.float32)(IDS).logits
    llama, _ = load(folders[name])
    # transformers multiplies codes and scales in the scale's dtype
    dequantize(llama, torch.bfloat16 if name == "published" else torch.float32)
    ours = llama.float()(IDS)
    assert theirs.std() > 1
    assert (ours - theirs).abs().max() <= 5e-5


def test_what_the_file_ignores_is_plain_and_the_rest_is_not(folders):
    forms = {name: load(folder)[0] for name, folder in folders.items()}
    routed = {f"blocks.{i}.moe.{leaf}" for i in (1, 3) for leaf in ("gate_up_proj", "down_proj")}
    assert quantized(forms["published"]).keys() == routed
    assert {weight.form for weight in quantized(forms["published"]).values()} == {RowScaled}
    for name, form in (("dynamic", RowScaled), ("block", BlockScaled)):
        llama = forms[name]
        assert {weight.form for weight in quantized(llama).values()} == {form}
        dense = llama.blocks[0].mlp if name == "block" else llama.blocks[0].moe.shared_expert
        assert isinstance(dense.gate_proj, QuantizedLinear)
        assert isinstance(llama.blocks[0].attn.q_proj, nn.Linear)
        assert isinstance(llama.vision.blocks[0].mlp.fc1, nn.Linear)


def test_codes_are_the_files_own_and_there_is_no_second_copy(folders):
    llama, _ = load(folders["published"])
    stored = load_file(folders["published"] / "model.safetensors")
    weight = llama.blocks[1].moe.gate_up_proj.value
    gate, up = weight[2].codes.view(torch.uint8).chunk(2)
    assert torch.equal(gate, stored[f"{EXPERT}.gate_proj.weight"].view(torch.uint8))
    assert torch.equal(up, stored[f"{EXPERT}.up_proj.weight"].view(torch.uint8))
    assert torch.equal(weight[2].scale[:128], stored[f"{EXPERT}.gate_proj.weight_scale"].float())
    held = [*llama.parameters(), *llama.buffers()]
    # float32 for what is plain; scales are stored in bfloat16 and held in float32
    plain = sum(4 * t.numel() for t in stored.values() if t.dtype == torch.bfloat16)
    assert sum(t.nbytes for t in held) == plain + sum(
        t.numel() for t in stored.values() if t.element_size() == 1
    )


def test_modules_that_the_ignore_list_names_one_by_one_stay_plain(tmp_path):
    # a whole layer's experts, module by module, as the published file names its 569
    base = "language_model.model.layers.1.feed_forward.experts"
    names = [f"{base}.{e}.{m}_proj" for e in range(4) for m in ("gate", "up", "down")]
    folder = write_compressed(tmp_path, "maverick", ONLY_ROUTED + names)
    llama, _ = load(folder, dtype=torch.bfloat16)
    assert quantized(llama).keys() == {"blocks.3.moe.gate_up_proj", "blocks.3.moe.down_proj"}
    stored = load_file(folder / "model.safetensors")
    assert torch.equal(llama.blocks[1].moe.down_proj[3], stored[f"{base}.3.down_proj.weight"])
    assert torch.equal(llama.blocks[1].moe.gate_up_proj[0, 128:], stored[f"{base}.0.up_proj.weight"])


def test_one_matrix_of_the_experts_may_be_plain_and_the_others_not(tmp_path):
    llama, _ = load(write_compressed(tmp_path, "maverick", [*ONLY_ROUTED, "re:.*down_proj"]))
    assert quantized(llama).keys() == {"blocks.1.moe.gate_up_proj", "blocks.3.moe.gate_up_proj"}
    of_codes = llama(IDS)
    dequantize(llama)
    assert (of_codes - llama(IDS)).abs().mean() < 0.2


def test_fbgemm_files_hold_the_same_experts_fused(tmp_path, monkeypatch):
    kept = ["lm_head", "language_model.*self_attn", ".*router", "vision_model", "multi_modal_projector"]
    folder = write_fbgemm(tmp_path, monkeypatch, kept)
    llama, _ = load(folder)
    assert isinstance(llama.blocks[0].mlp.up_proj, QuantizedLinear)
    assert isinstance(llama.blocks[0].attn.q_proj, nn.Linear)
    dequantize(llama)
    plain = plain_fbgemm(folder)
    values = plain.state_dict()
    assert (llama(IDS) - plain(IDS).logits).abs().max() <= 5e-5
    for name in ("gate_up_proj", "down_proj"):
        key = f"language_model.model.layers.1.feed_forward.experts.{name}"
        assert torch.equal(getattr(llama.blocks[1].moe, name), values[key].transpose(1, 2))


def test_fbgemm_without_a_list_quantizes_everything_but_the_head(tmp_path, monkeypatch):
    llama, _ = load(write_fbgemm(tmp_path, monkeypatch), dtype=torch.bfloat16)
    assert isinstance(llama.unembed, nn.Linear)
    linears = [name for name, module in llama.named_modules() if isinstance(module, nn.Linear)]
    assert linears == ["unembed"]
    assert llama(IDS).isfinite().all()


# what is computed with it


def quantized_linears(folder: Path) -> dict[str, dict[str, Tensor]]:
    """Codes and scale of every quantized linear in the file, by its module's name."""
    stored = load_file(folder / "model.safetensors")
    modules = (key.removesuffix(".weight_scale") for key in stored if key.endswith(".weight_scale"))
    return {
        name: {"codes": stored[f"{name}.weight"], "scale": stored[f"{name}.weight_scale"]} for name in modules
    }


@pytest.mark.parametrize(("name", "group"), [("published", None), ("dynamic", None), ("block", 128)])
def test_logits_are_those_of_transformers_with_activations_rounded_per_token(folders, name, group):
    theirs = by_transformers(folders[name], torch.float32)
    for module, parts in quantized_linears(folders[name]).items():
        linear = theirs.get_submodule(module)
        if name == "published":  # its scales are bfloat16, in which transformers multiplies as well
            linear.weight.data = parts["codes"].float() * parts["scale"].float()
    unrounded = theirs(IDS).logits
    for module in quantized_linears(folders[name]):
        round_linear(theirs.get_submodule(module), group)
    assert_agrees_with_emulation(load(folders[name])[0], theirs, unrounded, IDS)


def test_logits_of_fbgemm_files_are_those_with_activations_rounded_per_token(tmp_path, monkeypatch):
    kept = ["lm_head", "language_model.*self_attn", ".*router", "vision_model", "multi_modal_projector"]
    folder = write_fbgemm(tmp_path, monkeypatch, kept)
    theirs = plain_fbgemm(folder)
    unrounded = theirs(IDS).logits
    round_experts(theirs)
    for module in quantized_linears(folder):
        round_linear(theirs.get_submodule(module))
    assert_agrees_with_emulation(load(folder)[0], theirs, unrounded, IDS)


# what is refused


def damage(folder: Path, key: str, change: Callable[[Tensor], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors[key])
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize("code", [0x7F, 0xFF])
def test_nan_codes_are_named(folder, code):
    key = f"{EXPERT}.up_proj.weight"
    damage(folder, key, lambda codes: codes.view(torch.uint8)[5, 7:8].fill_(code))
    with pytest.raises(WeightsError, match=f"{key} has NaN among its FP8 codes"):
        load(folder)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_scales_nothing_is_named(folder, scale):
    key = f"{EXPERT}.down_proj.weight_scale"
    damage(folder, key, lambda scales: scales[3].fill_(scale))
    with pytest.raises(WeightsError, match=f"{key} has scales that are not positive and finite"):
        load(folder)


def test_keys_that_do_not_fit_the_scheme_are_named(folder):
    tensors = load_file(folder / "model.safetensors")
    key = f"{EXPERT}.up_proj.weight"
    without = {k: v for k, v in tensors.items() if k != f"{key}_scale"}
    save_file(without, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=f"{key}_scale is missing"):
        load(folder)
    save_file(tensors | {key: tensors[key].to(torch.bfloat16)}, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=f"{key} is BF16, expected F8_E4M3"):
        load(folder)
    flat = {f"{key}_scale": tensors[f"{key}_scale"].flatten()}
    save_file(tensors | flat, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=rf"{key}_scale is \[128\], expected \[128, 1\]"):
        load(folder)
    more = {"language_model.model.layers.0.self_attn.q_proj.weight_scale": torch.ones(128, 1)}
    save_file(tensors | more, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"q_proj\.weight_scale in model\.safetensors has no place"):
        load(folder)


def scheme(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())["quantization_config"]


UNKNOWN = {
    "another method": (
        lambda q: q.update(quant_method="gptq"),
        "quantized with 'gptq'; this version reads BF16",
    ),
    "a method that is no name": (
        lambda q: q.update(quant_method=["fbgemm_fp8"]),
        r"quantized with \['fbgemm_fp8'\]; this version reads BF16",
    ),
    "no method": (lambda q: q.pop("quant_method"), "quantized with None; this version reads BF16"),
    "another format": (
        lambda q: q.update(format="pack-quantized"),
        "format 'pack-quantized', expected 'float-q",
    ),
    "integers": (
        lambda q: q["config_groups"]["group_0"]["weights"].update(type="int"),
        "weights has type 'int'",
    ),
    "four bits": (
        lambda q: q["config_groups"]["group_0"]["weights"].update(num_bits=4),
        "num_bits 4, expected 8",
    ),
    "one scale a tensor": (
        lambda q: q["config_groups"]["group_0"]["weights"].update(strategy="tensor"),
        "weights has strategy 'tensor', expected 'channel' or 'block'",
    ),
    "static activations": (
        lambda q: q["config_groups"]["group_0"]["input_activations"].update(dynamic=False),
        "input_activations has dynamic False, expected True",
    ),
    "plain activations": (
        lambda q: q["config_groups"]["group_0"].update(input_activations=None),
        "input_activations has num_bits None, expected 8",
    ),
    "other blocks": (
        lambda q: q["config_groups"]["group_0"]["weights"].update(strategy="block", block_structure=[64, 64]),
        r"block_structure \[64, 64\], expected \[128, 128\]",
    ),
    "a quantized cache": (lambda q: q.update(kv_cache_scheme={"num_bits": 8}), "kv_cache_scheme"),
    "no schemes": (
        lambda q: q.update(config_groups={}),
        "config_groups is {}; expected an object of schemes",
    ),
    "a scheme that is none": (
        lambda q: q["config_groups"]["group_0"].update(weights="FP8"),
        "group_0.weights is 'FP8'; expected an object",
    ),
    "a broken pattern": (lambda q: q.update(ignore=["re:("]), "has a pattern that is none"),
    "a list that is none": (lambda q: q.update(ignore="lm_head"), "lists modules as 'lm_head'"),
    "an object for a list": (lambda q: q.update(ignore={}), "lists modules as {}; expected a list of names"),
    "modules of no name": (lambda q: q.update(ignore=[None]), r"lists modules as \[None\]; expected a list"),
    "targets that are none": (
        lambda q: q["config_groups"]["group_0"].update(targets=None),
        "lists modules as None; expected a list of names",
    ),
    "a list that is none in the other form": (
        lambda q: q.update(quant_method="fbgemm_fp8", modules_to_not_convert="lm_head"),
        "lists modules as 'lm_head'; expected a list of names",
    ),
    "a broken pattern in the other form": (
        lambda q: q.update(quant_method="fbgemm_fp8", modules_to_not_convert=["("]),
        "modules_to_not_convert has a pattern that is none",
    ),
    "a bound of activations that is none": (
        lambda q: q.update(quant_method="fbgemm_fp8", activation_scale_ub="1200"),
        "activation_scale_ub is '1200'; expected a number above 0",
    ),
    "a quantized head": (lambda q: q["ignore"].remove("re:.*lm_head"), "lm_head is quantized"),
    "some experts of a layer": (
        lambda q: q["ignore"].append(f"{EXPERT}.up_proj"),
        "some experts of .*layers.1.feed_forward.experts are quantized and some are not",
    ),
}


@pytest.mark.parametrize(("change", "said"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_a_scheme_that_is_not_known_is_named(folder, change, said):
    quantization = scheme(folder)
    change(quantization)
    edit_config(folder, quantization_config=quantization)
    with pytest.raises(ConfigError, match=said):
        load(folder)


def test_a_name_says_more_than_a_pattern_and_a_pattern_more_than_a_class(folder):
    quantization = scheme(folder)
    (group,) = quantization["config_groups"].values()
    blocks = json.loads(json.dumps(group))
    blocks["weights"] |= {"strategy": "block", "block_structure": [128, 128]}
    blocks["input_activations"] |= {"strategy": "group", "group_size": 128}

    def form(first: str, second: str, module: str) -> type | None:
        groups = {"a": group | {"targets": [first]}, "b": blocks | {"targets": [second]}}
        return stored_format(quantization | {"config_groups": groups, "ignore": []}).form(module)

    assert form("Linear", "re:.*experts", "x.experts.0") is BlockScaled
    assert form("re:.*experts", "Linear", "x.experts.0") is RowScaled
    assert form("re:.*experts", "x.experts.0", "x.experts.0") is BlockScaled
    assert form("re:.*experts", "x.experts.0", "x.router") is None
