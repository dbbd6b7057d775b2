"""Calls in what a model said, in both of Llama 4's formats.

Pythonic, `[get_weather(city="Paris"), ...]`, or JSON, `{"name": "get_weather", "parameters": {...}}`, one
after another or as a list. Nothing is run: Python's own parser reads a call, its values are literals, its
function one that was offered. What does not fit entirely is text that only looks like a call.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NoReturn

LONGEST = 200_000  # characters that are looked at: more is no call, but work for the parser

_BETWEEN = re.compile(r"[\s;,]*")


@dataclass(frozen=True)
class Call:
    """A function and its arguments as JSON."""

    name: str
    arguments: str


def calls_in(text: str, names: Collection[str]) -> list[Call]:
    """The calls that a text consists of; none if it is anything else, too.

    Args:
        text: what was said, without control tokens. names: of the functions that were offered.
    """
    text = text.strip()
    if len(text) > LONGEST or not text.startswith(("[", "{")):
        return []
    for read in (_json, _pythonic):
        try:
            found = [Call(name, _written(given)) for name, given in read(text)]
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue  # not of this format
        if found and all(call.name in names for call in found):
            return found
    return []


def may_become_calls(text: str, names: Collection[str]) -> bool:
    """Whether a text that goes on could turn out to be calls, by its beginning."""
    begun = re.sub(r"\s", "", text[:200])
    openings = [
        '{"type":"function"',
        '{"parameters":{',
        '{"arguments":{',
        *(f'{{"name":"{name}"' for name in names),
    ]
    openings += [f"[{opening}" for opening in openings] + [f"[{name}(" for name in names]
    return any(begun.startswith(opening) or opening.startswith(begun) for opening in openings)


def _json(text: str) -> list[tuple[str, dict]]:
    decoder, found, end = json.JSONDecoder(parse_constant=_no_number), [], 0
    while end < len(text):
        value, end = decoder.raw_decode(text, end)
        found += value if isinstance(value, list) else [value]
        end = _BETWEEN.match(text, end).end()
    return [_json_call(value) for value in found]


def _json_call(value: Any) -> tuple[str, dict]:
    if not isinstance(value, dict) or not value.keys() <= {"type", "name", "parameters", "arguments"}:
        raise ValueError("not a call")
    given = value.get("parameters", value.get("arguments", {}))
    if not isinstance(value.get("name"), str) or not isinstance(given, dict):
        raise ValueError("not a call")
    return value["name"], given


def _written(given: dict) -> str:
    text = json.dumps(given, ensure_ascii=False, allow_nan=False)
    text.encode()  # half of a surrogate pair is a ValueError here
    return text


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _pythonic(text: str) -> list[tuple[str, dict]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\d" in a text that somebody else wrote is not our mistake
        tree = ast.parse(text, mode="eval").body
    if not isinstance(tree, ast.List):
        raise ValueError("not a list of calls")
    return [_python_call(element) for element in tree.elts]


def _python_call(node: ast.expr) -> tuple[str, dict]:
    prefix = ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):  # get-weather(...): a name with dashes
        prefix = ast.unparse(node.left).replace(" - ", "-") + "-"
        node = node.right
    if not isinstance(node, ast.Call) or node.args:
        raise ValueError("not a call with named arguments")
    given = {keyword.arg: ast.literal_eval(_Spelt().visit(keyword.value)) for keyword in node.keywords}
    if None in given or len(given) < len(node.keywords):
        raise ValueError("**, or an argument twice")
    return prefix + ast.unparse(node.func), given


class _Spelt(ast.NodeTransformer):
    """Reads `true`, `false` and `null`, too: models write JSON's words in pythonic calls."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        words = {"true": True, "false": False, "null": None}
        return ast.Constant(words[node.id]) if node.id in words else node
