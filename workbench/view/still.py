"""A still picture of a trace, for places where no script runs: a saved notebook on a web page, a printout."""

import io
import textwrap
import warnings

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure

from workbench.trace import NOT_CAPTURED, Trace
from workbench.view.payload import PATCH, attention_info

# as PALETTE in js/colours.js, so that an expert has the same colour in the still and in the live view
EXPERT_COLOURS = [
    "#31d1be",
    "#55359a",
    "#b44a19",
    "#8e74df",
    "#e98c0a",
    "#f3e056",
    "#7d334e",
    "#487093",
    "#1ff8fa",
    "#a6a2fe",
    "#2da4a2",
    "#bfe9b1",
    "#ba7d57",
    "#d9b779",
    "#764bbc",
    "#9c1112",
]
MANY_EXPERTS = len(EXPERT_COLOURS)
NIGHT = (10 / 255, 16 / 255, 48 / 255)
VEIL = LinearSegmentedColormap.from_list("veil", [(*NIGHT, 0.75), (*NIGHT, 0.0)])


def still_png(trace: Trace) -> bytes:
    """The pictures with the attention of one word, and the experts of all words, as a PNG."""
    pictures, layers = len(trace.images), len(trace.moe_layers)
    heights = ([2.6] if pictures else []) + ([max(1.4, 0.5 + 0.16 * min(layers, 24))] if layers else [])
    figure = Figure(figsize=(8, 0.6 + sum(heights) + 0.5 * len(heights)), layout="constrained")
    figure.suptitle(_shorten(trace.text or "(no answer)", 160), x=0.01, ha="left", fontsize=11, wrap=True)
    rows = []
    if heights:
        rows = list(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    if pictures:
        token = featured_token(trace)
        for index, axes in enumerate(rows.pop(0).subplots(1, pictures, squeeze=False)[0]):
            _draw_picture(axes, trace, index, token)
    if layers:
        _draw_experts(rows.pop(0).subplots(), trace)
    file = io.BytesIO()
    with warnings.catch_warnings():
        # a script that the font lacks is drawn as boxes; the words stand in the notebook's text as well
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()


def featured_token(trace: Trace) -> int | None:
    """The word to show when none was chosen: the last generated one with a letter or digit; None if none."""
    words = [i for i in trace.generated_index.tolist() if not trace.tokens[i].startswith("<|")]
    return next((i for i in reversed(words) if any(map(str.isalnum, trace.tokens[i]))), None)


def _draw_picture(axes: Axes, trace: Trace, index: int, token: int | None) -> None:
    width, height = trace.image_sizes[index].tolist()
    axes.imshow(trace.images[index], extent=(0, width, height, 0))
    axes.set_axis_off()
    title = f"image {index + 1}"
    rows = trace.attention_row(token) if token else None
    info = attention_info(trace)
    if rows is not None and info is not None:
        row = rows[info["layers"].index(info["default"])].astype(np.float32).mean(0)
        patches = (trace.image_index == index) & (trace.modality == PATCH)
        word = _shorten(trace.tokens[token].strip(), 20)
        title += f": {row[patches].sum():.0%} of the attention of {word!r}"
        painted = _painted(trace)
        brightest = row[painted].max(initial=1e-9)  # of all pictures, so that they can be compared
        for i in np.flatnonzero(patches & painted):
            x0, y0, x1, y1 = trace.patch_box[i]
            if not np.isnan(x0):
                axes.fill([x0, x1, x1, x0], [y0, y0, y1, y1], color=VEIL(row[i] / brightest), linewidth=0)
    axes.set_title("\n".join(textwrap.wrap(title, 30)), fontsize=9)


def _painted(trace: Trace) -> np.ndarray:
    """Which tokens are patches of the cut to show: the thumbnail, or the only tile of a small picture."""
    patches = trace.modality == PATCH
    with_thumbnail = np.unique(trace.image_index[trace.is_thumbnail])
    return patches & (trace.is_thumbnail | ~np.isin(trace.image_index, with_thumbnail))


def _draw_experts(axes: Axes, trace: Trace) -> None:
    chosen = np.ma.masked_equal(trace.routed_experts[:, :, 0].T, NOT_CAPTURED)
    axes.set_facecolor("#dddddd")
    if trace.num_experts <= MANY_EXPERTS:
        colours = ListedColormap(EXPERT_COLOURS[: trace.num_experts])
        drawn = axes.imshow(
            chosen,
            aspect="auto",
            interpolation="nearest",
            cmap=colours,
            vmin=-0.5,
            vmax=trace.num_experts - 0.5,
        )
        label, ticks = "expert", range(trace.num_experts)
    else:
        gates = np.ma.masked_where(chosen.mask, trace.routed_weights[:, :, 0].T.astype(np.float32))
        told = np.isfinite(gates).any()  # other engines tell which experts, and no gates
        shown, label, most = (gates, "gate", 1) if told else (chosen, "expert", trace.num_experts - 1)
        drawn = axes.imshow(shown, aspect="auto", interpolation="nearest", cmap="Blues", vmin=0, vmax=most)
        ticks = [0, most / 2, most]
    axes.figure.colorbar(drawn, ax=axes, label=label, ticks=ticks).ax.tick_params(labelsize=7)
    every = -(-len(trace.moe_layers) // 12)
    axes.set_yticks(range(0, len(trace.moe_layers), every), trace.moe_layers[::every])
    starts = _starts(trace)
    axes.set_xticks(list(starts), list(starts.values()), fontsize=8, ha="left")
    axes.set_ylabel("MoE layer")


def _starts(trace: Trace) -> dict[int, str]:
    """Where each picture and the answer begin."""
    images = np.unique(trace.image_index[trace.image_index >= 0])
    starts = {int(np.flatnonzero(trace.image_index == i)[0]): f"image {i + 1}" for i in images}
    return starts | ({int(trace.generated_index[0]): "answer"} if len(trace.generated_index) else {})


def _shorten(text: str, most: int) -> str:
    text = " ".join(text.split()).replace("$", r"\$")  # a dollar would begin a formula
    return text if len(text) <= most else text[: most - 1] + "…"
