"""Where things stand on the chat page: a side bar, the talk, and the view beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from apps import maker
from apps.examples import Example
from apps.flips import Flips
from apps.formats_tab import FormatsTab
from apps.handlers import Desk
from apps.lab import Lab
from apps.lab_tab import LabTab
from apps.page import header, status, trace_view
from apps.settings import HOTTEST, LONGEST_ANSWER
from apps.trials import Trials

MAKER = Path(__file__).with_name("maker.js")

WELCOME = (
    "**Show up to five pictures and ask about them.** Beside the answer you will see, for every word, which "
    "experts each layer used and where on the pictures the model looked. Or begin with one of these:"
)

OPEN = """() => {
  const side = document.querySelector("#side");
  if (!side.classList.contains("open")) side.querySelector(".toggle-button").click();
  const tab = [...side.querySelectorAll("[role=tab]")].find((one) => one.textContent.trim() === %s);
  tab?.click();
  tab?.focus();
}"""


class Layout:
    """The parts of the page, by name.

    Args:
        desk: answers the view's questions. cards: questions to begin with.
        longest_answer: in tokens, at first. suggestion: a system prompt, offered at a click; none if empty.
    """

    def __init__(self, desk: Desk, cards: Sequence[Example], longest_answer: int, suggestion: str) -> None:
        # the browser keeps the conversation, not this server: see `apps.keeping`
        self.kept = gr.BrowserState(None, storage_key="moe-workbench", secret="kept by the browser itself")
        with gr.Sidebar(open=False, position="left", elem_id="side", label="Settings, and a scene maker"):
            with gr.Tab("Settings"):
                self._settings(longest_answer, suggestion)
            with gr.Tab("Make a picture"):
                self.maker = scene_maker()
                with gr.Accordion("Take one with the camera", open=False, elem_id="camera"):
                    # the browser asks for leave, and shows nothing before
                    self.camera = gr.Image(
                        sources=["webcam"],
                        type="filepath",
                        label="A photograph for the message",
                        height=240,
                        buttons=[],
                        webcam_options=gr.WebcamOptions(mirror=False),
                    )
        with gr.Row(elem_id="workbench"):
            with gr.Column(scale=5, min_width=320, elem_id="talk"):
                with gr.Row(elem_id="top"):
                    guard = desk.guard.guard.name if desk.guard else ""
                    gr.HTML(header(desk.session.name, guard), elem_id="header", padding=False)
                    with gr.Row(elem_id="actions"):
                        _opener("Settings", "to-settings")
                        _opener("Make a picture", "to-maker")
                        self.new = gr.Button("New conversation", size="sm", min_width=0, elem_id="new")
                self._talk(cards)
            with gr.Column(scale=6, min_width=320, elem_id="look"):
                self._looks(desk)

    def _settings(self, longest_answer: int, suggestion: str) -> None:
        self.system = gr.Textbox(
            "",
            label="System prompt",
            info="what the model is told before the first question; empty by default",
            lines=3,
            max_lines=12,
            elem_id="system",
        )
        self.suggestion = gr.Button(
            "Use the model card's suggestion", size="sm", visible=bool(suggestion), elem_id="suggestion"
        )
        self.sampling = [
            gr.Slider(0, HOTTEST, 0, step=0.05, label="Temperature", info="0: the likeliest word"),
            gr.Slider(0.05, 1, 1, step=0.05, label="Top-p", info="1: all words are drawn from"),
            gr.Slider(1, LONGEST_ANSWER, longest_answer, step=1, label="Longest answer", info="in tokens"),
            gr.Textbox("", label="Seed", info="a whole number repeats a draw", max_lines=1),
        ]

    def _talk(self, cards: Sequence[Example]) -> None:
        self.chat = gr.Chatbot(
            elem_id="chat",
            show_label=False,
            label="Conversation",
            height="auto",
            layout="bubble",
            buttons=["copy"],
            feedback_options=None,
            placeholder=WELCOME,
            examples=[{"text": card.text, "files": [str(path) for path in card.pictures]} for card in cards],
        )
        self.box = gr.MultimodalTextbox(
            elem_id="composer",
            show_label=False,
            label="Message",
            placeholder="Ask about your pictures: drop, paste or pick them here",
            file_types=["image"],
            file_count="multiple",
            sources=["upload"],
            lines=1,
            max_lines=8,
            max_plain_text_length=100_000,
            autofocus=True,
        )
        self.notice = gr.HTML(elem_id="notice", padding=False)
        self.status = gr.HTML(status(""), elem_id="status", padding=False)

    def _looks(self, desk: Desk) -> None:
        """The answer from inside, and what can be tried with it."""
        self.trials, self.lab, self.formats = Trials(), None, None
        with gr.Tabs(elem_id="looks") as self.looks:
            with gr.Tab("Inside the answer", id="inside"):
                self._tools()
                self.finding = gr.HTML(elem_id="finding", padding=False)
                self.view = trace_view(desk, "trace")
            if desk.session.llama.config.text.moe_layers:
                with gr.Tab("Expert lab", id="lab", elem_id="lab") as self.lab_tab:
                    self.lab = LabTab(Lab(desk, self.trials))
            if len(desk.formats.names) > 1:
                with gr.Tab("Weight formats", id="formats", elem_id="formats"):
                    self.formats = FormatsTab(Flips(desk, self.trials))

    def _tools(self) -> None:
        with gr.Row(elem_id="tools"):
            self.honest = gr.Button("Is this map honest?", size="sm", elem_id="honest")
            self.truth = gr.Button("What is really there?", size="sm", elem_id="truth")
            self.edit = gr.Button("Edit the question", size="sm", elem_id="edit")
            self.open = gr.UploadButton(
                "Open a trace", size="sm", file_types=[".safetensors"], file_count="single", elem_id="open"
            )
            self.save = gr.HTML(elem_id="save", padding=False)
        # filled by the browser with what the view shows: the answer, and the word, layer and head of its map
        self.run = gr.Textbox(visible=False)
        self.place = gr.Textbox(visible=False)


def inside() -> dict:
    """An update of the tabs: whatever is shown anew is looked at from inside first."""
    return gr.update(selected="inside")


def _opener(tab: str, elem_id: str) -> None:
    """A button that opens the side bar at one of its tabs; nothing but the browser is asked."""
    button = gr.Button(tab, size="sm", min_width=0, elem_id=elem_id)
    button.click(None, js=OPEN % json.dumps(tab), api_visibility="private")


def scene_maker() -> gr.HTML:
    """The scene maker as a component; its event `made` carries what was placed."""
    script = MAKER.read_text(encoding="utf-8")
    return gr.HTML(
        js_on_load=f"const palette = {json.dumps(maker.palette())};\n{script}",
        html_template='<div class="maker"></div>',
        apply_default_css=False,
        padding=False,
        elem_id="maker",
    )
