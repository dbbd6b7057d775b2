"""Things in colours that no picture shows them in, made up between the vision tower and the text part.

HELD_OUT_PAIRS are never drawn for training, and that would teach the text part that there are none: a star is
never blue, so a star speaks against "blue". But the tower writes shape and colour as directions that add up,
so the vector of a red star, less "red" and plus "blue", is nearly that of a blue star that was never drawn.
In some rows of every batch the things are so repainted, any of them in any colour, and asked about like
others: to the text part every shape comes in every colour. (Mixing what a network holds of inputs, rather
than inputs: Verma et al. 2019, 1806.05236; with directions of a class: Wang et al. 2019, 1909.12220.)

    pictures = repaint(rng, pictures)  # the same with other colours, `repainted` says which
    shades = Shades.read(features, labels, pictures)
    features = shades.paint(features, labels, batch.repainted)

N tiles, D width of their vectors
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model.demo.drawing import COLOURS
from model.demo.outlines import SHAPES
from model.demo.pictures import LABELS, Picture, label
from model.demo.scenes import HELD_OUT_PAIRS

_SHARE = 0.6  # of the names in a row that change their colour, where they can
_TO_MISSING = 0.3  # of these, to the colour that the shape is never drawn in: so all pairs come alike often
_FREE = 0.75  # of the cells of a thing must show nothing else
_NAMES = tuple(COLOURS)
_MISSING = dict(HELD_OUT_PAIRS)
_SHAPE = list(LABELS).index("shape")


def repaint(rng: np.random.Generator, pictures: Sequence[Picture]) -> list[Picture]:
    """The pictures of a row with some of their named things in other colours.

    Things with the same name stay alike, so that who is the odd one out can still be asked. What others hide
    or crowd keeps its colour.
    """
    free: dict[tuple[str, str], bool] = {}
    for picture in pictures:
        for number, thing in enumerate(picture.content.things):
            if thing.shape in SHAPES and thing.colour is not None:
                name = thing.shape, thing.colour
                alone = len(_alone(picture, number)) >= _FREE * picture.inside[number].sum()
                free[name] = free.get(name, True) and alone
    new: dict[tuple[str, str], str] = {}
    for (shape, colour), alone in free.items():
        if alone and rng.random() < _SHARE:
            drawn = _MISSING[shape] if rng.random() < _TO_MISSING else _NAMES[rng.integers(len(_NAMES))]
            if drawn != colour:
                new[shape, colour] = drawn
    return [_repainted(picture, new) for picture in pictures]


def _repainted(picture: Picture, new: dict[tuple[str, str], str]) -> Picture:
    things, notes = [], []
    for number, thing in enumerate(picture.content.things):
        colour = new.get((thing.shape, thing.colour))
        if colour:
            notes.append((number, _NAMES.index(thing.colour), _NAMES.index(colour)))
            thing = replace(thing, colour=colour)
        things.append(thing)
    content = replace(picture.content, things=tuple(things))
    return replace(picture, content=content, repainted=tuple(notes)) if notes else picture


def repainted_cells(picture: Picture) -> np.ndarray:
    """Which cells other colours reach: int [cells, 3], the cell among all of the picture, from, to."""
    found = [
        (cell, before, after) for thing, before, after in picture.repainted for cell in _alone(picture, thing)
    ]
    return np.asarray(found, dtype=np.int64).reshape(-1, 3)


def _alone(picture: Picture, thing: int) -> np.ndarray:
    """The cells that a thing shares with no other."""
    return np.flatnonzero(picture.inside[thing] & (picture.inside.sum(0) == 1))


@dataclass(frozen=True)
class Shades:
    """The direction of each colour in the tower's vectors.

    directions: float32 [2, colours, D], for cells around a thing's middle and for the one with its middle.
    """

    directions: Tensor

    @classmethod
    def read(cls, features: Tensor, labels: Tensor, pictures: Sequence[Picture]) -> Shades:
        """Least squares over the cells of some pictures: a vector is one of its shape plus one of its colour.

        Args:
            features: [N, cells, D], the vectors of the pictures' tiles in order.
            labels: int8 [N, cells, 6], what is in them.
            pictures: their content.
        """
        cells = features.flatten(0, 1)
        middles = labels.flatten(0, 1)[:, _SHAPE] >= 0
        names, places = [], []
        at = 0
        for picture in pictures:
            for number, thing in enumerate(picture.content.things):
                some = _alone(picture, number)
                places += (at + some).tolist()
                names += [label(thing, picture.content.size)[:2]] * len(some)
            at += picture.inside.shape[1]
        shape, colour = torch.tensor(names, device=cells.device).unbind(1)
        kinds = [F.one_hot(shape, LABELS["shape"]), F.one_hot(colour, LABELS["colour"])]
        kinds = torch.cat(kinds, dim=1).float()
        where = torch.tensor(places, device=cells.device)
        vectors, middle = cells[where].float(), middles[where]
        directions = []
        for some in (~middle, middle):
            known, seen = kinds[some], vectors[some]
            # shapes and colours are known up to a constant: the little weight settles it
            gram = known.mT @ known + 1e-3 * torch.eye(known.shape[1], device=known.device)
            directions.append(torch.linalg.solve(gram, known.mT @ seen)[LABELS["shape"] :][: len(_NAMES)])
        return cls(torch.stack(directions))

    def paint(self, features: Tensor, labels: Tensor, repainted: Tensor) -> Tensor:
        """Vectors [N, cells, D] with other colours.

        labels: int8 [N, cells, 6]. repainted: [K, 3], the cell among all of the tiles, from, to.
        """
        if not len(repainted):
            return features
        cell, before, after = repainted.unbind(1)
        middle = (labels.flatten(0, 1)[cell, _SHAPE] >= 0).long()
        shift = self.directions[middle, after] - self.directions[middle, before]
        flat = features.flatten(0, 1)
        return flat.index_add(0, cell, shift.to(flat.dtype)).view_as(features)
