"""What is observed while a model answers: layers, heads, rows, number type and memory.

Names for short: `capture=["routing", "attention:rows"]`; the same in full: `CaptureOptions(...)`.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches

import torch

ALL = "all"
ROWS = ("generated", "last", "prompt", ALL)
DTYPES = {"float16": torch.float16, "float32": torch.float32}
NAMES: dict[str, dict] = {
    "routing": {"routing": True, "router_logits": True},
    "routing:ids": {"routing": True},
    "router_logits": {"routing": True, "router_logits": True},
    "attention": {"attention": True},
    "attention:rows": {"attention": True, "attention_layers": ALL},
    "attention:last": {"attention": True, "attention_layers": ALL, "rows": "last"},
    "attention:prompt": {"attention": True, "attention_layers": ALL, "rows": "prompt"},
    "attention:all": {"attention": True, "attention_layers": ALL, "rows": ALL},
}
"""What may be asked for by name.

"routing" (or "router_logits"): experts, gates, and the router logits that bear them out. "routing:ids":
experts and gates alone. "attention": the row behind every generated word, in as many layers as the budget
holds. "attention:rows": the same rows in every layer, or a refusal. "attention:last": the last row of the
prompt alone. "attention:prompt": every row of the prompt. "attention:all": every row of prompt and answer.
"""


class CaptureError(RuntimeError):
    """Something was asked for that cannot be observed truthfully, or not within the budget."""


@dataclass(frozen=True)
class CaptureOptions:
    """What is observed.

    Attributes:
        routing: experts and gates of every token. router_logits: and what they follow from; without it a
            trace cannot be verified.
        attention: rows of the attention pattern.
        moe_layers: true numbers of the layers whose routing is kept; None: all.
        attention_layers: true layer numbers, or "all"; None: all if they fit the budget, else the
            position-free ones, which see the whole prompt, else the last of them.
        attention_heads: head numbers; None: all.
        rows: "generated" (the row behind every generated word), "last" (of the prompt: behind the first
            word), "prompt", "all", or token numbers as in `Trace.query_index`. A row that the answer does not
            reach is absent.
        attention_dtype: "float16", or "float32" as computed, at twice the size.
        attention_budget: bytes that the attention may take. Without a word about layers, heads and rows, as
            many layers are kept as fit; a request for certain ones that do not fit is refused.
        budget: bytes that the whole trace may take, refused if they do not do; None: no limit. With it, a
            request for certain attention may take all that the rest leaves.

    Numbers may come in anything that can be iterated, a NumPy array say; they are kept as tuples of int.
    """

    routing: bool = True
    attention: bool = True
    attention_budget: int = 256 * 2**20
    router_logits: bool = True
    moe_layers: Sequence[int] | None = None
    attention_layers: Sequence[int] | str | None = None
    attention_heads: Sequence[int] | None = None
    rows: str | Sequence[int] = "generated"
    attention_dtype: str = "float16"
    budget: int | None = None

    def __post_init__(self) -> None:
        for name in ("moe_layers", "attention_layers", "attention_heads", "rows"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                object.__setattr__(self, name, _whole(name, value))  # once, here: it is frozen
        if isinstance(self.rows, str) and self.rows not in ROWS:
            near = get_close_matches(self.rows, ROWS, n=1)
            raise ValueError(
                f"rows is {self.rows!r}; expected {', '.join(map(repr, ROWS))} or token numbers"
                + (f"; nearest: {near[0]!r}" if near else "")
            )
        if self.attention_dtype not in DTYPES:
            raise ValueError(f"attention_dtype is {self.attention_dtype!r}; expected one of {list(DTYPES)}")
        if isinstance(self.attention_layers, str) and self.attention_layers != ALL:
            raise ValueError(
                f"attention_layers is {self.attention_layers!r}; expected numbers, 'all' or None"
            )
        for name in ("attention_budget", "budget"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 0):
                raise ValueError(f"{name} is {value!r}; expected bytes, a whole number from 0 up")

    @property
    def certain(self) -> bool:
        """Whether certain attention is asked for, to be had or to be refused."""
        chosen = (self.attention_layers, self.attention_heads)
        return self.attention and (any(part is not None for part in chosen) or self.rows != "generated")

    def to_json(self) -> dict:
        """Plain values for a trace's `meta`."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }


def _whole(name: str, asked: Iterable[int]) -> tuple[int, ...]:
    try:
        return tuple(operator.index(number) for number in asked)
    except TypeError:
        raise ValueError(f"{name} is {asked!r}; expected whole numbers") from None


def options_of(capture: CaptureOptions | str | Sequence[str] | None) -> CaptureOptions:
    """Options out of what a caller may give for `capture`: options, names of `NAMES`, or None for the usual.

    Raises:
        ValueError: a name that there is not (says the nearest), or two kinds of attention at once.
    """
    if capture is None:
        return CaptureOptions()
    if isinstance(capture, CaptureOptions):
        return capture
    names = [capture] if isinstance(capture, str) else list(capture)
    chosen = {"routing": False, "router_logits": False, "attention": False}
    for name in names:
        if not isinstance(name, str) or name not in NAMES:
            near = get_close_matches(str(name), NAMES, n=1, cutoff=0.4)
            hint = f"nearest: {near[0]!r}; " if near else ""
            raise ValueError(f"nothing is captured by the name {name!r}; {hint}there are {', '.join(NAMES)}")
        chosen |= NAMES[name]
    if len(kinds := [name for name in names if name.startswith("attention")]) > 1:
        raise ValueError(f"capture has {' and '.join(map(repr, kinds))}; expected one kind of attention")
    return CaptureOptions(**chosen)
