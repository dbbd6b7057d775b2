"""What a saved notebook keeps of a widget, where no kernel runs: a picture, and a text that reads well.

A finished trace hands both over when it is displayed. What changes after it was displayed (a chat, a bench
for experiments) has an `Afterimage`: a second output below the widget, invisible on a live page, that can be
renewed without disturbing what somebody is typing into.

GitHub, nbviewer, nbconvert and a notebook from elsewhere (not trusted) in Jupyter show the picture. In a
trusted one whose kernel is gone ipywidgets writes "model not found" instead, until the cell is run again.
"""

from __future__ import annotations

import base64
from typing import Any

import ipywidgets
from IPython.display import DisplayHandle, display

from workbench.trace import Trace

VIEW = "application/vnd.jupyter.widget-view+json"


def text_of(trace: Trace) -> str:
    """A trace in a few lines: what was answered, and how much there is to see."""
    answer = trace.text.strip() or "(no answer)"
    written = len(trace.generated_index)
    about = {0: "", 1: " about a picture"}.get(len(trace.images), f" about {len(trace.images)} pictures")
    layers = f"{len(trace.moe_layers)} layers of {trace.num_experts} experts"
    return (
        f"{answer}\n\n({len(trace)} tokens, {written} of them written{about}; {layers}. "
        "With a kernel this is a view to explore.)"
    )


def png_of(trace: Trace) -> bytes:
    """The still picture of a trace."""
    from workbench.view.still import still_png  # matplotlib is slow to import and needed only here

    return still_png(trace)


def shown(widget: ipywidgets.DOMWidget, text: str, png: bytes | None = None) -> dict[str, Any]:
    """What a notebook needs to show a widget; a text and a picture for where it cannot."""
    reference = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    still = {} if png is None else {"image/png": base64.b64encode(png).decode()}
    return {"text/plain": text, VIEW: reference} | still


class Afterimage:
    """An output that a live page does not show, and a page without a kernel shows as a picture.

    It is a widget of no size; a page that cannot show widgets takes the next best form of the same output.
    """

    def __init__(self) -> None:
        self._nothing = ipywidgets.Box(layout={"display": "none"})
        self._handle: DisplayHandle | None = None

    def show(self, text: str, png: bytes | None) -> None:
        """Put it below what was displayed last."""
        self._handle = display(shown(self._nothing, text, png), raw=True, display_id=True)

    def renew(self, text: str, png: bytes | None) -> None:
        """Let the notebook keep this instead; nothing happens before `show`."""
        if self._handle is not None:
            self._handle.update(shown(self._nothing, text, png), raw=True)

    def close(self) -> None:
        """Forget the widget of no size; the notebook keeps what it has."""
        self._nothing.close()
