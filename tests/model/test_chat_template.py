"""The oracle is the template text in transformers' Llama 4 processor, rendered by transformers."""

import pytest
from transformers.models.llama4.processing_llama4 import chat_template as published_template
from transformers.utils.chat_template_utils import render_jinja_template

from model.chat_template import ChatError, as_text, chat_template, render

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": 'Gets <b>"weather"</b> & wind in Zürich',
            "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
        },
    },
    {"name": "clock"},
]
SYSTEM = {"role": "system", "content": "  Be brief. \n"}
USER = {"role": "user", "content": " Hi\n there \n"}
ANSWER = {"role": "assistant", "content": "\nHello. "}
PICTURES = {
    "role": "user",
    "content": [
        {"type": "image", "image": "a.png"},
        {"type": "text", "text": "left"},
        {"type": "image", "url": "b.png"},
        {"type": "image", "path": "c.png"},
        {"type": "text", "text": " right "},
        {"type": "text", "text": "end"},
    ],
}
CALL = {
    "role": "assistant",
    "content": "Let me look.",
    "tool_calls": [
        {
            "type": "function",
            "function": {"name": "weather", "arguments": {"place": "Zürich", "n": [1, 2.5, None]}},
        },
        {"type": "function", "function": {"name": "clock", "arguments": {}}},
    ],
}
CONVERSATIONS = {
    "plain": [USER],
    "system": [SYSTEM, USER],
    "multi-turn": [SYSTEM, USER, ANSWER, USER],
    "ends with an answer": [USER, ANSWER],
    "late system": [USER, ANSWER, SYSTEM, USER],
    "system alone": [SYSTEM],
    "empty text": [{"role": "user", "content": ""}],
    "one text item": [SYSTEM, {"role": "user", "content": [{"type": "text", "text": " a "}]}],
    "system as a list": [{"role": "system", "content": [{"type": "text", "text": " S "}]}, USER],
    "pictures": [PICTURES],
    "pictures in two turns": [SYSTEM, PICTURES, ANSWER, PICTURES],
    "a tool called": [SYSTEM, USER, CALL, {"role": "tool", "content": "22C"}, ANSWER],
    "a call without content": [USER, {key: CALL[key] for key in ("role", "tool_calls")}],
    "a call with a text item": [USER, {**CALL, "content": [{"type": "text", "text": "so"}]}],
    "ipython": [USER, CALL, {"role": "ipython", "content": {"temperature": [22, "°C"]}}],
    "a list as result": [USER, CALL, {"role": "tool", "content": [{"type": "text", "text": "22C"}]}],
    "a number as result": [USER, CALL, {"role": "tool", "content": 22.5}],
    "a truth as result": [USER, CALL, {"role": "tool", "content": True}],
}


def rendered(template, messages, tools=None, add_generation_prompt=True, tools_in_user_message=True):
    """What transformers makes of a template; the placement is left to its default where it is the default."""
    placement = {} if tools_in_user_message else {"tools_in_user_message": False}
    texts, _ = render_jinja_template(
        [messages],
        tools=tools,
        chat_template=template,
        add_generation_prompt=add_generation_prompt,
        bos_token="<|begin_of_text|>",
        **placement,
    )
    return texts[0]


def is_a_listed_trap(messages, tools, tools_in_user_message):
    first = next((message for message in messages if message is not SYSTEM), None)
    pictures_lost = tools_in_user_message and first is not None and isinstance(first["content"], list)
    tools_dropped = not tools_in_user_message and messages[0]["role"] != "system"
    return bool(tools) and (pictures_lost or tools_dropped)


@pytest.mark.parametrize("add_generation_prompt", [True, False], ids=["prompted", "closed"])
@pytest.mark.parametrize("tools_in_user_message", [True, False], ids=["in user", "in system"])
@pytest.mark.parametrize("tools", [None, TOOLS], ids=["no tools", "tools"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_prompt_is_the_published_templates(name, tools, tools_in_user_message, add_generation_prompt):
    messages = CONVERSATIONS[name]
    arguments = (messages, tools, add_generation_prompt, tools_in_user_message)
    begins_with_user = any(message["role"] == "user" for message in messages[:2])
    if tools and tools_in_user_message and not begins_with_user:
        with pytest.raises(ChatError, match="first user message"):
            render(*arguments)
        return
    ours = as_text(render(*arguments))
    assert ours == rendered(chat_template(), *arguments)
    if not is_a_listed_trap(messages, tools, tools_in_user_message):
        assert ours == rendered(published_template, *arguments)


def test_pictures_beside_tools_are_kept():
    pieces = render([SYSTEM, PICTURES], TOOLS)
    assert [piece.image for piece in pieces if piece.kind == "image"] == ["a.png", "b.png", "c.png"]
    assert as_text(pieces).endswith(
        "<|image|>left<|image|><|image|> right end<|eot|><|header_start|>assistant<|header_end|>\n\n"
    )
    # the published one prints the list itself
    assert "<|image|>" not in rendered(published_template, [SYSTEM, PICTURES], TOOLS)


def test_white_space_around_pictures_beside_tools_is_trimmed_at_both_ends():
    texts = [{"type": "text", "text": text} for text in (" ", "\n a", "b ", " ")]
    message = {"role": "user", "content": [*texts[:2], {"type": "image", "image": "a.png"}, *texts[2:]]}
    ours = as_text(render([message], TOOLS, add_generation_prompt=False))
    assert ours.endswith("\n\na<|image|>b<|eot|>")
    assert ours == rendered(chat_template(), [message], TOOLS, add_generation_prompt=False)


@pytest.mark.parametrize("nothing", [[], None], ids=["empty", "null"])
def test_an_assistant_message_with_no_calls_in_tool_calls_is_kept(nothing):
    messages = [USER, {**ANSWER, "tool_calls": nothing}, USER]
    assert as_text(render(messages)) == as_text(render([USER, ANSWER, USER]))
    assert rendered(chat_template(), messages) == as_text(render(messages))


def test_tools_without_a_system_message_are_not_dropped():
    ours = as_text(render([USER], TOOLS, tools_in_user_message=False))
    assert ours.startswith(
        "<|begin_of_text|><|header_start|>system<|header_end|>\n\nEnvironment: ipython\nYou have"
    )
    assert '"name": "weather"' in ours
    # as if there were a system message with nothing in it
    empty = {"role": "system", "content": ""}
    assert ours == as_text(render([empty, USER], TOOLS, tools_in_user_message=False))
    assert "weather" not in rendered(published_template, [USER], TOOLS, tools_in_user_message=False)


def test_every_text_of_a_system_list_is_used():
    texts = [{"type": "text", "text": text} for text in (" one", " two ")]
    messages = [{"role": "system", "content": texts}, USER]
    assert as_text(render(messages)) == as_text(render([{"role": "system", "content": "one two"}, USER]))
    assert rendered(chat_template(), messages) == as_text(render(messages))


def test_an_empty_list_of_tools_is_no_tools():
    assert render([SYSTEM, USER], []) == render([SYSTEM, USER])
    assert rendered(chat_template(), [SYSTEM, USER], []) == as_text(render([SYSTEM, USER]))


def test_arguments_that_are_json_already_are_not_quoted_again():
    call = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": '{"a": 1}'}}]}
    as_dict = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}
    assert as_text(render([USER, call])) == as_text(render([USER, as_dict]))
    assert rendered(chat_template(), [USER, call]) == as_text(render([USER, call]))


def test_openai_pictures_are_pictures():
    item = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}
    bare = {"type": "image_url", "image_url": "a.png"}
    pieces = render([{"role": "user", "content": [item, bare]}])
    assert [piece.image for piece in pieces if piece.kind == "image"] == ["data:image/png;base64,", "a.png"]


def test_a_piece_knows_whether_the_user_wrote_it():
    pieces = render([{"role": "user", "content": "<|eot|>"}])
    assert [piece.kind for piece in pieces if piece.text == "<|eot|>"] == ["text", "control"]


def test_turns_are_counted_and_named():
    pieces = render([SYSTEM, USER, CALL, {"role": "ipython", "content": "22C"}])
    headers = [(piece.turn, piece.role) for piece in pieces if piece.text == "<|header_start|>"]
    assert headers == [(0, "system"), (1, "user"), (2, "assistant"), (3, "tool"), (4, "assistant")]
    assert (pieces[0].turn, pieces[0].role) == (-1, "")


def call(**function):
    return {"role": "assistant", "tool_calls": [{"function": function}]}


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([], "at least one message"),
        ("Hi", "a list of messages, got str"),
        (["Hi"], "message 0 is a str"),
        ([{"content": "Hi"}], "role None; expected one of system, user, assistant, tool, ipython"),
        ([USER, {"role": "robot", "content": "Hi"}], "message 1 has the role 'robot'"),
        ([{"role": "user"}], r"message 0 \(user\) has no content"),
        ([{"role": "user", "content": None}], "no content"),
        ([{"role": "assistant", "content": None, "tool_calls": []}], "no content"),
        ([{"role": "user", "content": 5}], "content of type int; expected a string or a list"),
        ([{"role": "user", "content": ["Hi"]}], "has the item 'Hi'; expected a dict of type"),
        ([{"role": "user", "content": [{"type": "audio"}]}], "'audio'"),
        ([{"role": "user", "content": [{"type": "text"}]}], "expected a dict of type"),
        ([{"role": "user", "content": [{"type": "image"}]}], "a picture without a value"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "without a value"),
        ([{**PICTURES, "role": "system"}], "a system message is text only"),
        ([USER, {**PICTURES, "role": "tool"}], "a tool's result is text or JSON only"),
        ([{**CALL, "role": "user"}], "only assistants call"),
        ([USER, call(arguments={})], "expected {'function'"),
        ([USER, {"role": "assistant", "tool_calls": ["f"]}], "calls 'f'"),
        ([USER, call(name="f", arguments="{")], "arguments that are not JSON"),
        ([USER, call(name="f", arguments={"a": {1}})], "cannot be written as JSON"),
    ],
)  # fmt: skip
def test_a_message_that_is_not_one_is_refused_by_number(messages, complaint):
    with pytest.raises(ChatError, match=complaint):
        render(messages)


def test_tools_that_are_not_schemas_are_refused():
    with pytest.raises(ChatError, match="JSON schema of a function as a dict, got 'weather'"):
        render([USER], ["weather"])
    with pytest.raises(ChatError, match="a tool cannot be written as JSON"):
        render([USER], [{"name": object}])
