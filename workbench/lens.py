"""What a logit lens read: the likeliest next token after each layer, row by row.

R rows, L layers and the embedding before them, K tokens kept, V vocabulary, F followed tokens
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model.processor import Spans
from workbench.routing.findings import frame

if TYPE_CHECKING:
    import pandas

_SHOWN = 24  # rows of a table that are drawn


class LensError(ValueError):
    """A lens that cannot be made of this."""


@dataclass(frozen=True, eq=False, repr=False)
class LogitLens:
    """What each layer would say next at each chosen token. Made by `logit_lens`.

    Attributes:
        positions: [R] the tokens whose rows these are; a row says what comes after its token. tokens: [R]
            their texts. spans: of these rows: whose turn, text or patch of which picture, and where.
        layers: [L] true layer numbers, the state after each; -1 is what enters the first.
        ids, probs: [R, L, K] the likeliest tokens, int32 and float32. texts: of every id in `ids`.
        kl: float32 [R, L] KL(final || layer) in nats: what is lost by stopping here; 0 in the last layer.
        followed: [F] token ids whose way is followed. ranks: int32 [R, L, F], 1 is the likeliest;
            followed_probs: float32 [R, L, F].
        final_ranks: int32 [R, L] rank of what the model says at the end.
        vocabulary: V. By chance a token's rank is about V / 2 and its probability 1 / V.
    """

    positions: np.ndarray
    tokens: list[str]
    spans: Spans
    layers: np.ndarray
    ids: np.ndarray
    probs: np.ndarray
    texts: dict[int, str]
    kl: np.ndarray
    followed: np.ndarray
    ranks: np.ndarray
    followed_probs: np.ndarray
    final_ranks: np.ndarray
    vocabulary: int

    def __len__(self) -> int:
        return len(self.positions)

    def __repr__(self) -> str:
        lines = [
            f"LogitLens({len(self)} rows, layers {self.layers[0]} to {self.layers[-1]}, best "
            f"{self.ids.shape[2]} of {self.vocabulary:,} tokens); the likeliest next token after each layer:"
        ]
        for row in range(min(len(self), 8)):
            way = " ".join(
                f"{layer}:{self.texts[int(self.ids[row, i, 0])]!r}" for i, layer in enumerate(self.layers)
            )
            lines.append(f"  {self.positions[row]} {self.tokens[row]!r} -> {way}")
        return "\n".join([*lines, *([f"  and {len(self) - 8} more"] if len(self) > 8 else [])])

    def settled(self) -> np.ndarray:
        """[R] the first of the layers that were read from which on the model's final word is the likeliest.

        Raises:
            LensError: a row still has another word in the last layer that was read.
        """
        first = self.final_ranks == 1
        if len(late := np.flatnonzero(~first[:, -1])):
            raise LensError(
                f"{len(late)} of {len(self)} rows (token {self.positions[late[0]]}) have another word after "
                f"layer {self.layers[-1]}, the last that was read; read on to the model's last"
            )
        held = np.flip(np.logical_and.accumulate(np.flip(first, 1), 1), 1)
        return self.layers[held.argmax(1)]

    def on_picture(self, image: int, layer: int, follow: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Probability of a followed token at each patch of a picture, and where the patches lie.

        Returns:
            float32 [P] and boxes float32 [P, 4] in pixels of the original picture (NaN on padding); tiles and
            the thumbnail each cover it once, see `spans.is_thumbnail`.

        Raises:
            LensError: no such layer, no followed token, or no row on that picture.
        """
        if layer not in self.layers or not 0 <= follow < len(self.followed):
            raise LensError(
                f"layer {layer}, token {follow}: expected a layer of {self.layers.tolist()} and a place in "
                f"the {len(self.followed)} followed tokens"
            )
        mine = (self.spans.image_index == image) & (self.spans.patch_row >= 0)
        if not mine.any():
            raise LensError(
                f"no row of this lens is a patch of picture {image}; choose tokens=ImagePatches(...)"
            )
        column = self.layers.tolist().index(layer)
        return self.followed_probs[mine, column, follow], self.spans.patch_box[mine]

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each token, layer and rank."""
        R, L, K = self.ids.shape
        row, column, rank = (axis.ravel() for axis in np.indices((R, L, K)))
        per_row = ("modality", "image_index", "tile_index", "patch_row", "patch_col")
        columns = {"token": self.positions[row], "text": [self.tokens[r] for r in row]}
        columns |= {name: getattr(self.spans, name)[row] for name in per_row}
        columns |= {
            "layer": self.layers[column],
            "rank": rank + 1,
            "id": self.ids.ravel(),
            "says": [self.texts[int(i)] for i in self.ids.ravel()],
            "prob": self.probs.ravel(),
            "kl_to_final": self.kl[row, column],
            "final_rank": self.final_ranks[row, column],
        }
        for f, token in enumerate(self.followed):
            columns[f"rank_of_{token}"] = self.ranks[row, column, f]
            columns[f"prob_of_{token}"] = self.followed_probs[row, column, f]
        return frame(columns)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{layer}</th>" for layer in self.layers)
        body = []
        for row in range(min(len(self), _SHOWN)):
            cells = []
            for i in range(len(self.layers)):
                says, p = html.escape(self.texts[int(self.ids[row, i, 0])]), float(self.probs[row, i, 0])
                title = f"p {p:.3g}, KL {self.kl[row, i]:.3g}"
                shade = f"background:rgba(0,114,178,{0.6 * p:.2f})"
                cells.append(f'<td title="{title}" style="{shade}">{says}</td>')
            name = html.escape(f"{self.positions[row]} {self.tokens[row]}")
            body.append(f"<tr><th>{name}</th>{''.join(cells)}</tr>")
        rest = len(self) - _SHOWN
        note = f"<p>and {rest} more rows</p>" if rest > 0 else ""
        caption = "likeliest next token after each layer (-1: the embedding); shade: its probability"
        return (
            f"<table><caption>{caption}</caption><tr><th>token</th>{head}</tr>{''.join(body)}</table>{note}"
        )
