"""A meaning put into the words of a language, and which of the words speak of which thing."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from model.demo.languages.language import Language
from model.demo.meanings import matching, pick
from model.demo.scenes import Content
from model.demo.turns import ANYTHING, Meaning, Name, Place, Pointer, Turn

_MARKS = " ?.!؟।"  # French has a space before its marks


@cache
def _pieces(template: str) -> tuple[tuple[str, str | None, str], ...]:
    """A template as (text, slot after it, form)."""
    parsed = string.Formatter().parse(template)
    return tuple((text, slot, form or "") for text, slot, form, _ in parsed)


@cache
def _item(language: Language, shape: str, colour: str) -> str:
    return language.answers["item"].format(thing=language.named(shape, colour, None))


@cache
def _words(language: Language, name: Name, form: str) -> str:
    return language.phrase(*name, form)


def word(
    rng: np.random.Generator,
    meaning: Meaning,
    scenes: Sequence[Content],
    language: Language,
    split: str,
    careless: bool = True,
) -> Turn:
    """A turn that asks and answers it.

    split: whose phrasings. careless: sometimes small letters, no mark at the end, polite words.
    """
    template = pick(rng, language.ask[meaning.way][split])
    where, image = _place(rng, meaning, len(scenes), language, split)
    slots = {"where": where, "image": image, "n": str(meaning.numbers[0]), "m": str(meaning.numbers[1])}
    question, spoken_of, numbered = "", [], []
    for text, slot, form in _pieces(template):
        question += text
        if slot in ("thing", "other"):
            name = meaning.asked if slot == "thing" else meaning.other
            start = len(question)
            question += _words(language, name, form)
            spoken_of.append((start, len(question), name))
        elif slot:
            number = meaning.numbers["nm".index(slot)] if slot in "nm" else meaning.image + 1
            if str(number) in slots[slot]:
                numbered.append((len(question) + slots[slot].index(str(number)), number - 1))
            question += slots[slot]
    polite = meaning.way not in ("elsewhere", "another")  # "Please and in image 2?"
    question, moved = _manners(rng, question, language, polite) if careless else (_capital(question), 0)
    mentions = []
    for name in {name: None for _, _, name in spoken_of if name != ANYTHING}:
        # other words that agree with the thing ("grande", "कितने") are forms of it too; its name is longest
        start, end, _ = max(
            (span for span in spoken_of if span[2] == name), key=lambda span: span[1] - span[0]
        )
        if things := matching(scenes, name):
            mentions.append(Pointer(start + moved, end + moved, things))
    answer, pointers = answer_in_words(meaning, scenes, language)
    references = [Pointer(at + moved, at + moved + 1, _all_of(scenes, image)) for at, image in numbered]
    if meaning.way == "odd":
        everything = tuple(place for image in range(len(scenes)) for place in _all_of(scenes, image))
        references.append(Pointer(len(question) - 1, len(question), everything))
    return Turn(meaning, language.code, question, answer, pointers, tuple(mentions), tuple(references))


def _all_of(scenes: Sequence[Content], image: int) -> tuple[Place, ...]:
    # a chat may ask about a picture that nobody has shown
    return tuple((image, index) for index in range(len(scenes[image].things))) if scenes else ()


def say(rng: np.random.Generator, question: str, answer: str, language: Language) -> Turn:
    """Plain chat."""
    question, _ = _manners(rng, question, language, polite=False)
    return Turn(Meaning("chat", "chat", "chat"), language.code, question, answer)


def _place(
    rng: np.random.Generator, meaning: Meaning, count: int, language: Language, split: str
) -> tuple[str, str]:
    """Words for {where} and {image}; with one picture it often goes without saying."""
    if meaning.image < 0:
        return "", ""
    if count > 1 or meaning.way == "elsewhere" or rng.random() < 0.25:
        where, image = pick(rng, language.in_numbered[split]), pick(rng, language.numbered[split])
        return where.format(n=meaning.image + 1), image.format(n=meaning.image + 1)
    return pick(rng, language.in_only[split]), pick(rng, language.only[split])


def _capital(text: str) -> str:
    return _letter(text, str.upper)


def _letter(text: str, change: Callable[[str], str]) -> str:
    """The text with its first letter changed, also behind an opening mark."""
    at = next((index for index, letter in enumerate(text) if letter.isalpha()), 0)
    return text[:at] + change(text[at : at + 1]) + text[at + 1 :]


def _manners(
    rng: np.random.Generator, question: str, language: Language, polite: bool = True
) -> tuple[str, int]:
    """What does not matter: polite words, small letters, a missing mark. And how far the text moved right."""
    draw, moved = rng.random(), 0
    if draw < 0.10:  # no word twice: "Please please"
        words = language.before if draw < 0.06 else language.after
        words = [word for word in words if word.strip(_MARKS + ",،").lower() not in question.lower()]
        polite = polite and bool(words)
    if polite and draw < 0.06:
        before = pick(rng, words)
        moved = len(before)
        question = before + (question if question.startswith(("I ", "I'")) else _letter(question, str.lower))
    elif polite and draw < 0.10:
        bare = question.rstrip(_MARKS)
        after = pick(rng, words)
        # where words are written without spaces, a digit still has one behind it
        space = " " if bare[-1:].isdigit() and after[0].isalpha() else ""
        question = bare + space + after + question[len(bare) :]
    question = _capital(question)
    if rng.random() < 0.2:
        lower = question.lower()
        question = lower if len(lower) == len(question) else question
    if rng.random() < 0.15:
        question = question.rstrip(_MARKS)
        if question.startswith("¿"):
            question, moved = question[1:], moved - 1
    return question, moved


def answer_in_words(
    meaning: Meaning, scenes: Sequence[Content], language: Language
) -> tuple[str, tuple[Pointer, ...]]:
    """The answer, and which of its words speak of which thing."""
    if meaning.answer == "describe":
        text, pointers = _listed(meaning, scenes, language)
        return _capital(text) + language.full_stop, pointers
    if meaning.kind in ("relation", "same", "odd") and meaning.things:
        # what is compared comes before the verdict: a small model cannot compare silently
        before = f"{language.answers[meaning.way]} " if meaning.kind == "relation" else ""
        text, pointers = _listed(meaning, scenes, language, before)
        verdict = language.answers[meaning.answer].format(n=meaning.number)
        return f"{_capital(text)}{language.full_stop} {verdict}", pointers
    text, spans = "", []
    for literal, slot, form in _pieces(language.answers[meaning.answer]):
        text += literal
        if slot:
            start = len(text)
            text += str(meaning.number) if slot == "n" else _words(language, meaning.said, form)
            spans.append((start, len(text)))
    if not meaning.things:
        return _capital(text), ()
    start, end = spans[0] if spans else (0, len(text.rstrip(_MARKS)))
    return _capital(text), (Pointer(start, end, meaning.things),)


def _listed(
    meaning: Meaning, scenes: Sequence[Content], language: Language, text: str = ""
) -> tuple[str, tuple[Pointer, ...]]:
    """`text` and then the things' names, or what of them is compared."""
    pointers = []
    spoken_of = _kinds(meaning) if meaning.kind == "odd" else [(place,) for place in meaning.things]
    for number, places in enumerate(spoken_of):
        image, index = places[0]
        thing = scenes[image].things[index]
        if number:
            text += language.separators[number == len(spoken_of) - 1]
        start = len(text)
        if meaning.kind == "same":
            text += _words(language, (thing.shape, thing.colour, None), meaning.way.removeprefix("same_"))
        else:
            text += _item(language, thing.shape, thing.colour)
        pointers.append(Pointer(start, len(text), places))
    return text, tuple(pointers)


def _kinds(meaning: Meaning) -> list[tuple[Place, ...]]:
    """The alike things, then the odd one: who lists them all has to count, and small models miscount."""
    alike = tuple(place for place in meaning.things if place[0] != meaning.number - 1)
    return [alike, tuple(place for place in meaning.things if place not in alike)]
