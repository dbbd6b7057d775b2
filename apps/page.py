"""What the chat page is made of: the trace view as a component, what is said on it, and the look."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from apps.handlers import Desk
from apps.honesty import Verdict
from apps.maker import DRAWN, UNSEEN, Known
from apps.shelf import Shelf
from workbench.view import module, payload
from workbench.view.picture_url import picture_url

CSS = Path(__file__).with_name("chat.css")
SCRIPT = Path(__file__).with_name("page.js")

# runs once in the page. Messages come as text: of nested lists Gradio sends differences, and gets them wrong
MOUNT = """
const messages = {get value() { return props.value ? JSON.parse(props.value) : null; }};
const url = URL.createObjectURL(new Blob([%s], {type: 'text/javascript'}));
globalThis.traceView = import(url).then((view) => ({view, css: %s}));
globalThis.traceView.then(({view, css}) => {
  URL.revokeObjectURL(url);
  view.mountGradio({element, trigger, props: messages, server, watch, css});
});
"""

# the script that shows one trace shows two: it is in the page before this, which stands in a tab behind it
MOUNT_BOTH = """
globalThis.traceView.then(({view, css}) => {
  const host = element.querySelector('.tv-host');
  let shown = null;
  const show = () => {
    shown?.destroy();
    const message = props.value ? JSON.parse(props.value) : null;
    shown = message && view.createCompareView(host, {
      ...view.readComparison(message), css,
      requestAttention: (question) => server.attention({...question, run: message.runs[question.run]})
        .then((answer) => answer && {...answer, run: question.run}),
    });
  };
  watch('value', show);
  show();
});
"""

TEACHING = (
    "This is the <b>teaching model</b>: a tiny Llama 4, trained here from scratch on drawn shapes. It knows "
    "coloured shapes and little else, is no general assistant, and is not derived from Llama weights."
)
BUILT_WITH_LLAMA = (
    "Running <b>{name}</b>. <b>Built with Llama.</b> Llama 4 is licensed under the Llama 4 Community "
    "License, Copyright © Meta Platforms, Inc. All Rights Reserved."
)


def trace_view(desk: Desk, elem_id: str) -> gr.HTML:
    """The linked view as a component. Its value is the latest message, as JSON."""

    # the view calls them by these names; every other client can, too, so the desk expects anything
    def pull(question: object) -> dict | None:
        return desk.pull(question)

    def attention(question: object) -> dict | None:
        return desk.attention(question)

    return gr.HTML(
        js_on_load=MOUNT % (json.dumps(module.script()), json.dumps(module.style())),
        server_functions=[pull, attention],
        # constant: a template is run as a script, so no value may stand in it
        html_template='<div class="tv-host"></div>',
        apply_default_css=False,
        padding=False,
        elem_id=elem_id,
    )


def compare_view(kept: Shelf, elem_id: str) -> gr.HTML:
    """Two traces beside each other as a component.

    Its value is a `compare` message as JSON, and in it as `runs` the ids by which both are in `kept`.
    """

    # the view calls it by this name; every other client can, too
    def attention(question: object) -> dict | None:
        answer = kept.get(question.get("run")) if isinstance(question, dict) else None
        return None if answer is None else payload.answer_attention(answer.trace(), answer.id, question)

    return gr.HTML(
        js_on_load=MOUNT_BOTH,
        server_functions=[attention],
        html_template='<div class="tv-host"></div>',
        apply_default_css=False,
        padding=False,
        elem_id=elem_id,
    )


def header(model: str, guard: str = "") -> str:
    """The top of the page: what this is, plainly what is running, and who judges what is said."""
    running = TEACHING if model == "demo" else BUILT_WITH_LLAMA.format(name=html.escape(model))
    skip = '<p class="skip"><a href="#composer">To the message</a><a href="#look">To the view</a></p>'
    judged = f" The guard <b>{html.escape(guard)}</b> judges questions and answers." if guard else ""
    return f"{skip}<h1>moe-workbench</h1><p>Look inside Llama 4 while it answers. {running}{judged}</p>"


def notice(sentence: str) -> str:
    """A sentence at the composer, read out by screen readers as it appears."""
    return f'<p role="alert">{html.escape(sentence)}</p>' if sentence else ""


def status(line: str, pictures: int = 0) -> str:
    """The quiet line under the composer; pictures in the composer are numbered on from those shown."""
    return f"<style>#composer {{ --pictures-shown: {pictures} }}</style><p>{html.escape(line)}</p>"


def save_links(run_id: str, asked: bool = True) -> str:
    """Links that save the answer, if there is one; relative, so that they work behind a proxy, too.

    asked: whether it was asked for here; a trace from a file has no conversation.
    """
    if not run_id:
        return ""
    files = (("trace", "safetensors"), ("page", "html"), ("conversation", "json"))[: 3 if asked else 2]
    links = (
        f'<a href="answers/{html.escape(run_id)}.{ending}" download>{name}</a>' for name, ending in files
    )
    return f"<p>Save the {', the '.join(links)}</p>"


def honesty(verdict: Verdict) -> str:
    """A check of a map: the answer first, then the numbers, then the pictures."""
    heads = "the mean of all heads"
    if verdict.heads is not None:
        several = "s" if len(verdict.heads) > 1 else ""
        heads = f"head{several} {', '.join(map(str, verdict.heads))}"
    word = html.escape(verdict.word.strip() or verdict.word)
    pictures = "".join(
        f'<figure><img src="{picture_url(image)}" alt="image {number}, bright where hiding a square '
        f'costs the word most"><figcaption>image {number}</figcaption></figure>'
        for number, image in enumerate(verdict.needed, 1)
    )
    return (
        f'<section role="status"><h2>Is this map honest? “{word}”, layer {verdict.layer}, {heads}</h2>'
        f"<p><b>{html.escape(verdict.sentence)}</b></p>"
        f"<p>Agreement <b>{verdict.agreement:+.2f}</b> over {verdict.squares} squares (1: the same order, "
        f"0: none; unrelated maps stay within ±{verdict.chance:.2f}). The word has a probability of "
        f"{verdict.probability:.2f}; it loses {max(verdict.lost, 0):.2f} without the square that the map "
        f"shows brightest (number {verdict.rank} of {verdict.squares}), and {verdict.most:.2f} at most. "
        f"{verdict.passes} passes of the model.</p>"
        "<p>What the word rests on: it loses most when a bright square and its surroundings are hidden.</p>"
        f'<div class="needed">{pictures}</div></section>'
    )


def truths(known: Sequence[Sequence[Known] | None]) -> str:
    """What is really in the pictures of a conversation, in the order of the prompt."""
    lines = []
    for number, things in enumerate(known, 1):
        if things is None:
            words = "not drawn here, so nobody knows."
        else:
            named = (f"{one.colour} {one.shape} ({one.box[0]}, {one.box[1]} to {one.box[2]}, {one.box[3]})"
                     for one in things)  # fmt: skip
            words = ", ".join(named) + "."
        lines.append(f"<li>image {number}: {html.escape(words)}</li>")
    told = f"<ul>{''.join(lines)}</ul>" if lines else "<p>Ask about a picture first.</p>"
    if any(one.shape == DRAWN for things in known for one in things or ()):
        told += f"<p>Of a line only its box is known. {UNSEEN}</p>"
    return f'<section role="status"><h2>What is really there (pixels, x and y)</h2>{told}</section>'


def theme() -> gr.themes.Base:
    """Quiet, with the fonts of the system: nothing to download, light or dark as the system is."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.indigo,
        neutral_hue=gr.themes.colors.slate,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_sm,
    ).set(  # dark or light enough to be read by everybody
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_title_text_color="*neutral_700",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )
