"""How every trial looks on the page: a button to begin and one to stop, how far it is, what came of it."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from apps.conversation import Refusal
from apps.flips import Compared
from apps.lab import Tried
from apps.page import compare_view, notice
from apps.shelf import Answer
from apps.trials import Progress, Trials
from workbench.view.payload import Message
from workbench.view.payload_compare import LEFT, RIGHT

MOST_WATCHED = 48  # one being tried and the others in the line

# the answer that the view shows takes the place of the first value
SHOWN_FIRST = "(_, ...others) => [document.querySelector('#trace .tv')?.dataset.run ?? '', ...others]"

Update = dict[gr.components.Component, Any]


class TrialView:
    """The parts, and what they show while something is tried.

    Args:
        trials: the line. name: begins the parts' ids. go: stands on the button that begins.
    """

    def __init__(self, trials: Trials, name: str, go: str) -> None:
        self.trials = trials
        with gr.Row(elem_classes="trial-buttons"):
            self.go = gr.Button(go, variant="primary", size="sm", min_width=0, elem_id=f"{name}-go")
            self.stop = gr.Button("Stop", size="sm", min_width=0, visible=False, elem_id=f"{name}-stop")
        self.progress = gr.HTML(elem_id=f"{name}-progress", elem_classes="trial-progress", padding=False)
        self.notice = gr.HTML(elem_id=f"{name}-notice", elem_classes="trial-notice", padding=False)
        self.result = gr.HTML(elem_id=f"{name}-result", elem_classes="trial-result", padding=False)
        self.both = compare_view(trials.kept, f"{name}-both")

    def connect(self, ask: Callable[..., Iterator[Update]], inputs: list[gr.components.Component]) -> None:
        """Say what begins and what stops it.

        Args:
            ask: gives updates; made with `updates`. inputs: its values; the first is the id of the answer.
        """
        shown = [self.go, self.stop, self.progress, self.notice, self.result, self.both]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        self.go.click(
            ask, inputs, shown, js=SHOWN_FIRST, concurrency_id="trials", concurrency_limit=MOST_WATCHED,
            **quiet,
        )  # fmt: skip
        self.stop.click(self._stop, None, None, queue=False, **quiet)

    def updates(
        self, steps: Iterator[Progress | Tried | Compared], told: Callable[[Any], str]
    ) -> Iterator[Update]:
        """What the page shows, step by step.

        Args:
            steps: as `Trials.run` gives them. told: a result as HTML.
        """
        yield {self.stop: gr.update(visible=True), self.notice: notice(""), self.progress: bar(Progress(""))}
        refused = ""
        try:
            for step in steps:
                if isinstance(step, Progress):
                    yield {self.progress: bar(step)}
                else:
                    yield {self.result: told(step), self.both: json.dumps(self._both(step))}
        except Refusal as refusal:
            refused = str(refusal)
        yield {self.stop: gr.update(visible=False), self.progress: "", self.notice: notice(refused)}

    def _both(self, found: Tried | Compared) -> Message:
        """Both traces for the view, and by which ids it may ask for their maps."""
        kept = [Answer(reply.trace) for reply in found.replies]
        for one in kept:
            self.trials.kept.put(one)
        return found.view | {"runs": dict(zip((LEFT, RIGHT), (one.id for one in kept), strict=True))}

    def _stop(self, request: gr.Request) -> None:
        self.trials.stop(request.session_hash)


def bar(progress: Progress) -> str:
    """How far it is."""
    words = html.escape(progress.words)
    return f'<progress aria-label="Progress" value="{progress.share:.3f}" max="1"></progress><p>{words}</p>'


def flagged(words: str) -> str:
    """What the guard has to say of a result; nothing where it has nothing to say."""
    return f"<p>{html.escape(words)}</p>" if words else ""
