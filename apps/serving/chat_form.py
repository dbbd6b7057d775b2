"""OpenAI's form of a chat's answer, whole or as a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps.serving import responses as out
from apps.serving.forms import Answer, Form
from apps.serving.jobs import Job, Produced
from apps.serving.requests import ChatRequest
from apps.serving.spoken import speaker
from model.chat_template import PYTHON_END, PYTHON_START
from model.tokenizer import Tokenizer


class ChatForm(Form):
    """The chat's form."""

    prefix, param, whole, chunk = "chatcmpl", "messages", out.ChatAnswer, out.ChatChunk
    request: ChatRequest

    def __init__(
        self, request: ChatRequest, jobs: Sequence[Job], tokenizer: Tokenizer, name: str, fingerprint: str
    ) -> None:
        super().__init__(request, jobs, tokenizer, name, fingerprint)
        self._spoken = [speaker(request) for _ in self.answers]
        around = [name for name in (PYTHON_START, PYTHON_END) if tokenizer.has_special(name)]
        self._around_calls = {tokenizer.special_id(name) for name in around}

    def opening(self) -> list[str]:
        """Who speaks, for every choice."""
        return [
            self._event(
                choices=[
                    out.ChatDelta(index=i, delta=out.Delta(role="assistant", content=""), finish_reason=None)
                ]
            )
            for i in range(len(self.answers))
        ]

    def news(self, index: int, produced: Produced) -> out.ChatDelta | str:
        """As `Form` has it."""
        step = produced.step
        border = step.finish_reason is not None or step.token_id in self._around_calls
        content, calls = self._spoken[index].push(step.text, border)
        if not (calls or step.finish_reason or self.request.alternatives is not None):
            return content
        told = ({"content": content} if content else {}) | ({"tool_calls": calls} if calls else {})
        logprobs = self._logprobs([produced])
        return out.ChatDelta(delta=out.Delta(**told), logprobs=logprobs, **self.common(index, produced))

    def piece(self, index: int, text: str) -> out.ChatDelta:
        """As `Form` has it."""
        delta = out.Delta(content=text)
        return out.ChatDelta(index=index, finish_reason=None, delta=delta, logprobs=None)

    def of_answer(self, index: int, answer: Answer) -> out.ChatChoice:
        """A choice of the whole answer."""
        found = self.common(index, answer.last)
        if self.request.return_token_ids:
            found["token_ids"] = [one.step.token_id for one in answer.steps]
        spoken = self._spoken[index]
        content = spoken.content if spoken.content.strip() or not spoken.calls else None
        calls = {"tool_calls": spoken.calls} if spoken.calls else {}
        said = out.Said(role="assistant", content=content, **calls)
        return out.ChatChoice(message=said, logprobs=self._logprobs(answer.steps), **found)

    def common(self, index: int, last: Produced) -> dict[str, Any]:
        """Fields of every choice; an answer that calls ends for that reason."""
        found = super().common(index, last)
        if found["finish_reason"] == "stop" and self._spoken[index].calls:
            found["finish_reason"] = "tool_calls"
        return found

    def _logprobs(self, steps: Sequence[Produced]) -> out.ChatLogprobs | None:
        if self.request.alternatives is None:
            return None
        content = [
            out.TokenLogprob(
                **self.token(one.step.token_id, one.step.logprob), top_logprobs=self.alternatives(one)
            )
            for one in self.visible(steps)
        ]
        return out.ChatLogprobs(content=content)
