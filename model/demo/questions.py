"""Questions about one to five pictures, with answers, in the demo model's twelve languages.

    rng = np.random.default_rng(0)
    turns = converse(rng, scenes)  # one turn about these scenes, or several that lean on each other
    turns = converse(rng, scenes, split="test", kind="count", language="th")

Convention for answers: one short phrase in the language of the question; numbers as digits ("2.",
"Image 2.", "Red.", "Yes.", "A red circle and a blue star."). Exact match means exactly that string. Every
question has one right answer (`meanings`). Without a number the question is about the only picture. A
description names things from left to right. What compares things names them before the verdict, in the
direction or order of the question: "From left to right: a red star and a blue circle. Yes.", "Red and blue.
No.", "A red star, a red star and a blue star. Image 3.". To a question about a thing that is not there the
answer is "There is none.".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.demo.follow_ups import another, elsewhere
from model.demo.languages import CODES, language
from model.demo.languages.language import Language
from model.demo.meanings import ASKERS, pick
from model.demo.scenes import Content
from model.demo.turns import Meaning, NothingToAsk, Turn
from model.demo.wording import say, word

KINDS = (*ASKERS, "chat")
# how often training asks each kind; what the scenes do not allow is drawn again
SHARES = {
    "colour": 0.09, "shape": 0.10, "size": 0.06, "count": 0.18, "position": 0.08, "relation": 0.30,
    "which": 0.09, "same": 0.10, "odd": 0.16, "digit": 0.10, "describe": 0.18, "exist": 0.07, "none": 0.05,
    "chat": 0.07,
}  # fmt: skip
# how many times as often a language is drawn, and a kind in it: English is the one most people try, and a
# relation is harder to say where the subject may come first or second (Tagalog) or has no article
_OFTEN = {"en": 2.0, "ar": 1.4}
_HARDER = {"en": {"describe": 1.4, "odd": 1.3}, "tl": {"relation": 4.0}, "th": {"relation": 1.6},
           "vi": {"relation": 1.4}, "pt": {"relation": 1.4}, "ar": {"describe": 1.4}}  # fmt: skip
_FOLLOWED = ("colour", "shape", "size", "count", "position", "digit", "describe", "exist")
_ELSEWHERE = ("colour", "shape", "size", "count", "position", "exist", "digit", "describe")


def converse(
    rng: np.random.Generator,
    scenes: Sequence[Content],
    split: str = "train",
    kind: str | None = None,
    language: str | None = None,
    shares: dict[str, float] = SHARES,
) -> list[Turn]:
    """One turn, or sometimes two: a follow-up ("And in image 2?") or a new question.

    kind: one of KINDS, drawn by `shares` when left out. language: a code, drawn when left out. split: whose
    phrasings, "train" or "test".

    Raises:
        ValueError: an unknown kind, split or language.
        NothingToAsk: the given kind cannot be asked about these scenes.
    """
    first = ask(rng, scenes, split, kind, language, shares)
    draw = rng.random()
    if draw < 0.2 and first.kind in _FOLLOWED and first.meaning.image >= 0:
        follow_up = _follow_up(rng, scenes, split, first)
        return [first, follow_up] if follow_up else [first]
    if draw > 0.95:
        return [first, ask(rng, scenes, split, None, language, shares)]
    return [first]


def ask(
    rng: np.random.Generator,
    scenes: Sequence[Content],
    split: str = "train",
    kind: str | None = None,
    language: str | None = None,
    shares: dict[str, float] = SHARES,
) -> Turn:
    """A single question about the scenes (or plain chat) with its answer; errors as in `converse`."""
    if split not in ("train", "test"):
        raise ValueError(f"split={split!r}: expected 'train' or 'test'")
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind={kind!r}: expected one of {KINDS}")
    tongue = _tongue(rng, language)
    if not scenes:
        if kind not in (None, "chat"):
            raise NothingToAsk(f"a question of kind {kind!r} needs a picture")
        return _chat(rng, tongue, split, pictures=False)
    while True:
        drawn = kind or _draw(rng, _scaled(shares, _HARDER.get(tongue.code, {})))
        if drawn == "chat":
            return _chat(rng, tongue, split, pictures=True)
        try:
            return word(rng, ASKERS[drawn](rng, scenes), scenes, tongue, split)
        except NothingToAsk:
            if kind is not None:
                raise


def _tongue(rng: np.random.Generator, code: str | None) -> Language:
    return language(code or _draw(rng, _scaled(dict.fromkeys(CODES, 1.0), _OFTEN)))


def _scaled(shares: dict[str, float], factors: dict[str, float]) -> dict[str, float]:
    return {name: share * factors.get(name, 1.0) for name, share in shares.items()}


def _draw(rng: np.random.Generator, shares: dict[str, float]) -> str:
    left = rng.random() * sum(shares.values())
    for name, share in shares.items():
        left -= share
        if left < 0:
            return name
    return name


def _chat(rng: np.random.Generator, tongue: Language, split: str, pictures: bool) -> Turn:
    if not pictures and rng.random() < 0.25:
        # asked about a picture that nobody has shown
        way = pick(rng, ("colour", "shape", "count", "describe", "digit", "exist", "odd"))
        shape = pick(rng, ("circle", "square", "star", "heart"))
        name = (None, "red", None) if way == "shape" else (shape, None, None)
        turn = word(rng, Meaning("chat", way, "none", 0, name), (), tongue, split)
        return Turn(Meaning("chat", way, "chat"), tongue.code, turn.question, tongue.no_picture)
    ways, answer = pick(rng, tuple(tongue.chat.values()))
    return say(rng, pick(rng, ways[split]), answer, tongue)


def _follow_up(rng: np.random.Generator, scenes: Sequence[Content], split: str, first: Turn) -> Turn | None:
    """The same question about another picture or another thing, where that has one right answer."""
    try:
        if first.kind in _ELSEWHERE and len(scenes) > 1 and rng.random() < 0.65:
            meaning = elsewhere(rng, scenes, first.meaning)
        elif first.kind in ("colour", "shape", "size") and first.meaning.way != "only_shape":
            meaning = another(rng, scenes, first.meaning)
        else:
            return None
    except NothingToAsk:
        return None
    return word(rng, meaning, scenes, language(first.language), split)
