"""LangChain's client for OpenAI's API, pointed at our server."""

from typing import Literal

import pytest
from pydantic import BaseModel

import workbench as wb
from model.demo.scenes import draw_scene
from tests.apps.serving import data_url

langchain = pytest.importorskip("langchain_openai", reason="LangChain is not installed: make clients")

QUESTION = "Who are you?"


@pytest.fixture(scope="module")
def chat(url):
    return langchain.ChatOpenAI(
        model="demo", base_url=f"{url}/v1", api_key="none", temperature=0, max_tokens=20
    )


@pytest.fixture(scope="module")
def expected(session) -> wb.Reply:
    return session.chat(QUESTION, max_tokens=20)


def test_it_gets_the_answer_and_its_token_counts(chat, expected):
    answer = chat.invoke(QUESTION)
    assert answer.content == expected.text
    assert answer.usage_metadata["total_tokens"] == len(expected.trace)


def test_it_streams_the_answer(chat, expected):
    pieces = [chunk.content for chunk in chat.stream(QUESTION)]
    assert len(list(filter(None, pieces))) > 2 and "".join(pieces) == expected.text


def test_it_shows_pictures(chat, session):
    picture = draw_scene(seed=1, size=(80, 80), content=[("circle", "red")]).image
    question = "What colour is the circle?"
    parts = [
        {"type": "image_url", "image_url": {"url": data_url(picture)}},
        {"type": "text", "text": question},
    ]
    answer = chat.invoke([("system", "Be brief."), ("user", parts)])
    asked = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image", "image": picture}, parts[1]]},
    ]
    assert answer.content == session.chat(asked, max_tokens=20).text


def test_it_asks_several_things_at_once(chat, session):
    questions = [QUESTION, "Hello!", "Thank you!"]
    answers = [answer.content for answer in chat.batch(questions)]
    assert answers == [session.chat(question, max_tokens=20).text for question in questions]


class Thing(BaseModel):
    """A thing in a picture."""

    colour: Literal["red", "blue"]
    shape: Literal["circle", "star"]


def test_it_gets_answers_in_the_form_of_a_class(chat):
    # the form is the server's promise; what stands in it this model never learnt
    patient = chat.model_copy(update={"max_tokens": 200})  # letter by letter
    asked = patient.with_structured_output(Thing, method="json_schema")
    assert isinstance(asked.invoke("Which thing do you like?"), Thing)


def test_it_can_offer_tools(chat):
    answer = chat.bind_tools([Thing]).invoke(QUESTION)
    assert answer.content or answer.tool_calls


def test_it_goes_on_with_a_text(url):
    # a completion: no template, as it stands
    model = langchain.OpenAI(model="demo", base_url=f"{url}/v1", api_key="none", temperature=0, max_tokens=8)
    assert isinstance(model.invoke("The red circle"), str)
