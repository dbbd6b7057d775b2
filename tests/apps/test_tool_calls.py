"""What counts as a call of a tool in a model's text, in both formats, whole and in pieces."""

import json

import pytest

from apps.serving.spoken import Certain, News, Spoken, Undecided
from apps.serving.tool_calls import calls_in, may_become_calls

NAMES = {"get_weather", "get-forecast", "ask"}


def read(text: str) -> list[tuple[str, dict]]:
    return [(call.name, json.loads(call.arguments)) for call in calls_in(text, NAMES)]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('[get_weather(city="Paris")]', [("get_weather", {"city": "Paris"})]),
        (' [ask(), ask(x=-1.5)]\n', [("ask", {}), ("ask", {"x": -1.5})]),
        ("[get-forecast(d=(1, 2), at={'a': None})]", [("get-forecast", {"d": [1, 2], "at": {"a": None}})]),
        ("[ask(yes=true, no=False, none=null)]", [("ask", {"yes": True, "no": False, "none": None})]),
        (r"[ask(pattern='\d')]", [("ask", {"pattern": r"\d"})]),
        ('{"name": "ask", "parameters": {"x": [1]}}', [("ask", {"x": [1]})]),
        ('{"type": "function", "name": "ask", "parameters": {}}', [("ask", {})]),
        ('{"name": "ask", "parameters": {}}{"name": "ask", "parameters": {}}', [("ask", {}), ("ask", {})]),
        ('{"name": "ask"}; {"name": "ask", "arguments": {"x": 1}}', [("ask", {}), ("ask", {"x": 1})]),
        ('[{"name": "ask", "parameters": {"x": "é"}}]', [("ask", {"x": "é"})]),
    ],
)  # fmt: skip
def test_calls_are_read_in_both_formats(text, calls):
    assert read(text) == calls


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "Hello", "[ask]", "[ask(1)]", "[ask(x=y)]", "[other(x=1)]", "[ask(x=1)] is a call",
        "Say [ask(x=1)]", "[ask(**{'x': 1})]", "[ask(x=1, x=2)]", "[ask(x=b'a')]", "[ask(x=1e999)]",
        "[ask(x='\\ud800')]", "[ask(x=__import__('os').system('true'))]", "[ask(x=f'{1}')]",
        "[ask(x=1) for y in (1,)]", "[ask(x=1) - ask(y=2)]", '{"name": "other", "parameters": {}}',
        '{"name": "ask", "parameters": "x"}', '{"name": "ask", "parameters": {"x": NaN}}',
        '{"name": "ask", "parameters": {}, "more": 1}', '{"name": "ask", "parameters": {"x": 1}', "[ask(x=1)",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_call_is_none(text):
    assert read(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "[" * 9000,
        "[ask(x=" + "-" * 150_000 + "1)]",
        "[ask(x=" + "1+" * 50_000 + "1)]",
        '{"name": "ask", "parameters": ' + '{"a":' * 30_000,
        "[ask(x='" + "a" * 300_000 + "')]",
        "[ask(x=" + "9" * 5000 + ")]",
    ],
    ids=["brackets", "signs", "sums", "objects", "long", "digits"],
)
def test_text_made_to_hurt_a_parser_is_no_call_either(text):
    assert read(text) == []


@pytest.mark.parametrize(
    ("text", "whether"),
    [
        ("", True), ("[", True), (" [get_we", True), ("[ ask( x=", True), ('{ "name": "as', True),
        ("[Paris](http", False), ("[1, 2", False), ('{"city"', False), ('{"name": "other"', False),
        ("Hi", False),
    ],
)  # fmt: skip
def test_a_beginning_tells_whether_calls_can_come_of_it(text, whether):
    assert may_become_calls(text, NAMES) is whether


def spoken(speaker: Spoken, *parts: str) -> tuple[str, list[tuple[str, str]], list[News]]:
    """What it makes of parts with a border after each, three characters at a time."""
    told = []
    for part in parts:
        for i in range(0, len(part), 3):
            told.append(speaker.push(part[i : i + 3], False))
        told.append(speaker.push("", True))
    calls = [(call.function.name, call.function.arguments) for call in speaker.calls]
    return speaker.content, calls, told


def joined(told: list[News]) -> tuple[str, list[tuple[str, str]]]:
    """What a client puts together from a stream."""
    content, calls = "", []
    for more, deltas in told:
        content += more
        for call in deltas:
            if call.index == len(calls):
                assert call.id.startswith("call_") and call.type == "function"
                calls.append(["", ""])
            calls[call.index][0] += call.function.name or ""
            calls[call.index][1] += call.function.arguments or ""
    return content, [tuple(call) for call in calls]


TWO = '{"name": "ask", "parameters": {"x": "}{\\"y\\\\"}}'
TWO += '{"name": "get-forecast", "parameters": {"a": {"b": 1}}}'
ASKED = [("ask", '{"x": "}{\\"y\\\\"}'), ("get-forecast", '{"a": {"b": 1}}')]
WEATHER = ("get_weather", '{"city": "Paris"}')


@pytest.mark.parametrize(
    ("parts", "content", "calls"),
    [
        ([TWO], "", ASKED),
        (['[get_weather(city="Paris")]'], "", [WEATHER]),
        (["", '[get_weather(city="Paris")]', ""], "", [WEATHER]),
        (["Well.", '{"name": "get_weather", "parameters": {"city": "Paris"}}'], "Well.", [WEATHER]),
        (["[Paris](http://paris) is nice"], "[Paris](http://paris) is nice", []),
        (['[get_weather(city="Paris")] would tell'], '[get_weather(city="Paris")] would tell', []),
    ],
)  # fmt: skip
def test_a_stream_tells_the_calls_and_the_content_that_the_whole_answer_has(parts, content, calls):
    said, called, told = spoken(Undecided(NAMES), *parts)
    assert (said, called) == (content, calls) == joined(told)


def test_text_that_cannot_become_a_call_any_more_is_told_at_once():
    speaker = Undecided(NAMES)
    assert speaker.push("[Par", False) == ("[Par", ())
    assert speaker.push("is]", False) == ("is]", ())


def test_arguments_that_are_certain_are_told_while_they_are_said():
    said, calls, told = spoken(Certain(), TWO)
    assert (said, calls) == ("", ASKED) == joined(told)
    assert sum(bool(deltas) for _, deltas in told) > 10
    assert spoken(Certain(), "No call: {}")[:2] == ("No call: {}", [])
