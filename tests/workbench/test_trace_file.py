"""Trace files from anywhere: each opens as it was saved or is refused by TraceError, in bounded memory."""

import json
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

import workbench as wb
from tests.workbench.integrity.clean import clean_trace
from workbench import trace_file
from workbench.trace import LAYOUT, replace

FIXED = {"layers": 2, "experts": 4, "top": 1, "prompt": 3, "new": 2, "finished": True, "picture": True}
MANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def trace() -> wb.Trace:
    return clean_trace(0, **FIXED)


@pytest.fixture(scope="module")
def saved(trace, tmp_path_factory) -> tuple[Path, bytes]:
    """A file to write over, and its bytes."""
    file = trace.save(tmp_path_factory.mktemp("saved") / "trace.safetensors")
    return file, file.read_bytes()


def parts(data: bytes) -> tuple[dict, bytes]:
    """The safetensors header and what comes after it."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header: object, rest: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


def contents(trace: wb.Trace) -> tuple[dict[str, np.ndarray], dict]:
    """What a trace's file holds but for its pictures: arrays, and what is said in JSON."""
    names = ("tokens", "num_experts", "edits", "provenance", "meta")
    # safetensors writes an array that has gaps as if it had none
    arrays = {name: np.ascontiguousarray(getattr(trace, name)) for name in LAYOUT}
    return arrays, {name: getattr(trace, name) for name in names}


def resealed(trace: wb.Trace, **changes: object) -> bytes:
    """The trace's file with another header and a digest that fits it: somebody means it."""
    arrays, said = contents(trace)
    text = json.dumps(said | changes)
    metadata = {"format": trace_file.FORMAT, "version": "2", "header": text}
    return save(arrays, metadata=metadata | {"digest": trace_file.digest(arrays, text)})


def same(one: wb.Trace, other: wb.Trace) -> bool:
    arrays = all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=dtype not in (np.bool_,))
        for name, (_, dtype) in LAYOUT.items()
    )
    said = (one.tokens, one.num_experts, one.edits, one.provenance, one.meta)
    pictures = all(map(np.array_equal, one.images, other.images))
    return arrays and pictures and said == (
        other.tokens, other.num_experts, other.edits, other.provenance, other.meta
    )  # fmt: skip


def opens_or_is_refused(trace: wb.Trace, file: Path, data: bytes) -> None:
    """Nothing but TraceError, or the same trace; and no more memory than a few files of that size."""
    file.write_bytes(data)
    tracemalloc.start()
    try:
        opened = wb.Trace.open(file)
    except wb.TraceError:
        opened = None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert opened is None or same(trace, opened)
    assert peak < 8 * len(data) + 2**20


# damage


def test_a_whole_file_is_the_same_trace(trace, saved):
    opens_or_is_refused(trace, *saved)
    assert same(trace, wb.Trace.open(saved[0]))


def test_a_file_that_ends_too_soon_is_refused_wherever_it_ends(saved, tmp_path):
    whole, file = saved[1], tmp_path / "short"
    for end in {*range(0, len(whole), 7), *range(200), *range(len(whole) - 200, len(whole))}:
        file.write_bytes(whole[:end])
        with pytest.raises(wb.TraceError, match="is not a whole safetensors file"):
            wb.Trace.open(file)


@MANY
@given(data=st.data())
def test_changed_bytes_are_refused_or_change_nothing(trace, saved, data):
    file, whole = saved
    ends = 8 + struct.unpack("<Q", whole[:8])[0]
    part = data.draw(st.sampled_from([(0, 8), (8, ends), (ends, len(whole))]))
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(part[0], part[1] - 1))
        changed[at : at + 1] = data.draw(st.binary(min_size=0, max_size=3))
    opens_or_is_refused(trace, file, bytes(changed))


def test_a_file_that_somebody_made_anew_with_care_opens(trace, saved):
    """Else the tests below would see nothing but a digest that does not fit."""
    saved[0].write_bytes(resealed(trace))
    opened = wb.Trace.open(saved[0])
    assert same(replace(trace, images=opened.images), opened)


def test_every_flipped_bit_of_the_arrays_is_noticed(trace, saved, tmp_path):
    whole, file = saved[1], tmp_path / "flipped"
    ends = 8 + struct.unpack("<Q", whole[:8])[0]
    for at in range(ends, len(whole), 5):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        file.write_bytes(changed)
        with pytest.raises(wb.TraceError):
            wb.Trace.open(file)


def test_a_changed_number_is_told_as_a_change(trace, saved, tmp_path):
    header, rest = parts(saved[1])
    start = header["logprobs"]["data_offsets"][0]
    changed = bytearray(rest)
    changed[start] ^= 1
    (tmp_path / "changed").write_bytes(joined(header, bytes(changed)))
    with pytest.raises(wb.TraceError, match="was changed after it was saved: its digest is another"):
        wb.Trace.open(tmp_path / "changed")


# hostile headers


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@MANY
@given(data=st.data())
def test_claims_about_arrays_that_are_not_so_are_refused(trace, saved, data):
    file, whole = saved
    header, rest = parts(whole)
    name = data.draw(st.sampled_from(sorted(header)))
    claim = st.sampled_from(["dtype", "shape", "data_offsets"])
    if name == "__metadata__":
        header[name] = data.draw(VALUES)
    else:
        sizes = st.lists(st.integers(-1, 2**64), max_size=5)
        types = st.sampled_from(["F32", "F64", "BF16", "I64", "BOOL", "F8_E4M3", "U8", "X"])
        header[name][data.draw(claim)] = data.draw(sizes | types | VALUES)
    opens_or_is_refused(trace, file, joined(header, rest))


@MANY
@given(name=st.sampled_from(["tokens", "num_experts", "edits", "provenance", "meta", "more"]), value=VALUES)
def test_a_json_header_with_anything_in_it_opens_or_is_refused(trace, saved, name, value):
    file = saved[0]
    try:
        file.write_bytes(resealed(trace, **{name: value}))
        opened = wb.Trace.open(file)
    except wb.TraceError:
        return
    # what is let in is asked for without surprises
    assert opened.check() is not None and repr(opened) and opened.text is not None


@MANY
@given(data=st.data())
def test_arrays_with_anything_in_them_open_or_are_refused(trace, saved, data):
    name = data.draw(st.sampled_from(sorted(LAYOUT)))
    array = getattr(trace, name)
    raw = np.frombuffer(data.draw(st.binary(min_size=array.nbytes, max_size=array.nbytes)), np.uint8)
    try:
        hostile = replace(trace, **{name: raw.view(array.dtype).reshape(array.shape).copy()})
        saved[0].write_bytes(resealed(hostile))
        opened = wb.Trace.open(saved[0])
    except wb.TraceError:
        return
    assert opened.check() is not None


@MANY
@given(png=st.binary(max_size=64), at=st.integers(0, 400), size=st.tuples(*[st.integers(0, 2**32 - 1)] * 2))
def test_broken_pictures_are_refused(trace, saved, png, at, size):
    header, _ = parts(saved[1])
    good = trace_file._to_png(trace.images[0]).tobytes()
    changed = bytearray(good)
    changed[at : at + len(png)] = png
    arrays, _ = contents(trace)
    for picture in (bytes(changed), good[:16] + struct.pack(">II", *size) + good[24:]):
        pictures = arrays | {"image.0": np.frombuffer(picture, np.uint8)}
        text = header["__metadata__"]["header"]
        metadata = header["__metadata__"] | {"digest": trace_file.digest(pictures, text)}
        saved[0].write_bytes(save(pictures, metadata=metadata))
        try:
            wb.Trace.open(saved[0])
        except wb.TraceError:
            continue


def test_thousands_of_pictures_that_are_claimed_take_no_memory(trace, tmp_path):
    arrays, said = contents(trace)
    arrays["image_sizes"] = np.full((100_000, 2), 1000, np.int32)
    text = json.dumps(said)
    metadata = {"format": trace_file.FORMAT, "version": "2", "header": text, "digest": ""}
    (tmp_path / "many").write_bytes(save(arrays, metadata=metadata))
    with pytest.raises(wb.TraceError, match="claims 100,000 pictures"):
        wb.Trace.open(tmp_path / "many")


@pytest.mark.parametrize("size", [np.nan, np.inf, 30.0])
def test_sizes_of_pictures_that_are_no_whole_numbers_are_refused(trace, tmp_path, size):
    arrays, said = contents(trace)
    # left out, so that a grey one of this size would be made
    arrays = {name: array for name, array in arrays.items() if not name.startswith("image.")}
    arrays["image_sizes"] = np.full(arrays["image_sizes"].shape, size, np.float32)
    metadata = {"format": trace_file.FORMAT, "version": "2", "header": json.dumps(said), "digest": ""}
    (tmp_path / "odd").write_bytes(save(arrays, metadata=metadata))
    with pytest.raises(wb.TraceError, match=r"image_sizes .* in float32; expected .* int32"):
        wb.Trace.open(tmp_path / "odd")


def test_pictures_too_large_to_be_opened_again_are_not_saved(trace, tmp_path, monkeypatch):
    monkeypatch.setattr(trace_file, "LARGEST_IMAGES", 10)
    with pytest.raises(wb.TraceError, match="pixels; expected at most 10"):
        trace.save(tmp_path / "large")
    assert not list(tmp_path.iterdir())


# versions and types


def test_a_file_of_version_1_still_opens(trace, tmp_path):
    arrays, header = contents(trace)
    del arrays["attention_heads"]
    header["provenance"] = {k: v for k, v in trace.provenance.items() if k != "attention_heads"}
    metadata = {"format": trace_file.FORMAT, "version": "1", "header": json.dumps(header)}
    arrays["image.0"] = trace_file._to_png(trace.images[0])
    (tmp_path / "old").write_bytes(save(arrays, metadata=metadata))
    opened = wb.Trace.open(tmp_path / "old")
    assert opened.attention_heads.tolist() == [0, 1] and opened.check()
    assert opened.provenance["attention_heads"].startswith("DERIVED (all of them")
    assert same(trace, replace(opened, provenance=trace.provenance))
    assert same(opened, wb.Trace.open(opened.save(tmp_path / "new")))


def test_attention_in_float32_and_of_some_heads_is_kept_as_it_is(trace, tmp_path):
    exact = np.linspace(0, 1, trace.attention.size, dtype=np.float32).reshape(trace.attention.shape)
    wide = replace(trace, attention=exact, attention_heads=np.array([2, 7], np.int16))
    again = wb.Trace.open(wide.save(tmp_path / "wide"))
    assert again.attention.dtype == np.float32 and np.array_equal(again.attention, exact)
    assert again.attention_heads.tolist() == [2, 7]
    for dtype in (np.float64, np.int16):
        with pytest.raises(wb.TraceError, match="expected float16 or float32 with axes qaht"):
            replace(trace, attention=trace.attention.astype(dtype))
    with pytest.raises(wb.TraceError, match=r"logprobs is float16 \(2,\); expected float32"):
        replace(trace, logprobs=trace.logprobs.astype(np.float16))
    with pytest.raises(wb.TraceError, match="axis 'h'"):
        replace(trace, attention_heads=np.array([1], np.int16))


def test_a_type_that_numpy_lacks_is_refused_before_it_is_read(saved, tmp_path):
    from safetensors.torch import save as save_torch

    header, _ = parts(saved[1])
    data = save_torch({"logprobs": torch.zeros(2, dtype=torch.bfloat16)}, metadata=header["__metadata__"])
    (tmp_path / "odd").write_bytes(data)
    with pytest.raises(wb.TraceError, match="logprobs in a type that no trace has"):
        wb.Trace.open(tmp_path / "odd")
