"""Answers held to JSON, any or of a schema, as OpenAI's own client asks for them."""

import asyncio
import json
from enum import Enum

import numpy as np
import pytest
import torch
from jsonschema import validate
from llguidance import LLMatcher
from openai import AsyncOpenAI, BadRequestError
from pydantic import BaseModel, ConfigDict

from apps.serving.grammars import Grammars, Held
from apps.serving.jobs import Job, Outbox
from apps.serving.requests import ChatRequest
from apps.serving.scheduler import Scheduler
from model import SamplingParams
from tests.apps.conftest import saying
from tests.apps.serving import QUESTION, until

SCHEMA = {
    "type": "object",
    "properties": {
        "shape": {"enum": ["circle", "square"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 12},
        "colours": {"type": "array", "items": {"$ref": "#/$defs/colour"}, "maxItems": 2},
    },
    "required": ["shape", "count", "colours"],
    "additionalProperties": False,
    "$defs": {"colour": {"enum": ["red", "blue"]}},
}


def of(schema: dict) -> dict:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def ask(client, **settings):
    settings = {"max_tokens": 150, "temperature": 0} | settings
    return client.chat.completions.create(model="demo", messages=QUESTION, **settings)


def test_every_answer_fits_the_schema_however_it_is_drawn(client):
    for settings in ({}, {"temperature": 1.5, "seed": 1, "n": 4}, {"trace": True}):
        extra = {"extra_body": settings} if "trace" in settings else settings
        for choice in ask(client, response_format=of(SCHEMA), **extra).choices:
            assert choice.finish_reason == "stop"
            validate(json.loads(choice.message.content), SCHEMA)


def test_log_probabilities_stay_the_models_own(client, session):
    [free] = ask(client, max_tokens=1, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    [held] = (
        ask(client, max_tokens=1, logprobs=True, top_logprobs=2, response_format={"type": "json_object"})
        .choices[0]
        .logprobs.content
    )
    assert held.token == "{" and held.logprob < free.logprob
    assert [one.token for one in held.top_logprobs] == [one.token for one in free.top_logprobs]


def test_a_json_object_is_one_though_the_model_would_rather_talk(client, session):
    closing = session.processor.tokenizer.encode("}")[0]
    with saying(session, "Certainly!"):
        held = ask(client, response_format={"type": "json_object"}, logit_bias={closing: 100})
    assert held.choices[0].message.content == "{}"
    assert ask(client, response_format={"type": "text"}, max_tokens=1).choices[0].message.content != "{"


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")
    colour: Colour
    round: bool


def test_a_pydantic_model_comes_back_filled_in(client):
    answer = client.chat.completions.parse(
        model="demo", messages=QUESTION, response_format=Thing, max_tokens=150, temperature=0
    )
    assert isinstance(answer.choices[0].message.parsed, Thing)


def test_neighbours_in_the_batch_are_not_held_to_it(url, client):
    plain = {"max_tokens": 25}
    alone = [ask(client, **plain).choices[0].message.content, ask(client, response_format=of(SCHEMA))]

    async def together() -> list[str]:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as opened:
            asked = [ask(opened, **plain), ask(opened, response_format=of(SCHEMA)), ask(opened, **plain)]
            return [answer.choices[0].message.content for answer in await asyncio.gather(*asked)]

    free, held, other = asyncio.run(together())
    assert free == other == alone[0] and held == alone[1].choices[0].message.content


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"not": {"type": "string"}}, '"not"'),
        ({"type": "object", "properties": {"x": {"uniqueItems": True}}}, '"uniqueItems"'),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf"),
        ({"type": "string", "format": "colour"}, "Unknown format: colour"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
        ({"$ref": "#/$defs/none"}, "/$defs/none"),
        ({"$ref": "http://127.0.0.1/schema"}, "does not fetch"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "minimum (2) is greater"),
        ({"type": "colour"}, "Invalid type: colour"),
    ],
)
def test_a_keyword_that_cannot_be_kept_is_refused_by_name(client, schema, words):
    with pytest.raises(BadRequestError) as refused:
        ask(client, response_format=of(schema))
    assert refused.value.param == "response_format.json_schema.schema"
    assert words in refused.value.body["message"] and refused.value.code == "unsupported_schema"


def test_a_schema_made_to_hurt_a_parser_is_refused(client):
    deep: dict = {"type": "integer"}
    for _ in range(150):
        deep = {"type": "array", "items": deep}
    with pytest.raises(BadRequestError, match="recursion"):
        ask(client, response_format=of(deep))


def request(**fields: object) -> ChatRequest:
    return ChatRequest(model="demo", messages=QUESTION, **fields)


def test_control_tokens_are_never_allowed_inside_an_answer(session):
    tool = {"type": "function", "function": {"name": "clock", "strict": True}}
    tokenizer = session.processor.tokenizer
    special = [tokenizer.is_special(id) for id in range(tokenizer.vocab_size)]
    held = Grammars(session).of(request(tools=[tool]))()
    for token in [None, *tokenizer.encode("It is <")]:
        if token is not None:
            held.take(token)
        allowed = held.allowed().numpy()[: len(special)]
        assert set(np.flatnonzero(allowed & special)) == set(tokenizer.stop_ids)


def test_answers_to_one_request_each_have_a_place_of_their_own(session):
    start = Grammars(session).of(request(response_format={"type": "json_object"}))
    one, other = start(), start()
    one.take(session.processor.tokenizer.encode("{")[0])
    assert not torch.equal(one.allowed(), other.allowed()) and not one.error
    other.take(session.processor.tokenizer.encode("x")[0])
    assert other.error and not one.error


def test_a_grammar_that_breaks_ends_its_own_request_alone(session):
    class Broken(Held):
        error = "step_max_items"

    news: list = []
    scheduler = Scheduler(session, news.extend)
    grammars = Grammars(session)
    matcher = LLMatcher(grammars._vocabulary_tree, LLMatcher.grammar_from_json_schema({"type": "object"}))
    inputs, params = session.processor(QUESTION), (SamplingParams(max_tokens=3),)
    vocabulary = session.llama.config.text.vocab_size
    broken = Job(inputs, params, Outbox(), constraint=lambda: Broken(matcher.deep_copy(), vocabulary))
    good = Job(inputs, params, Outbox())
    scheduler.submit([broken, good])
    until(lambda: [item for job, item in news if job is good and item.step.finish_reason])
    scheduler.close()
    [error] = [item for job, item in news if job is broken]
    assert error.status == 400 and "step_max_items" in str(error)
