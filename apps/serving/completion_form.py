"""OpenAI's older form of an answer: a text that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from apps.serving import responses as out
from apps.serving.forms import Answer, Form
from apps.serving.jobs import Job, Produced
from apps.serving.requests import CompletionRequest


class CompletionForm(Form):
    """The plain completion's form."""

    prefix, param, whole, chunk = "cmpl", "prompt", out.CompletionAnswer, out.CompletionAnswer

    request: CompletionRequest

    def news(self, index: int, produced: Produced) -> out.CompletionChoice | str:
        """As `Form` has it."""
        text = produced.step.text
        if not (produced.step.finish_reason or self.request.alternatives is not None):
            return text
        logprobs = self._logprobs([text], [produced], self.answers[index].offset)
        return out.CompletionChoice(text=text, logprobs=logprobs, **self.common(index, produced))

    def piece(self, index: int, text: str) -> out.CompletionChoice:
        """As `Form` has it."""
        return out.CompletionChoice(index=index, finish_reason=None, text=text, logprobs=None)

    def of_answer(self, index: int, answer: Answer) -> out.CompletionChoice:
        """A choice of the whole answer."""
        found = self.common(index, answer.last)
        if self.request.return_token_ids:
            found["token_ids"] = [one.step.token_id for one in answer.steps]
        if self.request.echo:
            return self._echoed(answer, self.jobs[index // len(self.jobs[0].params)], found)
        logprobs = self._logprobs(answer.texts, answer.steps, 0)
        return out.CompletionChoice(text="".join(answer.texts), logprobs=logprobs, **found)

    def _echoed(self, answer: Answer, job: Job, found: dict[str, Any]) -> out.CompletionChoice:
        """The prompt and the answer as one text; among the tokens is also one that ended it."""
        ids = job.inputs.token_ids.tolist()
        decoder = self.tokenizer.stream_decoder(skip_special=True)
        texts = [decoder.push(id) for id in ids]
        texts[-1] += decoder.flush()
        texts += answer.texts
        logprobs = None
        if self.request.alternatives is not None:
            steps = [*(Produced(0, step) for step in answer.steps[0].prompt), *answer.steps]
            logprobs = self._logprobs(texts[1:], steps, len(texts[0]))
            # nothing predicted the first token
            logprobs.tokens.insert(0, self.tokenizer.token_text(ids[0]))
            logprobs.token_logprobs.insert(0, None)
            logprobs.top_logprobs.insert(0, None)
            logprobs.text_offset.insert(0, 0)
        return out.CompletionChoice(text="".join(texts), logprobs=logprobs, **found)

    def _logprobs(
        self, texts: Sequence[str], steps: Sequence[Produced], offset: int
    ) -> out.CompletionLogprobs | None:
        if self.request.alternatives is None:
            return None
        shown = steps if self.request.echo else self.visible(steps)
        offsets = np.cumsum([offset, *map(len, texts)])[: len(shown)]
        told = [self.token(one.step.token_id, one.step.logprob) for one in shown]
        return out.CompletionLogprobs(
            tokens=[one["token"] for one in told],
            token_logprobs=[one["logprob"] for one in told],
            top_logprobs=[{one.token: one.logprob for one in self.alternatives(step)} for step in shown],
            text_offset=offsets.tolist(),
        )
