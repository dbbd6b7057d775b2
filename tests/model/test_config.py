"""Configurations: the published files, every spelling of them, and what is refused."""

import json
from copy import deepcopy

import pytest
import torch
from transformers import Llama4Config as ReferenceConfig

from model import ConfigError, Llama4, Llama4Config, TextConfig, VisionConfig
from model.config import RopeScaling
from tests.published import as_transformers_5_writes, maverick, maverick_fp8, scout

PUBLISHED = {
    "scout": scout(),
    "scout of the first days": scout(factor=8.0, high_freq_factor=4.0),
    "maverick": maverick(),
    "maverick fp8": maverick_fp8(),
}
published = pytest.mark.parametrize("values", PUBLISHED.values(), ids=PUBLISHED.keys())


def changed(path: str, value: object, values: dict | None = None) -> dict:
    """A copy of Scout's file (or of `values`) with one value, e.g. at `text_config.head_dim`, replaced."""
    values = deepcopy(scout() if values is None else values)
    *parents, leaf = path.split(".")
    owner = values
    for parent in parents:
        owner = owner[parent]
    owner[leaf] = value
    return values


def without(path: str) -> dict:
    """A copy of Scout's file that lacks one key."""
    values = changed(path, None)
    *parents, leaf = path.split(".")
    owner = values
    for parent in parents:
        owner = owner[parent]
    del owner[leaf]
    return values


def test_scouts_file_says_what_scout_is():
    config = Llama4Config.from_dict(scout())
    text = config.text
    assert text.moe_layers == tuple(range(48))
    assert [layer for layer in range(48) if not text.uses_rope(layer)] == list(range(3, 48, 4))
    assert text.rope_scaling == RopeScaling(16.0, 1.0, 1.0, 8192)
    assert text.use_qk_norm and text.attn_temperature_tuning
    assert (text.num_local_experts, text.num_experts_per_tok) == (16, 1)
    assert (text.attention_chunk_size, text.floor_scale, text.attn_scale) == (8192, 8192, 0.1)
    assert text.eos_token_id == (200001, 200007, 200008)
    assert (config.boi_token_index, config.eoi_token_index, config.image_token_index) == (
        200080,
        200081,
        200092,
    )
    assert config.vision.tokens_per_tile == 144
    assert config.dtype == "bfloat16" and not config.quantization


def test_mavericks_file_says_what_maverick_is():
    text = Llama4Config.from_dict(maverick()).text
    assert text.moe_layers == tuple(range(1, 48, 2))
    assert [layer for layer in range(48) if not text.uses_rope(layer)] == list(range(3, 48, 4))
    assert text.rope_scaling is None and not text.use_qk_norm
    assert text.num_local_experts == 128


def test_the_fp8_file_is_maverick_and_says_how_it_is_quantized():
    plain, quantized = Llama4Config.from_dict(maverick()), Llama4Config.from_dict(maverick_fp8())
    assert quantized.text == plain.text and quantized.vision == plain.vision
    assert quantized.quantization["quant_method"] == "compressed-tensors"


@published
def test_both_spellings_of_a_file_mean_the_same(values):
    assert Llama4Config.from_dict(as_transformers_5_writes(values)) == Llama4Config.from_dict(values)


@pytest.mark.parametrize("marks", [[], None])
def test_no_list_of_rope_layers_means_every_fourth_without(marks):
    assert (
        Llama4Config.from_dict(changed("text_config.no_rope_layers", marks)).text
        == Llama4Config.from_dict(scout()).text
    )


def test_one_in_no_rope_layers_marks_a_layer_with_rotary_positions():
    marks = [1, 0] * 24
    text = Llama4Config.from_dict(changed("text_config.no_rope_layers", marks)).text
    assert [text.uses_rope(layer) for layer in range(48)] == list(map(bool, marks))


@pytest.mark.parametrize(("written", "meant"), [(4, True), (True, True), (0, False), (False, False)])
def test_the_temperature_may_be_switched_by_the_integer_of_old_files(written, meant):
    config = Llama4Config.from_dict(changed("text_config.attn_temperature_tuning", written))
    assert config.text.attn_temperature_tuning is meant


@pytest.mark.parametrize(("written", "meant"), [(7, (7,)), ([7, 8], (7, 8)), (None, ())])
def test_the_end_of_an_answer_is_one_token_several_or_none(written, meant):
    assert Llama4Config.from_dict(changed("text_config.eos_token_id", written)).text.eos_token_id == meant


@pytest.mark.parametrize(
    ("values", "parameters", "experts"),
    [(maverick(), 401_583_781_376, 128), (scout(), 108_641_793_536, 16)],
    ids=["maverick", "scout"],
)
def test_a_published_model_has_its_published_size(values, parameters, experts):
    with torch.device("meta"):
        llama = Llama4(Llama4Config.from_dict(values))
    sizes = {name: parameter.numel() for name, parameter in llama.named_parameters()}
    assert sum(sizes.values()) == parameters
    # for one token: the text side, with one expert of each routed layer
    routed = {name for name in sizes if name.endswith(("moe.gate_up_proj", "moe.down_proj"))}
    seen = {name for name in sizes if name.startswith(("vision.", "projector."))}
    active = sum(size for name, size in sizes.items() if name not in routed | seen)
    active += sum(sizes[name] for name in routed) // experts
    assert active == pytest.approx(17.2e9, rel=0.005)


@published
def test_what_we_write_we_read_again(values):
    config = Llama4Config.from_dict(values)
    again = Llama4Config.from_dict(json.loads(json.dumps(config.to_dict())))
    assert (again.text, again.vision, again.dtype) == (config.text, config.vision, config.dtype)
    assert not again.quantization, "what is held is never quantized, so that is what is written"


@pytest.mark.filterwarnings("ignore:.*high_freq_factor")
@published
def test_what_we_write_means_the_same_to_transformers(values):
    config = Llama4Config.from_dict(values | {"quantization_config": None})
    theirs = ReferenceConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert Llama4Config.from_dict(theirs.to_dict()) == config


def test_a_text_only_file_is_read_and_written():
    values = scout()["text_config"]
    config = Llama4Config.from_dict(values)
    assert config.vision is None
    assert config.text == Llama4Config.from_dict(scout()).text
    assert Llama4Config.from_dict(config.to_dict()) == config


@pytest.mark.parametrize("values", [scout(), maverick()], ids=["scout", "maverick"])
def test_every_key_that_transformers_writes_today_is_read(values, tmp_path):
    theirs = ReferenceConfig.from_dict(values)
    assert Llama4Config.from_dict(theirs.to_dict()).text == Llama4Config.from_dict(values).text
    theirs.save_pretrained(tmp_path)
    assert Llama4Config.from_file(tmp_path / "config.json").vision == Llama4Config.from_dict(values).vision
    theirs.text_config.save_pretrained(tmp_path)
    assert Llama4Config.from_file(tmp_path / "config.json").text == Llama4Config.from_dict(values).text


def test_derived_sizes_of_the_vision_tower_follow_from_the_file():
    vision = VisionConfig.from_dict(scout()["vision_config"])
    assert (vision.head_dim, vision.patches_per_side, vision.tokens_per_side) == (88, 24, 12)
    assert (vision.shuffle_block, vision.tokens_per_tile) == (2, 144)


@pytest.mark.parametrize("where", ["", "text_config.", "vision_config."])
def test_an_unknown_key_is_an_error_that_names_it(where):
    with pytest.raises(ConfigError, match=r"keys this model does not read: sliding_window$"):
        Llama4Config.from_dict(changed(where + "sliding_window", 4096))


WRONG = {
    "text_config.hidden_size": ["5120", 5120.0, 0, -1, None, True, [5120], 2**21],
    "text_config.num_hidden_layers": ["48", 0, None, 4.5, 1025, 10**30],
    "text_config.num_local_experts": [10**9],
    "text_config.max_position_embeddings": [2**31],
    "text_config.vocab_size": [10**18],
    "text_config.rms_norm_eps": ["1e-5", None, float("nan"), [1e-5], 10**400],
    "text_config.use_qk_norm": ["yes", 1, None],
    "text_config.attention_bias": [0, "false"],
    "text_config.attn_temperature_tuning": ["on", [], 0.5],
    "text_config.bos_token_id": ["<s>", 1.5, True, [1], 2**31],
    "text_config.eos_token_id": ["</s>", [1, "2"], 1.5, {"id": 3}, [-5], 10**30],
    "text_config.moe_layers": ["all", 3, [0, "1"], [0.5], [0, 48], [-1]],
    "text_config.no_rope_layers": ["none", 3, [1, 0], [1] * 47 + ["0"]],
    "text_config.no_rope_layer_interval": ["4", -1, 2.5],
    "text_config.interleave_moe_layer_step": ["2", -1, 1.5],
    "text_config.attention_chunk_size": ["8k", -1, 0.5],
    "text_config.rope_theta": ["5e5", -1.0, [5e5], 10**400],
    "text_config.rope_scaling": ["llama3", [8.0], 8.0],
    "text_config.rope_scaling.factor": ["8", None, 0, -8.0],
    "text_config.rope_scaling.rope_type": ["yarn", "linear", 3],
    "text_config.num_key_value_heads": [7, "8"],
    "text_config.num_experts_per_tok": [0, 17],
    "text_config.head_dim": [127, "128"],
    "text_config.hidden_act": ["gelu", None],
    "text_config": [None, [], "llama"],
    "vision_config.num_hidden_layers": [10**30],
    "vision_config.patch_size": [15, "14", 0],
    "vision_config.image_size": [350, None, 336 * 10**28],
    "vision_config.num_attention_heads": [64, 3],
    "vision_config.intermediate_size": [4096],
    "vision_config.pixel_shuffle_ratio": [0, -0.5, "half", 0.3],
    "vision_config.hidden_act": ["silu"],
    "vision_config.rope_parameters": ["default"],
    "vision_config.rope_scaling": [scout()["text_config"]["rope_scaling"]],
    "vision_config.multi_modal_projector_bias": ["no", True],
    "vision_config": ["clip", [1]],
    "image_token_index": ["<|patch|>", None, -1],
    "quantization_config": ["fp8", ["fp8"]],
    "torch_dtype": [16],
    "model_type": ["llama", "llama4_vision_model", None],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [(path, value) for path, wrong in WRONG.items() for value in wrong],
    ids=lambda value: value if isinstance(value, str) else f"{value!r:.40}",
)
def test_a_value_that_cannot_be_is_an_error_that_names_its_key(path, value):
    with pytest.raises(ConfigError) as refused:
        Llama4Config.from_dict(changed(path, value))
    assert path.split(".")[-1].removeprefix("torch_") in str(refused.value)


@pytest.mark.parametrize("missing", ["text_config", "model_type", "text_config.rope_scaling.factor"])
def test_a_missing_part_is_an_error_that_names_it(missing):
    with pytest.raises(ConfigError, match=missing.split(".")[-1]):
        Llama4Config.from_dict(without(missing))


def test_a_missing_file_is_an_error_that_names_the_place(tmp_path):
    with pytest.raises(ConfigError, match=f"no config.json at {tmp_path}/config.json"):
        Llama4Config.from_file(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{", "not valid JSON"),
        ("", "not valid JSON"),
        ("[1, 2]", "holds a list"),
        ('"llama4"', "holds a str"),
    ],
)
def test_a_file_that_is_no_json_object_is_an_error(tmp_path, written, said):
    (tmp_path / "config.json").write_text(written)
    with pytest.raises(ConfigError, match=said):
        Llama4Config.from_file(tmp_path / "config.json")


def test_a_file_that_is_no_text_is_an_error(tmp_path):
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(ConfigError, match="not valid JSON"):
        Llama4Config.from_file(tmp_path / "config.json")


@pytest.mark.parametrize("start", ["[", '{"a":'])
def test_a_file_that_is_nested_without_end_is_an_error(tmp_path, start):
    (tmp_path / "config.json").write_text(start * 100_000)
    with pytest.raises(ConfigError, match="not valid JSON"):
        Llama4Config.from_file(tmp_path / "config.json")


def test_the_parameters_of_the_largest_model_that_a_file_may_describe_can_be_counted():
    largest = 2**20
    values = scout()
    for part in ("text_config", "vision_config"):
        sizes = ("hidden_size", "num_attention_heads", "vocab_size", "image_size", "head_dim")
        sizes = [name for name in values[part] if name in sizes or "intermediate" in name or "_dim" in name]
        values[part] |= dict.fromkeys(sizes, largest) | {"num_hidden_layers": 2}
    values["text_config"] |= {"num_key_value_heads": largest, "num_local_experts": 1024}
    # rotary positions in two dimensions take a head of four
    values["vision_config"] |= {"num_attention_heads": largest // 4, "patch_size": 1024, "num_channels": 1024,
                                "pixel_shuffle_ratio": 1.0}  # fmt: skip
    with torch.device("meta"):
        llama = Llama4(Llama4Config.from_dict(values))
    assert llama.blocks[0].attn.q_proj.weight.numel() == largest**3


def test_a_config_can_be_compared_and_used_as_a_key():
    first, second = TextConfig.from_dict(scout()["text_config"]), TextConfig.from_dict(scout()["text_config"])
    assert first == second and hash(first) == hash(second)
