"""A conversation as Llama 4 reads it: control tokens, texts and pictures, in order.

The published template makes one string, in which a user's `<|eot|>` is the same as the template's own; here
every piece says which it is. As strings the two are equal, except where the published one loses something and
this one keeps it: pictures beside tools, tools without a system message, an assistant message whose
`tool_calls` are empty, every text of a system list; and arguments that are JSON already are not quoted again.
`chat_template.jinja` is the same template for other programs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from model.vocabulary import BOS, EOT

HEADER_START, HEADER_END = "<|header_start|>", "<|header_end|>"
PYTHON_START, PYTHON_END = "<|python_start|>", "<|python_end|>"
IMAGE = "<|image|>"

ROLES = ("system", "user", "assistant", "tool")
"""Who speaks; in the prompt the role `tool` is written `ipython`, and messages may say either."""

_TOOL_FORMAT = (
    'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.'
    "Do not use variables.\n\n"
)
_TOOLS_FOR_SYSTEM = (
    "You have access to the following functions. "
    "To call a function, please respond with JSON for a function call." + _TOOL_FORMAT
)
_TOOLS_FOR_USER = (
    "Given the following functions, please respond with a JSON for a function call "
    "with its proper arguments that best answers the given prompt.\n\n" + _TOOL_FORMAT
)


class ChatError(ValueError):
    """A conversation that cannot be put before the model."""


@dataclass(frozen=True)
class Piece:
    """A stretch of the prompt: a control token, ordinary text, or the place of a picture."""

    kind: Literal["control", "text", "image"]
    text: str
    turn: int = -1  # which turn of the prompt, from 0; -1 before the first
    role: str = ""  # one of ROLES; empty before the first turn
    image: Any = None  # whatever the message gave: a PIL image, a path, a URL


def render(
    messages: Sequence[dict],
    tools: Sequence[dict] | None = None,
    add_generation_prompt: bool = True,
    tools_in_user_message: bool = True,
) -> list[Piece]:
    """Lay out a conversation (spec section 5).

    Args:
        messages: dicts with `role` and `content`; content is a string or a list of texts,
            `{"type": "text", "text": ...}`, and pictures, `{"type": "image", "image" | "url" | "path": ...}`
            or OpenAI's `image_url`.
        tools: JSON schemas of functions that the model may call.
        add_generation_prompt: end with the header of an answer; it is a turn of its own.
        tools_in_user_message: list the tools in the first user message, else in the system message.

    Raises:
        ChatError: a message is not as above; the sentence names it and what was expected.
    """
    rest = _checked(messages)
    listing = "".join(_json(tool, "a tool", indent=4) + "\n\n" for tool in _checked_tools(tools))
    turns: list[tuple[str, list[Piece]]] = []
    if rest[0][1]["role"] == "system" or (listing and not tools_in_user_message):
        words = "Environment: ipython\n" if listing else ""
        if listing and not tools_in_user_message:
            words += _TOOLS_FOR_SYSTEM + listing
        system = _trimmed(_content(*rest.pop(0))) if rest[0][1]["role"] == "system" else []
        turns.append(("system", [Piece("text", words), *system]))
    if listing and tools_in_user_message:
        if not rest or rest[0][1]["role"] != "user":
            found = f"is from {rest[0][1]['role']!r}" if rest else "is missing"
            raise ChatError(f"tools are listed in the first user message, but the first message {found}")
        turns.append(("user", [Piece("text", _TOOLS_FOR_USER + listing), *_trimmed(_content(*rest.pop(0)))]))
    turns += [(_role(message), _content(number, message)) for number, message in rest]

    pieces = [Piece("control", BOS)]
    for turn, (role, content) in enumerate(turns):
        pieces += [
            replace(piece, turn=turn, role=role)
            for piece in [*_header(role), *content, Piece("control", EOT)]
        ]
    if add_generation_prompt:
        pieces += [replace(piece, turn=len(turns), role="assistant") for piece in _header("assistant")]
    return [piece for piece in pieces if piece.text]


def as_text(pieces: Iterable[Piece]) -> str:
    """The prompt as one string, as the published template writes it; the model gets the pieces."""
    return "".join(piece.text for piece in pieces)


def chat_template() -> str:
    """The same template for transformers, to be saved beside a checkpoint."""
    return Path(__file__).with_name("chat_template.jinja").read_text(encoding="utf-8")


def _checked(messages: Sequence[dict]) -> list[tuple[int, dict]]:
    if not isinstance(messages, list | tuple):
        raise ChatError(f"expected a list of messages, got {type(messages).__name__}")
    if not messages:
        raise ChatError("expected at least one message, got an empty list")
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            raise ChatError(
                f"message {number} is a {type(message).__name__}; expected a dict with role and content"
            )
        known = (*ROLES, "ipython")
        if message.get("role") not in known:
            raise ChatError(
                f"message {number} has the role {message.get('role')!r}; expected one of {', '.join(known)}"
            )
        calls = message.get("tool_calls")
        if calls and message["role"] != "assistant":
            raise ChatError(
                f"message {number} has tool_calls and is from {message['role']!r}; only assistants call"
            )
        if message.get("content") is None and not calls:
            raise ChatError(
                f"message {number} ({message['role']}) has no content; expected a string or a list"
            )
    return list(enumerate(messages))


def _checked_tools(tools: Sequence[dict] | None) -> Sequence[dict]:
    wrong = next((tool for tool in tools or [] if not isinstance(tool, dict)), None)
    if wrong is not None:
        raise ChatError(f"a tool is the JSON schema of a function as a dict, got {wrong!r}")
    return tools or []


def _role(message: dict) -> str:
    return "tool" if message["role"] == "ipython" else message["role"]


def _header(role: str) -> list[Piece]:
    written = "ipython" if role == "tool" else role
    return [
        Piece("control", HEADER_START),
        Piece("text", written),
        Piece("control", HEADER_END),
        Piece("text", "\n\n"),
    ]


def _content(number: int, message: dict) -> list[Piece]:
    where = f"message {number} ({message['role']})"
    if _role(message) == "tool":
        return [Piece("text", _tool_result(message["content"], where))]
    content = message.get("content")
    items = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    if not isinstance(items, list | tuple):
        raise ChatError(f"{where} has content of type {type(content).__name__}; expected a string or a list")
    pieces = [_item(item, where) for item in items]
    if message["role"] == "system" and any(piece.kind == "image" for piece in pieces):
        raise ChatError(f"{where} has a picture; a system message is text only")
    calls = message.get("tool_calls")
    if not calls:
        return pieces
    written = Piece("text", "".join(_call(call, where) for call in calls))
    return [Piece("control", PYTHON_START), *pieces, Piece("control", PYTHON_END), written]


def _item(item: Any, where: str) -> Piece:
    kind = item.get("type") if isinstance(item, dict) else None
    if kind == "text" and isinstance(item.get("text"), str):
        return Piece("text", item["text"])
    if kind == "image_url":
        value = item.get("image_url")
        value = value.get("url") if isinstance(value, dict) else value
    elif kind == "image":
        value = next((item[key] for key in ("image", "url", "path") if item.get(key) is not None), None)
    else:
        shown = repr(item)[:80]
        raise ChatError(
            f"{where} has the item {shown}; expected a dict of type 'text', 'image' or 'image_url'"
        )
    if value is None:
        raise ChatError(f"{where} has a picture without a value; give it as 'image', 'url' or 'path'")
    return Piece("image", IMAGE, image=value)


def _tool_result(content: Any, where: str) -> str:
    if isinstance(content, list | tuple) and any(_is_picture(item) for item in content):
        raise ChatError(f"{where} has a picture; a tool's result is text or JSON only")
    # the model was trained with quotes around a string result
    return _json(content, where) if isinstance(content, str | dict | list | tuple) else str(content)


def _is_picture(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") in ("image", "image_url")


def _call(call: Any, where: str) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ChatError(f"{where} calls {call!r}; expected {{'function': {{'name': ..., 'arguments': ...}}}}")
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        # OpenAI's way: JSON already
        try:
            json.loads(arguments)
        # ValueError: a number of thousands of digits, too
        except (ValueError, RecursionError) as error:
            raise ChatError(
                f"{where} calls {function['name']!r} with arguments that are not JSON: {error}"
            ) from None
    else:
        arguments = _json(arguments, where)
    return f'{{"name": "{function["name"]}", "parameters": {arguments}}}'


def _json(value: Any, where: str, indent: int | None = None) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent)
    except TypeError as error:
        raise ChatError(f"{where} cannot be written as JSON: {error}") from None


def _trimmed(pieces: list[Piece]) -> list[Piece]:
    """Without the white space before the first and after the last character or picture."""
    pieces = list(pieces)
    for end, strip in ((0, str.lstrip), (-1, str.rstrip)):
        while pieces and pieces[end].kind == "text":
            text = strip(pieces[end].text)
            if text:
                pieces[end] = replace(pieces[end], text=text)
                break
            del pieces[end]
    return pieces
