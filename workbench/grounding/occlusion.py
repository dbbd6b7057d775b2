"""Occlusion: hide a part of a picture, and see how much less likely the word becomes. The causal question.

Parts are hidden in pixels (filled with colours of the picture) or in tokens (their vectors replaced before
they enter the text model); the two can disagree, because the vision tower spreads a thing over its tile.

B boxes, C controls for each, P patches
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from workbench.fills import FILLS, Fill, filled
from workbench.grounding.maps import PatchMap
from workbench.grounding.passes import BATCH, Asked, Case, Cost
from workbench.grounding.patches import GroundingError, Patches, boxes_of
from workbench.grounding.words import Word
from workbench.provenance import RECOMPUTED
from workbench.routing.findings import frame, student
from workbench.session import Session

if TYPE_CHECKING:
    import pandas

Where = Literal["pixels", "tokens"]
Box = Sequence[float]
Hole = Mapping[int, Sequence[Box]]  # what is hidden of which picture
_TRIES = 100


@dataclass(frozen=True, eq=False, repr=False)
class Occlusion:
    """What hiding each cell of the pictures does to a word.

    Attributes:
        map: the drop of the word's log-probability, one number a cell; below zero it became likelier.
        logprob: of the word in the pictures as they are. control: [cells] the median drop of the other cells
            of the same picture, which are as large. cost: what it took.
    """

    map: PatchMap
    logprob: float
    control: np.ndarray
    cost: Cost

    @property
    def over_control(self) -> np.ndarray:
        """[cells] each drop less that of the other cells of its picture."""
        return self.map.scores - self.control

    def __repr__(self) -> str:
        return f"Occlusion({self.map!r}, log-probability {self.logprob:.3g}, {self.cost})"


@dataclass(frozen=True, eq=False, repr=False)
class Hidden:
    """What hiding given boxes does to a word, beside boxes of the same size elsewhere in the same picture.

    Attributes:
        word: the word. logprob: of it in the pictures as they are. images, boxes: [B], [B, 4].
        drop: [B] of its log-probability. control: [B, C] the same for random boxes of equal size that do not
            touch any given one. p: [B] how often such a box does as much (Phipson & Smyth 2010).
        effect, low, high: the mean of drop less mean control, over boxes, and its 95 % interval (Student's t
            over the boxes; of a single box, over its controls). cost: what it took.
    """

    word: str
    logprob: float
    images: np.ndarray
    boxes: np.ndarray
    drop: np.ndarray
    control: np.ndarray
    p: np.ndarray
    effect: float
    low: float
    high: float
    cost: Cost

    def __repr__(self) -> str:
        lost, elsewhere = self.drop.mean(), self.control.mean()
        return (
            f"Hidden({len(self.drop)} boxes: {self.word!r} loses {lost:.3g}, by as large boxes elsewhere "
            f"{elsewhere:.3g}; effect {self.effect:.3g} ({self.low:.3g} to {self.high:.3g}))"
        )

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each box."""
        box = dict(zip(("x0", "y0", "x1", "y1"), self.boxes.T, strict=True))
        control = {"control": self.control.mean(1), "p": self.p}
        return frame({"word": self.word, "image": self.images, **box, "drop": self.drop, **control})


def occlusion(
    session: Session,
    asked: Asked | Case,
    word: int | str | None = None,
    where: Where = "pixels",
    fill: Fill = "background",
    cells: tuple[int, int] | None = None,
    batch: int = BATCH,
) -> Occlusion:
    """Hide every cell of every picture in turn: what the word rests on.

    What it means: nats of log-probability that the word loses without the cell. It is the effect on this
    model's answer, and not what some layer read. When it misleads: a thing in several cells survives the
    loss of one (use `hide` with its box); a filled cell can look like a thing of its own, so compare fills;
    a word that is certain anyway loses little. Compare with `control`: any hole costs something. Source:
    Zeiler & Fergus 1311.2901, with fills that the model knows in place of grey.

    Args:
        session: the loaded model. asked: see `Case.of`. word: a token's number, a text, or None for the
            answer's first token.
        where: "pixels" fills the picture; tiles that it does not change are not seen again. "tokens" puts
            the mean vector of the picture's patches in place of those in the cell, tiles and thumbnail.
        fill: "background", "blur" or "mean"; of pixels. cells: rows and columns of each picture, by default
            as many as a tile has tokens. batch: holes in a pass.
    """
    case = Case.of(session, asked)
    found = case.word(word)
    side = case.llama.config.vision.tokens_per_side
    grid = Patches.cells([image.size for image in case.inputs.images], *(cells or (side, side)))
    holes = [{int(image): [box]} for image, box in zip(grid.image, grid.box, strict=True)]
    logprobs, cost = log_probabilities(case, found, holes, where, fill, batch)
    drop = logprobs[0] - logprobs[1:]
    control = np.full(len(grid), np.nan)
    for cell, image in enumerate(grid.image):
        others = (grid.image == image) & (np.arange(len(grid)) != cell)
        if others.any():
            control[cell] = np.median(drop[others])
    how = f"filled with {fill}" if where == "pixels" else "mean vectors"
    made = f"occlusion in {where} ({how}), {RECOMPUTED} ({len(holes)} holes)"
    drops = PatchMap(grid, drop, found.text, found.start, made, signed=True)
    return Occlusion(drops, float(logprobs[0]), control, cost)


def hide(
    session: Session,
    asked: Asked | Case,
    boxes: Mapping[int, Box | Sequence[Box]],
    word: int | str | None = None,
    where: Where = "pixels",
    fill: Fill = "background",
    controls: int = 20,
    seed: int = 0,
    batch: int = BATCH,
) -> Hidden:
    """Hide given boxes, one at a time, beside as large boxes elsewhere: does the word rest on these?

    What it means: the drop of the word's log-probability beyond what a hole of that size costs anyway. When
    it misleads: large boxes leave little room, so that controls overlap each other; what lies beside the box
    may be its shadow or its outline; see also `occlusion`. Source: occlusion effect against a random region
    of equal area, paired.

    Args:
        session, asked, word, where, fill, batch: as in `occlusion`.
        boxes: for each picture (from 0) x0, y0, x1, y1 in its pixels, one box or several.
        controls: random boxes for each box. seed: of their places.

    Raises:
        GroundingError: a box is none or lies outside, or so large a box fits nowhere else.
    """
    case = Case.of(session, asked)
    found = case.word(word)
    boxes = {image: boxes_of(some).tolist() for image, some in sorted(boxes.items())}
    flat = [(image, tuple(box)) for image, some in boxes.items() for box in some]
    if not flat or controls < 1:
        raise GroundingError(f"{len(flat)} boxes and {controls} controls; expected one or more of each")
    for image, box in flat:
        case.patches.share_in(image, [box])  # says what is wrong with a box
    rng = np.random.default_rng((seed, 21))
    places = [
        (image, other)
        for image, box in flat
        for other in _elsewhere(rng, case, image, box, boxes[image], controls)
    ]
    holes = [{image: [box]} for image, box in (*flat, *places)]
    logprobs, cost = log_probabilities(case, found, holes, where, fill, batch)
    drop = logprobs[0] - logprobs[1 : 1 + len(flat)]
    control = (logprobs[0] - logprobs[1 + len(flat) :]).reshape(len(flat), controls)
    above = drop - control.mean(1)
    spread, many = (above, len(flat)) if len(flat) > 1 else (control[0], controls)
    reach = student(many - 1) * spread.std(ddof=1) / np.sqrt(many) if many > 1 else np.inf
    effect = float(above.mean())
    p = (1 + (control >= drop[:, None]).sum(1)) / (1 + controls)
    images, kept = np.asarray([image for image, _ in flat]), np.asarray([box for _, box in flat])
    base = float(logprobs[0])
    return Hidden(
        found.text, base, images, kept, drop, control, p, effect, effect - reach, effect + reach, cost
    )


def log_probabilities(
    case: Case, word: Word, holes: Sequence[Hole], where: Where, fill: Fill, batch: int = BATCH
) -> tuple[np.ndarray, Cost]:
    """Log-probability of the word in the pictures as they are, then with each hole: [1 + holes]; the cost."""
    if where not in ("pixels", "tokens"):
        raise GroundingError(f"where is {where!r}; expected 'pixels' or 'tokens'")
    if fill not in FILLS:
        raise GroundingError(f"fill is {fill!r}; expected one of {', '.join(FILLS)}")
    tiles = len(case.features)

    def variants() -> Iterator[Tensor]:
        nonlocal tiles
        yield case.features
        if where == "tokens":
            yield from (without(case, _patches_in(case, hole)) for hole in holes)
            return
        painted = (
            {image: filled(case.inputs.images[image], boxes, fill) for image, boxes in hole.items()}
            for hole in holes
        )
        for features, changed in case.repainted(painted):
            tiles += changed
            yield features

    logprobs = case.logprobs(word, variants(), batch)
    return logprobs, Cost(1 + len(holes), tiles, batch_bytes(case, word, batch))


def batch_bytes(case: Case, word: Word, batch: int) -> int:
    """About what a batch of variants holds at once: their vectors, in the text and before it."""
    text = case.llama.config.text
    return 4 * batch * (word.stop * (text.hidden_size + text.intermediate_size_mlp) + case.features.numel())


def _patches_in(case: Case, hole: Hole) -> np.ndarray:
    hidden = np.zeros(len(case.patches), bool)
    for image, boxes in hole.items():
        for box in boxes:
            hidden |= case.patches.hidden_by(image, box)
    return hidden


def without(case: Case, hidden: np.ndarray) -> Tensor:
    """Image vectors with those of some patches [P] replaced by the mean over their picture."""
    features = case.features.clone()
    flat = features.flatten(0, 1)
    for image in np.unique(case.patches.image[hidden]):
        mine = case.patches.image == image
        shown, gone = (torch.from_numpy(kind & mine).to(flat.device) for kind in (case.patches.real, hidden))
        flat[gone] = flat[shown].float().mean(0).to(flat.dtype)
    return features


def _elsewhere(
    rng: np.random.Generator, case: Case, image: int, box: Box, given: Sequence[Box], count: int
) -> Iterator[Box]:
    """Boxes of the same size in the same picture that touch none of the given ones."""
    width, height = case.inputs.images[image].size
    wide, tall = box[2] - box[0], box[3] - box[1]
    found = 0
    for _ in range(_TRIES * count):
        x, y = rng.integers(int(width - wide) + 1), rng.integers(int(height - tall) + 1)
        if all(x + wide <= a or c <= x or y + tall <= b or d <= y for a, b, c, d in given):
            found += 1
            yield (float(x), float(y), x + wide, y + tall)
            if found == count:
                return
    raise GroundingError(
        f"no place for a control of {wide:g} x {tall:g} pixels in picture {image} ({width} x {height}) "
        "beside the given boxes; give fewer or smaller ones"
    )
