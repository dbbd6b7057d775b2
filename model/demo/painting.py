"""Paint over what a question asks about: a model that answers by looking there can no longer answer.

The thing's pixels, and a rim around them, are filled with their surroundings. Beside it the control: a patch
of the same outline elsewhere in the same picture, where nothing lies, filled in the same way. The control
should change nothing; without the thing, accuracy should fall to what guessing gives.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from model.demo.asking import Outcome, ask_model
from model.demo.languages import CODES
from model.demo.samples import Sample, draw_sample
from model.demo.scenes import Scene
from model.demo.scores import share
from model.demo.turns import Turn
from model.llama4 import Llama4
from model.processor import Processor

# types whose answer lies in one thing
PAINTED = ("colour", "shape", "size", "digit", "position", "which")
_RIM = 0.06  # of the thing's size; two pixels at least
_TRIES = 60  # places for the control
_GRAIN = 10  # the most that noise moves a pixel


@dataclass(frozen=True)
class Trial:
    """One question in three states of its picture."""

    whole: Sample
    without: Sample
    elsewhere: Sample


def draw_trials(per_kind: int, seed: int, kinds: Sequence[str] = PAINTED) -> list[Trial]:
    """`per_kind` questions of each type whose thing can be painted over and leaves room for the control.

    The languages take turns.
    """
    trials = []
    for kind in kinds:
        found = index = 0
        while found < per_kind:
            sample = draw_sample(seed, kind, CODES[found % len(CODES)], index)
            index += 1
            # big things seldom leave room for the control; as many of them as of small ones all the same
            size = ("big", "small")[(found + found // len(CODES)) % 2]
            if kind == "size" and sample.turns[0].meaning.answer != size:
                continue
            if trial := painted_over(replace(sample, turns=sample.turns[:1]), (seed, index)):
                trials.append(trial)
                found += 1
    return trials


def painted_over(sample: Sample, seed: int | Sequence[int] = 0) -> Trial | None:
    """The sample with the thing that its first answer speaks of painted over, and with the control.

    None if the answer speaks of no thing or of several, or the control finds no place.
    """
    things = sample.turns[0].meaning.things
    if len(things) != 1:
        return None
    (image, number), rng = things[0], np.random.default_rng(seed)
    scene = sample.scenes[image]
    hole = grown(scene.masks[number], scene.things[number].box)
    other = np.zeros_like(hole)
    for index, mask in enumerate(scene.masks):
        if index != number:
            other |= mask
    taken = other | hole
    for index, mask in enumerate(scene.masks):
        taken |= grown(mask, scene.things[index].box)
    patch = _moved(rng, hole, taken)
    if patch is None:
        return None

    def with_hole(hole: np.ndarray) -> Sample:
        scenes = list(sample.scenes)
        scenes[image] = replace(scene, image=filled(rng, scene, hole, taken | hole))
        return replace(sample, scenes=tuple(scenes))

    return Trial(sample, with_hole(hole & ~other), with_hole(patch))


def grown(mask: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """A thing's mask [H, W] with a rim: soft edges reach a little farther than the mask."""
    reach = max(2, round(_RIM * max(box[2] - box[0], box[3] - box[1])))
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (reach + 1, reach)
        total = np.cumsum(np.pad(mask, pad), axis=axis)
        ahead, behind = np.split(total, [2 * reach + 1], axis=axis)[1], total
        behind = behind[tuple(slice(0, size) for size in ahead.shape)]
        mask = ahead > behind
    return mask


def filled(rng: np.random.Generator, scene: Scene, hole: np.ndarray, unknown: np.ndarray) -> Image.Image:
    """The picture with a hole [H, W] filled from the ground around it, as noisy as the ground is.

    unknown: bool [H, W], what is not ground.
    """
    pixels = np.asarray(scene.image).astype(np.float32)
    smooth = _pulled(pixels, unknown)
    ground = ~unknown[:, 1:] & ~unknown[:, :-1]
    steps = (pixels[:, 1:] - pixels[:, :-1])[ground] / np.sqrt(2)  # of independent noise
    if len(steps):
        grain = steps[rng.integers(len(steps), size=int(hole.sum()))]
        pixels[hole] = smooth[hole] + np.clip(grain, -_GRAIN, _GRAIN)
    else:
        pixels[hole] = smooth[hole]
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _pulled(pixels: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Unknown pixels from the known ones around them: coarser and coarser averages (pull-push; Gortler et
    al. 1996)."""
    height, width = unknown.shape
    if not unknown.any() or height == width == 1:
        return pixels
    tall, wide = -(-height // 2), -(-width // 2)
    known = np.zeros((2 * tall, 2 * wide, 1), dtype=np.float32)
    known[:height, :width, 0] = ~unknown
    padded = np.zeros((2 * tall, 2 * wide, 3), dtype=np.float32)
    padded[:height, :width] = pixels
    weight = known.reshape(tall, 2, wide, 2, 1).sum((1, 3))
    mean = (padded * known).reshape(tall, 2, wide, 2, 3).sum((1, 3)) / np.maximum(weight, 1)
    coarse = _pulled(mean, weight[..., 0] == 0)
    size = (2 * wide, 2 * tall)
    finer = [
        np.asarray(Image.fromarray(np.ascontiguousarray(coarse[..., channel])).resize(size, Image.BILINEAR))
        for channel in range(3)
    ]
    return np.where(unknown[..., None], np.stack(finer, -1)[:height, :width], pixels)


def _moved(rng: np.random.Generator, hole: np.ndarray, taken: np.ndarray) -> np.ndarray | None:
    """The hole somewhere else in the picture, where nothing is; None if no such place was found."""
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    outline = hole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    tall, wide = outline.shape
    for _ in range(_TRIES):
        top = int(rng.integers(hole.shape[0] - tall + 1))
        left = int(rng.integers(hole.shape[1] - wide + 1))
        place = slice(top, top + tall), slice(left, left + wide)
        if not (taken[place] & outline).any():
            moved = np.zeros_like(hole)
            moved[place] = outline
            return moved
    return None


def measure_painting(llama: Llama4, processor: Processor, trials: Sequence[Trial]) -> dict:
    """Accuracy before, with the thing painted over, and with the control, beside what guessing gives.

    All three are measured against the answer that is right for the whole picture. "chance": always giving the
    type's commonest answer.
    """
    states = {"before": "whole", "after": "without", "control": "elsewhere"}
    said = {
        name: [held[0] for held in ask_model(llama, processor, [getattr(trial, state) for trial in trials])]
        for name, state in states.items()
    }
    kinds: dict[str, list[int]] = defaultdict(list)
    for number, trial in enumerate(trials):
        kinds[trial.whole.turns[0].kind].append(number)
    by_type = {
        kind: {name: sum(said[name][number].right for number in numbers) / len(numbers) for name in states}
        | {"chance": _commonest(said["before"], numbers) / len(numbers), "questions": len(numbers)}
        for kind, numbers in kinds.items()
    }
    count = len(trials)
    detail = {name: share(sum(outcome.right for outcome in some), count) for name, some in said.items()}
    guessed = sum(_commonest(said["before"], numbers) for numbers in kinds.values())
    return {
        "questions": count,
        **{name: row["accuracy"] for name, row in detail.items()},
        "chance": guessed / max(1, count),
        "by_type": by_type,
        "detail": detail,
    }


def _commonest(outcomes: Sequence[Outcome], numbers: Sequence[int]) -> int:
    """How many would be right if the commonest answer were always given, whatever the language."""
    return Counter(_meant(outcomes[number].turn) for number in numbers).most_common(1)[0][1]


def _meant(turn: Turn) -> Hashable:
    """The answer without its language."""
    meaning = turn.meaning
    said = {"colour": meaning.said[1], "shape": meaning.said[0]}.get(meaning.answer)
    return meaning.answer, said, meaning.number
