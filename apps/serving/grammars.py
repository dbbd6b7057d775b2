"""Answers held to a form: before every token a grammar says which tokens may come next.

JSON of a schema, any JSON object, or calls of tools; llguidance does the work. White space between the parts
of JSON is free but bounded: without a bound an answer could consist of nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from torch import Tensor

from apps.serving.errors import APIError
from apps.serving.request_parts import Tool
from apps.serving.requests import ChatRequest
from model.tokenizer import Tokenizer
from workbench import Session

MOST_CALLS = 16  # of one answer that is held to calls
BETWEEN = {"whitespace_pattern": r" ?|\n {0,40}"}
# what an answer may be that could also have been calls: nothing that begins as they do
OTHER_TEXT = r"/([^\[{ \n\r\t](.|\n)*)?/"


class Held:
    """One answer's place in its grammar; a `model.Constraint`.

    Args:
        matcher: of llguidance, at the beginning. vocabulary: the width of the logits.
    """

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    @property
    def error(self) -> str:
        """Why the grammar could not be followed any further; empty if it could."""
        return self._matcher.get_error() if self._matcher.is_error() else ""

    def allowed(self) -> Tensor:
        """The tokens that may come next, bool [vocabulary]; after an error only those that end the answer."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        return torch.from_numpy(np.unpackbits(bits, count=self._vocabulary, bitorder="little").view(bool))

    def take(self, token: int) -> None:
        """Go on with a token."""
        self._matcher.consume_token(token)


def too_complex(error: str) -> APIError:
    """What a client is told whose answer's grammar could not be followed to its end."""
    return APIError(
        400, f"the schema became too complex on the way: {error[:200]}", code="unsupported_schema"
    )


class Grammars:
    """Makes grammars over one model's vocabulary.

    Args:
        session: whose model it is.
    """

    def __init__(self, session: Session) -> None:
        self._tokenizer = session.processor.tokenizer
        self._vocabulary = session.llama.config.text.vocab_size

    def of(self, request: ChatRequest) -> Callable[[], Held] | None:
        """What holds each answer to a request in form; None if any text will do.

        Raises:
            APIError: a schema that cannot be kept; says which keyword.
        """
        schema = None if request.forced else request.answer_schema
        called = request.offered if request.strict_calls or schema is not None else []
        rules, ways = self._calls(request, called), ["calls"] if called else []
        if schema is not None:
            rules.append(f"json: {self._json(schema, 'response_format.json_schema.schema')}")
            ways.append("json")
        elif called and not request.forced:
            rules.append(f"TEXT: {OTHER_TEXT}")
            ways.append("TEXT")
        if not ways:
            return None
        lark = "\n".join([f"start: {' | '.join(ways)}", *rules])
        grammar, limits = LLMatcher.grammar_from_lark(lark), LLParserLimits(verbose_errors=False)
        matcher = LLMatcher(self._vocabulary_tree, grammar, log_level=0, limits=limits)
        if matcher.is_error():
            said = f"the schemas cannot be kept together: {matcher.get_error()[:500]}"
            raise APIError(400, said, code="unsupported_schema")
        return lambda: Held(matcher.deep_copy(), self._vocabulary)

    def _calls(self, request: ChatRequest, tools: Sequence[Tool]) -> list[str]:
        """Rules of calls one after another, written as the prompt asks for them (see `spoken.Certain`)."""
        if not tools:
            return []
        rules, ways = [], []
        for i, tool in enumerate(request.tools or []):
            if tool in tools:
                # as OpenAI has it, no `parameters` are an empty list of them
                given = tool.function.parameters
                if given is None:
                    given = {"properties": {}, "additionalProperties": False}
                given = {"type": "object"} | given
                if given["type"] != "object":
                    said = f"the arguments of {tool.function.name} are an object, not {given['type']!r}"
                    raise APIError(400, said, f"tools.{i}.function.parameters", "unsupported_schema")
                rules.append(f"arguments{i}: {self._json(given, f'tools.{i}.function.parameters')}")
                head = json.dumps(f'{{"name": "{tool.function.name}", "parameters": ')
                ways.append(f'{head} arguments{i} "}}"')
        most = 1 if request.parallel_tool_calls is False or request.named else MOST_CALLS
        return [f"calls: call{{1,{most}}}", f"call: {' | '.join(ways)}", *rules]

    def _json(self, schema: dict, param: str) -> str:
        """A schema inside a grammar, if it can be kept."""
        schema = schema | {"x-guidance": BETWEEN}
        try:
            found = LLMatcher.validate_grammar(
                LLMatcher.grammar_from_json_schema(schema), self._vocabulary_tree
            )
        except ValueError as error:  # half a character, or a number of hundreds of digits
            found = str(error)
        if found:
            said = f"this schema cannot be kept: {found.strip()[:500]}"
            raise APIError(400, said, param, "unsupported_schema")
        return f"%json {json.dumps(schema)}"

    @cached_property
    def _vocabulary_tree(self) -> LLTokenizer:
        # with Llama 4's 202,048 tokens this takes a second, so not before somebody needs it
        told = TokenizerWrapper(_Vocabulary(self._tokenizer))
        width = max(self._vocabulary, self._tokenizer.vocab_size)
        return LLTokenizer(told, width, list(self._tokenizer.stop_ids))


class _Vocabulary:
    """A tokenizer as llguidance looks at one."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        ids = range(tokenizer.vocab_size)
        self.encode = tokenizer.encode
        self.bos_token_id = tokenizer.bos_id
        self.eos_token_id = tokenizer.stop_ids[-1]
        self.tokens = [tokenizer.token_bytes(id) for id in ids]
        self.special_token_ids = [id for id in ids if tokenizer.is_special(id)]

    def __call__(self, text: str) -> list[int]:
        return self.encode(text)
