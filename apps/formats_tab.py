"""Weight formats on the page: which one answers from now on, and one answer in two of them, flips marked."""

from __future__ import annotations

import html
from collections.abc import Iterator

import gradio as gr

from apps.conversation import Refusal
from apps.flips import MOST_LISTED, Compared, Flips
from apps.trial_view import TrialView, Update, flagged

ABOUT = (
    "The same model with its experts held in fewer bits takes less memory and answers a little differently. "
    "Where two experts are nearly as good, rounding decides: a token flips to another one."
)


class FormatsTab:
    """The switch and the comparison, made inside the tab they stand in."""

    def __init__(self, flips: Flips) -> None:
        self.desk = flips.desk
        self.flips = flips
        formats = flips.formats
        choices = [(formats.label(name), name) for name in formats.names]
        gr.HTML(f"<p>{ABOUT}</p>", elem_classes="trial-about", padding=False)
        self.format = gr.Radio(
            choices, value=formats.names[0], label="Answers from now on are written in", elem_id="format"
        )
        self.held = gr.HTML(told(formats.told(formats.names[0])), elem_id="format-held", padding=False)
        self.other = gr.Radio(
            choices,
            value=formats.names[1],
            label="Compare the answer shown with",
            elem_id="format-other",
        )
        self.trial = TrialView(flips.trials, "formats", "Compare formats")

    def connect(self, run: gr.Textbox) -> None:
        """Say what follows from what. `run` is filled by the browser: the id of the answer that is shown."""
        self.format.input(
            self.choose, [self.format], [self.format, self.held, self.trial.notice],
            concurrency_id="loading", concurrency_limit=8, show_progress="minimal", api_visibility="private",
        )  # fmt: skip
        self.trial.connect(self.ask, [run, self.other])

    def choose(self, name: str, request: gr.Request) -> Update:
        """Answer in a format from now on; it is loaded here if it was not."""
        visitor = request.session_hash
        try:
            return {self.held: told(self.desk.choose(visitor, name)), self.trial.notice: ""}
        except Refusal as refusal:
            formats = self.desk.formats
            before = self.desk.conversation(visitor).format or formats.names[0]
            return {self.format: before, self.held: told(str(refusal))}

    def ask(self, run_id: str, other: str, request: gr.Request) -> Iterator[Update]:
        """Write the answer that is shown in another format."""
        yield from self.trial.updates(self.flips.ask(request.session_hash, run_id, other), result)


def told(words: str) -> str:
    """A quiet line."""
    return f'<p role="status">{html.escape(words)}</p>'


def result(done: Compared) -> str:
    """How two formats compare: words, routing, and the tokens of the answer that flipped."""
    lines = [
        f"<li>“{html.escape(one.word)}” (token {one.token}) in layer {one.layer}: "
        f"expert {' and '.join(map(str, one.before))} → {' and '.join(map(str, one.after))}</li>"
        for one in done.flips[:MOST_LISTED]
    ]
    more = len(done.flips) - MOST_LISTED
    rest = f"<p>… and {more} more; the map below marks them all.</p>" if more > 0 else ""
    flipped = f"<p>Of the answer's tokens these flipped:</p><ul>{''.join(lines)}</ul>{rest}" if lines else ""
    names = " and ".join(done.names)
    return (
        f'<section role="status"><h2>{html.escape(names)}</h2><p><b>{html.escape(done.words)}</b></p>'
        f"<p>{html.escape(done.routing)}</p>{flipped}{flagged(done.told)}</section>"
    )
