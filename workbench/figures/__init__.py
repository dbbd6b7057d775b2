"""A figure for every answer: `figures.draw(routing.load(trace)).save("load.svg")`.

Readable in black and white and for colour-blind eyes, with the chance level drawn in.
"""

from workbench.figures import grounding, inside, routing  # noqa: F401 (their figures become known to `draw`)
from workbench.figures.draw import draw
from workbench.figures.plot import FORMATS, Plot

__all__ = ["FORMATS", "Plot", "draw"]
