"""Traces: what is saved is opened again bit for bit, and what is no trace is refused."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import workbench as wb
from model.spans import PATCH
from tests.speech import saying, spoken
from workbench import trace as trace_module
from workbench import trace_file
from workbench.trace import GENERATED, LAYOUT, PROMPT, replace

QUESTION, ANSWER = "Grüße aus Köln 🎉?", "Ärger „quoted” 🎈"


@pytest.fixture(scope="module")
def trace(maverick) -> wb.Trace:
    """A question about two pictures, answered in letters of more than one byte."""
    session = wb.load(maverick)
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (h, w, 3), np.uint8)) for h, w in ((40, 61), (28, 28))]
    with saying(session.llama, spoken(ANSWER, "<|eot|>")):
        return session.chat(QUESTION, images=pictures).trace


@pytest.fixture
def saved(trace, tmp_path) -> Path:
    return trace.save(tmp_path / "trace.safetensors")


def assert_equal(one: wb.Trace, other: wb.Trace) -> None:
    """Every array bit by bit (NaN included), every picture pixel by pixel, and all that is JSON."""
    for name, (_, dtype) in LAYOUT.items():
        first, second = getattr(one, name), getattr(other, name)
        if first is None:
            assert second is None, name
        else:
            assert (first.dtype, first.shape) == (second.dtype, second.shape) == (dtype, first.shape), name
            assert first.tobytes() == second.tobytes(), name
    assert one.tokens == other.tokens
    assert (one.num_experts, one.edits, one.provenance) == (other.num_experts, other.edits, other.provenance)
    assert json.loads(json.dumps(one.meta)) == other.meta
    for first, second in zip(one.images, other.images, strict=True):
        assert np.array_equal(np.asarray(first), np.asarray(second))


def rewrite(file: Path, change: Callable[[dict, dict], object]) -> Path:
    """Change the arrays and the header of a saved trace."""
    arrays = load_file(file)
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    change(arrays, metadata)
    save_file(arrays, file, metadata=metadata)
    return file


# saved and opened


def test_a_saved_trace_opens_bit_for_bit(trace, saved):
    assert_equal(trace, wb.Trace.open(saved))
    assert wb.Trace.open(str(saved)).text == ANSWER


def test_what_was_not_captured_stays_so(trace, tmp_path):
    nothing = np.zeros(0, np.int32)
    bare = replace(
        trace,
        attention=None,
        query_index=nothing,
        attention_layers=nothing.astype(np.int16),
        router_logits=None,
    )
    again = wb.Trace.open(bare.save(tmp_path / "bare"))
    assert_equal(bare, again)
    assert again.attention is None and again.router_logits is None


def test_pictures_can_be_left_out_and_their_sizes_stay(trace, tmp_path):
    with_pictures, without = trace.save(tmp_path / "with"), trace.save(tmp_path / "without", images=False)
    assert without.stat().st_size < with_pictures.stat().st_size
    again = wb.Trace.open(without)
    assert again.image_sizes.tolist() == [[61, 40], [28, 28]]
    assert [image.size for image in again.images] == [(61, 40), (28, 28)]
    assert all(image.getextrema() == ((136, 136),) * 3 for image in again.images), "plain grey"
    assert np.array_equal(again.patch_box, trace.patch_box, equal_nan=True)


ALONE = """
import importlib.util, sys
sys.modules["torch"] = None
spec = importlib.util.spec_from_file_location("trace", sys.argv[1])
sys.modules["trace"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.Trace.open(sys.argv[2]).text)
"""


def test_a_trace_opens_without_the_model_and_without_torch(saved):
    child = [sys.executable, "-X", "utf8", "-c", ALONE, trace_module.__file__, str(saved)]
    done = subprocess.run(child, capture_output=True, encoding="utf-8")
    assert done.stdout.strip() == ANSWER, done.stderr


def test_a_save_that_fails_leaves_the_old_file_and_no_half_one(trace, saved, monkeypatch):
    before = saved.read_bytes()

    def stops_half_way(arrays: dict, file: Path, **_: object) -> None:
        Path(file).write_bytes(b"half of it")
        raise OSError("no space left")

    monkeypatch.setattr(trace_file, "save_file", stops_half_way)
    with pytest.raises(OSError, match="no space left"):
        trace.save(saved)
    assert saved.read_bytes() == before


def test_a_trace_is_written_only_into_a_folder_that_is_there(trace, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        trace.save(tmp_path / "nowhere" / "trace.safetensors")


# what is refused


def header(**changes: object) -> Callable[[dict, dict], None]:
    """Change the JSON in the file's header."""

    def change(_: dict, metadata: dict) -> None:
        metadata["header"] = json.dumps(json.loads(metadata["header"]) | changes)

    return change


def array(name: str, edit: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[dict, dict], None]:
    """Change one array."""
    return lambda arrays, _: arrays.update({name: edit(arrays[name]).contiguous()})


def png(size: tuple[int, int]) -> torch.Tensor:
    file = io.BytesIO()
    Image.new("1", size).save(file, "PNG")
    return torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)


REFUSED = {
    "another format": (lambda _, m: m.update(format="pt"), r"no trace \(format 'pt'\)"),
    "no format": (lambda _, m: m.clear(), r"no trace \(format None\)"),
    "a later version": (
        lambda _, m: m.update(version="3"),
        "trace version '3'; this workbench reads versions 1 to 2",
    ),
    "no version": (lambda _, m: m.pop("version"), "trace version ''"),
    "no header": (lambda _, m: m.pop("header"), "broken header"),
    "a header that is no JSON": (lambda _, m: m.update(header="{"), "broken header"),
    "a header without an end": (lambda _, m: m.update(header="[" * 100_000), "broken header"),
    "a header that is a list": (lambda _, m: m.update(header="[]"), "header that does not say tokens"),
    "a header with more in it": (header(extra=1), "only what a trace says"),
    "tokens that are no texts": (header(tokens=[1, 2]), "header"),
    "too few tokens": (header(tokens=["a"]), "token_ids has .* along axis 't'"),
    "a text that is none": (header(meta={"text": 5}), "text 5; expected a string"),
    "fewer experts than were chosen": (header(num_experts=1), "of 1|axis 'e'"),
    "an unknown array": (lambda a, _: a.update(extra=torch.zeros(1)), r"unknown arrays \['extra'\]"),
    "a missing array": (lambda a, _: a.pop("phase"), r"lacks \['phase'\]"),
    "an array of another type": (array("phase", torch.Tensor.int), "phase is int32"),
    "an array of a type that numpy lacks": (
        array("logprobs", torch.Tensor.bfloat16),
        "logprobs in a type that no trace",
    ),
    "an array of another shape": (array("patch_box", lambda x: x[:, :3]), "patch_box has 3 along axis '4'"),
    "an array without axes": (array("image_sizes", lambda x: x[0, 0]), r"image_sizes \(\)"),
    "sizes without a height": (array("image_sizes", torch.flatten), r"image_sizes \(4,\)"),
    "a picture of no size": (array("image_sizes", torch.zeros_like), "expected a width and a height"),
    "an expert that is not there": (
        array("routed_experts", lambda x: x + 100),
        "routed_experts reaches from",
    ),
    "a query that is not there": (array("query_index", lambda x: x + 1000), "query_index reaches from"),
    "a picture that is not there": (array("image_index", lambda x: x + 9), "image_index reaches from"),
    "more pictures than sizes": (lambda a, _: a.update({"image.2": png((2, 2))}), "3 pictures and 2 sizes"),
    "a picture under another name": (
        lambda a, _: a.update({"image.x": png((2, 2))}),
        "3 pictures and 2 sizes",
    ),
    "a broken picture": (array("image.0", lambda x: x[: len(x) // 2]), "broken picture"),
    "an empty picture": (array("image.0", lambda x: x[:0]), "broken picture"),
    "no picture at all": (array("image.0", torch.zeros_like), "broken picture"),
    "an enormous picture": (
        lambda a, _: a.update({"image.0": png((9000, 9000))}),
        "9000 x 9000 pixels",
    ),
}


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_is_no_such_trace_is_refused_with_the_reason(saved, change, said):
    with pytest.raises(wb.TraceError, match=said) as refused:
        wb.Trace.open(rewrite(saved, change))
    assert isinstance(refused.value, ValueError)
    assert saved.name in str(refused.value)


@pytest.mark.parametrize(
    "left", [0, 4, 100, -1], ids=["empty", "half a length", "half a header", "one byte less"]
)
def test_a_truncated_file_is_refused(saved, left):
    saved.write_bytes(saved.read_bytes()[:left])
    with pytest.raises(wb.TraceError, match="is not a whole safetensors file"):
        wb.Trace.open(saved)


def test_no_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(wb.TraceError, match=f"no trace file at {path}"):
            wb.Trace.open(path)


def test_a_checkpoint_is_no_trace(maverick):
    with pytest.raises(wb.TraceError, match="is a safetensors file but no trace"):
        wb.Trace.open(maverick / "model.safetensors")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"phase": np.zeros(3, np.int64)}, r"phase is int64 \(3,\); expected int8 with axes t"),
        ({"logprobs": [0.1]}, "logprobs is list; expected float32"),
        ({"turn": None}, "turn is NoneType"),
        ({"attention_layers": np.zeros(3, np.int16)}, "axis 'a'"),
    ],
)
def test_a_trace_whose_parts_do_not_fit_cannot_be_made(trace, changes, said):
    with pytest.raises(wb.TraceError, match=said):
        replace(trace, **changes)


# what it says of itself


def test_the_row_that_predicts_a_token_is_the_one_before_it(trace):
    assert [trace.row_predicting(token) for token in (1, 2, len(trace) - 1)] == [0, 1, len(trace) - 2]
    for token in (0, -1, len(trace)):
        with pytest.raises(IndexError, match=f"token {token} of {len(trace)}"):
            trace.row_predicting(token)


def test_the_attention_behind_a_word_is_that_of_the_row_that_predicted_it(trace):
    for i, token in enumerate(trace.generated_index):
        assert trace.query_index[i] == token - 1
        assert np.array_equal(trace.attention_row(int(token)), trace.attention[i])
    prompted = int(trace.generated_index[0]) - 1
    assert trace.attention_row(prompted) is None, "only generated words have a row"
    assert trace.attention_on_images(prompted) is None
    assert replace(trace, attention=None).attention_row(len(trace) - 1) is None


def test_attention_on_pictures_is_the_sum_over_their_tokens(trace):
    token = int(trace.generated_index[4])
    shares = trace.attention_on_images(token)
    assert shares.shape == (2, len(trace.attention_layers), trace.attention.shape[2])
    row = trace.attention_row(token).astype(np.float32)
    for image in (0, 1):
        # the markers around a picture are no part of it
        patches = (trace.image_index == image) & (trace.modality == PATCH)
        assert patches.sum() < (trace.image_index == image).sum()
        np.testing.assert_allclose(shares[image], row[..., patches].sum(-1), rtol=1e-3)
    assert 0 < shares.sum(0).max() <= 1.001


def test_without_pictures_there_is_attention_on_none(maverick):
    trace = wb.load(maverick).chat("no picture", max_tokens=3).trace
    assert trace.image_sizes.shape == (0, 2) and trace.images == []
    assert trace.attention_on_images(len(trace) - 1).shape == (0, 8, 8)


def test_it_says_in_one_short_line_what_it_is(trace):
    new = len(spoken(ANSWER)) + 1
    rest = f"{new} generated, 2 images, 4 MoE layers x 8 experts: {ANSWER!r})"
    assert repr(trace) == f"Trace({len(trace)} tokens, {rest}"
    long = replace(trace, meta={"text": "word " * 100})
    assert len(repr(long)) < 160
    assert len(trace) == len(trace.tokens) == len(trace.token_ids)
    assert (trace.phase == GENERATED).sum() == len(trace.generated_index)
    assert trace.phase[0] == PROMPT


def test_a_copy_with_a_change_leaves_the_trace_as_it_was(trace):
    marked = replace(trace, edits=[{"hook_point": "hook_embed"}])
    assert trace.edits != marked.edits
    assert marked.token_ids is trace.token_ids
