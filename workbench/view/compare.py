"""Two traces beside each other in a notebook, with what differs marked: an edit, a format, another seed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import traitlets
from PIL import Image

from workbench.run import Reply
from workbench.trace import Trace
from workbench.view.linked import LinkedWidget
from workbench.view.payload import answer_attention
from workbench.view.payload_compare import LEFT, RIGHT, compare_messages
from workbench.view.saved import png_of

NAMES = ("A", "B")


class CompareWidget(LinkedWidget):
    """Two traces of one question, side by side; a choice on one side is a choice on both.

    Args:
        a, b: traces of the same model; tokens are counted, and the traits below count them, in `a`.
        names: how the two are called.
        traits: start values, as for `TraceWidget`.

    Raises:
        TraceError: the traces are of models with different layers or experts.
        ValueError: there are not two names.
    """

    _compare = traitlets.Dict(help="both traces, for a page that opens now").tag(sync=True)

    def __init__(self, a: Trace, b: Trace, names: Sequence[str] = NAMES, **traits: object) -> None:
        self.a, self.b, self.names = a, b, tuple(names)
        super().__init__(_compare=compare_messages(a, b, names), **traits)
        self.on_msg(self._answer)

    def __repr__(self) -> str:
        return f"CompareWidget({self.names[0]}: {self.a!r}, {self.names[1]}: {self.b!r})"

    @property
    def trace(self) -> Trace:
        """The first of the two, whose tokens are counted."""
        return self.a

    def _answer(self, _widget: object, question: Any, _buffers: object) -> None:
        """Answer the screen. May run on any thread, so it only reads, and never touches a model."""
        if not isinstance(question, dict) or question.get("type") != "attention":
            return
        run = question.get("run")
        if run in (LEFT, RIGHT):
            trace = self.a if run == LEFT else self.b
            self.send({"message": answer_attention(trace, run, question)})

    def _repr_mimebundle_(self, **_options: object) -> tuple[dict[str, Any], dict[str, Any]]:
        said = (trace.text.strip() or "(no answer)" for trace in (self.a, self.b))
        text = "\n".join(f"{name}: {answer}" for name, answer in zip(self.names, said, strict=True))
        return self._output(text, _stacked(png_of(self.a), png_of(self.b)))


def compare(a: Trace | Reply, b: Trace | Reply, names: Sequence[str] = NAMES) -> CompareWidget:
    """Two traces beside each other, with differences in words and routing marked.

    Args:
        a, b: traces, or the replies that have them, of the same model.
        names: how they are called, such as ("BF16", "FP8").

    Raises:
        TypeError: one of them is neither. TraceError, ValueError: as for `CompareWidget`.
    """
    return CompareWidget(_trace_of("a", a), _trace_of("b", b), names)


def _trace_of(name: str, given: Trace | Reply) -> Trace:
    trace = given.trace if isinstance(given, Reply) else given
    if not isinstance(trace, Trace):
        raise TypeError(f"{name} is a {type(given).__name__}; expected a Trace, or the Reply that has one")
    return trace


def _stacked(upper: bytes, lower: bytes) -> bytes:
    """Two pictures as one, the second below the first."""
    one, other = Image.open(io.BytesIO(upper)), Image.open(io.BytesIO(lower))
    both = Image.new("RGB", (max(one.width, other.width), one.height + other.height), "white")
    both.paste(one, (0, 0))
    both.paste(other, (0, one.height))
    file = io.BytesIO()
    both.save(file, "PNG", optimize=True)
    return file.getvalue()
