"""The widget through its traits and messages; what it looks like is seen in test_trace_view.py."""

import base64
import sys
import threading
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
import traitlets
from PIL import Image

from tests.workbench.view.test_payload import grown_to
from tests.workbench.view.traces import make_trace
from workbench.view.compare import CompareWidget
from workbench.view.saved import VIEW
from workbench.view.selection import Selection
from workbench.view.widget import TraceWidget


class Recorded(TraceWidget):
    """A widget that keeps what it sends."""

    def __init__(self, trace, **traits) -> None:
        self.sent = []
        super().__init__(trace, **traits)

    def send(self, content, buffers=None) -> None:
        self.sent.append(content)


class GrowingRun:
    """Looks like a session's run, and grows by one word each time it is looked at."""

    id = "run-1"

    def __init__(self, whole) -> None:
        self.whole = whole
        self.words = 0
        self.done = False

    def trace(self):
        count = len(self.whole.generated_index)
        if self.words > count:
            return self.whole
        self.words += 1
        self.done = self.words > count
        return grown_to(self.whole, self.words - 1)


def test_the_whole_trace_stands_in_one_trait():
    widget = TraceWidget(make_trace())
    assert [item["op"] for item in widget._snapshot["items"]] == ["reset", "append", "end"]


def test_choices_can_be_given_read_and_set():
    widget = TraceWidget(make_trace(), selected=5, selected_layer=3, attention_layer=7, attention_head=2)
    assert (widget.selected, widget.selected_layer, widget.attention_layer, widget.attention_head) == (
        5,
        3,
        7,
        2,
    )
    seen = []
    widget.observe(lambda change: seen.append(change["new"]), names="selected")
    widget.selected = 8
    assert seen == [8]


def test_all_that_is_chosen_stands_in_one_object_that_can_be_observed():
    trace = make_trace()
    widget = TraceWidget(trace)
    assert widget.selection == Selection(attention_layer=7)
    seen = []
    widget.observe(lambda change: seen.append(change["new"]), names="selection")
    widget.set_state({"selected": 135, "selected_layer": 3, "attention_head": 2})  # as a screen sends it
    expert = int(trace.routed_experts[135, 1, 0])
    chosen = Selection(token=135, text=" red", layer=3, expert=expert, attention_layer=7, head=2)
    assert seen == [chosen] and widget.selection == chosen
    assert repr(chosen) == (
        f"Selection(token=135, text=' red', layer=3, expert={expert}, attention_layer=7, head=2)"
    )


def test_a_chosen_expert_goes_before_the_one_that_the_word_was_sent_to():
    trace = make_trace()
    own = int(trace.routed_experts[135, 1, 0])
    widget = TraceWidget(trace, selected=135, selected_layer=3, selected_expert=(own + 1) % 8)
    assert widget.selection.expert == (own + 1) % 8
    widget.selected_expert = -1
    assert widget.selection.expert == own


def test_a_square_of_a_picture_is_told_by_its_picture_tile_row_and_column():
    trace = make_trace()
    square = int(np.flatnonzero((trace.image_index == 0) & (trace.tile_index == 1))[7])
    found = TraceWidget(trace, selected=square).selection
    assert (found.image, found.patch) == (0, (1, 1, 2))
    marker = trace.tokens.index("<|image_start|>")
    whole = TraceWidget(trace, selected=marker).selection
    assert (whole.image, whole.patch) == (0, None)


def test_what_was_not_captured_is_no_expert():
    trace = grown_to(make_trace(), 3)
    assert TraceWidget(trace, selected=len(trace) - 1, selected_layer=3).selection.expert is None


def test_a_selection_cannot_be_set_or_given():
    widget = TraceWidget(make_trace())
    with pytest.raises(traitlets.TraitError, match="read-only"):
        widget.selection = Selection(token=3)
    with pytest.raises(AttributeError):
        widget.selection.token = 3
    with pytest.raises(TypeError, match="has no selection; its own traits are"):
        TraceWidget(make_trace(), selection=Selection(token=3))


def test_a_view_of_nothing_waits_for_an_answer():
    widget = Recorded(None)
    assert widget.trace is None and widget._snapshot == {} and widget.selection == Selection()
    assert "nothing yet" in repr(widget)
    assert "image/png" not in widget._repr_mimebundle_()[0]
    widget._answer(widget, {"type": "pull", "run": "trace", "from": 0}, [])
    assert not widget.sent
    with pytest.raises(traitlets.TraitError, match="the trace has no tokens"):
        widget.selected = 0
    whole = make_trace()
    widget.follow(GrowingRun(whole)).join(timeout=30)
    assert widget.trace is whole


def test_the_experts_of_a_chosen_word_arrive_with_the_word_after_it():
    whole = make_trace()
    widget = TraceWidget(whole, selected_layer=3)
    told = []
    widget.observe(lambda change: told.append(change["new"].expert), names="selection")

    class Chosen(GrowingRun):
        def trace(self):
            grown = super().trace()
            if self.words == 4:
                widget.selected = len(widget.trace) - 1
            return grown

    widget.follow(Chosen(whole)).join(timeout=30)
    token = int(whole.generated_index[1])
    assert widget.selected == token
    assert told == [None, int(whole.routed_experts[token, 1, 0])]


def test_an_unknown_keyword_raises_and_names_what_there_is():
    with pytest.raises(
        TypeError, match="has no colour; its own traits are attention_head, attention_layer, selected"
    ):
        TraceWidget(make_trace(), colour="red")


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("selected", 999, "999: the trace has tokens 0 to 137"),
        ("selected_layer", 2, r"2: the trace has the MoE layers \[1, 3, 5, 7, 9, 11\]"),
        ("selected_expert", 8, r"8: the trace has the experts \[0, 1, 2, 3, 4, 5, 6, 7\]"),
        ("attention_layer", 5, r"5: the trace has the attention of layers \[3, 7\]"),
        ("attention_head", 4, "4: the trace has the attention of heads"),
    ],
)
def test_a_choice_the_trace_does_not_have_raises(name, value, named):
    widget = TraceWidget(make_trace())
    with pytest.raises(traitlets.TraitError, match=named):
        setattr(widget, name, value)


def test_repr_is_short():
    assert len(repr(TraceWidget(make_trace()))) < 200
    assert "The circle in image 1 is red." in repr(TraceWidget(make_trace()))


def test_a_still_picture_stands_in_where_no_kernel_runs():
    data, _ = TraceWidget(make_trace())._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"].startswith("The circle in image 1 is red.\n\n(138 tokens, 10 of them written")
    assert Image.open(BytesIO(base64.b64decode(data["image/png"]))).width > 400


@pytest.mark.parametrize("kind", [TraceWidget, CompareWidget])
def test_colab_is_told_where_it_finds_the_script_of_a_widget(monkeypatch, kind):
    manager = "https://example.org/manager.js"
    colab = SimpleNamespace(
        enable_custom_widget_manager=lambda: None, _widgets=SimpleNamespace(_installed_url=manager)
    )
    monkeypatch.setitem(sys.modules, "google.colab.output", colab)
    widget = kind(*[make_trace()] * (1 if kind is TraceWidget else 2))
    data, hints = widget._repr_mimebundle_()
    assert hints == {VIEW: {"colab": {"custom_widget_manager": {"url": manager}}}}
    assert data[VIEW]["model_id"] == widget.model_id


def test_a_question_for_attention_is_answered():
    widget = Recorded(make_trace())
    widget._answer(widget, {"type": "attention", "run": "trace", "token": 135, "layer": 7, "head": -1}, [])
    answer = widget.sent[-1]["message"]
    assert (answer["op"], answer["token"]) == ("attn", 135)


def test_a_question_for_a_gap_is_answered():
    widget = Recorded(make_trace())
    widget._answer(widget, {"type": "pull", "run": "trace", "from": 130}, [])
    assert widget.sent[-1]["pulled"]
    assert widget.sent[-1]["message"]["items"][0]["from"] == 130
    widget._answer(widget, {"type": "pull", "run": "another", "from": 130}, [])
    assert widget.sent[-1]["message"]["items"][0]["op"] == "reset"


@pytest.mark.parametrize(
    "question", ["text", None, {}, {"type": "attention"}, {"type": "attention", "run": "trace"}]
)
def test_odd_questions_do_no_harm(question):
    widget = Recorded(make_trace())
    widget._answer(widget, question, [])
    assert all(sent["message"] is None for sent in widget.sent)


def test_a_running_answer_is_followed_to_its_end():
    whole = make_trace()
    widget = Recorded(make_trace(with_pictures=False), selected=3)
    widget.follow(GrowingRun(whole)).join(timeout=30)
    told = [sent["message"] for sent in widget.sent]
    assert [item["op"] for item in told[0]["items"]] == ["reset", "append"]
    assert [item["op"] for item in told[-1]["items"]] == ["append", "end"]
    assert told[-1]["items"][-1]["n"] == len(whole)
    assert widget.trace is whole
    assert widget._snapshot["run"] == "run-1"
    assert widget.selected == -1, "the choice was of the trace before"


def test_following_returns_at_once():
    run = GrowingRun(make_trace())
    asked = threading.Event()
    run.trace = lambda: asked.wait(30) and run.whole
    thread = Recorded(make_trace()).follow(run)
    assert thread.is_alive()
    run.done = True
    asked.set()
    thread.join(timeout=30)
