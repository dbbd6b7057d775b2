"""Routing of other engines: taken over to the number, given back to the byte, and nothing made up."""

import base64

import numpy as np
import pytest

import workbench as wb
from tests.workbench.integrity.clean import clean_trace
from workbench import routing
from workbench.trace import GENERATED, NOT_CAPTURED

FIXED = {"layers": 3, "experts": 8, "top": 2, "prompt": 20, "new": 5, "picture": False}


@pytest.fixture(scope="module")
def trace() -> wb.Trace:
    return clean_trace(1, **FIXED, finished=True)


def test_vllm_gets_its_own_type_and_axes(trace):
    array = trace.to_vllm()
    assert array.dtype == np.int16 and array.shape == (25, 3, 2)
    assert np.array_equal(array, trace.routed_experts) and array is not trace.routed_experts


def test_what_vllm_returned_becomes_a_trace_with_nothing_made_up(trace):
    got = wb.Trace.from_vllm(
        trace.to_vllm(), trace.token_ids, 8, prompt=20, moe_layers=trace.moe_layers, tokens=trace.tokens
    )
    assert np.array_equal(got.routed_experts, trace.routed_experts)
    assert got.tokens == trace.tokens and np.array_equal(got.phase, trace.phase)
    assert got.generated_index.tolist() == [20, 21, 22, 23, 24]
    assert np.isnan(got.routed_weights).all() and np.isnan(got.logprobs).all()
    assert got.router_logits is None and got.attention is None and got.topk_ids.shape == (5, 0)
    assert got.provenance["routed_experts"] == "REAL (routed_experts of vLLM)"
    assert got.provenance["routed_weights"].startswith("MISSING") and got.meta["engine"] == "vLLM"
    report = got.check()
    assert report and "no router logits" in report.unverified["routed_experts"]


def test_the_last_generated_token_may_have_no_row(trace):
    rows = trace.to_vllm()
    short = wb.Trace.from_vllm(rows[:-1], trace.token_ids, 8, prompt=20)
    assert (short.routed_experts[-1] == NOT_CAPTURED).all() and short.check()
    apart = wb.Trace.from_vllm(rows[20:-1], trace.token_ids, 8, prompt_routed_experts=rows[:20])
    assert np.array_equal(apart.routed_experts, short.routed_experts)
    assert (apart.phase == GENERATED).sum() == 5


def test_every_decoder_layer_may_be_there_and_those_with_experts_are_taken():
    made = np.random.default_rng(0).integers(0, 8, (30, 3, 1))
    every = np.zeros((30, 6, 1), np.int64)
    every[:, 1::2] = made
    got = wb.Trace.from_vllm(every, range(30), 8, moe_layers=[1, 3, 5])
    assert np.array_equal(got.routed_experts, made) and got.moe_layers.tolist() == [1, 3, 5]


def test_sglang_gets_base64_of_int32_without_the_last_token(trace):
    text = trace.to_sglang()
    flat = np.frombuffer(base64.b64decode(text), np.int32)
    assert np.array_equal(flat.reshape(24, 3, 2), trace.routed_experts[:-1])
    got = wb.Trace.from_sglang(text, trace.token_ids, 8, trace.moe_layers, prompt=20)
    assert np.array_equal(got.routed_experts[:-1], trace.routed_experts[:-1])
    assert (got.routed_experts[-1] == NOT_CAPTURED).all() and got.to_sglang() == text
    assert "SGLang" in got.provenance["routed_experts"] and got.check()


def test_the_shared_experts_slot_is_left_out(trace):
    rows = np.concatenate([trace.routed_experts[:-1], np.full((24, 3, 1), 255)], -1).astype("<i4")
    got = wb.Trace.from_sglang(
        base64.b64encode(rows.tobytes()), trace.token_ids, 8, trace.moe_layers, prompt=20
    )
    assert np.array_equal(got.routed_experts[:-1], trace.routed_experts[:-1])


def test_routing_questions_can_be_asked_of_it(trace):
    got = wb.Trace.from_vllm(trace.to_vllm(), trace.token_ids, 8, prompt=20, moe_layers=trace.moe_layers)
    mine, theirs = routing.load(got), routing.load(trace)
    assert np.array_equal(mine.counts, theirs.counts)
    assert mine.variation.value.tolist() == theirs.variation.value.tolist()
    assert np.isnan(mine.importance).all(), "it has no gates"
    assert np.isnan(mine.importance_variation.value).all() and not mine.importance_variation.significant.any()


def test_silent_zeros_are_suspected():
    zeros = wb.Trace.from_vllm(np.zeros((40, 3, 1), np.int16), range(40), 8)
    assert not zeros.check()


@pytest.mark.parametrize(
    ("rows", "more", "said"),
    [
        (np.zeros((3, 2, 1)), {}, "float64"),
        (np.zeros((3, 2), int), {}, r"expected whole numbers \[tokens, layers, ranks\]"),
        (np.zeros((9, 2, 1), int), {}, "9 rows for 5 tokens"),
        (np.zeros((4, 2, 1), int), {"prompt": 5}, "one token's routing is lost"),
        (np.full((5, 2, 1), 8), {}, "reach from 8 to 8 of 8"),
        (np.zeros((5, 2, 1), int), {"moe_layers": [1, 3, 5]}, "2 layers; moe_layers names"),
        (np.zeros((5, 2, 1), int), {"moe_layers": [9]}, "2 layers; moe_layers names"),
        (np.zeros((5, 2, 1), int), {"prompt": 6}, "6 of them the prompt's"),
        (np.zeros((2, 2, 1), int), {"prompt_routed_experts": np.zeros((3, 1, 1), int)}, "same layers"),
    ],
)
def test_what_does_not_fit_is_refused(rows, more, said):
    with pytest.raises(wb.TraceError, match=said):
        wb.Trace.from_vllm(rows, range(5), 8, **more)


def test_what_is_no_base64_or_fits_no_shape_is_refused(trace):
    text = trace.to_sglang()
    for broken, said in (
        ("?" + text, "no base64"),
        ("AAAA", "no base64 of int32"),
        (text[:-16], "no number"),
    ):
        with pytest.raises(wb.TraceError, match=said):
            wb.Trace.from_sglang(broken, trace.token_ids, 8, trace.moe_layers)
    headers = ("((((", "  a\n b", "-" * 5000 + "1", "{'descr': '<i4', 'fortran_order': False, 'shape': (10, "
               f"{10**30}, 1)}}")  # fmt: skip
    for header in headers:
        npy = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
        with pytest.raises(wb.TraceError, match="no base64 of int32 or of a"):
            wb.Trace.from_vllm(base64.b64encode(npy).decode(), trace.token_ids, 8)
    twice = base64.b64encode(np.zeros(2 * 3 * 1 * 3, "<i4").tobytes())
    with pytest.raises(wb.TraceError, match="give top="):
        wb.Trace.from_sglang(twice, range(3), 8, [0])
    assert wb.Trace.from_sglang(twice, range(3), 8, [0], top=9).routed_experts.shape == (3, 1, 9)


# made by hand


def test_a_trace_of_nothing_but_routing_says_what_is_missing():
    bare = wb.Trace.of_routing([[3], [1], [-1]], 4, prompt=2)
    assert bare.routed_experts.tolist() == [[[3]], [[1]], [[-1]]] and bare.tokens == ["0", "1", "2"]
    assert bare.check() and bare.provenance["token_ids"].startswith("DERIVED")
    with_logits = wb.Trace.of_routing([[1], [0]], 2, logits=np.array([[[0.0, 2.0]], [[1.0, -1.0]]]))
    np.testing.assert_allclose(with_logits.routed_weights[:, 0, 0], 1 / (1 + np.exp([-2, -1])), rtol=1e-3)
    assert with_logits.check().verified == ("routed_experts", "routed_weights")


def test_logits_of_a_trace_made_by_hand_may_be_lists_and_must_fit():
    bare = wb.Trace.of_routing([[0], [1]], 2, logits=[[[1.0, 0.0]], [[0.0, 1.0]]])
    assert bare.router_logits.shape == (2, 1, 2) and bare.check()
    with pytest.raises(wb.TraceError, match=r"logits is float64 \[2, 1, 1\]; expected numbers \[2, 1, 2\]"):
        wb.Trace.of_routing([[0], [1]], 2, logits=np.zeros((2, 1, 1)))
    with pytest.raises(wb.TraceError, match="no array of numbers"):
        wb.Trace.of_routing([[0], [1]], 2, logits=[[[1.0, 0.0]], [[0.0]]])


def test_a_trace_made_by_hand_saves_and_opens(tmp_path):
    bare = wb.Trace.of_routing([[3], [1]], 4, modality=[0, 1], image_sizes=[[20, 10]])
    again = wb.Trace.open(bare.save(tmp_path / "bare"))
    assert again.routed_experts.tolist() == bare.routed_experts.tolist()
    assert again.modality.tolist() == [0, 1] and again.image_sizes.tolist() == [[20, 10]]
    with pytest.raises(wb.TraceError, match="no column colour"):
        wb.Trace.of_routing([[1]], 2, colour=[1])


def test_missing_gates_that_have_values_are_no_longer_missing(trace):
    bare = wb.Trace.of_routing([[3], [1]], 4)
    bare.routed_weights[0] = 0.5
    assert "said to be missing, and has values" in str(bare.check())
