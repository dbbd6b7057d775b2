"""The trace view in a notebook: an anywidget that shows a finished trace or follows a running answer.

Public traits are the interface, underscored ones the wire. Where no kernel runs (a saved notebook on a web
page), a still picture of the trace stands in.
"""

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import traitlets

from workbench.trace import Trace
from workbench.view.linked import NONE_CHOSEN, LinkedWidget
from workbench.view.payload import Feed, answer_attention, answer_pull, snapshot
from workbench.view.saved import png_of, text_of

if TYPE_CHECKING:
    from workbench.run import Run

SECONDS_BETWEEN_UPDATES = 0.08  # an eye gains nothing from more, and notebook servers drop floods


class Shown(NamedTuple):
    """What the widget shows; replaced as a whole, because questions are answered on other threads."""

    trace: Trace | None
    run_id: str
    started: int
    done: bool


class TraceWidget(LinkedWidget):
    """The words, experts and pictures of a trace, linked.

    Choices made on the screen arrive in the traits, and setting a trait changes the screen. `selection` has
    them all in one object; `view.observe(function, names="selection")` calls a function at every choice.

    Args:
        trace: what to show; None for nothing until `follow`.
        traits: start values of `selected`, `selected_layer`, `selected_expert`, `attention_layer`,
            `attention_head`; `selection` follows from them and cannot be given.

    Raises:
        TypeError: a keyword that is no trait.
        TraitError: a token or layer that the trace does not have.
    """

    _snapshot = traitlets.Dict(help="the whole trace, for a page that opens now").tag(sync=True)

    def __init__(self, trace: Trace | None, **traits: object) -> None:
        self._shown = Shown(trace, "trace", 0, True)
        super().__init__(_snapshot={} if trace is None else snapshot(trace, "trace"), **traits)
        self.on_msg(self._answer)

    def __repr__(self) -> str:
        return f"TraceWidget({'nothing yet' if self.trace is None else repr(self.trace)})"

    @property
    def trace(self) -> Trace | None:
        """What is shown: all of it, or what there is so far of a running answer; None before the first."""
        return self._shown.trace

    def follow(self, run: "Run") -> threading.Thread:
        """Show a running answer from now on; returns at once.

        The thread that feeds the screen ends with the run: join it to wait.
        """
        thread = threading.Thread(target=self._follow, args=(run, self._shown.started + 1), daemon=True)
        thread.start()
        return thread

    def _follow(self, run: "Run", started: int) -> None:
        feed = Feed(run.id, started)
        self.selected = NONE_CHOSEN
        told = None
        while told is None or not self._shown.done:
            done = run.done  # before the trace is taken: what is done then is in it
            trace = run.trace()
            if done or len(trace) != told:
                told = len(trace)
                self._shown = Shown(trace, run.id, started, done)
                self.send({"pulled": False, "message": feed.next(trace, done)})
                self._choose()  # the experts of a chosen word may be known by now
            if not done:
                time.sleep(SECONDS_BETWEEN_UPDATES)
        self._snapshot = snapshot(trace, run.id, started)  # for pages opened from now on

    def _answer(self, _widget: object, question: Any, _buffers: object) -> None:
        """Answer the screen. May run on any thread, so it only reads, and never touches a model."""
        trace, run_id, started, done = self._shown
        if not isinstance(question, dict) or trace is None:
            return
        if question.get("type") == "pull":
            start = question.get("from") if question.get("run") == run_id else 0
            self.send({"pulled": True, "message": answer_pull(trace, run_id, start, started, done)})
        elif question.get("type") == "attention" and question.get("run") == run_id:
            self.send({"pulled": False, "message": answer_attention(trace, run_id, question)})

    def _repr_mimebundle_(self, **_options: object) -> tuple[dict[str, Any], dict[str, Any]]:
        if self.trace is None:
            return self._output(repr(self))
        return self._output(text_of(self.trace), png_of(self.trace))
