"""What all figures have in common: how they look, how a notebook shows them, how they become files.

Nothing is told by colour alone: series differ in marker and line, heat maps grow lighter steadily and so read
the same in black and white and to colour-blind eyes.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from workbench.whole_file import unfinished

# Okabe and Ito's palette, which colour-blind readers can tell apart; each with a marker and a line of its own
SERIES = (
    ("#000000", "o", "-"),
    ("#0072B2", "s", "--"),
    ("#D55E00", "^", ":"),
    ("#009E73", "D", "-."),
    ("#CC79A7", "v", (0, (5, 1, 1, 1, 1, 1))),
    ("#E69F00", "P", (0, (1, 3))),
    ("#56B4E9", "X", (0, (8, 2))),
)
CHANCE = "#9a9a9a"  # the band in which chance lies
SHADES = "cividis"
FORMATS = (".svg", ".png", ".pdf")
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "none",  # words stay words: they can be searched and read aloud
    "svg.hashsalt": "moe-workbench",  # the same figure, the same file
    "figure.facecolor": "white",
}
_UNDATED = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": None}


class Plot(Figure):
    """A figure that a notebook shows and `save` writes; else matplotlib's own."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        with style():
            self.savefig(file, format="png", dpi=110)
        return file.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write the figure as .svg, .png or .pdf; the file appears whole or not at all.

        Raises:
            ValueError: another ending. FileNotFoundError: there is no such folder.
        """
        path = Path(path)
        if path.suffix.lower() not in FORMATS:
            raise ValueError(f"cannot save a figure as {path.name!r}; expected one of {', '.join(FORMATS)}")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"no folder {path.parent} to save the figure in")
        ending = path.suffix.lower()
        with style(), unfinished(path) as beside:
            self.savefig(beside, format=ending[1:], dpi=200, metadata=_UNDATED[ending])
        return path


@contextmanager
def style() -> Iterator[None]:
    """The common look, for as long as the block runs; the reader's own settings come back after it."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # a script that the font lacks is drawn as boxes; the words stand in the table beside the figure
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def panels(rows: int, columns: int = 1, size: tuple[float, float] = (6.4, 2.6)) -> tuple[Plot, list[Axes]]:
    """A figure of `rows` x `columns` panels, each of `size` (width, height) in inches."""
    figure = Plot(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flatten())


def legend_below(axes: Axes, columns: int = 3) -> None:
    """A legend under the axis' label, so that panels above each other stay equally wide."""
    under = ScaledTranslation(0, -34 / 72, axes.figure.dpi_scale_trans)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=axes.transAxes + under,
        ncols=columns,
        borderaxespad=0,
    )


def headline(figure: Figure, text: str) -> None:
    """A title over all panels, in as many lines as it needs."""
    lines = textwrap.wrap(plain(text), int(14 * figure.get_size_inches()[0]))
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=10)


def plain(text: str) -> str:
    """Text that is drawn as it is: a dollar would begin a formula."""
    return text.replace("$", r"\$")
