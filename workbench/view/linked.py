"""What is chosen in a view, shared between a screen and Python: traits that each side may set."""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

from workbench.trace import Trace
from workbench.view.module import script, style
from workbench.view.payload import MEAN_HEAD, attention_info
from workbench.view.saved import shown
from workbench.view.selection import Selection, selection_of

NONE_CHOSEN = -1


class LinkedWidget(anywidget.AnyWidget):
    """A view of a trace whose choices arrive in traits; a subclass says which trace, and sends it.

    Raises:
        TypeError: a keyword that is no trait.
        TraitError: a token, a layer or a head that the trace does not have.
    """

    _esm = script()
    _css = style()

    selected = traitlets.Int(NONE_CHOSEN, help="the chosen token, -1: none").tag(sync=True)
    selected_layer = traitlets.Int(NONE_CHOSEN, help="the chosen MoE layer, -1: none").tag(sync=True)
    selected_expert = traitlets.Int(NONE_CHOSEN, help="the chosen expert, -1: none").tag(sync=True)
    attention_layer = traitlets.Int(NONE_CHOSEN, help="layer of the attention, -1: default").tag(sync=True)
    attention_head = traitlets.Int(MEAN_HEAD, help="head of the attention, -1: mean").tag(sync=True)
    selection = traitlets.Instance(Selection, (), read_only=True, help="all that is chosen, to read")

    def __init__(self, **traits: object) -> None:
        public = {name for name in self.trait_names() if not name.startswith("_")} - {"selection"}
        if unknown := sorted(name for name in traits if name not in public and not name.startswith("_")):
            own = ", ".join(sorted(public & set(LinkedWidget.class_own_traits())))
            raise TypeError(f"{type(self).__name__} has no {', '.join(unknown)}; its own traits are {own}")
        super().__init__(**traits)
        self._choose()

    @property
    def trace(self) -> Trace | None:
        """The trace that tokens and layers are numbers of; None before there is one."""
        raise NotImplementedError

    def _output(self, text: str, png: bytes | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """As the output of a cell: the view, text and picture in its place, what Colab asks for beside."""
        _, hints = super()._repr_mimebundle_()
        return shown(self, text, png), hints

    @traitlets.observe("selected", "selected_layer", "selected_expert", "attention_layer", "attention_head")
    def _choose(self, _change: object = None) -> None:
        token, looked = self.selected, self.attention_layer
        if self.trace is not None and token >= len(self.trace):
            token = (
                NONE_CHOSEN  # it was one of the answer before, and the screen has not heard of the new one
            )
        if looked == NONE_CHOSEN and self._attention is not None:
            looked = self._attention["default"]
        numbers = (token, self.selected_layer, self.selected_expert, looked, self.attention_head)
        chosen = [None if number == NONE_CHOSEN else number for number in numbers]
        self.set_trait("selection", selection_of(self.trace, *chosen))

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

    @traitlets.validate("selected_expert")
    def _an_expert(self, proposal: dict[str, Any]) -> int:
        experts = [] if self.trace is None else list(range(self.trace.num_experts))
        return _one_of(proposal["value"], experts, "selected_expert", "experts")

    @traitlets.validate("attention_layer")
    def _a_layer_with_attention(self, proposal: dict[str, Any]) -> int:
        layers = self._attention["layers"] if self._attention else []
        return _one_of(proposal["value"], layers, "attention_layer", "attention of layers")

    @traitlets.validate("attention_head")
    def _a_head(self, proposal: dict[str, Any]) -> int:
        heads = self._attention["heads"] if self._attention else []
        return _one_of(proposal["value"], heads, "attention_head", "attention of heads")


def _one_of(value: int, known: list[int], name: str, what: str) -> int:
    if value != NONE_CHOSEN and value not in known:
        raise traitlets.TraitError(f"{name}={value}: the trace has the {what} {known} (-1: none)")
    return value
