"""Whatever goes wrong between here and an engine is a sentence with its URL, and what had come is kept."""

import json
import socket
import threading

import pytest

import workbench as wb
from tests.workbench.engines.answering import ANSWERS, Said, answering

CONFIG = ANSWERS / "config.json"
# the events until the second word
BEGUN = b"\n\n".join((ANSWERS / "vllm-stream.txt").read_bytes().split(b"\n\n")[:3]) + b"\n\n"


def refused(said: Said, stream: bool = False) -> wb.EngineError:
    """What a question to such a server ends with."""
    with answering(said) as engine:
        session = wb.connect(engine.url, api_key="secret", checkpoint=CONFIG)
        with pytest.raises(wb.EngineError) as caught:
            _ = list(session.stream("Hello!")) if stream else session.chat("Hello!")
    assert f"{engine.url}/chat/completions" in str(caught.value) and "secret" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, {"object": "error", "message": "top_logprobs is 99", "code": 400}, "400 .*top_logprobs is 99"),
        (401, {"error": {"message": "no such key", "type": "x"}}, "401 .*no such key; .*connect.*api_key="),
        (404, {"error": {"message": "no model tiny"}}, "404 .*no model tiny; a URL ends with /v1"),
        (422, {"detail": [{"msg": "n is 0"}]}, "422 .*n is 0"),
        (429, {"error": "slow down"}, "429 .*slow down; it asks to wait 7 seconds; it is busy"),
        (500, "<html>oops</html>", "500 .*<html>oops</html>"),
        (503, "", "503 .*nothing at all; it is overloaded, starting or stopping"),
        (307, "", "307 .*nothing at all"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words_and_ours(status, body, said, stream):
    text = body if isinstance(body, str) else json.dumps(body)
    headers = {"Retry-After": "7"} if status == 429 else {}
    error = refused(Said(text, status, headers), stream)
    assert error.status == status
    with pytest.raises(wb.EngineError, match=said):
        raise error


def test_nobody_at_the_port_is_said_at_once():
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with pytest.raises(wb.EngineError, match=f"nobody answers at http://127.0.0.1:{port}/v1/models"):
        wb.connect(f"http://127.0.0.1:{port}")


def test_silence_ends_after_the_timeout():
    silent = Said("", rest=b"{}", after=threading.Event())
    with answering(silent) as engine:
        session = wb.connect(engine.url, checkpoint=CONFIG, timeout=0.2)
        with pytest.raises(wb.EngineError, match=r"said nothing for 0\.2 seconds; to wait longer"):
            session.chat("Hello!")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Said(BEGUN, missing=99), "broke off"),
        (Said(BEGUN), "broke off before its end"),
        (Said(BEGUN + b'data: {"error": {"message": "no memory"}}\n\n'),
         "gave up: no memory"),
        (Said(BEGUN + b"data: {oops\n\n"), "no JSON object: '{oops'"),
    ],
)  # fmt: skip
def test_a_stream_that_breaks_off_leaves_what_had_come(said, words):
    error = refused(said, stream=True)
    assert words in str(error)
    partial = error.partial
    assert partial.text == "Red ball" and partial.finish_reason == "cancelled"
    assert partial.messages[-1]["content"] == "Red ball"
    assert partial.trace.token_ids.tolist() == [11, 12, 13, 14, 15, 21, 22] and partial.trace.check()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<html>login</html>", "no JSON object: '<html>login</html>'; is this the /v1 of"),
        ("[]", "no JSON object"),
        ("{}", "another form than OpenAI's"),
        ('{"choices": [7]}', "another form than OpenAI's"),
        ('{"choices": [{"message": {"content": 7}}]}', "another form than OpenAI's"),
        ('{"choices": []}', "no finished answer"),
    ],
)
def test_an_answer_in_a_strange_form_is_refused(body, said):
    assert said in str(refused(Said(body)))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "strange",
    [
        {"prompt_token_ids": "abc"},
        {"prompt_token_ids": [1.5]},
        {"token_ids": [float("inf")]},
        {"token_ids": [2**31]},
        {"token_ids": {"21": 1}},
        {"usage": {"completion_tokens": 10**10}},
        {"usage": {"completion_tokens": -5}},
        {"usage": {"prompt_tokens": "5"}},
        {"usage": [5]},
        {"logprobs": {"content": [5]}},
        {"logprobs": {"content": [{"token": "a", "logprob": 10**400}]}},
        {"logprobs": {"content": [{"token": "a", "logprob": -1.0, "top_logprobs": [5]}]}},
        {"logprobs": {"content": [{"token": "a", "logprob": -1.0, "top_logprobs": [{"logprob": None}]}]}},
        {"finish_reason": ["stop"]},
        {"trace_id": 5},
    ],
    ids="{!s:.60}".format,
)
def test_an_answer_with_values_that_cannot_be_is_refused(strange, stream):
    choice = {"message": {"content": "Red"}, "finish_reason": "stop"}
    outside = {name: value for name, value in strange.items() if name in ("usage", "prompt_token_ids")}
    body = json.dumps(
        {"choices": [choice | {k: v for k, v in strange.items() if k not in outside}]} | outside
    )
    said = Said(f"data: {body}\n\ndata: [DONE]\n\n" if stream else body)
    assert "another form than OpenAI's" in str(refused(said, stream))


def test_ids_that_do_not_fit_in_32_bits_are_no_ids():
    likely = {"token": "token_id:21", "logprob": -1.0, "top_logprobs": [
        {"token": "token_id:99999999999", "logprob": -1.0}]}  # fmt: skip
    choice = {"message": {"content": "Red"}, "finish_reason": "stop", "logprobs": {"content": [likely]}}
    with answering(Said(json.dumps({"choices": [choice]}))) as engine:
        trace = wb.connect(engine.url, checkpoint=CONFIG).chat("Hello!").trace
    assert trace.logprobs.tolist() == [-1.0] and trace.topk_ids.shape == (1, 0)


def test_a_stream_is_utf_8_whatever_its_header_says():
    body = (ANSWERS / "vllm-stream.txt").read_bytes()
    for charset in ("hex", "utf-16"):
        said = Said(body, headers={"Content-Type": f"text/event-stream; charset={charset}"})
        with answering(said) as engine:
            words = list(wb.connect(engine.url, checkpoint=CONFIG).stream("Hello!"))
        assert "".join(word.text for word in words) == "Red ball"


def test_a_url_a_key_a_model_or_a_checkpoint_that_cannot_be_is_refused(tmp_path):
    strange = (
        "http://a..b/v1",
        f"http://{'a' * 70}/v1",
        "http://host:99999/v1",
        "http://host:0",
        "http://h/\ud800",
    )
    for url in ("host:8000", "ftp://host/v1", "", "http://", *strange):
        with pytest.raises(ValueError, match="expected http://host:port/v1"):
            wb.connect(url)
    for arguments, said in (
        ({"api_key": "a\nb"}, "characters that no header can carry"),
        ({"timeout": 0}, "timeout is 0; expected seconds, more than 0"),
        ({"timeout": None}, "timeout is None; expected seconds"),
        ({"timeout": float("inf")}, "timeout is inf; expected seconds, more than 0 and at most 1,000,000"),
        ({"engine": "llama.cpp"}, "expected 'vllm', 'sglang', 'moe-workbench' or None"),
        ({"checkpoint": tmp_path / "no"}, "expected a folder, a config.json, 'demo', 'maverick' or 'scout'"),
    ):
        with pytest.raises(ValueError, match=said):
            wb.connect("http://127.0.0.1:1/v1", **arguments)
    with answering(Said("{}"), names=("one", "two")) as engine:
        with pytest.raises(ValueError, match=r"2 models \('one', 'two'\); choose one"):
            wb.connect(engine.url)
        with pytest.raises(ValueError, match="no model 'tow'; nearest: 'two'"):
            wb.connect(engine.url, model="tow")
    with answering(Said("{}"), models=Said("nothing here", 404)) as engine:
        with pytest.raises(wb.EngineError, match="404"):
            wb.connect(engine.url)
        assert wb.connect(engine.url, model="tiny", engine="vllm").name == "tiny"


def test_a_password_in_the_address_is_sent_and_never_shown():
    with answering(Said.recorded("vllm-npy.json")) as engine:
        session = wb.connect(engine.url.replace("http://", "http://me:secret@"), checkpoint=CONFIG)
        session.chat("Hello!")
    assert engine.headers[0]["Authorization"].startswith("Basic ")
    assert "secret" not in repr(session) and session.url == engine.url
