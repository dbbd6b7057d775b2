"""What is chosen on the screen, as one object to read: `view.selection`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from workbench.layout import NOT_CAPTURED
from workbench.trace import Trace


@dataclass(frozen=True, repr=False)
class Selection:
    """A choice in a view; None stands for what is not chosen, or was not captured.

    Attributes:
        token: its number in the trace. text: the token as the view shows it.
        layer: the chosen MoE layer, its true number. expert: the chosen one, else the one that this layer
            asked for this token (the first, where it asks several).
        image: the picture that the token belongs to, from 0. patch: (tile, row, column) of its square; None
            for words, for markers, and where a picture is chosen as a whole.
        attention_layer: whose attention lies on the pictures. head: of these heads; None for the mean of all.
    """

    token: int | None = None
    text: str | None = None
    layer: int | None = None
    expert: int | None = None
    image: int | None = None
    patch: tuple[int, int, int] | None = None
    attention_layer: int | None = None
    head: int | None = None

    def __repr__(self) -> str:
        chosen = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return f"Selection({', '.join(f'{name}={value!r}' for name, value in chosen if value is not None)})"


def selection_of(
    trace: Trace | None,
    token: int | None,
    layer: int | None,
    expert: int | None,
    attention_layer: int | None,
    head: int | None,
) -> Selection:
    """What was chosen of a trace, with what the trace says of it.

    Raises:
        IndexError: the trace has no such token.
        ValueError: the trace has no such layer of experts.
    """
    if trace is None or token is None:
        return Selection(layer=layer, expert=expert, attention_layer=attention_layer, head=head)
    if expert is None and layer is not None:
        expert = _expert(trace, token, layer)
    image = int(trace.image_index[token])
    square = (trace.tile_index[token], trace.patch_row[token], trace.patch_col[token])
    return Selection(
        token=token,
        text=trace.tokens[token],
        layer=layer,
        expert=expert,
        image=image if image >= 0 else None,
        patch=tuple(int(number) for number in square) if square[1] >= 0 else None,
        attention_layer=attention_layer,
        head=head,
    )


def _expert(trace: Trace, token: int, layer: int) -> int | None:
    expert = int(trace.routed_experts[token, trace.moe_layers.tolist().index(layer), 0])
    return None if expert == NOT_CAPTURED else expert
