"""Figures for edits and for the logit lens."""

from __future__ import annotations

import numpy as np

from workbench.figures.draw import draw
from workbench.figures.plot import CHANCE, SHADES, Plot, legend_below, panels, plain, style
from workbench.interventions import Comparison
from workbench.lens import LogitLens

_MOST_ROWS = 48


@draw.register
def _(answer: Comparison) -> Plot:
    """What the edits do to every token of the answer, in front of what edits like them do."""
    trace = answer.a.trace
    words = [plain(trace.tokens[place].strip() or "␣") for place in trace.generated_index]
    at = np.arange(len(words))
    low, high = np.quantile(answer.control_kl, [0.025, 0.975], axis=0)
    with style():
        figure, axes = panels(2, size=(max(6.4, 1 + 0.35 * len(words)), 2.8))
        axes[0].bar(at, high - low, 0.8, low, color=CHANCE, alpha=0.45, label="chance: edits like them, 95 %")
        axes[0].plot(at, answer.kl, "o", color="black", label="the edits")
        if answer.first_divergence is not None and answer.first_divergence < len(words):
            axes[0].axvline(answer.first_divergence, color="black", linestyle=":", label="the answers part")
        axes[0].set_xticks(at, words, rotation=45, ha="right")
        axes[0].set_ylabel("KL(A || B), nats")
        axes[0].set_title(plain(f"A: {answer.a.text}    B: {answer.b.text}"), wrap=True)
        legend_below(axes[0]) if len(words) < 3 else axes[0].legend(loc="upper right")
        effect = answer.effect
        axes[1].hist(
            effect.controls, bins=20, color="white", edgecolor="black", hatch="//", label="chance: controls"
        )
        axes[1].axvline(effect.value, color="black", linewidth=2, label="the edits")
        axes[1].set_xlabel(effect.what)
        axes[1].set_ylabel("controls")
        axes[1].set_title(
            f"above {effect.percentile:.0f} % of {len(effect.controls)} controls, p = {effect.p:.2g}"
        )
        axes[1].legend(loc="upper right")
    return figure


@draw.register
def _(answer: LogitLens) -> Plot:
    """The rank that what is said at the end has after every layer, and the likeliest token there."""
    rows = np.arange(len(answer.positions))[-_MOST_ROWS:]
    ranks = np.log10(answer.final_ranks[rows].T.astype(float))  # [L, R]
    with style():
        figure, (axes,) = panels(1, size=(max(6.4, 1.4 + 0.55 * len(rows)), 1.6 + 0.32 * len(answer.layers)))
        drawn = axes.imshow(
            ranks, aspect="auto", interpolation="nearest", cmap=SHADES + "_r", vmin=0,
            vmax=np.log10(answer.vocabulary), origin="lower",
        )  # fmt: skip
        bar = figure.colorbar(drawn, ax=axes, label="rank of what is said at the end (1: it stands)")
        ticks = np.arange(int(np.log10(answer.vocabulary)) + 1)
        bar.set_ticks(ticks, labels=[f"{10**tick:,}" for tick in ticks.tolist()])
        bar.ax.axhline(np.log10(answer.vocabulary / 2), color="white", linewidth=2)
        for (layer, row), rank in np.ndenumerate(ranks):
            text = answer.texts.get(int(answer.ids[rows[row], layer, 0]), "")
            colour = "white" if rank > np.log10(answer.vocabulary) / 2 else "black"
            axes.text(row, layer, plain(text.strip()[:8]), ha="center", va="center", fontsize=6, color=colour)
        axes.set_xticks(
            range(len(rows)), [plain(answer.tokens[row].strip()[:10]) for row in rows], rotation=60
        )
        names = ["embedding" if layer < 0 else str(layer) for layer in answer.layers.tolist()]
        axes.set_yticks(range(len(names)), names)
        axes.set_ylabel("after layer")
        axes.set_xlabel("token that was read; chance is the white line in the scale")
        axes.set_title("the likeliest next token after every layer")
    return figure
