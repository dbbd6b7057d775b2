"""What tokens become in a stream, told apart from when they come."""

from __future__ import annotations

import json

import pytest

import workbench as wb
from apps.serving.chat_form import ChatForm
from apps.serving.completion_form import CompletionForm
from apps.serving.jobs import Job, Outbox, Produced
from apps.serving.requests import ChatRequest, CompletionRequest
from model import SamplingParams, Step


@pytest.fixture(scope="module")
def session():
    session = wb.load("demo")
    yield session
    session.close()


def form(session, kind, n=1, **more):
    asked = {"model": "demo", "stream": True, "n": n} | more
    if kind is ChatForm:
        request = ChatRequest(messages=[{"role": "user", "content": "Hi"}], **asked)
    else:
        request = CompletionRequest(prompt="Hi", **asked)
    job = Job(session.processor("Hi"), (SamplingParams(),) * n, Outbox())
    return kind(request, [job], session.processor.tokenizer, "demo", "fingerprint")


def made(text, choice=0, end=None):
    return Produced(choice, Step(5, text, -0.5, (), (), end)), None


def told(events):
    """Of every event of a stream, each choice's number, text and end."""
    lines = [json.loads(line[6:]) for line in events.splitlines() if line]
    return [
        (choice["index"], choice["delta"].get("content") if "delta" in choice else choice["text"],
         choice.get("finish_reason"))
        for line in lines for choice in line["choices"]
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [ChatForm, CompletionForm])
def test_texts_that_come_together_are_one_event(session, kind):
    answer = form(session, kind)
    assert told(answer.events([made("a "), made(""), made("\u2028b")])) == [(0, "a \u2028b", None)]
    assert answer.events([made("")]) == ""
    ended = told(answer.events([made(" c"), made(" d", end="stop")]))
    assert ended == [(0, " c", None), (0, " d", "stop")]
    assert answer.usage().completion_tokens == 6


@pytest.mark.parametrize("kind", [ChatForm, CompletionForm])
def test_choices_that_come_together_stay_apart_and_each_in_order(session, kind):
    some = [made("a", 0), made("x", 1), made("b", 0, "length"), made("y", 1)]
    events = told(form(session, kind, n=2).events(some))
    assert [text for index, text, _ in events if index == 0] == ["a", "b"]
    assert [text for index, text, _ in events if index == 1] == ["xy"]


def test_what_is_told_of_every_token_keeps_them_apart(session):
    events = form(session, ChatForm, logprobs=True).events([made("a"), made("b")])
    assert [text for _, text, _ in told(events)] == ["a", "b"]
