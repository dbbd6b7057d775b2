"""`draw`: the figure that belongs to an answer."""

from __future__ import annotations

from functools import singledispatch

from workbench.figures.findings import draw_finding
from workbench.figures.plot import Plot, panels, style
from workbench.routing.findings import Finding


@singledispatch
def draw(answer: object, **given: object) -> Plot:
    """The figure of an answer, with the chance level drawn in.

    answer: what a function of `workbench.routing`, `workbench.grounding`, `workbench.logit_lens` or
    `workbench.interventions` gave. The result is a matplotlib figure; `.save("name.svg")` writes it as
    .svg, .png or .pdf, and a notebook shows it. Maps take `images=`, the pictures to draw them on.

    Raises:
        TypeError: there is no figure for such an answer.
    """
    known = sorted(kind.__name__ for kind in draw.registry if kind is not object)
    raise TypeError(f"no figure for a {type(answer).__name__}; there are figures for {', '.join(known)}")


@draw.register
def _(answer: Finding) -> Plot:
    with style():
        figure, (axes,) = panels(1)
        draw_finding(axes, answer)
    return figure
