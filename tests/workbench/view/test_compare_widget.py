"""Two traces in one widget, through its traits and messages."""

import base64
from io import BytesIO

import pytest
from PIL import Image

import workbench as wb
from tests.workbench.view.traces import make_trace
from workbench.view.compare import CompareWidget
from workbench.view.selection import Selection


class Recorded(CompareWidget):
    """A widget that keeps what it sends."""

    def __init__(self, *given, **traits) -> None:
        self.sent = []
        super().__init__(*given, **traits)

    def send(self, content, buffers=None) -> None:
        self.sent.append(content)


def test_both_traces_stand_in_one_trait():
    a, b = make_trace(), make_trace(seed=1)
    widget = wb.compare(a, b, names=("as it is", "silenced"))
    assert (widget.a, widget.b, widget.trace) == (a, b, a)
    assert widget._compare["names"] == ["as it is", "silenced"]
    assert [widget._compare[side]["run"] for side in ("left", "right")] == ["left", "right"]


def test_replies_are_compared_by_their_traces():
    a, b = make_trace(), make_trace(seed=1)
    replies = [wb.Reply(trace.text, trace, [], "stop") for trace in (a, b)]
    assert wb.compare(*replies).b is b


def test_what_is_chosen_counts_tokens_of_the_first():
    widget = wb.compare(make_trace(), make_trace(seed=1))
    seen = []
    widget.observe(lambda change: seen.append(change["new"]), names="selection")
    widget.set_state({"selected": 135, "attention_head": 1})
    assert seen == [Selection(token=135, text=" red", attention_layer=7, head=1)]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_question_for_attention_is_answered_from_its_side(side):
    longer = make_trace(answer=["It", " is", " a", " red", " one", ".", "<|eot|>"], seed=1)
    widget = Recorded(make_trace(), longer)
    trace = widget.a if side == "left" else widget.b
    last = len(trace) - 2
    question = {"type": "attention", "run": side, "token": last, "layer": 7, "head": -1}
    widget._answer(widget, question, [])
    answer = widget.sent[-1]["message"]
    assert (answer["op"], answer["run"], answer["token"]) == ("attn", side, last)


@pytest.mark.parametrize(
    "question", ["text", None, {}, {"type": "attention"}, {"type": "attention", "run": []}]
)
def test_odd_questions_do_no_harm(question):
    widget = Recorded(make_trace(), make_trace())
    widget._answer(widget, question, [])
    assert not widget.sent


def test_what_cannot_be_compared_is_named():
    with pytest.raises(TypeError, match="b is a str; expected a Trace, or the Reply"):
        wb.compare(make_trace(), "trace")
    with pytest.raises(wb.TraceError, match="num_experts of the two traces are 8 and 16"):
        wb.compare(make_trace(), make_trace(experts=16))
    with pytest.raises(ValueError, match="names is 'AB'; expected two"):
        wb.compare(make_trace(), make_trace(), names="AB")
    with pytest.raises(TypeError, match="CompareWidget has no colour"):
        CompareWidget(make_trace(), make_trace(), colour="red")


def test_a_still_picture_and_both_answers_stand_in_where_no_kernel_runs():
    widget = wb.compare(make_trace(), make_trace(text="It is blue."))
    data, _ = widget._repr_mimebundle_()
    assert data["text/plain"] == "A: The circle in image 1 is red.\nB: It is blue."
    both = Image.open(BytesIO(base64.b64decode(data["image/png"])))
    one = Image.open(BytesIO(base64.b64decode(widget.a.view()._repr_mimebundle_()[0]["image/png"])))
    assert both.width >= one.width and both.height > 1.5 * one.height
    assert len(repr(widget)) < 400
