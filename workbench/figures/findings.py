"""A finding as a figure: every number with its interval, in front of the band in which chance lies."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from workbench.figures.plot import CHANCE, SERIES, legend_below, plain
from workbench.routing.findings import Finding

_MOST_TICKS = 24


def draw_finding(axes: Axes, one: Finding, title: str | None = None) -> None:
    """Draw values over their places: a filled marker where neither chance nor random routers explain it.

    With two kinds of places (checkpoint and layer, say) there is a line for each value of the last kind.
    """
    names = list(one.places)
    # pairs of neighbouring layers are one place, not a place in a line of others
    joined = names == ["layer", "next_layer"]
    along = np.asarray(one.places[names[0]])
    if len(names) == 1 or joined:
        groups = {"": np.arange(len(one))}
    else:
        last = np.asarray(one.places[names[-1]])
        groups = {f"{names[-1]} {value}": np.flatnonzero(last == value) for value in np.unique(last)}
    ticks, at = np.unique(along, return_inverse=True)
    for number, (label, rows) in enumerate(groups.items()):
        _draw_values(axes, one, at, rows, SERIES[number % len(SERIES)], label)
    _draw_chance(axes, one, at, groups)
    every = -(-len(ticks) // _MOST_TICKS)
    following = dict(zip(along.tolist(), one.places[names[1]], strict=True)) if joined else {}
    labels = [f"{tick}→{following[tick]}" if joined else str(tick) for tick in ticks.tolist()]
    axes.set_xticks(range(0, len(ticks), every), labels[::every])
    axes.set_xlim(-0.5, len(ticks) - 0.5)
    axes.set_xlabel("layer → next layer" if joined else names[0].replace("_", " "))
    axes.set_title(plain(title or one.question), wrap=True)
    legend_below(axes)


def _draw_chance(axes: Axes, one: Finding, at: np.ndarray, groups: dict[str, np.ndarray]) -> None:
    """The middle 95 % and the mean of chance, and the mean of random routers, at each place."""
    for number, rows in enumerate(groups.values()):
        width = 0.8 / len(groups)
        places = at[rows] - 0.4 + width * (number + 0.5)
        axes.bar(
            places,
            one.chance_high[rows] - one.chance_low[rows],
            width,
            one.chance_low[rows],
            color=CHANCE,
            alpha=0.45,
            zorder=0,
            label="chance, 95 % of it" if number == 0 else None,
        )
        axes.hlines(
            one.chance[rows],
            places - width / 2,
            places + width / 2,
            colors="#555555",
            linestyles="dashed",
            linewidth=1,
            zorder=1,
            label="chance, mean" if number == 0 else None,
        )
        known = rows[~np.isnan(one.random_routers[rows])]
        if len(known):
            axes.plot(
                at[known] - 0.4 + width * (number + 0.5),
                one.random_routers[known],
                linestyle="none",
                marker="x",
                color="#555555",
                label="random routers, mean" if number == 0 else None,
            )


def _draw_values(axes: Axes, one: Finding, at: np.ndarray, rows: np.ndarray, look: tuple, label: str) -> None:
    colour, marker, line = look
    order = rows[np.argsort(at[rows], kind="stable")]
    reach = np.stack([one.value - one.low, one.high - one.value])[:, order].clip(0)
    axes.errorbar(
        at[order],
        one.value[order],
        # of one block the interval may have no end; half of it would look like all
        yerr=np.where(np.isfinite(reach).all(0), reach, np.nan),
        color=colour,
        linestyle=line if len(order) > 1 else "none",
        linewidth=0.8,
        elinewidth=1.2,
        capsize=2,
        label=label or "measured, 95 % interval",
    )
    for sure, face in ((True, colour), (False, "white")):
        some = order[one.significant[order] == sure]
        axes.plot(
            at[some],
            one.value[some],
            linestyle="none",
            marker=marker,
            markeredgecolor=colour,
            markerfacecolor=face,
            label=None if label else ("chance does not explain it" if sure else "chance explains it"),
        )
