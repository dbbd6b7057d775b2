"""What an engine has told of one answer so far, whether it comes whole or as a stream."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from model import Step
from workbench.engines.wire import EngineError

ENDINGS = {"abort": "cancelled"}  # SGLang's word
MOST_TOKENS = 2**24  # of a conversation: more than any context, and lists of so many can still be made
_AS_ID = re.compile(r"token_id:(\d{1,9})")  # vLLM's, with return_tokens_as_token_ids; nine digits: int32


@dataclass
class Answer:
    """One choice, read by what is seen.

    Attributes:
        where: the URL that was asked.
        parts: what arrived together: a token, several, or the whole answer; as the last of its tokens.
        logprobs: OpenAI's objects, one a token. token_ids: of the answer. prompt_ids: of the prompt.
        experts, prompt_experts: routed experts as they were sent.
        usage: counts of tokens. finish_reason: once it has ended. trace_id: of our own server.
        fingerprint: what the engine says of itself.
    """

    where: str
    parts: list[Step] = field(default_factory=list)
    logprobs: list[dict] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    prompt_ids: list[int] | None = None
    experts: object = None
    prompt_experts: object = None
    usage: dict = field(default_factory=dict)
    finish_reason: str | None = None
    trace_id: str | None = None
    fingerprint: str | None = None
    _marks: list[tuple[int, int]] = field(default_factory=list)  # ids and logprobs after each part

    @property
    def text(self) -> str:
        """The visible answer so far."""
        return "".join(part.text for part in self.parts)

    @property
    def new(self) -> int:
        """How many tokens were generated, as far as that was told."""
        told = self.usage.get("completion_tokens")
        return len(self.token_ids) or (len(self.logprobs) if told is None else told)

    def until(self, parts: int) -> Answer:
        """The answer as it was after so many parts."""
        ids, logprobs = self._marks[parts - 1] if parts else (0, 0)
        usage = {"prompt_tokens": self.usage.get("prompt_tokens")}
        kept = self.parts[:parts], self.logprobs[:logprobs], self.token_ids[:ids], self.prompt_ids
        return Answer(self.where, *kept, usage=usage)

    def take(self, body: dict) -> Step | None:
        """Read an answer, or an event of one; gives what it adds, if it adds anything.

        Raises:
            EngineError: it has another form than OpenAI's.
        """
        try:
            return self._take(body)
        except (TypeError, AttributeError, KeyError, ValueError, IndexError, OverflowError) as error:
            said = f"{self.where} answers in another form than OpenAI's ({error}): {str(body)[:200]}"
            raise EngineError(said) from None

    def _take(self, body: dict) -> Step | None:
        choice = next(iter(body["choices"]), {})
        beside = {}
        for one in (body, choice):
            beside |= one.get("sglext") or one.get("sgl_ext") or {}
        self.fingerprint = body.get("system_fingerprint") or self.fingerprint
        self.usage = self.usage | _counts(body.get("usage") or {})
        prompt = body.get("prompt_token_ids") or choice.get("prompt_token_ids")
        self.prompt_ids = _ids(prompt) if prompt else self.prompt_ids
        self.prompt_experts = body.get("prompt_routed_experts") or self.prompt_experts
        self.experts = choice.get("routed_experts") or beside.get("routed_experts") or self.experts
        self.trace_id = _word(choice, "trace_id") or self.trace_id
        reason = _word(choice, "finish_reason")
        self.finish_reason = ENDINGS.get(reason, reason) or self.finish_reason
        said = choice.get("message") or choice.get("delta") or {}
        text, logprobs = _word(said, "content") or "", (choice.get("logprobs") or {}).get("content") or []
        for one in logprobs:
            _check_likely(one)
        ids = _ids(choice.get("token_ids") or [i for i in map(token_id, logprobs) if i is not None])
        if not (text or logprobs or ids):
            return None
        logprob = float(logprobs[-1]["logprob"]) if logprobs else float("nan")
        self.logprobs += logprobs
        self.token_ids += ids
        self.parts.append(Step(ids[-1] if ids else -1, text, logprob, (), (), reason))
        self._marks.append((len(self.token_ids), len(self.logprobs)))
        return self.parts[-1]


def token_id(told: dict) -> int | None:
    """The id of a token in OpenAI's log-probabilities, where it stands in place of its text."""
    found = _AS_ID.fullmatch(str(told.get("token")))
    return int(found[1]) if found else None


def _whole(value: object, below: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < below


def _ids(told: object) -> list[int]:
    if not isinstance(told, list) or not all(_whole(one, 2**31) for one in told):
        raise ValueError("token ids are no list of whole numbers of 31 bits")
    return told


def _counts(usage: dict) -> dict[str, int]:
    """How many tokens were counted, where that was told."""
    counts = {name: usage.get(name) for name in ("prompt_tokens", "completion_tokens")}
    counts = {name: count for name, count in counts.items() if count is not None}
    for name, count in counts.items():
        if not _whole(count, MOST_TOKENS):
            raise ValueError(f"{name} is no number of tokens below {MOST_TOKENS}")
    return counts


def _word(owner: dict, name: str) -> str | None:
    word = owner.get(name)
    if word is not None and not isinstance(word, str):
        raise ValueError(f"{name} is no text")
    return word


def _check_likely(told: dict) -> None:
    """Raise unless a token and each of its alternatives has a number."""
    for one in (told, *(told.get("top_logprobs") or ())):
        if not isinstance(one["logprob"], int | float):
            raise ValueError("a logprob is no number")
        float(one["logprob"])  # raises for a whole number that is none
