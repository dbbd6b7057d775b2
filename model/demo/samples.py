"""Dialogues about pictures the demo model has never seen, the same number for every type and language.

    samples = list(draw_samples(4, seed=0))  # four for each of 14 types x 12 languages
    messages = prompt(samples[0])  # what the model is to answer first

Pictures are of the test split (other handwriting, and pairs of shape and colour that training never shows);
half of the dialogues are worded as in training, half in ways that training never uses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from model.demo.company import MOST_PICTURES, names_alike
from model.demo.drawing import COLOURS, handwriting
from model.demo.languages import CODES
from model.demo.questions import KINDS, ask, converse
from model.demo.scenes import DIGITS, HELD_OUT_PAIRS, Scene, draw_scene
from model.demo.turns import NothingToAsk, Turn

HELD_OUT = 9  # the second part of the scenes' seeds; training draws with 1 and 3
WORDINGS = ("train", "test")
_FEWEST = {"chat": 0, "which": 2, "same": 2, "odd": 3}  # pictures; one for the other types


@dataclass(frozen=True)
class Sample:
    """One dialogue about some held-out scenes.

    `scenes` are shown with the first turn, in order. `language` is one of `languages.CODES`. `wording` is the
    split its phrasings come from: "train" or "test".
    """

    scenes: tuple[Scene, ...]
    turns: tuple[Turn, ...]
    language: str
    wording: str


def draw_samples(
    per_cell: int,
    seed: int,
    kinds: Sequence[str] = KINDS,
    languages: Sequence[str] = CODES,
    first: int = 0,
) -> Iterator[Sample]:
    """`per_cell` dialogues that begin with each type of question in each language, one of each in turn.

    first: how many of each to leave out; the others stay as they are.

    Raises:
        ValueError: an unknown type or language.
    """
    for index in range(first, first + per_cell):
        for kind in kinds:
            for code in languages:
                yield draw_sample(seed, kind, code, index)


def draw_sample(seed: int, kind: str, language: str, index: int = 0) -> Sample:
    """One dialogue that begins with this type of question; the same arguments give the same one.

    It shows one to five pictures, every number equally often where the type allows it; plain chat goes
    without pictures half of the time. One in five goes on with a second question.

    Raises:
        ValueError: an unknown type or language.
    """
    if kind not in KINDS or language not in CODES:
        raise ValueError(f"no questions of type {kind!r} in {language!r}; types: {KINDS}; languages: {CODES}")
    number = (KINDS.index(kind), CODES.index(language), index)
    rng = np.random.default_rng((seed, HELD_OUT, *number))
    wording = WORDINGS[sum(number) % 2]
    count = int(rng.integers(_FEWEST.get(kind, 1), MOST_PICTURES + 1))
    if kind == "chat" and rng.random() < 0.4:
        count = 0
    while True:
        scenes = _scenes(rng, seed, kind, count)
        try:
            turns = converse(rng, scenes, wording, kind, language)
        except NothingToAsk:
            continue
        return Sample(scenes, tuple(turns), language, wording)


def _scenes(rng: np.random.Generator, seed: int, kind: str, count: int) -> tuple[Scene, ...]:
    names: list[tuple[str, str] | None] = [None] * count
    while kind in ("same", "odd"):
        names = list(names_alike(rng, lambda name: True))
        seldom = [number for number in Counter(names).values() if number == 1]
        if len(names) == count and (kind == "same" or (len(seldom) == 1 and len(set(names)) == 2)):
            break
    return tuple(
        draw_scene((seed, HELD_OUT, int(rng.integers(2**31))), content=name and [name], split="test")
        for name in names
    )


def digit_samples(seed: int, count: int | None = None) -> Iterator[Sample]:
    """Every handwritten digit of the test split once, alone in a picture of its own; `count`: some of them.

    The languages take turns.

    Raises:
        ImportError: scikit-learn, which has the digits, is not installed.
    """
    written = [
        (value, number) for value, ways in enumerate(handwriting("test")) for number in range(len(ways))
    ]
    order = np.random.default_rng((seed, HELD_OUT)).permutation(len(written))
    for index, (value, number) in enumerate(written[at] for at in order[:count]):
        rng = np.random.default_rng((seed, HELD_OUT, value, number))
        content = [(DIGITS[value], tuple(COLOURS)[rng.integers(len(COLOURS))])]
        scene = draw_scene((seed, HELD_OUT, value, number), None, content, "test", number)
        language, wording = CODES[index % len(CODES)], WORDINGS[index // len(CODES) % 2]
        turn = ask(rng, [scene], wording, "digit", language)
        yield Sample((scene,), (turn,), language, wording)


def prompt(sample: Sample, said: Sequence[str] = ()) -> list[dict]:
    """The conversation up to the next question, as `Processor` takes it; `said` are the answers so far."""
    messages: list[dict] = []
    for number, turn in enumerate(sample.turns[: len(said) + 1]):
        shown = [{"type": "image", "image": scene.image} for scene in sample.scenes] if number == 0 else []
        messages.append({"role": "user", "content": [*shown, {"type": "text", "text": turn.question}]})
        if number < len(said):
            messages.append({"role": "assistant", "content": said[number]})
    return messages


def never_shown(sample: Sample, turn: Turn) -> bool:
    """Whether the answer speaks of a thing whose shape and colour training never shows together."""
    things = (sample.scenes[image].things[number] for image, number in turn.meaning.things)
    return any((thing.shape, thing.colour) in HELD_OUT_PAIRS for thing in things)
