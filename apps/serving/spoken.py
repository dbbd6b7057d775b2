"""What an answer's text says: content, or calls of tools; token by token, the same whole and streamed."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Sequence

from apps.serving import responses as out
from apps.serving.request_parts import CalledFunction, ToolCall
from apps.serving.requests import ChatRequest
from apps.serving.tool_calls import calls_in, may_become_calls

News = tuple[str, Sequence[out.ToolCallDelta]]


class Spoken:
    """One answer as far as it has come: all of it is content.

    Attributes:
        content: what it says. calls: what it calls.
    """

    def __init__(self) -> None:
        self.content = ""
        self.calls: list[ToolCall] = []

    def push(self, text: str, border: bool) -> News:
        """Take what a token adds; gives what is new for the client: content, and calls or more of them.

        Args:
            text: of the token, without control tokens.
            border: it is one of the tokens around Llama 4's calls, or the answer's last.
        """
        return self._told(text)

    def _told(self, content: str = "", calls: Sequence[out.ToolCallDelta] = ()) -> News:
        self.content += content
        return content, calls

    def _begin(self, name: str, arguments: str) -> out.ToolCallDelta:
        function = CalledFunction(name=name, arguments=arguments)
        self.calls.append(ToolCall(id=f"call_{uuid.uuid4().hex[:24]}", function=function))
        return out.ToolCallDelta(
            index=len(self.calls) - 1, id=self.calls[-1].id, type="function",
            function=out.FunctionDelta(name=name, arguments=arguments),
        )  # fmt: skip


class Undecided(Spoken):
    """May say calls, in either format: what could still become some is held back until that is known.

    An answer is cut at Llama 4's tokens around calls; each part is nothing but calls, or it is content.

    Args:
        names: of the functions that were offered.
    """

    def __init__(self, names: Collection[str]) -> None:
        super().__init__()
        self._names = names
        self._held: str | None = ""  # None: the part is content

    def push(self, text: str, border: bool) -> News:
        """As above."""
        if self._held is None:
            self._held = "" if border else None
            return self._told(text)
        held = self._held + text
        if border:
            self._held = ""
            found = calls_in(held, self._names)
            return self._told("" if found else held, [self._begin(one.name, one.arguments) for one in found])
        if may_become_calls(held, self._names):
            self._held = held
            return self._told()
        self._held = None
        return self._told(held)


class Certain(Spoken):
    """Was held to a grammar: calls in JSON as `grammars.calls` spells them, told as they come, or content."""

    _HEAD = re.compile(r'\}?\{"name": "([^"]+)", "parameters": (?=\{)')

    def __init__(self) -> None:
        super().__init__()
        self._rest = ""
        self._plain = False
        self._depth = 0  # of braces, inside a call's arguments
        self._quoted = self._escaped = False

    def push(self, text: str, border: bool) -> News:
        """As above."""
        self._rest += text
        self._plain = self._plain or bool(self._rest and not self.calls and not self._rest.startswith("{"))
        if self._plain:
            text, self._rest = self._rest, ""
            return self._told(text)
        told: list[out.ToolCallDelta] = []
        while self._depth or (head := self._HEAD.match(self._rest)):
            if not self._depth:
                told.append(self._begin(head[1], ""))
                self._rest = self._rest[head.end() :]
            if more := self._arguments():
                self.calls[-1].function.arguments += more
                told.append(
                    out.ToolCallDelta(index=len(self.calls) - 1, function=out.FunctionDelta(arguments=more))
                )
            if self._depth:
                break  # the rest of the arguments has not been said yet
        return self._told(calls=told)

    def _arguments(self) -> str:
        """As much of the arguments as has been said."""
        said = 0
        while said < len(self._rest):
            letter = self._rest[said]
            said += 1
            if self._quoted:
                self._quoted = self._escaped or letter != '"'
                self._escaped = letter == "\\" and not self._escaped
                continue
            self._quoted = letter == '"'
            self._depth += (letter == "{") - (letter == "}")
            if not self._depth:
                break
        text, self._rest = self._rest[:said], self._rest[said:]
        return text


def speaker(request: ChatRequest) -> Spoken:
    """Who reads an answer to that request."""
    if not request.offered:
        return Spoken()
    # where JSON of another kind is wanted, too, only the whole answer tells which it is
    if request.forced or (request.strict_calls and request.answer_schema is None):
        return Certain()
    return Undecided([tool.function.name for tool in request.offered])
