"""A PatchMap: how much every patch of every picture has to do with one word, and what made the numbers.

    found = grounding.attention_map(reply.trace, "red")
    found.on_pixels(0)                    # [height, width] of the first picture, tiles and thumbnail merged
    found.on_pixels(0, "thumbnail")       # that view alone
    found.masking(grounding.sinks(reply.trace)).on_pixels(0)

P patches of all pictures, K maps made together (of layers, or of layers and heads)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.grounding.patches import MERGED, TILES, GroundingError, Patches, lengths
from workbench.routing.findings import frame

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False, repr=False)
class PatchMap:
    """A number for every patch.

    Attributes:
        patches: what the numbers are of. scores: [P] float64.
        word, token: the word, and the first of its tokens. made_by: what made the numbers, in words.
        signed: whether a number below zero means something (occlusion: the word became likelier).
        masked: [P] bool, left out on purpose; they reach no pixel and no score.
    """

    patches: Patches
    scores: np.ndarray
    word: str
    token: int
    made_by: str
    signed: bool = False
    masked: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        if not len(self.masked):
            object.__setattr__(self, "masked", np.zeros(len(self.patches), bool))
        for name in ("scores", "masked"):
            if getattr(self, name).shape != (len(self.patches),):
                seen = getattr(self, name).shape
                raise GroundingError(
                    f"{name} is {seen}; expected one for each of {len(self.patches)} patches"
                )

    def __repr__(self) -> str:
        pictures = len(self.patches.sizes)
        return (
            f"PatchMap({self.word!r} on {len(self.patches)} patches of {pictures} pictures: {self.made_by})"
        )

    @property
    def kept(self) -> np.ndarray:
        """[P] bool: neither padding nor masked."""
        return self.patches.real & ~self.masked

    @property
    def padding(self) -> float:
        """The sum of what fell on padding, which no picture shows."""
        return float(self.scores[~self.patches.real].sum())

    def on_pixels(self, image: int, view: str = MERGED, mass: bool = False) -> np.ndarray:
        """The map on the pixels [height, width] of the original picture.

        What it means: a pixel has the score of the patch it lies in; where several patches meet in it, their
        mean by area, so the weights of a view sum to one at every pixel. "merged" is the mean of tiles and
        thumbnail. With `mass`, a patch's score is spread over its pixels, so that the pixels sum to the
        scores, and merged is the sum of both. When it misleads: a patch is one number, so edges inside it
        are not seen; a patch that is mostly padding lends its whole mass to a thin strip. Source: the
        model's own cutting of pictures (see `model.images`), undone.

        Args:
            image: which picture, from 0. view: "tiles", "thumbnail" or "merged". mass: see above.

        Raises:
            GroundingError: no such picture or view.
        """
        return self.patches.to_pixels(np.where(self.kept, self.scores, 0.0), image, view, mass)

    def on_grid(self, image: int, view: str = TILES) -> np.ndarray:
        """The scores as the patches lie, [rows, columns], padding left out, 0 where masked."""
        return np.where(self.kept, self.scores, 0.0)[self.patches.grid(image, view).index]

    def of_images(self) -> np.ndarray:
        """[pictures] the sum of each picture's scores, padding and masked patches left out."""
        return np.bincount(
            self.patches.image, np.where(self.kept, self.scores, 0.0), minlength=len(self.patches.sizes)
        )

    def masking(self, patches: np.ndarray) -> PatchMap:
        """The map without some patches: bool [P], or token numbers.

        Raises:
            GroundingError: it is neither.
        """
        given = np.asarray(patches)
        if given.dtype == bool:
            if given.shape != self.masked.shape:
                raise GroundingError(f"the mask is {given.shape}; expected {self.masked.shape}")
            return replace(self, masked=self.masked | given)
        unknown = np.setdiff1d(given, self.patches.token)
        if len(unknown):
            raise GroundingError(f"token {unknown[0]} is no patch of this map")
        return replace(self, masked=self.masked | np.isin(self.patches.token, given))

    def onto(self, cells: Patches) -> PatchMap:
        """The same map on other cells of the same pictures: what of its mass falls into each."""
        sums = np.zeros(len(cells))
        for image in range(len(self.patches.sizes)):
            if self.patches.views(image):
                grid = cells.grid(image)
                sums[grid.index] = _summed(self.on_pixels(image, mass=True), grid.x, grid.y)
        return replace(self, patches=cells, scores=sums, masked=np.zeros(len(cells), bool))

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each patch."""
        box = dict(zip(("x0", "y0", "x1", "y1"), self.patches.box.T, strict=True))
        names = ("token", "image", "tile", "row", "col", "thumbnail")
        columns = {name: getattr(self.patches, name) for name in names}
        return frame({"word": self.word, **columns, **box, "score": self.scores, "kept": self.kept})


@dataclass(frozen=True, eq=False, repr=False)
class PatchMaps:
    """Several maps of one word, made together: one for each layer, or for each head of each layer.

    Attributes:
        patches, word, token, made_by: as in PatchMap. scores: [K, P].
        places: what each map is of, e.g. {"layer": [K], "head": [K]}.
    """

    patches: Patches
    scores: np.ndarray
    places: Mapping[str, np.ndarray]
    word: str
    token: int
    made_by: str

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        return f"PatchMaps({self.word!r}: {len(self)} of {', '.join(self.places)}, {self.made_by})"

    def mean(
        self, layers: Sequence[int] | int | None = None, heads: Sequence[int] | int | None = None
    ) -> PatchMap:
        """The mean over some layers and heads, or over all; true layer numbers.

        Raises:
            GroundingError: a layer or a head that is not there.
        """
        chosen = np.ones(len(self), bool)
        for name, wanted in (("layer", layers), ("head", heads)):
            if wanted is None:
                continue
            column = self.places.get(name, np.zeros(0, int))
            numbers = np.atleast_1d(np.asarray(wanted, int))
            if not len(numbers) or len(missing := np.setdiff1d(numbers, column)):
                has = sorted(set(column.tolist()))
                what = missing[0] if len(numbers) else "empty"
                raise GroundingError(f"{name} is {what}; there are {', '.join(map(str, has)) or 'none'}")
            chosen &= np.isin(column, numbers)
        return self.of(np.flatnonzero(chosen))

    def of(self, numbers: Sequence[int]) -> PatchMap:
        """The mean of the maps with these numbers."""
        numbers = np.atleast_1d(np.asarray(numbers, int))
        made = self.made_by + (f"; mean of {len(numbers)}" if len(numbers) > 1 else "")
        if len(numbers) < len(self):
            names = [
                " ".join(f"{name} {column[number]}" for name, column in self.places.items())
                for number in numbers[:8]
            ]
            made += f" ({', '.join(names)}{', ...' if len(numbers) > 8 else ''})"
        return PatchMap(self.patches, self.scores[numbers].mean(0), self.word, self.token, made)


def _summed(pixels: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pixels [H, W] summed between edges: [rows, columns]."""
    height, width = pixels.shape
    return lengths(y, np.arange(height + 1.0)) @ pixels @ lengths(np.arange(width + 1.0), x)
