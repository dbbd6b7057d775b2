"""Two answers next to each other, as a piece of HTML that needs no script.

Text of a model or a person is escaped; colour is never the only sign: the number stands in each token's title
and the parting of the ways has a mark.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from workbench.interventions.compare import Comparison, Effect
    from workbench.run import Reply

MOST_TOKENS = 400  # of an answer that are drawn; the rest is counted
_FULL = math.log(2)  # nats at which a token is fully coloured
_DEEPEST = 0.45  # opacity of the full colour: text stays legible on it, on a light page and on a dark one


def page(comparison: Comparison) -> str:
    """The comparison as HTML."""
    at = comparison.first_divergence
    edits = "<br>".join(html.escape(repr(edit)) for edit in comparison.edits)
    parting = "The answers are the same." if at is None else f"The answers part at token {at} (marked ▶)."
    a = _answer(comparison, comparison.a, comparison.kl, at)
    b = _answer(comparison, comparison.b, (), at)
    rows = "".join(_row(effect) for effect in (comparison.effect, comparison.loss))
    cell = 'style="text-align:left;vertical-align:top;white-space:pre-wrap;max-width:32em"'
    return (
        f"<table><tr><th>A: as it is</th><th>B: {edits}</th></tr>"
        f"<tr><td {cell}>{a}</td><td {cell}>{b}</td></tr></table>"
        f"<p>{parting} Shade: KL in place of A's token, full at one bit.</p>"
        "<table><tr><th>effect</th><th>edit</th><th>controls: median (95 %)</th><th>percentile</th>"
        "<th>p</th></tr>"
        f"{rows}</table><p>{len(comparison.controls)} controls: {html.escape(comparison.matched)}.</p>"
    )


def _answer(comparison: Comparison, reply: Reply, kl: Sequence[float], parting: int | None) -> str:
    trace = reply.trace
    parts = []
    for i, place in enumerate(trace.generated_index[:MOST_TOKENS]):
        mark = "▶" if i == parting else ""
        token = html.escape(trace.tokens[place])
        if i < len(kl):
            share = _DEEPEST * min(1.0, float(kl[i]) / _FULL)
            title = f"KL {kl[i]:.3g} nats, log-probability {comparison.delta_logprob[i]:+.3g}"
            token = (
                f'<span title="{title}" style="background:rgba(230,159,0,{share:.2f})">{mark}{token}</span>'
            )
        else:
            token = mark + token
        parts.append(token)
    if (rest := len(trace.generated_index) - MOST_TOKENS) > 0:
        parts.append(f" … {rest} more tokens")
    return "".join(parts)


def _row(effect: Effect) -> str:
    low, middle, high = np.quantile(effect.controls, [0.025, 0.5, 0.975])
    return (
        f"<tr><td>{html.escape(effect.what)}</td><td>{effect.value:.4g}</td>"
        f"<td>{middle:.4g} ({low:.4g} to {high:.4g})</td><td>{effect.percentile:.0f}</td>"
        f"<td>{effect.p:.2g}</td></tr>"
    )
