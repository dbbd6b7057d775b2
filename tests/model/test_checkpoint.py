"""Checkpoints: what transformers writes is read whole or refused by name, and what we write it reads."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, Llama4ForConditionalGeneration

from model import ConfigError, WeightsError, load, save
from model import checkpoint as loader
from tests.tiny import load_reference, reference, write_checkpoint

EXPERTS = "language_model.model.layers.1.feed_forward.experts.gate_up_proj"
EMBEDDING, HEAD = "language_model.model.embed_tokens.weight", "language_model.lm_head.weight"


@pytest.fixture
def folder(maverick, tmp_path) -> Path:
    """A copy of a checkpoint, to be broken."""
    return Path(shutil.copytree(maverick, tmp_path / "checkpoint"))


@pytest.fixture(scope="module")
def in_shards(tmp_path_factory) -> Path:
    """The same weights as `maverick`, in several files with an index."""
    return write_checkpoint("maverick", tmp_path_factory.mktemp("shards"), max_shard_size="100KB")


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Change the tensors of `model.safetensors`."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def edit_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def some_logits(llama) -> Tensor:
    return llama(torch.arange(30)[None])


def assert_same_weights(one, other) -> None:
    first, second = dict(one.named_parameters()), dict(other.named_parameters())
    assert first.keys() == second.keys()
    for name, parameter in first.items():
        assert torch.equal(parameter, second[name]), name


# what is read


def test_shards_hold_what_a_single_file_holds(maverick, in_shards):
    assert len(list(in_shards.glob("*.safetensors"))) > 5
    assert not (in_shards / "model.safetensors").exists()
    assert_same_weights(load(in_shards)[0], load(maverick)[0])


def test_every_weight_is_read_and_ready_to_run(checkpoint):
    llama, processor = load(checkpoint)
    stored = sum(tensor.numel() for tensor in load_file(checkpoint / "model.safetensors").values())
    assert sum(parameter.numel() for parameter in llama.parameters()) == stored
    for name, parameter in llama.named_parameters():
        assert (parameter.device.type, parameter.dtype) == ("cpu", torch.float32), name
        assert not parameter.requires_grad
    assert not llama.training
    assert processor("Hello").token_ids.shape == (len(processor("Hello").spans),)


def test_an_expert_is_held_out_by_in_and_stored_in_by_out(maverick):
    llama, _ = load(maverick)
    stored = load_file(maverick / "model.safetensors")[EXPERTS]
    assert torch.equal(llama.blocks[1].moe.gate_up_proj, stored.transpose(1, 2))
    assert llama.blocks[1].moe.gate_up_proj.is_contiguous()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_checkpoint_is_held_in_its_own_dtype_but_a_small_one_on_a_cpu_in_float32(
    tmp_path, maverick, monkeypatch, dtype
):
    llama, processor = load(maverick)
    save(llama, processor, tmp_path, dtype=dtype)
    stored = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {dtype}
    small, _ = load(tmp_path)
    assert small.dtype == torch.float32
    assert torch.equal(small.embed.weight, stored[EMBEDDING].float())
    monkeypatch.setattr(loader, "SMALL", 0)
    own, _ = load(tmp_path)
    assert own.dtype == dtype
    assert torch.equal(own.embed.weight, stored[EMBEDDING])
    assert load(tmp_path, dtype=torch.bfloat16)[0].dtype == torch.bfloat16


def test_a_bfloat16_file_of_transformers_has_the_same_weights(tmp_path, maverick):
    folder = Path(shutil.copytree(maverick, tmp_path / "bf16"))
    Llama4ForConditionalGeneration.from_pretrained(maverick, dtype=torch.bfloat16).save_pretrained(folder)
    assert load_file(folder / "model.safetensors")[EMBEDDING].dtype == torch.bfloat16
    assert_same_weights(load(folder, dtype=torch.bfloat16)[0], load(maverick, dtype=torch.bfloat16)[0])


def test_a_small_checkpoint_loads_quietly_and_a_large_one_shows_its_progress(maverick, monkeypatch, capsys):
    load(maverick)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(loader, "QUIET_BELOW", 0)
    load(maverick)
    assert f"Loading {maverick.name}" in capsys.readouterr().err


def test_tied_embeddings_are_one_tensor(tmp_path):
    folder = write_checkpoint("scout", tmp_path, tie_word_embeddings=True)
    assert HEAD not in load_file(folder / "model.safetensors")
    llama, _ = load(folder)
    assert llama.unembed.weight is llama.embed.weight
    assert (some_logits(llama) - load_reference(folder)(torch.arange(30)[None]).logits).abs().max() <= 2e-5
    # some writers store the head all the same
    rewrite(folder, lambda tensors: tensors.update({HEAD: tensors[EMBEDDING].clone()}))
    assert_same_weights(load(folder)[0], llama)


def test_a_text_only_checkpoint_has_no_vision_and_the_same_logits(tmp_path, maverick):
    llama, processor = load(maverick)
    processor.save(tmp_path)
    reference("maverick").language_model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["Llama4ForCausalLM"]
    text, _ = load(tmp_path)
    assert text.config.vision is None
    assert torch.equal(some_logits(text), some_logits(llama))
    with pytest.raises(ValueError, match="no vision tower"):
        text(torch.zeros(1, 4, dtype=torch.int64), pixel_values=torch.zeros(1, 3, 28, 28))
    save(text, load(tmp_path)[1], tmp_path / "saved")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", dtype=torch.float32)
    assert (again(torch.arange(30)[None]).logits - some_logits(text)).abs().max() <= 2e-5


def test_the_loaded_model_outlives_its_file(folder):
    llama, _ = load(folder)
    before = some_logits(llama)
    # first in place, which would show through a mapped file; then gone
    file = folder / "model.safetensors"
    file.write_bytes(bytes(file.stat().st_size))
    assert torch.equal(some_logits(llama), before)
    shutil.rmtree(folder)
    assert torch.equal(some_logits(llama), before)


PEAKS = """
import re, sys, torch
from pathlib import Path
from model import load

def kib(field):
    return int(re.search(field + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

load(sys.argv[2])  # whatever a first load needs once
for dtype in (torch.bfloat16, torch.float32):  # the larger last: the highest use never falls
    before = kib("VmRSS")
    llama, _ = load(sys.argv[1], dtype=dtype)
    print(sum(p.nbytes for p in llama.parameters()), (kib("VmHWM") - before) * 1024)
    del llama
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the highest use of memory is read from /proc")
def test_loading_never_holds_more_than_the_weights_and_one_shard(tmp_path, maverick):
    folder = write_checkpoint(
        "scout", tmp_path, max_shard_size="20MB", intermediate_size=1024, num_local_experts=12
    )
    sizes = [file.stat().st_size for file in folder.glob("*.safetensors")]
    assert sum(sizes) > 70e6 and max(sizes) < 21e6
    done = subprocess.run(
        [sys.executable, "-c", PEAKS, str(folder), str(maverick)],
        capture_output=True, text=True, check=True, cwd=Path(loader.__file__).parents[1],
        # what is freed goes back to the system at once
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"},
    )  # fmt: skip
    for line, expected in zip(done.stdout.splitlines(), (sum(sizes) / 2, sum(sizes)), strict=True):
        weights, peak = map(int, line.split())
        assert weights == pytest.approx(expected, rel=0.02)
        assert peak > weights, "the measurement sees the weights"
        assert peak < weights + max(sizes) + 10e6, f"{peak / 1e6:.0f} MB"


# what is refused, before weights are read


@pytest.fixture
def tensors_read(monkeypatch) -> list[str]:
    """The keys whose weights were read, in order."""
    read: list[str] = []
    really_open = loader.safe_open

    class Noting:
        """What safe_open gives (it cannot be subclassed), and a note of what is taken from it."""

        def __init__(self, *arguments: object, **named: object) -> None:
            self.file = really_open(*arguments, **named)

        def __enter__(self):
            self.file.__enter__()
            return self

        def __exit__(self, *error: object) -> None:
            self.file.__exit__(*error)

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

        def get_tensor(self, key: str) -> Tensor:
            read.append(key)
            return self.file.get_tensor(key)

    monkeypatch.setattr(loader, "safe_open", Noting)
    return read


def test_every_key_is_read_exactly_once(in_shards, tensors_read):
    load(in_shards)
    index = json.loads((in_shards / "model.safetensors.index.json").read_text())
    assert sorted(tensors_read) == sorted(index["weight_map"])


BROKEN = {
    "an unknown key": (
        lambda t: t.update(surprise=torch.zeros(2)),
        "surprise in model.safetensors has no place",
    ),
    "a missing key": (lambda t: t.pop(EXPERTS), f"{EXPERTS} is missing"),
    "a key of another shape": (
        lambda t: t.update({EXPERTS: t[EXPERTS].transpose(1, 2).contiguous()}),
        rf"{EXPERTS} is \[8, 96, 64\], expected \[8, 64, 96\]",
    ),
    "integers": (
        lambda t: t.update({EMBEDDING: t[EMBEDDING].long()}),
        f"{EMBEDDING} is I64, expected one of BF16",
    ),
    "eight-bit floats": (
        lambda t: t.update({EXPERTS: t[EXPERTS].to(torch.float8_e4m3fn)}),
        f"{EXPERTS} is F8_E4M3, expected one of BF16, F16, F32",
    ),
    "the experts one by one": (
        lambda t: t.update({f"{EXPERTS}.0.weight": t.pop(EXPERTS)[0].clone()}),
        rf"{EXPERTS} is missing; {EXPERTS}\.0\.weight in model.safetensors has no place",
    ),
}


@pytest.mark.parametrize(("change", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_a_key_that_does_not_fit_is_named_before_weights_are_read(folder, tensors_read, change, said):
    rewrite(folder, change)
    with pytest.raises(WeightsError, match=said):
        load(folder)
    assert not tensors_read


def test_many_wrong_keys_are_counted_and_five_of_them_named(folder):
    rewrite(folder, lambda tensors: [tensors.pop(key) for key in list(tensors) if "layers.2." in key])
    with pytest.raises(WeightsError, match=r"is missing; and \d+ more$") as refused:
        load(folder)
    assert str(refused.value).count("is missing") == 5


def test_a_key_that_stands_in_two_files_is_named(folder, in_shards, tensors_read):
    shards = sorted(in_shards.glob("*.safetensors"))
    twice = shutil.copytree(in_shards, folder / "shards")
    tensors = load_file(shards[1]) | {EMBEDDING: load_file(folder / "model.safetensors")[EMBEDDING]}
    save_file(tensors, twice / shards[1].name)
    with pytest.raises(WeightsError, match=rf"{EMBEDDING} is in \S+ and in \S+"):
        load(twice)
    assert not tensors_read


@pytest.mark.parametrize(
    "left", [0, 4, 100, -1], ids=["empty", "half a header length", "half a header", "one byte less"]
)
def test_a_truncated_file_is_named(folder, tensors_read, left):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(WeightsError, match=r"model\.safetensors is not a whole safetensors file"):
        load(folder)
    assert not tensors_read


@pytest.mark.parametrize(
    "name", ["../elsewhere.safetensors", "/etc/passwd", "weights/a.safetensors", "a.bin", "", 3]
)
def test_an_index_that_leads_out_of_the_folder_is_refused(folder, in_shards, name):
    broken = shutil.copytree(in_shards, folder / "shards")
    shutil.copy(folder / "model.safetensors", folder / "elsewhere.safetensors")
    edit_json(broken / "model.safetensors.index.json", weight_map={EMBEDDING: name})
    with pytest.raises(WeightsError, match=r"names .*; expected a \.safetensors file in the same"):
        load(broken)


def test_an_absent_shard_is_named(folder, in_shards):
    shards = shutil.copytree(in_shards, folder / "shards")
    gone = sorted(shards.glob("*.safetensors"))[2]
    gone.unlink()
    with pytest.raises(WeightsError, match=rf"1 of \d+ shards are missing in {shards}: {gone.name}"):
        load(shards)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": {"a": {}}}', "[" * 100_000],
    ids=lambda text: text[:30],
)
def test_a_broken_index_is_named(folder, in_shards, text):
    broken = shutil.copytree(in_shards, folder / "shards")
    (broken / "model.safetensors.index.json").write_text(text)
    with pytest.raises(WeightsError, match=r"model\.safetensors\.index\.json"):
        load(broken)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model.pt"])
def test_a_pickle_is_refused_with_the_reason(folder, name):
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(WeightsError, match=f"{name}, a pickle file, which can run any code when opened"):
        load(folder)


def test_a_folder_without_weights_says_what_was_looked_for(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"no model\.safetensors or model\.safetensors\.index\.json in"):
        load(folder)
    with pytest.raises(WeightsError, match=r"no checkpoint folder at .*; give a folder .* or 'demo'"):
        load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"no config\.json"):
        load(tmp_path / "empty")


def test_a_dtype_that_nothing_is_computed_in_is_refused(folder, monkeypatch):
    monkeypatch.setattr(loader, "SMALL", 0)
    edit_json(folder / "config.json", dtype="float8_e4m3fn")
    with pytest.raises(
        WeightsError, match="names dtype 'float8_e4m3fn'; expected one of bfloat16, float16, float32"
    ):
        load(folder)


# what is written


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_what_is_saved_is_loaded_again_bit_for_bit_and_transformers_agrees(checkpoint, tmp_path, dtype):
    llama, processor = load(checkpoint, dtype=dtype)
    save(llama, processor, tmp_path)
    again, same_processor = load(tmp_path, dtype=dtype)
    assert_same_weights(again, llama)
    assert same_processor.tokenizer.encode("Grüße") == processor.tokenizer.encode("Grüße")
    ours = some_logits(load(tmp_path, dtype=torch.float32)[0])
    assert (ours - load_reference(tmp_path)(torch.arange(30)[None]).logits).abs().max() <= 2e-5


def test_tied_embeddings_are_saved_once(tmp_path):
    llama, processor = load(write_checkpoint("maverick", tmp_path / "theirs", tie_word_embeddings=True))
    save(llama, processor, tmp_path / "ours")
    assert HEAD not in load_file(tmp_path / "ours" / "model.safetensors")
    assert_same_weights(load(tmp_path / "ours")[0], llama)
    theirs = load_reference(tmp_path / "ours")(torch.arange(30)[None]).logits
    assert (some_logits(llama) - theirs).abs().max() <= 2e-5


def test_saving_into_a_folder_of_shards_saves_what_is_loaded_from_then_on(in_shards, tmp_path):
    folder = shutil.copytree(in_shards, tmp_path / "shards")
    llama, processor = load(folder)
    llama.embed.weight.zero_()
    save(llama, processor, folder)
    assert_same_weights(load(folder)[0], llama)
    assert not load_reference(folder).get_input_embeddings().weight.any()


def test_a_save_that_fails_leaves_the_old_weights(folder, monkeypatch):
    llama, processor = load(folder)
    before = (folder / "model.safetensors").read_bytes()

    def stops_half_way(tensors: dict, file: Path, **_: object) -> None:
        Path(file).write_bytes(b"half of it")
        raise OSError("no space left")

    monkeypatch.setattr(loader, "save_file", stops_half_way)
    with pytest.raises(OSError, match="no space left"):
        save(llama, processor, folder)
    assert (folder / "model.safetensors").read_bytes() == before
