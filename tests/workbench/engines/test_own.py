"""Our own server over real HTTP gives what the session itself gives, token for token."""

from collections.abc import Iterator

import numpy as np
import pytest

import workbench as wb
from model.demo.scenes import draw_scene
from tests.apps.serving import running
from workbench import grounding
from workbench.interventions import ReplayRouting

QUESTION = "What colour is the circle in image 2?"
ARRAYS = ("token_ids", "routed_experts", "routed_weights", "router_logits", "attention", "logprobs")


@pytest.fixture(scope="module")
def session() -> Iterator[wb.Session]:
    opened = wb.load("demo")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def url(session) -> Iterator[str]:
    with running(session, api_keys=("secret",), trace_seconds=60) as address:
        yield address


@pytest.fixture(scope="module")
def pictures() -> list:
    scenes = (("star", "blue"), ("circle", "red"))
    return [draw_scene(seed=n, size=(80, 80), content=[one]).image for n, one in enumerate(scenes)]


@pytest.fixture(scope="module")
def here(session, pictures) -> wb.Reply:
    return session.chat(QUESTION, images=pictures, max_tokens=12)


def test_the_whole_trace_is_the_sessions_own(url, here, pictures, tmp_path):
    connected = wb.connect(url, api_key="secret")
    assert "'demo' on moe-workbench at " in repr(connected)
    pictures[0].save(tmp_path / "first.png")
    there = connected.chat(QUESTION, images=[tmp_path / "first.png", pictures[1]], max_tokens=12)
    assert (there.text, there.finish_reason) == (here.text, here.finish_reason)
    for name in ARRAYS:
        assert np.array_equal(getattr(there.trace, name), getattr(here.trace, name), equal_nan=True), name
    assert there.trace.tokens == here.trace.tokens and there.trace.provenance == here.trace.provenance
    assert len(there.trace.images) == 2
    word = grounding.attention_map(there.trace).scores
    assert np.allclose(word, grounding.attention_map(here.trace).scores, equal_nan=True)


def test_half_a_surrogate_pair_is_asked_as_the_model_sees_it(url, session):
    assert (
        wb.connect(url, api_key="secret").chat("Hi \ud83d!", max_tokens=4).text
        == session.chat("Hi \ufffd!", max_tokens=4).text
    )


def test_a_conversation_goes_on_and_a_seed_repeats_a_draw(url, session, here):
    connected = wb.connect(url, api_key="secret")
    drawn = {"temperature": 0.9, "seed": 4, "max_tokens": 8, "capture": "routing"}
    there = connected.chat("And its shape?", history=here, **drawn)
    assert there.text == session.chat("And its shape?", history=here, **drawn).text
    assert len(there.messages) == len(here.messages) + 2


def test_a_stream_says_the_same_and_ends_with_the_whole_trace(url, here, pictures):
    parts = list(wb.connect(url, api_key="secret").stream(QUESTION, images=pictures, max_tokens=12))
    assert "".join(part.text for part in parts) == here.text and len(parts) > 1
    assert np.array_equal(parts[-1].trace.routed_experts, here.trace.routed_experts)
    assert parts[0].trace.text == parts[0].text
    assert "with the end of the answer" in parts[0].trace.provenance["attention"]


def test_asked_as_sglang_is_it_sends_that_engines_encoding_and_the_experts_are_the_same(url, here, pictures):
    connected = wb.connect(url, api_key="secret", engine="sglang", checkpoint="demo")
    trace = connected.trace(QUESTION, images=pictures, max_tokens=12, capture="routing:ids")
    assert np.array_equal(trace.routed_experts[:-1], here.trace.routed_experts[:-1])
    assert (trace.routed_experts[-1] == -1).all(), "the last token goes through the model no more"
    assert trace.moe_layers.tolist() == here.trace.moe_layers.tolist()
    for name in ("token_ids", "role", "turn", "modality", "image_index", "patch_row", "patch_box"):
        assert np.array_equal(getattr(trace, name), getattr(here.trace, name), equal_nan=True), name
    assert trace.tokens == here.trace.tokens and trace.check()
    with pytest.raises(grounding.GroundingError, match="no attention: SGLang tells"):
        grounding.attention_map(trace)


def test_routing_that_an_engine_told_can_be_replayed_here_but_its_gates_cannot(url, session, here, pictures):
    connected = wb.connect(url, api_key="secret", engine="sglang", checkpoint="demo")
    told = connected.trace(QUESTION, images=pictures, max_tokens=12)
    again = session.chat(
        QUESTION, images=pictures, max_tokens=12, capture="routing", edits=[ReplayRouting(told, after="free")]
    )
    assert again.text == here.text
    assert np.array_equal(again.trace.routed_experts, here.trace.routed_experts)
    with pytest.raises(wb.EditError, match=r"no routed weights: SGLang tells .*; replay its experts alone"):
        session.chat(QUESTION, images=pictures, edits=[ReplayRouting(told, weights=True)])


def test_a_checkpoint_that_makes_another_prompt_is_not_believed(url, pictures, tmp_path):
    from model import Processor
    from model.checkpoint import DEMO_WEIGHTS

    processor = Processor.from_folder(DEMO_WEIGHTS)
    processor.save(tmp_path)
    (tmp_path / "config.json").write_bytes((DEMO_WEIGHTS / "config.json").read_bytes())
    for name in ("processor_config.json", "preprocessor_config.json"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text.replace('"max_patches": 4', '"max_patches": 1'))
    connected = wb.connect(url, api_key="secret", engine="sglang", checkpoint=tmp_path)
    large = [draw_scene(seed=1, size=(160, 80), content=[("circle", "red")]).image]
    trace = connected.trace(QUESTION, images=large, max_tokens=4)
    assert (trace.role == -1).all() and (trace.patch_row == -1).all()
    assert "another than the checkpoint at hand" in trace.provenance["role"]
    assert (trace.routed_experts[:-1] >= 0).all() and trace.check()


def test_what_cannot_be_had_there_is_said(url, session):
    with pytest.raises(wb.EngineError, match=r"401 .*API key"):
        wb.connect(url)
    connected = wb.connect(url, api_key="secret")
    with pytest.raises(wb.CaptureError, match="attention_layers is asked for; moe-workbench observes"):
        connected.chat("Hello!", capture="attention:rows")
    with pytest.raises(wb.EngineError, match=r"400 .*top_logprobs"):
        connected.chat("Hello!", top_logprobs=21)
    with running(session, max_traces=0) as forgetful:
        with pytest.raises(wb.EngineError, match=r"404 .*no such trace, or no more") as caught:
            wb.connect(forgetful).chat("Hello!", max_tokens=4)
        assert caught.value.partial.text and caught.value.partial.trace.tokens
