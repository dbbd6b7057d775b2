"""From tokens to an answer in OpenAI's form, whole or as a stream: what chats and completions share."""

from __future__ import annotations

import base64
import io
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from apps.serving import responses as out
from apps.serving.jobs import Job, Produced
from apps.serving.requests import Asked
from model.tokenizer import Tokenizer
from workbench.guards import Finding
from workbench.trace import Trace

LEAST = -9999.0  # JSON has no minus infinity; OpenAI writes this
PLACE = "\0"  # where a text goes in a frame


@dataclass
class Answer:
    """One choice as far as it has come."""

    texts: list[str] = field(default_factory=list)
    steps: list[Produced] = field(default_factory=list)
    trace_id: str | None = None
    offset: int = 0  # characters so far

    @property
    def last(self) -> Produced:
        """Its newest token."""
        return self.steps[-1]


class Form:
    """An answer to one request; `ChatForm` and `CompletionForm` fill it in.

    Args:
        request: what was asked. jobs: what became of it. tokenizer: of the model. name: of the model.
        fingerprint: what computes the answers.
    """

    prefix: ClassVar[str]
    param: ClassVar[str]
    whole: ClassVar[type[out.Envelope]]
    chunk: ClassVar[type[out.Envelope]]

    def __init__(
        self, request: Asked, jobs: Sequence[Job], tokenizer: Tokenizer, name: str, fingerprint: str
    ) -> None:
        self.request = request
        self.jobs = jobs
        self.begun = time.perf_counter()
        self.tokenizer = tokenizer
        self.answers = [Answer() for job in jobs for _ in job.params]
        self._head = {
            "id": f"{self.prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": name,
            "system_fingerprint": fingerprint,
        }  # fmt: skip
        self._frames: dict[int, tuple[str, str]] = {}

    def tell(self, finding: Finding | None) -> None:
        """Say with everything what the guard found in what was asked."""
        if finding is not None:
            self._head["guard"] = out.Guarded(**finding.to_json())

    def opening(self) -> list[str]:
        """Events before the first token."""
        return []

    def add(self, produced: Produced, trace_id: str | None = None) -> out.Choice | str:
        """Take one more token; gives what is new, as `news` has it."""
        answer = self.answers[produced.choice]
        answer.steps.append(produced)
        answer.trace_id = trace_id
        news = self.news(produced.choice, produced)
        answer.texts.append(produced.step.text)
        answer.offset += len(produced.step.text)
        return news

    def events(self, some: Sequence[tuple[Produced, str | None]]) -> str:
        """Take more tokens; gives their events. Tokens of a choice that add text alone share one."""
        told: list[str] = []
        texts: dict[int, list[str]] = {}  # by choice, not told yet

        def tell(index: int) -> None:
            if text := "".join(texts.pop(index, ())):
                before, after = self._frame(index)
                # in ASCII: some clients take U+2028 in a text for the end of a line
                told.append(before + json.dumps(text) + after)

        for produced, trace_id in some:
            news = self.add(produced, trace_id)
            if isinstance(news, str):
                texts.setdefault(produced.choice, []).append(news)
            else:
                tell(produced.choice)
                extra = self._sglang(produced) if produced.choice == 0 else {}
                told.append(self._event(choices=[news], **extra))
        for index in list(texts):
            tell(index)
        return "".join(told)

    def closing(self) -> list[str]:
        """Events after the last token."""
        options = self.request.stream_options
        if not (options and options.include_usage):
            return []
        return [self._event(choices=[], usage=self.usage())]

    def complete(self) -> out.Envelope:
        """The whole answer."""
        choices = [self.of_answer(i, answer) for i, answer in enumerate(self.answers)]
        extra: dict[str, Any] = self._sglang(self.answers[0].last)
        if self.request.return_token_ids:
            extra["prompt_token_ids"] = self.jobs[0].inputs.token_ids.tolist()
        return self._made(self.whole, choices=choices, usage=self.usage(), **extra)

    def usage(self) -> out.Usage:
        """Tokens of prompts and answers."""
        prompt = sum(len(job.inputs.token_ids) for job in self.jobs)
        said = sum(len(answer.steps) for answer in self.answers)
        return out.Usage(prompt_tokens=prompt, completion_tokens=said, total_tokens=prompt + said)

    def news(self, index: int, produced: Produced) -> out.Choice | str:
        """A choice of a chunk; its text, which may be empty, if there is nothing else to tell."""
        raise NotImplementedError

    def piece(self, index: int, text: str) -> out.Choice:
        """A choice of a chunk that is nothing but text."""
        raise NotImplementedError

    def of_answer(self, index: int, answer: Answer) -> out.Choice:
        """A choice of the whole answer."""
        raise NotImplementedError

    def common(self, index: int, last: Produced) -> dict[str, Any]:
        """Fields of every choice."""
        found: dict[str, Any] = {"index": index, "finish_reason": last.step.finish_reason}
        if last.trace is not None and self.request.return_routed_experts:
            found["routed_experts"] = as_npy(last.trace)
        if trace_id := self.answers[index].trace_id:
            found["trace_id"] = trace_id
        if last.finding is not None:
            found["guard"] = out.Guarded(**last.finding.to_json())
        return found

    def visible(self, steps: Sequence[Produced]) -> list[Produced]:
        """Without the token that only ended the answer."""
        return [one for one in steps if not (one.step.finish_reason and self._is_end(one))]

    def alternatives(self, produced: Produced) -> list[out.Alternative]:
        """The likeliest tokens of a step."""
        step, most = produced.step, self.request.alternatives or 0
        pairs = zip(step.top_ids[:most], step.top_logprobs[:most], strict=True)
        return [out.Alternative(**self.token(token, logprob)) for token, logprob in pairs]

    def token(self, token: int, logprob: float) -> dict[str, Any]:
        """A token as clients see it."""
        return {
            "token": self.tokenizer.token_text(token), "logprob": max(logprob, LEAST),
            "bytes": list(self.tokenizer.token_bytes(token)),
        }  # fmt: skip

    def _is_end(self, produced: Produced) -> bool:
        ended = produced.step.finish_reason in ("stop", "content_filter")
        return ended and self.tokenizer.is_special(produced.step.token_id)

    def _sglang(self, last: Produced) -> dict[str, out.SGLang]:
        if last.trace is None or not self.request.return_routed_experts:
            return {}
        return {"sglext": out.SGLang(routed_experts=last.trace.to_sglang())}

    def _frame(self, index: int) -> tuple[str, str]:
        """What stands around a text: made once an answer, because nearly every token is nothing else."""
        if index not in self._frames:
            before, after = self._event(choices=[self.piece(index, PLACE)]).split(json.dumps(PLACE))
            self._frames[index] = before, after
        return self._frames[index]

    def _event(self, **values: Any) -> str:
        options = self.request.stream_options
        if options and options.include_usage:
            values.setdefault("usage", None)
        return event(as_json(self._made(self.chunk, **values)))

    def _made(self, kind: type[out.Envelope], **values: Any) -> out.Envelope:
        made = kind(**self._head, **values)
        made.object = made.object  # a default that must be told; all else that was not set stays out
        return made


def as_npy(trace: Trace) -> str:
    """vLLM's form of the routed experts: base64 of a .npy file, of every token but the last."""
    file = io.BytesIO()
    np.save(file, trace.to_vllm()[:-1], allow_pickle=False)
    return base64.b64encode(file.getvalue()).decode()


def as_json(made: out.Envelope) -> str:
    """What was set of it."""
    return made.model_dump_json(exclude_unset=True)


def event(data: str) -> str:
    """One server-sent event."""
    return f"data: {data}\n\n"
