"""What the server refuses: strangers, too much, and what it has not got."""

import json
import socket

import httpx
import pytest
from openai import AuthenticationError, BadRequestError, NotFoundError, OpenAI
from pydantic import ValidationError

from apps.serving.requests import ChatRequest, CompletionRequest
from apps.serving.settings import Settings
from tests.apps.serving import QUESTION, picture, running, shown

LIMITS = {
    "api_keys": ("good", "better"), "max_body": 20_000, "max_images": 1, "max_pixels": 10_000,
    "max_prompt": 400, "max_answer": 50, "image_urls": True, "name": "served",
}  # fmt: skip


@pytest.fixture(scope="module")
def url(session):
    with running(session, **LIMITS) as address:
        yield address


PART = "messages.0.content.0.image_url"


def post(url: str, body: dict | bytes, key: str = "good", path: str = "chat/completions") -> httpx.Response:
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return httpx.post(f"{url}/v1/{path}", headers=headers, timeout=60, **sent)


def chat(**fields: object) -> dict:
    return {"model": "served", "messages": QUESTION, "max_tokens": 2} | fields


def call(arguments: str) -> dict:
    calls = [{"id": "1", "type": "function", "function": {"name": "clock", "arguments": arguments}}]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def test_keys_are_asked_for_below_v1_and_nowhere_else(url):
    assert post(url, chat()).status_code == post(url, chat(), "better").status_code == 200
    for key in ("bad", "goo", "good2"):
        refused = post(url, chat(), key)
        assert refused.status_code == 401 and refused.json()["error"]["code"] == "invalid_api_key"
    assert httpx.get(f"{url}/v1/models").status_code == 401
    assert httpx.get(f"{url}/health").status_code == httpx.get(f"{url}/metrics").status_code == 200
    with (
        OpenAI(base_url=f"{url}/v1", api_key="bad", max_retries=0) as client,
        pytest.raises(AuthenticationError),
    ):
        client.models.list()


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"temperature": 3}, "temperature", "less than or equal to 2"),
        ({"temperature": "hot"}, "temperature", "valid number"),
        ({"top_p": 0}, "top_p", "greater than 0"),
        ({"n": 0}, "n", "greater than or equal to 1"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"max_tokens": 51}, "max_tokens", "51 tokens of answer are asked for; this server gives 50"),
        ({"messages": []}, "messages", "at least 1 item"),
        ({"messages": [{"role": "robot", "content": "?"}]}, "messages.0.role", "'system', 'developer'"),
        ({"messages": [{"role": "user"}]}, None, "message 0 (user) has no content"),
        ({"messages": [{"role": "user", "content": "word " * 500}]}, "messages", "takes 400 at most"),
        ({"frequency_penalty": 2.5}, "frequency_penalty", "less than or equal to 2"),
        ({"presence_penalty": -3}, "presence_penalty", "greater than or equal to -2"),
        ({"tools": [{"type": "function"}]}, "tools.0.function", "Field required"),
        ({"response_format": {"type": "xml"}}, "response_format", "'json_schema'"),
        ({"temprature": 1}, "temprature", "Extra inputs are not permitted"),
        ({"logit_bias": {"999999": 1}}, "logit_bias", "logit_bias names token 999999"),
        ({"messages": shown("data:image/png;base64,AAAA")}, PART, "not a picture"),
        ({"messages": shown(picture(101, 100))}, PART, "101 x 100 pixels"),
        ({"messages": shown(picture(9, 9), picture(9, 9))}, "messages", "2 pictures; this server takes 1"),
        ({"messages": shown(*["http://127.0.0.1/a.png"] * 2)}, "messages", "2 pictures; this server takes 1"),
        ({"messages": shown("data:image/png;base64,\xe9")}, PART, "not valid base64"),
        ({"messages": [call("[" * 15_000)]}, None, "arguments that are not JSON"),
        ({"logit_bias": dict.fromkeys(range(1025), 0)}, "logit_bias", "at most 1024 entries, not 1025"),
        ({"messages": shown("/etc/hostname")}, PART, "a picture is a data URL"),
        ({"messages": shown("http://127.0.0.1/a.png")}, PART, "not on the public"),
        ({"messages": shown("http://localhost/a.png")}, PART, "not on the public"),
        ({"messages": shown("http://[::ffff:10.0.0.1]/")}, PART, "not on the public"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_served_is_named_with_its_field(url, fields, param, words):
    refused = post(url, chat(**fields))
    error = refused.json()["error"]
    assert (refused.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert words in error["message"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": []}, "expected 1 to"),
        ({"prompt": [10**6]}, "1000000 is no token"),
        ({"prompt": "a", "best_of": 2}, "best_of is 2"),
        ({"prompt": "a", "echo": True, "stream": True}, "echo is not streamed"),
        ({"prompt": "a", "echo": True, "logprobs": 1, "trace": True}, "its prompt"),
        ({}, "Field required"),
    ],
)
def test_a_completion_that_cannot_be_is_refused(url, fields, words):
    refused = post(url, {"model": "served"} | fields, path="completions")
    assert refused.status_code == 400 and words in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"\xff"', b'{"model": "\\ud800", "n": "\\ud800"}', b"[" * 9000]
)
def test_a_body_that_is_no_request_is_refused_without_a_crash(url, body):
    refused = post(url, body)
    assert refused.status_code == 400 and refused.json()["error"]["message"]


WRONG = {str(i): [] for i in range(5000)}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (ChatRequest, {"messages": [0] * 5000}),
        (ChatRequest, {"messages": QUESTION * 5000}),
        (ChatRequest, {"messages": [{"role": "user", "content": [0] * 5000}]}),
        (ChatRequest, {"messages": [{"role": "user", "content": [0]}] * 4000}),
        (ChatRequest, {"messages": QUESTION, "logit_bias": WRONG}),
        (ChatRequest, {"messages": QUESTION, "metadata": WRONG}),
        (ChatRequest, {"messages": QUESTION, **WRONG}),
        (CompletionRequest, {"prompt": [None] * 5000}),
        (CompletionRequest, {"prompt": [[None] * 5000] * 4000}),
    ],
    ids=[
        "messages",
        "good messages",
        "parts",
        "parts of messages",
        "biases",
        "metadata",
        "unknown fields",
        "prompts",
        "token ids",
    ],
)
def test_errors_do_not_grow_with_what_is_wrong(kind, fields):
    with pytest.raises(ValidationError) as refused:
        kind(model="served", **fields)
    assert refused.value.error_count() < 10


def test_what_is_too_large_is_refused_before_it_is_read(url):
    assert post(url, b" " * 20_001).status_code == 413
    parts = (b" " * 5000 for _ in range(5))  # sent without saying how much will come
    refused = httpx.post(f"{url}/v1/completions", content=parts, headers={"Authorization": "Bearer good"})
    assert refused.status_code == 413 and refused.json()["error"]["code"] == "request_too_large"


def test_a_body_that_does_not_come_is_not_waited_for(session):
    begun = b"POST /v1/completions HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n{"
    with running(session, body_seconds=0.2) as url:
        with socket.create_connection(("127.0.0.1", httpx.URL(url).port), timeout=60) as slow:
            slow.sendall(begun)
            said = b"".join(iter(lambda: slow.recv(4096), b""))  # until the server hangs up
        assert post(url, {"model": "demo", "prompt": "Hi", "max_tokens": 1}, path="completions").is_success
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["error"]["message"] == "the request's body did not come within 0.2 seconds"


def test_nothing_is_read_where_nothing_takes_it(url):
    assert httpx.post(f"{url}/nowhere", content=b" " * 20_001).status_code == 404


def test_what_is_not_there_is_said_in_the_same_form(url):
    assert httpx.get(f"{url}/nowhere").json()["error"]["type"] == "not_found_error"
    assert httpx.delete(f"{url}/health").status_code == 405
    with OpenAI(base_url=f"{url}/v1", api_key="good", max_retries=0) as client:
        with pytest.raises(NotFoundError, match="there is no model 'gpt-5'; this server has 'served'"):
            client.chat.completions.create(model="gpt-5", messages=QUESTION)
        with pytest.raises(BadRequestError, match="top_p"):
            client.chat.completions.create(model="served", messages=QUESTION, top_p=2)


def test_addresses_are_fetched_only_where_that_is_allowed(session):
    with running(session) as url:
        refused = post(url, {"model": "demo", "messages": shown("https://example.org/a.png")})
        assert refused.json()["error"]["code"] == "image_url_not_allowed"


@pytest.mark.parametrize(
    "fields",
    [
        {"max_batch": 0}, {"max_prompt": 0}, {"api_keys": ("",)}, {"max_body": -1}, {"stream_interval": -1},
        {"stream_interval": float("nan")}, {"max_waiting": 0}, {"trace_seconds": -1},
        {"trace_seconds": float("nan")}, {"trace_seconds": float("inf")}, {"api_keys": ("schl\xfcssel",)},
        {"body_seconds": 0},
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(fields):
    with pytest.raises(ValueError, match="expected"):
        Settings(**fields)
