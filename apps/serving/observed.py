"""An answer that is observed while it is given: computed alone, a token at a time between the others' tokens.

The hooks stay attached while others use the model, too: what counts is what they carried last, and that is
taken right after the answer's own pass.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, replace

import torch

from apps.serving.grammars import too_complex
from apps.serving.jobs import Job, Produced
from model import generate
from model.quantize import held_as
from workbench import Session
from workbench.capture import Capture, planned
from workbench.integrity import check
from workbench.trace import Trace
from workbench.trace import replace as changed


class Observed:
    """One answer of a job, with its trace.

    Args:
        session: whose model answers. job: what is asked. index: which of the job's answers.

    Raises:
        CaptureError: what is to be observed does not fit the budget.
    """

    def __init__(self, session: Session, job: Job, index: int) -> None:
        llama, processor, params = session.llama, session.processor, job.params[index]
        if params.seed is not None:
            params = replace(params, seed=params.seed + index)  # as row `index` of a batch is drawn
        plan = planned(llama, job.inputs, job.capture, params.max_tokens, params.top_logprobs)
        meta = {"model": session.name, "weights": held_as(llama), "torch": torch.__version__}
        meta["sampling"] = asdict(params)
        self.job = job
        self.llama = llama
        self.choice = job.first + index
        self._capture = Capture(llama, processor, job.inputs, job.capture, plan, meta)
        self._cache = llama.new_cache()
        self._constraint = job.constraint() if job.constraint else None
        self._steps = generate(llama, processor, job.inputs, params, None, self._cache, self._constraint)
        self._hooks = ExitStack()

    def step(self) -> Produced:
        """The next token; the last one brings the trace."""
        if not self._capture.steps:
            self._hooks.enter_context(self._capture.watching())
        step = next(self._steps)
        self._capture.add(step)
        if self._constraint is not None and self._constraint.error:
            raise too_complex(self._constraint.error)
        if step.finish_reason is None:
            return Produced(self.choice, step)
        trace = self._trace(step.finish_reason, step.token_id)
        self.close()
        return Produced(self.choice, step, trace)

    def _trace(self, reason: str, last: int) -> Trace:
        if self._capture.routing.layers:
            # the last token predicted nothing, so no pass has routed it yet
            with torch.no_grad():
                self.llama.hidden(torch.tensor([[last]], device=self.llama.device), cache=self._cache)
            self._capture.add_last_routing()
        text = "".join(step.text for step in self._capture.steps)
        trace = self._capture.trace(text=text, finish_reason=reason)
        return changed(trace, meta=trace.meta | {"integrity": check(trace).to_json()})

    def close(self) -> None:
        """Take the hooks away."""
        self._hooks.close()
