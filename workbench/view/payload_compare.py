"""Two traces of one question as one message, for a screen that shows them beside each other.

`compare` has {names, shared, left, right}: the names of the two, how many tokens from the first on are the
same in both, and each trace as the `batch` that a page which opens late gets. The batches' runs are "left"
and "right"; a question about attention carries the run of its side. What differs follows from the traces and
is found on the screen: routing is compared only for the `shared` tokens, because behind them each answer
reads different words.
"""

from collections.abc import Sequence

import numpy as np

from workbench.trace import Trace, TraceError
from workbench.view.payload import Message, snapshot

LEFT, RIGHT = "left", "right"


def compare_messages(a: Trace, b: Trace, names: Sequence[str] = ("A", "B")) -> Message:
    """What a screen must know to show two traces beside each other.

    Args:
        a, b: two traces of the same model: with and without an edit, in two formats, with two seeds.
        names: how they are called.

    Raises:
        TraceError: the traces are of models with different layers or experts.
        ValueError: there are not two names.
    """
    if isinstance(names, str) or len(names) != 2:
        raise ValueError(f"names is {names!r}; expected two, such as ('BF16', 'FP8')")
    for what in ("moe_layers", "num_experts"):
        ours, theirs = getattr(a, what), getattr(b, what)
        if not np.array_equal(ours, theirs):
            said = f"{np.asarray(ours).tolist()} and {np.asarray(theirs).tolist()}"
            raise TraceError(f"{what} of the two traces are {said}; compare traces of the same model")
    return {
        "op": "compare",
        "names": list(names),
        "shared": shared_tokens(a, b),
        LEFT: snapshot(a, LEFT),
        RIGHT: snapshot(b, RIGHT),
    }


def shared_tokens(a: Trace, b: Trace) -> int:
    """How many tokens from the first on are the same in both."""
    count = min(len(a), len(b))
    other = np.flatnonzero(a.token_ids[:count] != b.token_ids[:count])
    return int(other[0]) if len(other) else count
