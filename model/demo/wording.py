"""How a question is put: articles, names for things and pictures, politeness, carelessness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from model.demo.phrasings import AFTER, BEFORE, NUMBERED, ONLY, ORDINALS, PHRASINGS, PICTURES, THINGS
from model.demo.scenes import COLOURS, SHAPES
from model.demo.small_talk import CHAT, NO_PICTURE
from model.demo.turns import NothingToAsk, Turn

NUMBERS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six")

Choice = TypeVar("Choice")


def pick(rng: np.random.Generator, options: Sequence[Choice]) -> Choice:
    """One of the options; NothingToAsk if there are none."""
    if not options:
        raise NothingToAsk("these scenes allow no such question")
    return options[int(rng.integers(len(options)))]


def article(word: str) -> str:
    """ "a" or "an"."""
    return "an" if word[0] in "aeiou" else "a"


def one(rng: np.random.Generator, asked: tuple[str | None, str | None]) -> str:
    """ "a circle", "a red circle", "something red", "a red object"."""
    shape, colour = asked
    if shape is None and rng.random() < 0.4:
        return f"something {colour}"
    noun = shape or pick(rng, THINGS)[0]
    name = f"{colour} {noun}" if colour else noun
    return name if rng.random() < 0.06 else f"{article(name)} {name}"


def reference(rng: np.random.Generator, asked: tuple[str | None, str | None]) -> str:
    """ "the circle", "the red object"; "it" or "the object" where there is only one thing."""
    shape, colour = asked
    if shape is None and colour is None and rng.random() < 0.3:
        return "it"
    noun = shape or pick(rng, THINGS)[0]
    if colour and shape is None and rng.random() < 0.15:
        noun = "one"
    the = "" if rng.random() < 0.07 else "the "
    return f"{the}{colour} {noun}" if colour else f"{the}{noun}"


def place(
    rng: np.random.Generator, count: int, image: int, split: str, silent: bool = False
) -> tuple[str, str]:
    """A name for the picture and " in" that picture; the latter may be empty when there is one picture."""
    numbered = count > 1 or rng.random() < 0.3
    names = NUMBERED[split] if numbered else ONLY[split]
    it = pick(rng, names).format(n=image + 1, ordinal=ORDINALS[image])
    if silent or (count == 1 and rng.random() < 0.45):
        return it, ""
    if count == 1 and rng.random() < 0.08:
        return it, " here"
    return it, f" {'on' if rng.random() < 0.1 else 'in'} {it}"


def lead(rng: np.random.Generator, question: str, where: str) -> str:
    """Sometimes the place comes first: "In image 2, what colour is the circle?"."""
    if where and question.count(where) == 1 and rng.random() < 0.12:
        rest = question.replace(where, "")
        return f"{where.strip().capitalize()}, {rest[0].lower()}{rest[1:]}"
    return question


def casual(rng: np.random.Generator, turn: Turn) -> Turn:
    """Vary what does not matter: polite words, American spelling, small letters, a missing mark."""
    question = turn.question[0].upper() + turn.question[1:]
    if turn.kind != "chat" and rng.random() < 0.12:
        if rng.random() < 0.6:
            question = f"{pick(rng, BEFORE)}{question[0].lower()}{question[1:]}"
        else:
            question = f"{question.rstrip('?.')}{pick(rng, AFTER)}{question[len(question.rstrip('?.')) :]}"
    if rng.random() < 0.5:
        question = question.replace("colour", "color").replace("Colour", "Color")
    if rng.random() < 0.25:
        question = question.lower()
    if rng.random() < 0.2:
        question = question.rstrip("?.!")
    return replace(turn, question=question)


def all_texts() -> list[str]:
    """Every training phrasing, name and answer: the text that the demo model's tokenizer is made from."""
    texts = [phrase for ways in PHRASINGS.values() for phrase in ways["train"]]
    texts += [phrase for ways, answer in CHAT for phrase in (*ways["train"], answer)] + [NO_PICTURE]
    texts += [
        *NUMBERED["train"],
        *ONLY["train"],
        *(f"a {name}" for pair in PICTURES + THINGS for name in pair),
    ]
    texts += [
        "Image {n}.",
        "color",
        "a color",
        "Yes.",
        "No.",
        "Left.",
        "Right.",
        "Top.",
        "Bottom.",
        "crosses",
        "in crosses",
    ]
    for word in (*SHAPES, *COLOURS, *NUMBERS, *ORDINALS):
        texts += [
            f"{word}s",
            f"{article(word)} {word}",
            f"{word.capitalize()}.",
            f"{article(word)} {word}, the {word}s",
        ]
    texts = [text.replace("{n}", str(n)).replace("{ordinal}", "second") for text in texts for n in (1, 2, 3)]
    return texts + [text.lower() for text in texts] + [text.capitalize() for text in texts]
