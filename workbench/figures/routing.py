"""Figures for the questions about routing.

M MoE layers, E experts
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from workbench.figures.draw import draw
from workbench.figures.findings import draw_finding
from workbench.figures.plot import CHANCE, SERIES, SHADES, Plot, legend_below, panels, plain, style
from workbench.routing import (
    Agreement,
    Load,
    OnPixels,
    Paths,
    Preference,
    Saturation,
    Specialization,
    Statistics,
    Transitions,
)

_MOST_ROWS = 20


def _heat(axes: Axes, values: np.ndarray, rows: list, columns: list, label: str) -> AxesImage:
    """A heat map [rows, columns] with its scale; ticks are thinned out where there are many."""
    drawn = axes.imshow(values, aspect="auto", interpolation="nearest", cmap=SHADES)
    for axis, names in ((axes.yaxis, rows), (axes.xaxis, columns)):
        every = max(1, -(-len(names) // 24))
        axis.set_ticks(range(0, len(names), every), [str(name) for name in names[::every]])
    axes.figure.colorbar(drawn, ax=axes, label=label)
    return drawn


@draw.register
def _(answer: Load) -> Plot:
    layers, experts = answer.share.shape
    with style():
        figure, axes = panels(2, size=(7.5, max(2.6, 1 + 0.16 * layers)))
        _heat(axes[0], answer.share, answer.layers.tolist(), list(range(experts)), "share of the choices")
        marks = (
            (answer.share_low > answer.chance_high, "^", "more than chance gives"),
            (answer.share_high < answer.chance_low, "v", "less"),
        )
        for where, marker, label in marks:
            layer, expert = np.nonzero(where)
            axes[0].plot(
                expert, layer, marker, color="white", markeredgecolor="black", markersize=4, label=label
            )
        axes[0].set_xlabel("expert")
        axes[0].set_ylabel("layer")
        axes[0].set_title(
            f"load: 95 % of the shares drawn by lot lie from {answer.chance_low:.3f} to "
            f"{answer.chance_high:.3f}"
        )
        legend_below(axes[0])
        draw_finding(axes[1], answer.variation)
    return figure


@draw.register
def _(answer: Preference) -> Plot:
    with style():
        figure, axes = panels(3)
        draw_finding(axes[0], answer.margin)
        draw_finding(axes[1], answer.entropy)
        for number, (quantile, row) in enumerate(zip(answer.quantiles, answer.margins.T, strict=True)):
            colour, marker, line = SERIES[number % len(SERIES)]
            axes[2].plot(
                range(len(row)), row, color=colour, marker=marker, linestyle=line, label=f"{quantile:.0%}"
            )
        axes[2].set_xticks(range(len(answer.margins)), _layers(answer))
        axes[2].set_xlabel("layer")
        axes[2].set_title("margin between the last chosen expert and the next, quantiles over tokens")
        legend_below(axes[2])
    return figure


def _layers(answer: Preference) -> list[str]:
    return [str(layer) for layer in np.asarray(answer.margin.places["layer"]).tolist()]


@draw.register
def _(answer: Transitions) -> Plot:
    """The pair of layers that tells most, and what every pair tells."""
    most = int(np.nanargmax(answer.information.over_chance))
    one, other = answer.pairs[most].tolist()
    experts = answer.lift.shape[1]
    with np.errstate(divide="ignore"):
        lift = np.log2(answer.lift[most])
    with style():
        figure, axes = panels(2, size=(6.4, 4.2))
        drawn = _heat(
            axes[0], np.ma.masked_invalid(lift), list(range(experts)), list(range(experts)),
            "log2 of the lift; 0 is chance",
        )  # fmt: skip
        drawn.colorbar.ax.axhline(0, color="white", linewidth=2)
        axes[0].set_facecolor("#dddddd")
        axes[0].set_ylabel(f"expert in layer {one}")
        axes[0].set_xlabel(f"expert in layer {other}")
        axes[0].set_title(f"from layer {one} to layer {other}, the pair that tells most; grey: no token")
        draw_finding(axes[1], answer.information)
    return figure


@draw.register
def _(answer: Paths) -> Plot:
    shown = min(_MOST_ROWS, len(answer.paths))
    names = ["-".join(map(str, path)) for path in answer.paths[:shown].tolist()]
    at = np.arange(shown)
    share = answer.share
    with style():
        figure, (axes,) = panels(1, size=(6.8, 1.4 + 0.22 * shown))
        axes.barh(
            at, (share.chance_high - share.chance_low)[:shown], 0.8, share.chance_low[:shown],
            color=CHANCE, alpha=0.45, label="the r-th commonest path by chance, 95 %",
        )  # fmt: skip
        reach = np.stack([share.value - share.low, share.high - share.value])[:, :shown].clip(0)
        axes.errorbar(
            share.value[:shown], at, xerr=np.nan_to_num(reach), color="black", marker="o", linestyle="none",
            capsize=2, label="measured, 95 % interval",
        )  # fmt: skip
        for values, look, label in (
            (answer.independent, SERIES[1], "if every layer chose for itself"),
            (answer.step_by_step, SERIES[2], "if each looked only at the one before"),
        ):
            axes.plot(
                values[:shown], at, linestyle="none", marker=look[1], color=look[0], mfc="none", label=label
            )
        axes.set_yticks(at, names)
        axes.invert_yaxis()
        axes.set_xlabel("share of the tokens")
        axes.set_ylabel("experts in layers " + "-".join(map(str, answer.layers.tolist())))
        axes.set_title(f"{answer.distinct} paths, by chance {answer.distinct_by_chance:.1f}")
        axes.legend(loc="lower right")
    return figure


@draw.register
def _(answer: Specialization) -> Plot:
    """What the expert tells in every layer, and where each label's tokens go in the layer that tells most."""
    most = int(np.nanargmax(answer.of_label.over_chance))
    labels = [
        plain(f"{label} ({count})")
        for label, count in zip(answer.labels, answer.tokens.tolist(), strict=True)
    ]
    with style():
        figure, axes = panels(2, size=(7.0, max(2.6, 1.2 + 0.2 * len(labels))))
        draw_finding(axes[0], answer.of_label)
        experts = answer.share.shape[-1]
        _heat(axes[1], answer.share[most], labels, list(range(experts)), "share of that label's choices")
        axes[1].set_xlabel(f"expert in layer {answer.layers[most]}, the one that tells most")
        axes[1].set_ylabel(plain(answer.by) + " (tokens)")
        axes[1].set_title(f"by chance every row is alike; an even share is {1 / experts:.3f}")
    return figure


@draw.register
def _(answer: Agreement) -> Plot:
    bins = answer.by_margin  # [M, bins, 4]
    tokens, flips = bins[..., 2].sum(0), (bins[..., 2] * np.nan_to_num(bins[..., 3])).sum(0)
    with style():
        figure, axes = panels(2)
        draw_finding(axes[0], answer.flips)
        rate = np.divide(flips, tokens, out=np.zeros_like(flips), where=tokens > 0)
        axes[1].bar(range(len(rate)), rate, color="white", edgecolor="black", hatch="//")
        axes[1].axhline(
            answer.flips.chance.mean(), color="#555555", linestyle="dashed", label="flips by chance, mean"
        )
        axes[1].set_xticks([0, len(rate) - 1], ["smallest margins", "largest"])
        axes[1].set_ylabel("share of flips")
        axes[1].set_title("flips by the margin that the first routing had (tenths of the tokens, all layers)")
        axes[1].legend(loc="upper right")
    return figure


@draw.register
def _(answer: Saturation) -> Plot:
    with style():
        figure, (axes,) = panels(1)
        draw_finding(axes, answer.share)
    return figure


@draw.register
def _(answer: OnPixels) -> Plot:
    """The labels, the experts of the layer that follows them best, and the number of every layer."""
    most = int(np.nanargmax(answer.adjusted.value))
    with style():
        figure, axes = panels(1, 3, size=(3.6, 3.2))
        maps = (
            (answer.labels, "labels"),
            (answer.experts[most], f"experts in layer {answer.layers[most]}"),
        )
        for axis, (values, title) in zip(axes[:2], maps, strict=True):
            axis.imshow(np.ma.masked_less(values, 0), interpolation="nearest", cmap=SHADES)
            axis.set_facecolor("#dddddd")
            if values.size <= 400:  # a number in every patch: shades alone tell few labels apart
                for (row, col), value in np.ndenumerate(values):
                    if value >= 0:
                        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
                        axis.text(col, row, str(value), ha="center", va="center", fontsize=7, bbox=box)
            axis.set_title(title)
            axis.set_xticks([])
            axis.set_yticks([])
        draw_finding(axes[2], answer.adjusted)
    return figure


@draw.register
def _(answer: Statistics) -> Plot:
    with style():
        figure, axes = panels(len(answer.findings), size=(7.0, 2.2))
        for axis, one in zip(axes, answer.findings, strict=True):
            draw_finding(axis, one)
    return figure
