"""Messages carry the trace's own numbers, and questions from a browser are answered or refused."""

import base64
import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from model.processor import ROLES as MODEL_ROLES
from model.spans import PATCH as MODEL_PATCH
from tests.workbench.view.traces import make_trace
from workbench.trace import Trace, replace
from workbench.view.payload import (
    MEAN_HEAD,
    PATCH,
    ROLES,
    Feed,
    answer_attention,
    answer_pull,
    append_message,
    attention_info,
    attention_message,
    looks_message,
    reset_message,
    snapshot,
)


def array(text: str, dtype: str, *shape: int) -> np.ndarray:
    flat = np.frombuffer(base64.b64decode(text), dtype)
    return flat.reshape(shape) if shape else flat


def grown_to(trace: Trace, generated: int) -> Trace:
    """The trace when that many words had been written: the last one has no experts yet."""
    end = int(trace.generated_index[0]) + generated
    tokens = (
        "token_ids phase turn role modality image_index tile_index is_thumbnail patch_row patch_col patch_box"
    )
    experts, weights = trace.routed_experts[:end].copy(), trace.routed_weights[:end].copy()
    unknown = slice(end - 1, end) if generated else slice(0, end)
    experts[unknown], weights[unknown] = -1, np.nan
    steps = "query_index generated_index logprobs topk_ids topk_logprobs"
    return replace(
        trace,
        tokens=trace.tokens[:end],
        routed_experts=experts,
        routed_weights=weights,
        attention=trace.attention[:generated, ..., :end],
        **{name: getattr(trace, name)[:end] for name in tokens.split()},
        **{name: getattr(trace, name)[:generated] for name in steps.split()},
    )


def test_roles_and_modalities_are_those_of_the_model():
    assert ROLES == MODEL_ROLES
    assert PATCH == MODEL_PATCH


def test_every_message_is_json():
    trace = make_trace()
    for message in (snapshot(trace, "a"), attention_message(trace, "a", len(trace) - 2)):
        json.dumps(message, allow_nan=False)


def test_reset_names_layers_experts_and_heads():
    message = reset_message(make_trace(), "a", started=7)
    assert (message["run"], message["started"]) == ("a", 7)
    assert message["layers"] == [1, 3, 5, 7, 9, 11]
    assert (message["experts"], message["rank"]) == (8, 1)
    assert message["attention"] == {"layers": [3, 7], "heads": [0, 1, 2, 3], "default": 7}


def test_heads_keep_the_numbers_they_have_in_the_model():
    whole = make_trace()
    some = replace(whole, attention=whole.attention[:, :, [1, 3]], attention_heads=np.array([1, 3], "int16"))
    assert attention_info(some)["heads"] == [1, 3]
    token = len(whole) - 2
    for head in (1, 3):
        one, other = (attention_message(trace, "a", token, 7, head) for trace in (some, whole))
        assert one["values"] == other["values"] and one["head"] == head
    with pytest.raises(ValueError, match=r"no head 2; expected some of \[1, 3\]"):
        attention_message(some, "a", token, 7, 2)


def test_reset_carries_boxes_in_pixels_of_the_original():
    trace = make_trace()
    first = reset_message(trace, "a")["images"][0]
    tokens = array(first["token"], "<i4")
    assert (first["label"], first["width"], first["height"]) == ("image 1", 320, 200)
    assert np.array_equal(array(first["box"], "<f4", -1, 4), trace.patch_box[tokens])
    assert array(first["thumbnail"], "u1").tolist() == [0] * 50 + [1] * 25


def test_pictures_travel_small_and_keep_their_aspect():
    large = Image.effect_noise((3000, 1000), 60).convert("RGB")
    trace = make_trace()
    trace = replace(trace, images=[large, trace.images[1]])
    url = reset_message(trace, "a")["images"][0]["src"]
    kind, data = url.split(";base64,")
    sent = Image.open(BytesIO(base64.b64decode(data)))
    assert kind == "data:image/jpeg"
    assert sent.size == (768, 256)


def test_flat_drawings_travel_without_loss():
    trace = make_trace()
    kind, data = reset_message(trace, "a")["images"][0]["src"].split(";base64,")
    assert kind == "data:image/png"
    assert Image.open(BytesIO(base64.b64decode(data))).tobytes() == trace.images[0].tobytes()


def test_append_carries_the_experts_and_gates_of_the_trace():
    trace = make_trace()
    message = append_message(trace, "a", 130, done=True)
    assert message["from"] == 130
    assert message["text"] == trace.tokens[130:]
    experts = array(message["experts"], "<i2", -1, 6, 1)
    gates = array(message["gates"], "<u2", -1, 6, 1) / 65535
    assert np.array_equal(experts, trace.routed_experts[130:])
    assert np.allclose(gates, trace.routed_weights[130:], atol=1e-5)


def test_an_expert_that_was_not_captured_stays_minus_one():
    trace = make_trace()
    experts, weights = trace.routed_experts.copy(), trace.routed_weights.copy()
    experts[3, 2], weights[3, 2] = -1, np.nan
    message = append_message(replace(trace, routed_experts=experts, routed_weights=weights), "a")
    assert array(message["experts"], "<i2", -1, 6, 1)[3, 2] == -1
    assert array(message["gates"], "<u2", -1, 6, 1)[3, 2] == 0


def test_generated_tokens_are_flagged_and_have_their_probability():
    trace = make_trace()
    message = append_message(trace, "a")
    generated = array(message["flags"], "u1") & 4 != 0
    logprobs = array(message["logprob"], "<f4")
    assert np.array_equal(np.flatnonzero(generated), trace.generated_index)
    assert np.allclose(logprobs[generated], trace.logprobs)
    assert np.isnan(logprobs[~generated]).all()


def test_a_feed_tells_each_token_again_until_its_experts_are_known():
    whole = make_trace()
    prompt = int(whole.generated_index[0])
    feed = Feed("a")
    told = [feed.next(grown_to(whole, generated)) for generated in range(4)]
    starts = [message["items"][-1]["from"] for message in told]
    settled = [message["items"][-1]["settled"] for message in told]
    assert starts == [0, 0, prompt, prompt + 1]
    assert settled == [0, prompt, prompt + 1, prompt + 2]
    assert [item["op"] for item in told[0]["items"]] == ["reset", "append"]
    assert [item["op"] for item in told[1]["items"]] == ["append"]


def test_the_end_tells_the_last_experts_and_how_many_tokens_there_are():
    whole = make_trace()
    feed = Feed("a")
    feed.next(grown_to(whole, 9))
    append, end = feed.next(whole, done=True)["items"]
    assert append["settled"] == end["n"] == len(whole)
    assert (array(append["experts"], "<i2") >= 0).all()


def test_a_token_costs_few_bytes():
    whole = make_trace(layers=tuple(range(48)), experts=128)
    feed = Feed("a")
    feed.next(grown_to(whole, 5))
    assert len(json.dumps(feed.next(grown_to(whole, 6)))) < 1400  # two tokens of 48 layers


@pytest.mark.parametrize("start", [0, -1, 10**9, "3", 1.5, True, None, [1]])
def test_a_question_for_a_gap_that_makes_no_sense_gets_everything(start):
    message = answer_pull(make_trace(), "a", start, done=True)
    assert [item["op"] for item in message["items"]] == ["reset", "append", "end"]


def test_a_question_for_a_gap_gets_the_gap():
    trace = make_trace()
    append, end = answer_pull(trace, "a", 100, done=True)["items"]
    assert (append["from"], len(append["text"])) == (100, len(trace) - 100)
    assert end["n"] == len(trace)


@pytest.mark.parametrize("head", [MEAN_HEAD, 0, 3])
def test_attention_maps_are_those_of_the_row_that_wrote_the_word(head):
    trace = make_trace()
    token = int(trace.generated_index[3])
    message = attention_message(trace, "a", token, 3, head)
    row = trace.attention[list(trace.query_index).index(token - 1), 0].astype(np.float32)
    row = row.mean(0) if head == MEAN_HEAD else row[head]
    for index, values in enumerate(message["values"]):
        patches = (trace.image_index == index) & (trace.modality == PATCH)
        seen = array(values, "u1") / 255 * message["peak"]
        assert np.allclose(seen, row[patches], atol=message["peak"] / 500)
        share = message["images"][index]
        assert share["thumbnail"] == pytest.approx(row[patches & trace.is_thumbnail].sum(), abs=1e-5)
        assert share["tiles"] == pytest.approx(row[patches & ~trace.is_thumbnail].sum(), abs=1e-5)
    everything = message["rest"] + sum(s["tiles"] + s["thumbnail"] for s in message["images"])
    assert everything == pytest.approx(1, abs=2e-3)


def test_several_heads_are_averaged():
    trace = make_trace()
    token = int(trace.generated_index[3])
    message = answer_attention(trace, "a", {"token": token, "layer": 7, "head": [1, 3]})
    row = trace.attention_row(token)[1, [1, 3]].astype(np.float32).mean(0)
    shares = message["images"][0]
    patches = (trace.image_index == 0) & (trace.modality == PATCH)
    assert shares["tiles"] + shares["thumbnail"] == pytest.approx(row[patches].sum(), abs=1e-5)
    assert message["head"] == [1, 3]


@pytest.mark.parametrize("patch", [-1, 20])
def test_looks_are_the_attention_of_every_written_word_to_one_place(patch):
    trace = make_trace()
    question = {"want": "looks", "image": 0, "patch": patch, "layer": 3, "head": -1, "from": 0}
    message = answer_attention(trace, "a", question)
    assert (message["op"], message["until"]) == ("looks", len(trace))
    assert np.array_equal(array(message["token"], "<i4"), trace.generated_index)
    rows = trace.attention[:, 0].astype(np.float32).mean(1)
    places = (trace.image_index == 0) & (trace.modality == PATCH) if patch < 0 else [patch]
    assert np.allclose(array(message["share"], "<f4"), rows[:, places].sum(-1), atol=1e-5)


def test_looks_of_words_that_are_known_are_not_sent_again():
    trace = make_trace()
    start = int(trace.generated_index[4])
    message = looks_message(trace, "a", 1, start=start)
    assert np.array_equal(array(message["token"], "<i4"), trace.generated_index[4:])


@pytest.mark.parametrize(
    ("image", "patch", "named"), [(2, None, "picture 2"), (1, 20, "token 20"), (0, 3, "token 3")]
)
def test_a_place_that_the_trace_does_not_have_is_named(image, patch, named):
    with pytest.raises(ValueError, match=named):
        looks_message(make_trace(), "a", image, patch)


def test_margins_are_sent_only_where_router_logits_were_captured():
    trace = make_trace()
    assert reset_message(trace, "a")["margin"] is False
    assert "margin" not in append_message(trace, "a")
    random = np.random.default_rng(0)
    logits = random.normal(size=(len(trace), 6, 8)).astype(np.float16)
    chosen = logits.argmax(-1)[..., None].astype(np.int16)
    chosen[7, 2] = -1
    sure = replace(trace, router_logits=logits, routed_experts=chosen)
    assert reset_message(sure, "a")["margin"] is True
    halves = array(append_message(sure, "a", 5)["margin"], "<u2", -1, 6).astype(np.uint32) << 16
    margins = halves.view(np.float32)
    ordered = np.sort(logits[5:].astype(np.float32), -1)
    expected = ordered[..., -1] - ordered[..., -2]
    expected[2, 2] = np.nan
    assert np.allclose(margins, expected, rtol=0.005, equal_nan=True)


def test_attention_is_of_the_default_layer_if_none_is_named():
    trace = make_trace()
    assert attention_message(trace, "a", len(trace) - 1)["layer"] == 7
    unnamed = replace(trace, meta={})
    assert attention_message(unnamed, "a", len(trace) - 1)["layer"] == 7, "the last captured layer"


def test_a_prompted_token_has_no_map_and_says_so():
    message = attention_message(make_trace(), "a", 5)
    assert "Only generated words" in message["missing"]
    assert "values" not in message


def test_a_trace_without_attention_says_so():
    trace = make_trace()
    bare = replace(trace, attention=None, attention_layers=np.array([], np.int16))
    assert reset_message(bare, "a")["attention"] is None
    assert "No attention" in attention_message(bare, "a", len(trace) - 1)["missing"]


@pytest.mark.parametrize(
    ("token", "layer", "head", "named"),
    [(999, 7, 0, "token 999"), (-1, 7, 0, "-1"), (130, 4, 0, "layer 4"), (130, 7, 4, "head 4")],
)
def test_what_the_trace_does_not_have_is_named(token, layer, head, named):
    with pytest.raises(ValueError, match=named):
        attention_message(make_trace(), "a", token, layer, head)


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"token": "1", "layer": 7, "head": 0},
        {"token": 999, "layer": 7, "head": 0},
        {"token": True, "layer": 7, "head": 0},
        {"token": 130, "layer": 7, "head": []},
        {"token": 130, "layer": 7, "head": [0, 0]},  # every mention would cost memory
        {"token": 130, "layer": 7, "head": ["0"]},
        {"want": "looks", "layer": 7, "head": 0},
        {"want": "looks", "image": 0, "patch": -1, "from": None, "layer": 7, "head": 0},
        {"want": "looks", "image": 0, "patch": -1, "from": 0, "layer": 7, "head": [0, 1, 0]},
        {"want": "looks", "image": 9, "patch": -1, "from": 0, "layer": 7, "head": 0},
    ],
)
def test_a_browsers_question_without_sense_gets_no_answer(question):
    assert answer_attention(make_trace(), "a", question) is None


def test_a_trace_without_pictures_or_routing_can_be_told():
    plain = make_trace(with_pictures=False, layers=())
    reset, append, _ = snapshot(plain, "a")["items"]
    assert reset["images"] == []
    assert append["experts"] == ""
    assert attention_message(plain, "a", len(plain) - 1)["rest"] == pytest.approx(1, abs=2e-3)
