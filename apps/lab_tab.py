"""The expert lab on the page: choose an expert and what happens to it, answer again, and see A beside B."""

from __future__ import annotations

import html
from collections.abc import Iterator

import gradio as gr

from apps.conversation import Refusal
from apps.lab import TOKENS, Change, Lab, Tried, Use
from apps.trial_view import SHOWN_FIRST, TrialView, Update, flagged

ABOUT = (
    "Does it matter who answers? Change one expert, answer the same question again with the same seed, and "
    "see both answers. Almost any change does something, so the same is done to other experts, too."
)
ACTIONS = [("silence it", "silence"), ("force it", "force"), ("re-weight it", "scale")]
INSTEAD = [("nobody", "nothing"), ("the router's next choice", "next")]
FIXED = "fixed"
GATES = [
    ("the one its router gives it", "own"),
    ("that of the expert that gives way", "replaced"),
    ("one that you set", FIXED),
]
FACTORS = [("⅛", 0.125), ("¼", 0.25), ("½", 0.5), ("2", 2.0), ("4", 4.0), ("8", 8.0)]


class LabTab:
    """The controls of the lab, made inside the tab they stand in."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.about = gr.HTML(about(""), elem_id="lab-about", elem_classes="trial-about", padding=False)
        with gr.Row():
            self.layer = gr.Dropdown(
                list(lab.layers),
                value=lab.layers[0],
                label="Layer",
                min_width=90,
                scale=1,
                elem_id="lab-layer",
            )
            self.expert = gr.Dropdown([], label="Expert", min_width=220, scale=4, elem_id="lab-expert")
        self.action = gr.Radio(ACTIONS, value="silence", label="What happens to it", elem_id="lab-action")
        self.instead = gr.Radio(INSTEAD, value="nothing", label="Who takes its tokens")
        self.gate = gr.Radio(GATES, value="own", label="With which gate", visible=False, elem_id="lab-gate")
        self.fixed = gr.Slider(
            0.05, 1, 0.5, step=0.05, label="Gate", info="1: it hears its tokens in full", visible=False
        )
        self.factor = gr.Radio(FACTORS, value=2.0, label="Times its gate", visible=False)
        self.tokens = gr.Radio([(words, name) for name, words in TOKENS.items()], value="all", label="Where")
        self.trial = TrialView(lab.trials, "lab", "Answer with and without")

    def connect(self, tab: gr.Tab, run: gr.Textbox) -> None:
        """Say what follows from what. `run` is filled by the browser: the id of the answer that is shown."""
        at_once = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        chosen = [self.about, self.layer, self.expert, self.trial.notice]
        tab.select(self.begin, [run], chosen, js=SHOWN_FIRST, **at_once)
        self.layer.input(self.choose_layer, [run, self.layer], chosen, js=SHOWN_FIRST, **at_once)
        details = [self.instead, self.gate, self.fixed, self.factor]
        for choice in (self.action, self.gate):
            choice.change(self.show_details, [self.action, self.gate], details, **at_once)
        settings = [self.layer, self.expert, self.action, self.tokens, *details]
        self.trial.connect(self.ask, [run, *settings])

    def begin(self, run_id: str) -> Update:
        """Choose the expert that wrote most of the answer that is shown."""
        try:
            use = self.lab.use(run_id)
        except Refusal as refusal:
            return {self.about: about(str(refusal))}
        return self._chosen(use, *use.most)

    def choose_layer(self, run_id: str, layer: int) -> Update:
        """Choose the expert of that layer that wrote most."""
        try:
            use = self.lab.use(run_id)
            return self._chosen(use, layer, use.most_of(layer))
        except Refusal as refusal:
            return {self.about: about(str(refusal))}

    def _chosen(self, use: Use, layer: int, expert: int) -> Update:
        choices = [(use.told(layer, one), one) for one in range(use.of_all.shape[1])]
        most = f"Layer {layer} is set to the expert that most of the answer went to: expert {expert}."
        return {
            self.about: about(most),
            self.layer: layer,
            self.expert: gr.update(choices=choices, value=expert),
        }

    def show_details(self, action: str, gate: str) -> Update:
        """Show the settings that belong to what happens."""
        shown = {
            self.instead: action == "silence",
            self.gate: action == "force",
            self.fixed: action == "force" and gate == FIXED,
            self.factor: action == "scale",
        }
        return {part: gr.update(visible=seen) for part, seen in shown.items()}

    def ask(
        self,
        run_id: str,
        layer: int,
        expert: int,
        action: str,
        tokens: str,
        instead: str,
        gate: str,
        fixed: float,
        factor: float,
        request: gr.Request,
    ) -> Iterator[Update]:
        """Answer with the change and without it."""
        change = Change(layer, expert, action, tokens, instead, fixed if gate == FIXED else gate, factor)
        yield from self.trial.updates(self.lab.ask(request.session_hash, run_id, change), result)


def about(words: str) -> str:
    """What the lab is for, and what is set in it."""
    return f"<p>{html.escape(ABOUT)}</p><p>{html.escape(words)}</p>"


def result(done: Tried) -> str:
    """What the change did: a sentence, both answers, the numbers beside controls, and one control's words."""
    change = html.escape(f"{done.change.words[0].upper()}{done.change.words[1:]}")
    return (
        f'<section role="status"><h2>{change}</h2><p><b>{html.escape(done.sentence)}</b></p>'
        f"{done.found._repr_html_()}"
        f"<p>Beside it, {html.escape(done.peer)}, the one whose load is nearest: "
        f"“{html.escape(done.peer_answer)}”</p>{flagged(done.told)}</section>"
    )
