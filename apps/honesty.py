"""Is this map honest? The map of a word beside what the word really rests on, found by hiding each square.

A map of attention says what was read. Hiding a square of the picture, with half of the squares around it, and
asking again says what the answer needed. Where both agree, the map may be believed; how far maps agree that
have nothing to do with each other is named beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from apps.conversation import messages
from apps.shelf import Answer
from workbench import Reply, Session, grounding
from workbench.grounding import GroundingError, Patches
from workbench.grounding.occlusion import log_probabilities
from workbench.ranks import spearman

SQUARES = 5  # rows, and columns, of each picture
MOST_PICTURES = 5  # each takes 25 passes
ENOUGH = 0.05  # in probability: a word that no square changes by this much rests on none of them
NIGHT = np.asarray((10.0, 16.0, 48.0))  # as the view paints what was not looked at
VEIL = 0.65


@dataclass(frozen=True, eq=False)
class Verdict:
    """What hiding squares did to a word, beside the map that was shown.

    Attributes:
        word, layer, heads: whose map (heads None: the mean of all). probability: of the word with nothing
            hidden.
        agreement: rank correlation of the map with the losses over all squares, -1 to 1.
        chance: how far from zero 95 % of unrelated maps lie. squares: how many.
        lost: the word's loss of probability without the square that the map shows brightest. rank: of that
            loss among all, 1 the largest. most: the largest loss. passes: of the model.
        losses: [pictures, rows, columns] of probability. needed: the pictures, bright where the word rests.
    """

    word: str
    layer: int
    heads: tuple[int, ...] | None
    probability: float
    agreement: float
    chance: float
    squares: int
    lost: float
    rank: int
    most: float
    passes: int
    losses: np.ndarray
    needed: tuple[Image.Image, ...]

    @property
    def sentence(self) -> str:
        """What it means, in one sentence."""
        if self.most < ENOUGH:
            return "No single square matters much to this word, so hiding them cannot confirm the map."
        if self.agreement > self.chance and self.lost >= self.most / 2:
            return "Yes: the word rests on what the map shows brightest."
        if self.agreement > self.chance:
            return "Partly: the map agrees with what the word rests on, but its brightest square is not it."
        if self.lost >= self.most / 2:
            return "Partly: the brightest square matters, the rest of the map says little."
        return "No: the word rests on other places than the map shows."


def check(
    session: Session, answer: Answer, token: int, layer: int, heads: Sequence[int] | None = None
) -> Verdict:
    """Hide every square of every picture in turn, and hold the word's losses against its map.

    Args:
        session: the model that answered. answer: finished, with its conversation.
        token: of the answer, by its number. layer, heads: of the map, which is the mean of several; None for
            that of all.

    Raises:
        GroundingError: there is no such word, layer or head, no pictures, or too many of them.
        IndexError: no such token.
    """
    trace = answer.trace()
    if len(trace.images) > MOST_PICTURES:
        raise GroundingError(
            f"the conversation shows {len(trace.images)} pictures; at most {MOST_PICTURES} are checked, "
            "which takes 25 passes each"
        )
    found = grounding.attention_map(trace, token, layers=layer, heads=heads)
    told = [*messages(answer.turns, answer.system), {"role": "assistant", "content": trace.text}]
    case = grounding.Case.of(session, Reply(trace.text, trace, told, "stop"))
    grid = Patches.cells([image.size for image in case.inputs.images], SQUARES, SQUARES)
    holes = [
        {int(image): [_grown(box, *grid.sizes[image])]}
        for image, box in zip(grid.image, grid.box, strict=True)
    ]
    logprobs, cost = log_probabilities(case, case.word(token), holes, "pixels", "background")
    before, lost = float(np.exp(logprobs[0])), np.exp(logprobs[0]) - np.exp(logprobs[1:])
    shown = found.onto(grid).scores
    brightest, most = int(shown.argmax()), float(lost.max())
    losses = lost.reshape(-1, SQUARES, SQUARES)
    agreement = spearman(shown, lost)
    return Verdict(
        word=found.word,
        layer=layer,
        heads=None if heads is None else tuple(heads),
        probability=before,
        agreement=0.0 if np.isnan(agreement) else agreement,
        chance=1.96 / np.sqrt(max(len(lost) - 1, 1)),
        squares=len(lost),
        lost=float(lost[brightest]),
        rank=1 + int((lost > lost[brightest]).sum()),
        most=most,
        passes=cost.passes,
        losses=losses,
        needed=tuple(_lit(image, each, most) for image, each in zip(case.inputs.images, losses, strict=True)),
    )


def _grown(box: np.ndarray, width: int, height: int) -> list[float]:
    """A square with half of its neighbours: a thing in two squares would survive the loss of one."""
    x0, y0, x1, y1 = box
    across, down = (x1 - x0) / 2, (y1 - y0) / 2
    return [max(x0 - across, 0.0), max(y0 - down, 0.0), min(x1 + across, width), min(y1 + down, height)]


def _lit(image: Image.Image, lost: np.ndarray, most: float) -> Image.Image:
    """The picture, small, dark where nothing is lost."""
    small = image.convert("RGB")
    small.thumbnail((320, 320))
    share = np.clip(lost / most, 0, 1) if most > 0 else np.zeros_like(lost)
    light = Image.fromarray((255 * share).astype(np.uint8)).resize(small.size, Image.Resampling.NEAREST)
    dark = VEIL * (1 - np.asarray(light, float)[..., None] / 255)
    return Image.fromarray(np.rint(np.asarray(small) * (1 - dark) + NIGHT * dark).astype(np.uint8))
