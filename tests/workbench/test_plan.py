"""The plan: the arithmetic of the published models comes out, and it is the loader's own."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model import Llama4, Llama4Config, load
from model.stored_formats import stored_format
from model.stored_layout import pieces, stored_layout
from tests import published
from tests.dialects import ONLY_ROUTED, write_compressed
from tests.tiny import write_checkpoint
from workbench.devices import GIB, RESERVE, Device
from workbench.plan import Plan, cache_bytes, plan, table


@pytest.fixture(scope="module")
def maverick() -> Plan:
    return plan("maverick")


@pytest.fixture(scope="module")
def scout() -> Plan:
    return plan("scout")


@pytest.fixture(scope="module")
def maverick_fp8() -> dict:
    """The published FP8 file's config, with its ignore list written out: 569 modules, one by one."""
    values = published.maverick_fp8()
    with torch.device("meta"):
        llama = Llama4(Llama4Config.from_dict(values))
    linear = {name for name, module in llama.named_modules() if isinstance(module, torch.nn.Linear)}
    layout = stored_layout(llama)
    ignore = [layout[f"{name}.weight"].key.removesuffix(".weight") for name in sorted(linear)]
    values["quantization_config"]["ignore"] = ignore
    return values


# numbers of the published models, from their shapes


def test_parameters_are_those_of_the_published_models(maverick, scout):
    assert sum(maverick.parameters.values()) == 401_583_781_376
    assert sum(scout.parameters.values()) == 108_641_793_536
    assert maverick.parameters["routed experts"] == 24 * 128 * 3 * 5120 * 8192
    assert scout.parameters["routed experts"] == 48 * 16 * 3 * 5120 * 8192
    assert scout.parameters["dense layers"] == 0
    assert maverick.parameters["vision and projector"] == 850_960_896 + 20_971_520
    for model in (maverick, scout):
        assert model.active_parameters / 1e9 == pytest.approx(17.2, abs=0.05)


def test_bytes_are_those_of_each_way_to_hold_the_weights(maverick, scout):
    def weights(model: Plan) -> dict[str, float]:
        return {scheme.name: round(scheme.weights / GIB, 1) for scheme in model.schemes}

    # FP8 scales are held in float32: 0.1 GiB more than on disk
    assert weights(maverick) == {"bf16": 748.0, "fp8": 388.3, "int4": 215.1}
    assert weights(scout) == {"bf16": 202.4, "fp8": 112.4, "int4": 61.9}
    read = {scheme.name: scheme.read_per_token / 1e9 for scheme in maverick.schemes}
    assert read == pytest.approx({"bf16": 32.30, "fp8": 29.28, "int4": 23.43}, abs=0.01)


def test_what_fits_where(maverick, scout):
    def fits(model: Plan, scheme: str) -> set[str]:
        (held,) = [s for s in model.schemes if s.name == scheme]
        return {device for device, room in held.room.items() if room >= 0}

    assert fits(maverick, "fp8") == {"8x H100", "8x H200"}
    assert fits(maverick, "bf16") == {"8x H200"}
    assert "1x H100" in fits(scout, "int4")
    assert fits(scout, "fp8") == {"1x H200", "4x H100", "8x H100", "8x H200"}
    assert "1x H200" not in fits(scout, "bf16") and "4x H100" in fits(scout, "bf16")


def test_the_cache_of_rotary_layers_ends_with_their_chunk():
    config = Llama4Config.from_dict(published.maverick())
    assert cache_bytes(config, 1000) == 1000 * 196_608
    assert cache_bytes(config, 8192) == 8192 * 196_608
    assert cache_bytes(config, 131_072) == 131_072 * 49_152 + 1_207_959_552


def test_a_longer_context_and_more_sequences_take_their_room(maverick):
    longer = plan("maverick", context=131_072, sequences=3, devices=["8xH100"])
    assert longer.cache == 3 * (131_072 * 49_152 + 1_207_959_552)
    for before, after in zip(maverick.schemes, longer.schemes, strict=True):
        assert after.room["8x H100"] == before.room["8x H100"] - (longer.cache - maverick.cache)


def test_the_published_fp8_file_is_counted_tensor_by_tensor(maverick_fp8, maverick, tmp_path):
    assert len(maverick_fp8["quantization_config"]["ignore"]) == 569
    (tmp_path / "config.json").write_text(json.dumps(maverick_fp8))
    counted = plan(tmp_path)
    assert counted.on_disk == 416_752_626_688  # the 388.1 GiB that people report for its 84 files
    (stored,) = counted.schemes
    assert stored.name == "compressed-tensors"
    assert stored.weights == next(s for s in maverick.schemes if s.name == "fp8").weights
    with torch.device("meta"):
        llama = Llama4(Llama4Config.from_dict(maverick_fp8))
    tensors, forms = pieces(llama, stored_format(llama.config.quantization))
    assert len(tensors) == 19_445
    assert len(forms) == 2 * 24
    expert = "language_model.model.layers.47.feed_forward.experts.127"
    assert tensors[f"{expert}.down_proj.weight"].shape == (5120, 8192)
    assert tensors[f"{expert}.up_proj.weight_scale"].shape == (8192, 1)


# the plan is the loader's own arithmetic


@pytest.mark.parametrize("quantize", [None, "fp8", "int4"])
def test_what_is_planned_is_what_is_held(tmp_path, quantize):
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 4, "num_local_experts": 4}
    folder = write_checkpoint("scout", tmp_path, **sizes)
    llama, _ = load(folder, dtype=torch.float32, quantize=quantize)
    held = sum(tensor.nbytes for tensor in [*llama.parameters(), *llama.buffers()])
    planned = {scheme.name: scheme.weights for scheme in plan(folder).schemes}
    assert planned[quantize or "fp32"] == held


def test_what_a_quantized_file_holds_on_disk_is_planned(tmp_path):
    folder = write_compressed(tmp_path, "maverick", ONLY_ROUTED)
    stored = load_file(folder / "model.safetensors")
    counted = plan(folder / "config.json")
    assert counted.on_disk == sum(tensor.nbytes for tensor in stored.values())


def test_a_recipe_that_the_shapes_do_not_fit_is_left_out(tmp_path):
    folder = write_checkpoint("scout", tmp_path, num_hidden_layers=2)
    assert [scheme.name for scheme in plan(folder).schemes] == ["fp32", "fp8"]


# what people see and say


def test_the_table_says_what_fits(maverick):
    lines = table(maverick).splitlines()
    assert lines[0] == "Llama 4 Maverick: 401.58 B parameters, 803.17 GB on disk"
    assert lines[1] == "In GiB, with a cache for one sequence of 8,192 tokens:"
    by_name = {line[:22].strip(): line[22:].split() for line in lines[3:]}
    assert by_name["all weights"] == ["401.58", "B", "748.01", "388.25", "215.13"]
    assert by_name["keys and values"] == ["1.50"] * 3
    assert by_name["8x H100"][:3] == ["621.2", "128.3", "short"]
    assert by_name["8x H100"][3:6] == ["fits,", "231.4", "free"]


def test_a_small_model_is_written_in_mebibytes_and_takes_its_own_context(tmp_path):
    folder = write_checkpoint("scout", tmp_path, num_hidden_layers=2, max_position_embeddings=100)
    small = plan(Path(folder), devices=["24GB"])
    assert small.context == 100
    assert "In MiB, with a cache for one sequence of 100 tokens:" in table(small)
    assert "demo" in table(plan("demo")).splitlines()[0]


def test_json_holds_bytes_and_the_answers(scout):
    values = json.loads(json.dumps(scout.to_dict()))
    assert values["total_parameters"] == 108_641_793_536
    int4 = values["schemes"][2]
    assert int4["needed"] == int4["weights"] + values["cache"]
    assert int4["fits"]["1x H100"] is True and int4["fits"]["1x RTX 4090"] is False
    assert values["devices"][0] == {"name": "RTX 4090", "count": 1, "memory": 24564 * 2**20,
                                    "usable": 24564 * 2**20 - RESERVE}  # fmt: skip


def test_a_model_without_experts_is_planned_as_it_is_stored_alone(tmp_path):
    folder = write_checkpoint("scout", tmp_path, num_hidden_layers=2, moe_layers=[])
    assert [scheme.name for scheme in plan(folder).schemes] == ["fp32"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "nowhere"}, "nowhere is neither maverick, scout or demo, nor a config.json"),
        ({"model": "scout", "context": 0}, "context is 0; Llama 4 Scout takes 1 to 10485760 tokens"),
        ({"model": "maverick", "context": 2**21}, "takes 1 to 1048576 tokens"),
        ({"model": "scout", "context": 1.5}, r"context is 1\.5; Llama 4 Scout takes 1 to 10485760 tokens"),
        ({"model": "scout", "sequences": 0}, "sequences is 0; expected a whole number from 1 to"),
        ({"model": "scout", "sequences": 1.5}, r"sequences is 1\.5; expected a whole number"),
        ({"model": "scout", "sequences": 10**400}, "expected a whole number from 1 to 2147483647"),
        ({"model": "scout", "devices": ["3xVoodoo"]}, "'3xVoodoo' is no device; expected one of RTX 4090, "),
    ],
    ids=[
        "no such model",
        "no context",
        "too long a context",
        "half a token",
        "no sequence",
        "half a sequence",
        "too many sequences",
        "no such device",
    ],
)
def test_what_cannot_be_planned_is_named(given, said):
    with pytest.raises(ValueError, match=said):
        plan(**given)


def test_an_unknown_scheme_is_named_before_anything_is_downloaded(tmp_path):
    values = published.maverick(quantization_config={"quant_method": "gptq"})
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="quantized with 'gptq'; this version reads"):
        plan(tmp_path)


@pytest.mark.parametrize(
    ("text", "count", "name", "memory"),
    [
        ("H100", 1, "H100", 81559 * 2**20),
        ("8xh100", 8, "H100", 81559 * 2**20),
        ("2 x rtx-4090", 2, "RTX 4090", 24564 * 2**20),
        ("24GB", 1, "24 GB", 24 * 10**9),
        ("3x48gib", 3, "48 GiB", 48 * 2**30),
    ],
)
def test_devices_are_read_as_people_write_them(text, count, name, memory):
    device = Device.parse(text)
    assert (device.count, device.name, device.memory) == (count, name, memory)
    assert device.usable == count * (memory - RESERVE)


@pytest.mark.parametrize("text", ["", "0xH100", "0GB", "x", "-1GB", "8x", "1.2.3GB"])
def test_what_is_no_device_is_refused(text):
    with pytest.raises(ValueError, match="is no device; expected one of"):
        Device.parse(text)
