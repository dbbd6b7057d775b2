"""Answers as vLLM and SGLang document them become traces: the same experts out of every layout."""

import base64
import io
import json
import threading

import numpy as np
import pytest
from PIL import Image

import workbench as wb
from tests.workbench.engines.answering import ANSWERS, Said, answering
from workbench import routing
from workbench.routing import RoutingError
from workbench.trace import NOT_CAPTURED
from workbench.view.payload import reset_message
from workbench.view.still import still_png

CONFIG = ANSWERS / "config.json"  # four layers, experts in the second and the last
EXPERTS = [[1, 7], [0, 2], [3, 3], [5, 1], [2, 6], [4, 0], [6, 5], [-1, -1]]  # of five tokens and three more
LAYOUTS = [
    ("vllm-lists.json", "vllm", 2),
    ("vllm-npy.json", "vllm", 0),
    ("vllm-npy-every-layer.json", "vllm", 0),
    ("vllm-answer-alone.json", "vllm", 5),
    ("sglang.json", "sglang", 0),
    ("sglang-without-ids.json", "sglang", 0),
    ("sglang-shared-expert.json", "sglang", 0),
]


def reply_of(name: str, owner: str = "vllm", **settings) -> wb.Reply:
    with answering(Said.recorded(name), owner) as engine:
        return wb.connect(engine.url, checkpoint=CONFIG).chat("What is left?", **settings)


def changed(name: str, **choice) -> Said:
    """A recorded answer whose choice says something else."""
    made = json.loads((ANSWERS / name).read_text())
    made["choices"][0] |= choice
    return Said(json.dumps(made))


@pytest.mark.parametrize(("name", "owner", "untold"), LAYOUTS, ids=[name for name, *_ in LAYOUTS])
def test_the_same_experts_are_read_out_of_every_layout(name, owner, untold):
    reply = reply_of(name, owner)
    trace = reply.trace
    expected = np.array(EXPERTS)
    expected[:untold] = NOT_CAPTURED
    assert trace.routed_experts[..., 0].tolist() == expected.tolist() and trace.routed_experts.ndim == 3
    assert trace.moe_layers.tolist() == [1, 3] and trace.num_experts == 8
    assert trace.generated_index.tolist() == [5, 6, 7]
    assert (reply.text, trace.text, reply.finish_reason) == ("Red ball", "Red ball", "stop")
    assert reply.messages[-1] == {"role": "assistant", "content": "Red ball"}
    said = trace.provenance["routed_experts"]
    assert said.startswith("REAL (routed_experts of ") and (f"told of {untold} tokens" in said) == bool(
        untold
    )
    assert trace.check(), str(trace.check())
    assert trace.meta["integrity"]["flaws"] == [] and trace.meta["engine"] in said


def test_tokens_and_likelihoods_are_the_engines_own_and_what_it_does_not_tell_is_missing():
    trace = reply_of("vllm-npy-every-layer.json").trace
    assert trace.token_ids.tolist() == [11, 12, 13, 14, 15, 21, 22, 9]
    assert trace.tokens == ["<11>", "<12>", "<13>", "<14>", "<15>", "Red", " ball", "<|eot|>"]
    assert trace.logprobs.tolist() == pytest.approx([-0.1, -0.5, -0.25])
    assert trace.topk_ids.shape == (3, 0), "alternatives came as texts, and texts are no ids"
    assert trace.router_logits is None and trace.attention is None and np.isnan(trace.routed_weights).all()
    for name in ("router_logits", "attention", "routed_weights"):
        assert trace.provenance[name].startswith("MISSING (vLLM tells which experts were chosen; no router")
    assert trace.provenance["token_ids"] == "REAL (vLLM)"
    by_id = reply_of("vllm-npy.json").trace
    assert by_id.topk_ids.tolist() == [[21, 121], [22, 122], [9, 109]] and by_id.tokens[-1] == "<9>"
    unnamed = reply_of("sglang-without-ids.json", "sglang").trace
    assert unnamed.tokens[:6] == ["<?>"] * 5 + ["Red"] and "counted" in unnamed.provenance["token_ids"]


def test_statistics_view_tables_and_files_work_on_such_a_trace_unchanged(tmp_path):
    trace = reply_of("sglang.json", "sglang").trace
    tokens = routing.gather(trace)
    assert len(tokens) == 7 and tokens.left_out == 1
    assert routing.load(tokens).counts.sum() == 14
    assert routing.statistics(trace).preference is None
    assert trace.view().trace is trace
    told = reset_message(trace, "run")
    assert told["gated"] is False and told["no_attention"].endswith("no gates, no attention")
    page = trace.to_html(tmp_path / "trace.html").read_text()
    assert "Red" in page and len(page) > 10_000
    assert len(trace.to_pandas("routing")) == 14
    again = wb.Trace.open(trace.save(tmp_path / "trace.safetensors"))
    assert again.routed_experts.tolist() == trace.routed_experts.tolist()
    assert again.provenance == trace.provenance
    assert json.dumps(again.meta) == json.dumps(trace.meta)


def test_whoever_asks_for_what_is_missing_is_told_why(tmp_path):
    trace = reply_of("vllm-lists.json").trace
    with pytest.raises(wb.TraceError, match="no attention: vLLM tells which experts were chosen"):
        trace.to_csv(tmp_path / "attention.csv", "attention")
    with pytest.raises(wb.TraceError, match="no router logits: vLLM tells"):
        trace.to_pandas("router_logits")
    with pytest.raises(RoutingError, match=r"need router logits .*vLLM tells"):
        routing.preference(trace)
    off = reply_of("vllm-off.json").trace
    assert off.tokens[-3:] == ["Red", " ball", "<|eot|>"] and not len(off.moe_layers) and off.check()
    with pytest.raises(RoutingError, match="vLLM told none; start it with --enable-return-routed-experts"):
        routing.load(off)


def test_without_the_models_config_experts_are_not_guessed_and_published_names_say_it():
    with answering(Said.recorded("vllm-npy.json")) as engine:
        trace = wb.connect(engine.url).trace("What is left?")
    with pytest.raises(RoutingError, match=r"layers and experts are not known; connect.*checkpoint="):
        routing.load(trace)
    name = "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8"
    every = np.random.default_rng(0).integers(0, 128, (7, 24, 1)).astype(np.uint8)
    file = io.BytesIO()
    np.save(file, every)
    said = changed("vllm-npy.json", routed_experts=base64.b64encode(file.getvalue()).decode())
    with answering(said, names=(name,)) as engine:
        session = wb.connect(engine.url)
        trace = session.trace("What is left?")
    assert repr(session) == f"EngineSession({name!r} on vLLM at {engine.url}: 24 layers with 128 experts)"
    assert trace.moe_layers.tolist() == list(range(1, 48, 2)) and trace.num_experts == 128
    assert np.array_equal(trace.routed_experts[:-1], every)
    assert "by the model's name" in trace.provenance["moe_layers"]
    picture = Image.open(io.BytesIO(still_png(trace))).convert("RGB")
    red, _, blue = np.moveaxis(np.asarray(picture, int), -1, 0)
    assert (blue > red + 40).mean() > 0.1, "without gates the picture shows the experts themselves"


@pytest.mark.parametrize(
    ("experts", "said"),
    [
        ("AAAA", "no base64 of int32 or of a .npy file"),
        ([[[1, 2], [3]]], "parts differ in length"),
        ([[[1], [2]]] * 6, "6 rows for 8 tokens"),
        ([[[1], [9]]] * 7, "reach from -1 to 9 of 8"),
        ([[[1]]] * 7, "has 1 layers"),
        (base64.b64encode(bytes(4 * 5)).decode(), "5 numbers and no shape"),
    ],
)
def test_experts_that_cannot_be_read_are_an_error_that_still_has_the_answer(experts, said):
    with answering(changed("vllm-npy.json", routed_experts=experts)) as engine:
        session = wb.connect(engine.url, checkpoint=CONFIG)
        with pytest.raises(wb.EngineError, match=said) as caught:
            session.chat("What is left?")
    assert engine.url in str(caught.value)
    partial = caught.value.partial
    assert partial.text == "Red ball" and said in partial.trace.provenance["routed_experts"]


def test_a_stream_brings_words_as_they_come_and_vllm_tells_no_experts_in_it():
    with answering(Said.recorded("vllm-stream.txt")) as engine:
        session = wb.connect(engine.url, checkpoint=CONFIG)
        parts = list(session.stream("What is left?", max_tokens=9))
        with pytest.raises(wb.CaptureError, match="no experts in a stream: ask with chat or trace"):
            next(session.stream("What is left?", capture="routing:ids"))
    assert [part.text for part in parts] == ["Red", " ball", ""]
    assert [part.token_id for part in parts] == [21, 22, 9] and parts[0].step.logprob == -0.1
    assert parts[0].trace.token_ids.tolist() == [11, 12, 13, 14, 15, 21] and parts[0].trace.text == "Red"
    trace = parts[-1].trace
    assert trace.token_ids.tolist()[5:] == [21, 22, 9] and trace.meta["finish_reason"] == "stop"
    assert "ask with chat or trace, not stream" in trace.provenance["routed_experts"]
    asked = engine.asked[0]
    assert asked["stream"] and asked["stream_options"] == {"include_usage": True} and asked["max_tokens"] == 9


def test_sglang_tells_the_experts_at_the_end_of_a_stream():
    with answering(Said.recorded("sglang-stream.txt"), "sglang") as engine:
        parts = list(wb.connect(engine.url, checkpoint=CONFIG).stream("What is left?"))
    assert "".join(part.text for part in parts) == "Red ball"
    assert "with the end of the answer" in parts[0].trace.provenance["routed_experts"]
    assert parts[-1].trace.routed_experts[..., 0].tolist() == EXPERTS
    assert "return_token_ids" not in engine.asked[0], "SGLang refuses it in a stream"


def test_whoever_leaves_a_stream_hangs_up():
    go_on = threading.Event()
    said = Said.recorded("vllm-stream.txt")
    said.body, said.rest, said.after = said.body[: said.body.index(b"ball")], bytes(1 << 22), go_on
    with answering(said) as engine:
        stream = wb.connect(engine.url, checkpoint=CONFIG).stream("What is left?")
        assert next(stream).text == "Red"
        stream.close()
        go_on.set()  # it writes to nobody, and the test ends all the same


def test_a_question_is_asked_in_the_engines_own_words(tmp_path):
    picture = Image.effect_noise((9, 5), 40).convert("RGB")
    picture.save(tmp_path / "noise.png")
    settings = {"temperature": 0.6, "top_p": 0.9, "top_k": 7, "min_p": 0.1, "repetition_penalty": 1.2}
    settings |= {"frequency_penalty": 0.5, "presence_penalty": -0.5}
    settings |= {"seed": 3, "max_tokens": 12, "stop": ("ball",), "logit_bias": {5: -1.5}, "top_logprobs": 2}
    with answering(Said.recorded("sglang.json"), "sglang") as engine:
        session = wb.connect(engine.url, api_key="secret", checkpoint=CONFIG)
        trace = session.trace("And this?", images=[picture, tmp_path / "noise.png"], **settings)
        session.chat("Hello!", history=[{"role": "system", "content": "Be brief."}])
    asked = engine.asked[0]
    parts = asked["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["image_url", "image_url", "text"]
    for part in parts[:2]:
        sent = base64.b64decode(part["image_url"]["url"].removeprefix("data:image/png;base64,"))
        assert np.array_equal(Image.open(io.BytesIO(sent)), picture), "every pixel as it was"
    expected = settings | {"stop": ["ball"], "logit_bias": {"5": -1.5}}
    assert {name: asked[name] for name in expected} == expected
    assert asked["model"] == "tiny" and asked["logprobs"] and asked["return_routed_experts"]
    assert [image.size for image in trace.images] == [(9, 5), (9, 5)]
    assert still_png(trace).startswith(b"\x89PNG"), "pictures without known patches are shown all the same"
    assert trace.meta["sampling"]["top_k"] == 7
    plain = engine.asked[1]
    assert plain["messages"][0]["content"] == "Be brief." and plain["temperature"] == 0
    assert not plain.keys() & (settings.keys() - {"temperature", "max_tokens", "top_logprobs"})
    assert engine.headers[0]["Authorization"] == "Bearer secret"
    assert "secret" not in repr(session) + repr(vars(session)) + json.dumps(trace.meta)


def test_what_the_engine_has_not_is_refused_before_it_is_asked():
    with answering(Said.recorded("vllm-npy.json"), owner="somebody") as engine:
        other = wb.connect(engine.url, checkpoint=CONFIG)
        with pytest.raises(ValueError, match="top_k is 5, and this server has no such setting"):
            other.chat("Hello!", top_k=5)
        assert not engine.asked
        assert other.trace("What is left?").routed_experts[0].tolist() == [[1], [7]], "it told them unasked"
        session = wb.connect(engine.url, engine="vllm")
        with pytest.raises(wb.CaptureError, match="no attention; leave capture out, or open the model here"):
            session.chat("Hello!", capture="attention")
        with pytest.raises(wb.EditError, match="edits reach into the model, and this one runs on vLLM at"):
            session.chat("Hello!", edits=[object()])
        with pytest.raises(AttributeError, match="run_with_cache needs the model itself"):
            session.run_with_cache("Hello!")
        with pytest.raises(AttributeError, match="no attribute 'chatt'"):
            _ = session.chatt
        with pytest.raises(ValueError, match="image 1: there is no picture at"):
            session.chat("Hello!", images=["nowhere.png"])
        assert len(engine.asked) == 1
