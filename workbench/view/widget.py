"""The trace view in a notebook: an anywidget that shows a finished trace or follows a running answer.

Public traits are the interface, underscored ones the wire. Where no kernel runs (a saved notebook on a web
page), a still picture of the trace stands in.
"""

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import anywidget
import traitlets

from workbench.trace import Trace
from workbench.view.module import script, style
from workbench.view.payload import MEAN_HEAD, Feed, answer_attention, answer_pull, attention_info, snapshot
from workbench.view.saved import described, picture_of, text_of
from workbench.view.selection import Selection, selection_of

if TYPE_CHECKING:
    from workbench.run import Run

SECONDS_BETWEEN_UPDATES = 0.08  # an eye gains nothing from more, and notebook servers drop floods
NONE_CHOSEN = -1


class Shown(NamedTuple):
    """What the widget shows; replaced as a whole, because questions are answered on other threads."""

    trace: Trace | None
    run_id: str
    started: int
    done: bool


class TraceWidget(anywidget.AnyWidget):
    """The words, experts and pictures of a trace, linked.

    Choices made on the screen arrive in the traits, and setting a trait changes the screen. `selection` has
    them all in one object; `view.observe(function, names="selection")` calls a function at every choice.

    Args:
        trace: what to show; None for nothing until `follow`.
        traits: start values of the traits below; `selection` follows from the others and cannot be given.

    Raises:
        TypeError: a keyword that is no trait.
        TraitError: a token or layer that the trace does not have.
    """

    _esm = script()
    _css = style()
    _snapshot = traitlets.Dict(help="the whole trace, for a page that opens now").tag(sync=True)

    selected = traitlets.Int(NONE_CHOSEN, help="the chosen token, -1: none").tag(sync=True)
    selected_layer = traitlets.Int(NONE_CHOSEN, help="the chosen MoE layer, -1: none").tag(sync=True)
    attention_layer = traitlets.Int(NONE_CHOSEN, help="layer of the attention, -1: default").tag(sync=True)
    attention_head = traitlets.Int(MEAN_HEAD, help="head of the attention, -1: mean").tag(sync=True)
    selection = traitlets.Instance(Selection, (), read_only=True, help="all that is chosen, to read")

    def __init__(self, trace: Trace | None, **traits: object) -> None:
        known = {name for name in self.trait_names() if not name.startswith("_")} - {"selection"}
        if unknown := sorted(traits.keys() - known):
            own = sorted(name for name in known if name in TraceWidget.class_own_traits())
            raise TypeError(f"TraceWidget has no {', '.join(unknown)}; its own traits are {', '.join(own)}")
        self._shown = Shown(trace, "trace", 0, True)
        super().__init__(_snapshot={} if trace is None else snapshot(trace, "trace"), **traits)
        self._choose()
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

    @traitlets.observe("selected", "selected_layer", "attention_layer", "attention_head")
    def _choose(self, _change: object = None) -> None:
        trace, info = self.trace, self._attention
        numbers = (self.selected, self.selected_layer, self.attention_layer, self.attention_head)
        token, layer, attention_layer, head = (None if n == NONE_CHOSEN else n for n in numbers)
        if attention_layer is None and info is not None:
            attention_layer = info["default"]
        self.set_trait("selection", selection_of(trace, token, layer, attention_layer, head))

    @property
    def _attention(self) -> dict[str, Any] | None:
        return None if self.trace is None else attention_info(self.trace)

    @traitlets.validate("selected")
    def _a_token_of_the_trace(self, proposal: dict[str, Any]) -> int:
        token, count = proposal["value"], 0 if self.trace is None else len(self.trace)
        if not NONE_CHOSEN <= token < count:
            there = f"tokens 0 to {count - 1}" if count else "no tokens"
            raise traitlets.TraitError(f"selected={token}: the trace has {there} (-1: none)")
        return token

    @traitlets.validate("selected_layer")
    def _a_layer_with_experts(self, proposal: dict[str, Any]) -> int:
        layers = [] if self.trace is None else self.trace.moe_layers.tolist()
        return _one_of(proposal["value"], layers, "selected_layer", "MoE layers")

    @traitlets.validate("attention_layer")
    def _a_layer_with_attention(self, proposal: dict[str, Any]) -> int:
        layers = self._attention["layers"] if self._attention else []
        return _one_of(proposal["value"], layers, "attention_layer", "attention of layers")

    @traitlets.validate("attention_head")
    def _a_head(self, proposal: dict[str, Any]) -> int:
        heads = list(range(self._attention["heads"])) if self._attention else []
        return _one_of(proposal["value"], heads, "attention_head", "attention of heads")

    def _repr_mimebundle_(self, **_options: object) -> tuple[dict[str, Any], dict[str, Any]]:
        if self.trace is None:
            return described(self, repr(self)), {}
        return described(self, text_of(self.trace)) | picture_of(self.trace), {}


def _one_of(value: int, known: list[int], name: str, what: str) -> int:
    if value != NONE_CHOSEN and value not in known:
        raise traitlets.TraitError(f"{name}={value}: the trace has the {what} {known} (-1: none)")
    return value
