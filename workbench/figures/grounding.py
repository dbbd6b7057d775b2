"""Figures for the questions about pictures: maps on the pictures themselves, and what they are worth.

A map is drawn as a veil: what it does not point at is dark, so that it reads the same without colour.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from workbench.figures.draw import draw
from workbench.figures.plot import CHANCE, SERIES, SHADES, Plot, headline, legend_below, panels, plain, style
from workbench.grounding import (
    Faithfulness,
    GroundingHeads,
    Hidden,
    Occlusion,
    PatchLens,
    PatchMap,
    PatchMaps,
    Randomised,
    Scores,
)
from workbench.grounding.scores import METRICS

_MOST_MAPS = 24


def _draw_map(axes: Axes, one: PatchMap, image: int, picture: Image.Image | None, most: float) -> None:
    """One picture under the veil of its map; `most` is the score that is shown as clear."""
    width, height = (int(side) for side in one.patches.sizes[image])
    extent = (0, width, height, 0)
    values = one.on_pixels(image)
    least = min(0.0, float(values.min())) if one.signed else 0.0
    if picture is None:
        drawn = axes.imshow(values, extent=extent, cmap=SHADES, vmin=least, vmax=most)
        axes.figure.colorbar(drawn, ax=axes, shrink=0.8)
    else:
        axes.imshow(picture.convert("RGB"), extent=extent)
        veil = np.zeros((height, width, 4))
        veil[..., 3] = 0.8 * (1 - np.clip(values / most, 0, 1)) if most > 0 else 0.8
        axes.imshow(veil, extent=extent)
    axes.set_xticks([])
    axes.set_yticks([])


@draw.register
def _(answer: PatchMap, images: Sequence[Image.Image] | None = None) -> Plot:
    """images: the original pictures (or the trace's copies), to draw the map on."""
    shares = np.clip(answer.of_images(), 0, None)
    total = shares.sum()
    patches = np.bincount(answer.patches.image[answer.kept], minlength=len(shares))
    with style():
        figure, axes = panels(1, len(shares), size=(3.0, 3.2))
        most = max(float(answer.on_pixels(i).max()) for i in range(len(shares)))
        for number, axis in enumerate(axes):
            _draw_map(axis, answer, number, images[number] if images is not None else None, most)
            if answer.signed or total <= 0:
                axis.set_title(f"image {number + 1}")
            else:
                even = patches[number] / max(1, patches.sum())
                axis.set_title(
                    f"image {number + 1}: {shares[number] / total:.0%}\n(chance, an even map: {even:.0%})"
                )
        headline(figure, f"{answer.word.strip()!r}: {answer.made_by}")
    return figure


@draw.register
def _(answer: PatchMaps, images: Sequence[Image.Image] | None = None) -> Plot:
    """The first picture under every map; `images` as for one map."""
    count = min(len(answer), _MOST_MAPS)
    columns = min(count, 6)
    names = list(answer.places)
    with style():
        figure, axes = panels(-(-count // columns), columns, size=(1.7, 1.9))
        for number, axis in enumerate(axes):
            if number >= count:
                axis.set_axis_off()
                continue
            one = answer.of([number])
            picture = images[0] if images is not None else None
            _draw_map(axis, one, 0, picture, max(float(one.on_pixels(0).max()), 1e-12))
            axis.set_title(", ".join(f"{name} {answer.places[name][number]}" for name in names), fontsize=8)
        left = f"; {len(answer) - count} more are not shown" if len(answer) > count else ""
        headline(figure, f"{answer.word.strip()!r} on image 1: {answer.made_by}{left}")
    return figure


@draw.register
def _(answer: PatchLens, images: Sequence[Image.Image] | None = None) -> Plot:
    return draw(answer.maps, images=images)


@draw.register
def _(answer: Occlusion, images: Sequence[Image.Image] | None = None) -> Plot:
    """The map, and every cell's drop beside the median of the other cells of its picture."""
    figure = draw(answer.map, images=images)
    order = np.argsort(-answer.map.scores)
    with style():
        width, height = figure.get_size_inches()
        figure.set_size_inches(max(width, 5.5), height + 2.4)
        pictures = figure.axes
        grid = figure.add_gridspec(2, len(answer.map.patches.sizes), height_ratios=[height, 2.4])
        for number, axis in enumerate(pictures[: len(answer.map.patches.sizes)]):
            axis.set_subplotspec(grid[0, number])
        below = figure.add_subplot(grid[1, :])
        below.plot(answer.map.scores[order], "o", color="black", markersize=3, label="hidden")
        below.plot(
            answer.control[order],
            "-",
            color="#555555",
            label="chance: median of the other cells of its picture",
        )
        below.set_xlabel("cells, the weightiest first")
        below.set_ylabel("drop of log-probability")
        legend_below(below)
    return figure


@draw.register
def _(answer: Hidden) -> Plot:
    at = np.arange(len(answer.drop))
    with style():
        figure, (axes,) = panels(1, size=(max(4.0, 1.5 + 0.7 * len(at)), 3.0))
        axes.boxplot(
            answer.control.T, positions=at, widths=0.5, showfliers=False, medianprops={"color": "#555555"},
            boxprops={"color": CHANCE}, whiskerprops={"color": CHANCE}, capprops={"color": CHANCE},
            label="chance: boxes as large elsewhere",
        )  # fmt: skip
        axes.plot(at, answer.drop, "o", color="black", label="the given box")
        axes.set_xticks(
            at, [f"image {image + 1}\np = {p:.2g}" for image, p in zip(answer.images, answer.p, strict=True)]
        )
        axes.set_ylabel("drop of log-probability")
        axes.set_title(plain(f"{answer.word.strip()!r} while boxes are hidden"))
        legend_below(axes)
    return figure


@draw.register
def _(answer: Faithfulness) -> Plot:
    with style():
        figure, axes = panels(1, 2, size=(4.2, 3.6))
        curves = (
            (answer.deletion, answer.random_deletion, answer.deletes, "taken away"),
            (answer.insertion, answer.random_insertion, answer.inserts, "given back"),
        )
        for axis, (curve, others, gain, what) in zip(axes, curves, strict=True):
            low, high = np.quantile(others, [0.025, 0.975], axis=0)
            axis.fill_between(
                answer.shares, low, high, color=CHANCE, alpha=0.45, label="chance: random orders, 95 %"
            )
            axis.plot(answer.shares, others.mean(0), "--", color="#555555", label="their mean")
            axis.plot(answer.shares, curve, "-o", color="black", markersize=3, label="the map's order")
            axis.set_xlabel(f"share of the {answer.where} {what}")
            axis.set_ylabel(plain(f"probability of {answer.word.strip()!r}"))
            axis.set_title(f"gain {gain.value:.3f} ({gain.low:.3f} to {gain.high:.3f})")
            legend_below(axis, columns=1)
    return figure


@draw.register
def _(answer: Randomised) -> Plot:
    at = np.arange(len(answer.stages))
    with style():
        figure, (axes,) = panels(1, size=(6.4, 3.0))
        axes.axhspan(
            -answer.chance, answer.chance, color=CHANCE, alpha=0.45, label="chance, 95 % of unrelated maps"
        )
        axes.plot(
            at, answer.correlation, "-o", color="black", label="rank correlation with the true model's map"
        )
        axes.set_xticks(at, [plain(stage) for stage in answer.stages], rotation=20, ha="right")
        axes.set_ylim(-1.05, 1.05)
        axes.set_title("an honest map fades as weights become random")
        axes.legend(loc="lower left")
    return figure


@draw.register
def _(answer: Scores) -> Plot:
    with style():
        figure, (axes,) = panels(1, size=(7.2, 3.2))
        _draw_scores(axes, answer)
    return figure


@draw.register
def _(answer: GroundingHeads) -> Plot:
    layers, heads = (sorted(set(numbers)) for numbers in zip(*answer.by_head, strict=True))
    table = np.full((len(layers), len(heads)), np.nan)
    for (layer, head), value in answer.by_head.items():
        table[layers.index(layer), heads.index(head)] = value
    chance = answer.scores["pointing"].chance
    with style():
        figure, axes = panels(2, size=(7.2, max(2.8, 1 + 0.22 * len(layers))))
        drawn = axes[0].imshow(table, aspect="auto", interpolation="nearest", cmap=SHADES, vmin=0, vmax=1)
        bar = figure.colorbar(drawn, ax=axes[0], label="pointing")
        bar.ax.axhline(chance, color="white", linewidth=2)
        chosen = np.array([(heads.index(head), layers.index(layer)) for layer, head in answer.heads])
        axes[0].plot(
            *chosen.T,
            "*",
            color="white",
            markeredgecolor="black",
            markersize=11,
            label="chosen on the other half",
        )
        axes[0].set_xticks(range(len(heads)), heads)
        axes[0].set_yticks(range(len(layers)), layers)
        axes[0].set_xlabel("head")
        axes[0].set_ylabel("layer")
        axes[0].set_title(f"every head alone; chance is {chance:.2f} (white line in the scale)")
        legend_below(axes[0])
        _draw_scores(axes[1], answer.scores)
    return figure


def _draw_scores(axes: Axes, answer: Scores) -> None:
    """Every score with its interval, its chance level and its baselines."""
    some = [answer.scores[metric] for metric in METRICS if metric in answer.scores]
    at = np.arange(len(some))
    values = np.array([one.value for one in some])
    reach = np.array([[one.value - one.low, one.high - one.value] for one in some]).T.clip(0)
    axes.errorbar(
        at,
        values,
        yerr=np.nan_to_num(reach),
        fmt="o",
        color="black",
        capsize=3,
        label="this map, 95 % interval",
    )
    axes.hlines(
        [one.chance for one in some], at - 0.35, at + 0.35, colors="#555555", linestyles="dashed",
        label="chance: the same numbers elsewhere",
    )  # fmt: skip
    for number, name in enumerate(some[0].baselines if some else ()):
        colour, marker, _ = SERIES[1 + number % (len(SERIES) - 1)]
        axes.plot(
            at + 0.12 * (number + 1), [one.baselines[name] for one in some], linestyle="none", marker=marker,
            markerfacecolor="none", color=colour, label=plain(name),
        )  # fmt: skip
    axes.set_xticks(at, [one.metric.replace("_", "\n") for one in some])
    axes.set_ylim(-0.03, 1.05)
    axes.set_title(plain(answer.region))
    legend_below(axes)
