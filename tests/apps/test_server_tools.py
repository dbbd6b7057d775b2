"""Tools as OpenAI's own client uses them, with a model that says what it is told to say."""

import json

import pytest
from jsonschema import validate
from openai import BadRequestError, OpenAI

from tests.apps.conftest import saying
from tests.apps.serving import running

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"enum": ["Paris", "Rome"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
            },
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}
TOOLS = [WEATHER, CLOCK]
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How is Paris?"}]
CALL = '[get_weather(city="Paris", days=2)]'
GIVEN = {"city": "Paris", "days": 2}


@pytest.fixture(scope="module")
def client(session):
    with (
        running(session) as url,
        OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as opened,
    ):
        yield opened


def ask(client, messages=ASKED, tools=TOOLS, **settings):
    settings = {"max_tokens": 150, "temperature": 0} | settings
    return client.chat.completions.create(model="demo", messages=messages, tools=tools, **settings)


def streamed(client, **settings):
    """The message that OpenAI's client makes of a stream, and why it ended."""
    settings = {"max_tokens": 150, "temperature": 0} | settings
    with client.chat.completions.stream(model="demo", messages=ASKED, tools=TOOLS, **settings) as stream:
        choice = stream.get_final_completion().choices[0]
    return choice


def called(choice) -> list[tuple[str, dict]]:
    calls = choice.message.tool_calls or []
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls]


@pytest.mark.parametrize(
    "said",
    [
        CALL,
        f"<|python_start|>{CALL}<|python_end|>",
        '{"name": "get_weather", "parameters": {"city": "Paris", "days": 2}}',
        '<|python_start|><|python_end|>{"name": "get_weather", "parameters": {"city": "Paris", "days": 2}}',
    ],
    ids=["pythonic", "pythonic between its tokens", "JSON", "JSON as the template writes it"],
)
def test_a_call_is_told_as_one_whole_and_streamed(client, session, said):
    with saying(session, said):
        choice = ask(client).choices[0]
        again = streamed(client)
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert called(choice) == [("get_weather", GIVEN)] == called(again)
    assert choice.message.tool_calls[0].id != again.message.tool_calls[0].id
    assert again.finish_reason == "tool_calls"


def test_text_that_only_looks_like_a_call_stays_text(client, session):
    for said in (f"Say {CALL}", f"{CALL} is how", "[delete_all(sure=true)]", "[get_weather(city=here)]"):
        with saying(session, said):
            choice, again = ask(client).choices[0], streamed(client)
        assert (choice.message.content, choice.message.tool_calls) == (said, None)
        assert (again.message.content, choice.finish_reason) == (said, "stop")


def test_without_tools_nothing_is_a_call(client, session):
    with saying(session, CALL):
        for settings in ({"tool_choice": "none"}, {"tools": []}):
            assert ask(client, **settings).choices[0].message.content == CALL


def test_the_prompt_is_the_models_own_template(client, session):
    prompt = len(session.processor(ASKED, tools=TOOLS).token_ids)
    assert ask(client, max_tokens=1).usage.prompt_tokens == prompt
    unlisted = ask(client, max_tokens=1, tool_choice="none").usage.prompt_tokens
    assert unlisted == len(session.processor(ASKED).token_ids) < prompt


def test_calls_and_results_go_back_into_the_conversation(client, session):
    with saying(session, CALL):
        message = ask(client).choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "22 degrees"}
    in_parts = result | {"content": [{"type": "text", "text": "22 "}, {"type": "text", "text": "degrees"}]}
    written = {"role": "assistant", "tool_calls": [{"function": {"name": "get_weather", "arguments": GIVEN}}]}
    expected = session.processor([*ASKED, written, {"role": "tool", "content": "22 degrees"}], tools=TOOLS)
    for back in (result, in_parts):
        answer = ask(client, [*ASKED, message, back], max_tokens=1)
        assert answer.usage.prompt_tokens == len(expected.token_ids)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_a_call_that_is_asked_for_comes_and_fits_its_schema(client, choice):
    tools = [WEATHER] if choice == "required" else TOOLS
    for settings in ({}, {"temperature": 1.5, "seed": 3, "n": 2}):
        answer = ask(client, tools=tools, tool_choice=choice, parallel_tool_calls=False, **settings)
        for one in answer.choices:
            [(name, given)] = called(one)
            validate(given, WEATHER["function"]["parameters"])
            assert (name, one.finish_reason, one.message.content) == ("get_weather", "tool_calls", None)
    again = streamed(client, tool_choice=choice, parallel_tool_calls=False)
    assert called(again) and again.finish_reason == "tool_calls"


def test_strict_tools_are_called_as_they_say_or_not_at_all(client, session):
    strict = WEATHER | {"function": WEATHER["function"] | {"strict": True}}
    with saying(session, "Sunny, I think."):
        assert ask(client, tools=[strict]).choices[0].message.content == "Sunny, I think."
    # a call is begun, and whatever the model would like to say of the moon, its arguments fit
    with saying(session, '{"name": "get_weather", "parameters": {"city": "Moon"}}'):
        [(_, given)] = called(ask(client, tools=[strict], parallel_tool_calls=False).choices[0])
    validate(given, WEATHER["function"]["parameters"])


def test_tools_that_cannot_be_are_refused_by_name(client):
    impossible = {"type": "object", "properties": {"x": {"type": "array", "uniqueItems": True}}}
    odd = {"type": "function", "function": {"name": "odd", "parameters": impossible}}
    listed = {"type": "function", "function": {"name": "odd", "parameters": {"type": "array"}}}
    named = {"type": "function", "function": {"name": "clocks"}}
    for settings, param, words in (
        ({"tools": [CLOCK, CLOCK]}, "tools", "two functions are called 'clock'"),
        ({"tools": [], "tool_choice": "required"}, "tool_choice", "there are no tools"),
        ({"tool_choice": named}, "tool_choice", "no function 'clocks'; tools has get_weather, clock"),
        ({"tools": [CLOCK, odd], "tool_choice": "required"}, "tools.1.function.parameters", "uniqueItems"),
        ({"tools": [listed], "tool_choice": "required"}, "tools.0.function.parameters", "not 'array'"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0.function.name", "pattern"),
    ):
        with pytest.raises(BadRequestError) as refused:
            ask(client, **settings)
        assert refused.value.param == param and words in refused.value.body["message"]
