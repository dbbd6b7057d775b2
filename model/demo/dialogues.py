"""Questions about one to three pictures, with their answers, as the embedded model learns them.

    rng = np.random.default_rng(0)
    turns = converse(rng, scenes)  # one or two turns about these scenes, phrased as in training
    turns = converse(rng, scenes, split="test")  # phrasings that training never uses

Convention for answers: one short English phrase, a capital at the start, a full stop at the end, numbers as
words ("Red.", "Circle.", "Two.", "Image 2.", "Yes.", "Left.", "A red circle and a blue star."). Exact match
means exactly that string. Every question has one right answer: a thing that is asked for is unique in its
picture, and "which image" has one picture that fits. Without a number the question is about the only
picture, or about a thing that only one of the pictures has. A description names things from left to right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.demo.phrasings import (
    AFTER,
    BEFORE,
    CHAT,
    NO_PICTURE,
    NUMBERED,
    ONLY,
    ORDINALS,
    PHRASINGS,
    PICTURES,
    THINGS,
)
from model.demo.scenes import COLOURS, SHAPES, Content, Thing

KINDS = ("colour", "shape", "which", "count", "exist", "position", "describe", "chat")
MANDATORY_KINDS = KINDS[:4]
NUMBERS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six")

# how often training asks each kind (in the order of KINDS), about one picture and about several
_SHARES_ONE = (0.23, 0.25, 0.0, 0.30, 0.07, 0.04, 0.08, 0.03)
_SHARES_MANY = (0.16, 0.19, 0.27, 0.24, 0.05, 0.03, 0.05, 0.01)


@dataclass(frozen=True)
class Pointer:
    """The characters start:end of an answer speak of these things of this picture (both 0-based)."""

    start: int
    end: int
    image: int
    things: tuple[int, ...]


@dataclass(frozen=True)
class Turn:
    """One question with its answer.

    `image` is the 0-based picture it is about, -1 for none or all; `asked` is the (shape, colour) it names,
    None where it leaves that open; `pointers` say which things the answer's words speak of.
    """

    kind: str
    question: str
    answer: str
    image: int = -1
    asked: tuple[str | None, str | None] = (None, None)
    pointers: tuple[Pointer, ...] = ()


class NothingToAsk(LookupError):
    """These scenes allow no unambiguous question of that kind."""


def converse(
    rng: np.random.Generator, scenes: Sequence[Content], split: str = "train", kind: str | None = None
) -> list[Turn]:
    """One turn, or sometimes a turn and a follow-up that leans on it ("And in image 2?").

    kind: one of KINDS, drawn when left out. split: whose phrasings, "train" or "test".

    Raises:
        ValueError: an unknown kind or split.
        NothingToAsk: the given kind cannot be asked about these scenes.
    """
    first = ask(rng, scenes, split, kind)
    follow_up = _follow_up(rng, scenes, split, first) if rng.random() < 0.25 else None
    return [first] if follow_up is None else [first, follow_up]


def ask(
    rng: np.random.Generator, scenes: Sequence[Content], split: str = "train", kind: str | None = None
) -> Turn:
    """A single question about the scenes (or plain chat) with its answer; errors as in `converse`."""
    if split not in ("train", "test"):
        raise ValueError(f"split={split!r}: expected 'train' or 'test'")
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind={kind!r}: expected one of {KINDS}")
    if not scenes:
        return _casual(rng, _chat(rng, scenes, split))
    while True:
        drawn = kind or str(rng.choice(KINDS, p=_SHARES_ONE if len(scenes) == 1 else _SHARES_MANY))
        try:
            return _casual(rng, _ASKERS[drawn](rng, scenes, split))
        except NothingToAsk:
            if kind is not None:
                raise


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
            f"{_a(word)} {word}",
            f"{word.capitalize()}.",
            f"{_a(word)} {word}, the {word}s",
        ]
    texts = [text.replace("{n}", str(n)).replace("{ordinal}", "second") for text in texts for n in (1, 2, 3)]
    return texts + [text.lower() for text in texts] + [text.capitalize() for text in texts]


def fits(thing: Thing, asked: tuple[str | None, str | None]) -> bool:
    """Whether a thing has the shape and the colour that a question names; None fits everything."""
    return asked[0] in (None, thing.shape) and asked[1] in (None, thing.colour)


# each asker draws what to ask for, then a way to say it; NothingToAsk when the scenes offer nothing


def _colour(rng: np.random.Generator, scenes: Sequence[Content], split: str) -> Turn:
    image, thing = _unique(rng, scenes, by=0)
    return _about_one(rng, scenes, split, "colour", image, thing)


def _shape(rng: np.random.Generator, scenes: Sequence[Content], split: str) -> Turn:
    image, thing = _unique(rng, scenes, by=1)
    return _about_one(rng, scenes, split, "shape", image, thing)


def _unique(rng: np.random.Generator, scenes: Sequence[Content], by: int) -> tuple[int, int]:
    """A picture and a thing in it whose shape (by=0) or colour (by=1) no other thing there has."""
    found = []
    for image, scene in enumerate(scenes):
        names = [(thing.shape, thing.colour)[by] for thing in scene.things]
        found += [(image, index) for index, name in enumerate(names) if names.count(name) == 1]
    return _pick(rng, found)


def _about_one(
    rng: np.random.Generator, scenes: Sequence[Content], split: str, kind: str, image: int, index: int
) -> Turn:
    """Ask the colour of a thing named by its shape, or the shape of a thing named by its colour."""
    thing = scenes[image].things[index]
    asked = (thing.shape, None) if kind == "colour" else (None, thing.colour)
    alone = len(scenes[image].things) == 1
    matches = sum(fits(other, asked) for scene in scenes for other in scene.things)
    numbered = len(scenes) > 1 and not (matches == 1 and rng.random() < 0.3)
    it, where = _place(rng, len(scenes), image, split, silent=not numbered)
    way = kind
    if kind == "shape" and rng.random() < 0.25:
        way = "shape by colour"
    if alone and rng.random() < 0.45 and (numbered or len(scenes) == 1):
        asked = (None, None)
        if kind == "shape" and rng.random() < 0.7:
            way = "the only shape"
            where = where or f" in {it}"
    ref = _reference(rng, asked)
    phrase = _pick(rng, PHRASINGS[way][split])
    question = phrase.format(ref=ref, where=where, it=it, colour=thing.colour)
    word = thing.colour if kind == "colour" else thing.shape
    pointer = Pointer(0, len(word), image, (index,))
    return Turn(kind, _lead(rng, question, where), f"{word.capitalize()}.", image, asked, (pointer,))


def _count(rng: np.random.Generator, scenes: Sequence[Content], split: str) -> Turn:
    if rng.random() < 0.04:
        phrase = _pick(rng, PHRASINGS["pictures"][split])
        return Turn("count", phrase.format(nouns=_pick(rng, PICTURES)[1]), f"{NUMBERS[len(scenes)]}.")
    image = int(rng.integers(len(scenes)))
    return _counted(rng, scenes, split, image, _wanted(rng, scenes, image))


def _wanted(rng: np.random.Generator, scenes: Sequence[Content], image: int) -> tuple[str | None, str | None]:
    """What to count or look for: mostly something that is there, sometimes something close to it."""
    thing = _pick(rng, scenes[image].things)
    shape, colour = thing.shape, thing.colour
    if rng.random() < 0.18:
        shape = _pick(rng, SHAPES)
    elif rng.random() < 0.12:
        colour = _pick(rng, tuple(COLOURS))
    draw = rng.random()
    if draw < 0.45:
        return shape, None
    if draw < 0.65:
        return None, colour
    return (shape, colour) if draw < 0.8 else (None, None)


def _counted(
    rng: np.random.Generator,
    scenes: Sequence[Content],
    split: str,
    image: int,
    asked: tuple[str | None, str | None],
) -> Turn:
    found = tuple(index for index, thing in enumerate(scenes[image].things) if fits(thing, asked))
    it, where = _place(rng, len(scenes), image, split)
    phrase = _pick(rng, PHRASINGS["count"][split])
    if phrase.endswith("are{where}?"):
        where = where or f" in {it}"
    noun = f"{asked[0]}s" if asked[0] else _pick(rng, THINGS)[1]
    plural = f"{asked[1]} {noun}" if asked[1] else noun
    question = _lead(
        rng, phrase.format(plural=plural.replace("crosss", "crosses"), where=where, it=it), where
    )
    word = NUMBERS[len(found)]
    pointers = (Pointer(0, len(word), image, found),) if found else ()
    return Turn("count", question, f"{word}.", image, asked, pointers)


def _which(rng: np.random.Generator, scenes: Sequence[Content], split: str) -> Turn:
    if len(scenes) < 2:
        raise NothingToAsk("'which image' needs at least two pictures")
    options = []
    for image, scene in enumerate(scenes):
        for thing in scene.things:
            for asked in ((thing.shape, thing.colour), (thing.shape, None), (None, thing.colour)):
                having = [
                    number for number, other in enumerate(scenes) if any(fits(t, asked) for t in other.things)
                ]
                # a full name is asked most, above all where another picture has half of it
                if having == [image]:
                    options += [(image, asked)] * (3 if None not in asked else 1)
    image, asked = _pick(rng, options)
    found = tuple(index for index, thing in enumerate(scenes[image].things) if fits(thing, asked))
    noun, nouns = _pick(rng, PICTURES)
    question = _pick(rng, PHRASINGS["which"][split]).format(noun=noun, nouns=nouns, a=_one(rng, asked))
    return Turn("which", question, f"Image {image + 1}.", image, asked, (Pointer(6, 7, image, found),))


def _exist(rng: np.random.Generator, scenes: Sequence[Content], split: str) -> Turn:
    image = int(rng.integers(len(scenes)))
    want = rng.random() < 0.5
    for _ in range(20):
        asked = _wanted(rng, scenes, image)
        if not want and rng.random() < 0.5:  # half of it from one thing, half from elsewhere
            other = _pick(rng, _pick(rng, scenes).things)
            asked = (asked[0] or other.shape, other.colour)
        found = tuple(index for index, thing in enumerate(scenes[image].things) if fits(thing, asked))
        if asked != (None, None) and bool(found) == want:
            break
    else:
        raise NothingToAsk("every name drawn was there, or none was")
    it, where = _place(rng, len(scenes), image, split)
    question = _pick(rng, PHRASINGS["exist"][split]).format(a=_one(rng, asked), where=where, it=it)
    pointers = (Pointer(0, 3, image, found),) if found else ()
    return Turn("exist", _lead(rng, question, where), "Yes." if found else "No.", image, asked, pointers)


def _position(rng: np.random.Generator, scenes: Sequence[Content], split: str) -> Turn:
    image, index = _unique(rng, scenes, by=int(rng.integers(2)))
    scene = scenes[image]
    thing = scene.things[index]
    across, down = (middle / length for middle, length in zip(thing.centre, scene.size, strict=True))
    # nothing near the middle line
    sides = [("position left", "Left" if across < 0.5 else "Right")] if abs(across - 0.5) > 0.12 else []
    sides += [("position top", "Top" if down < 0.5 else "Bottom")] if abs(down - 0.5) > 0.12 else []
    way, word = _pick(rng, sides)
    names = [(thing.shape, None), (None, thing.colour), (thing.shape, thing.colour)]
    asked = _pick(rng, [name for name in names if sum(fits(other, name) for other in scene.things) == 1])
    it, where = _place(rng, len(scenes), image, split)
    question = _pick(rng, PHRASINGS[way][split]).format(ref=_reference(rng, asked), where=where, it=it)
    pointer = Pointer(0, len(word), image, (index,))
    return Turn("position", _lead(rng, question, where), f"{word}.", image, asked, (pointer,))


def _describe(rng: np.random.Generator, scenes: Sequence[Content], split: str) -> Turn:
    image = int(rng.integers(len(scenes)))
    it, where = _place(rng, len(scenes), image, split)
    phrase = _pick(rng, PHRASINGS["describe"][split])
    if "is{where}" in phrase:
        where = where or f" in {it}"
    answer, pointers = _description(scenes[image], image)
    return Turn("describe", phrase.format(where=where, it=it), answer, image, (None, None), pointers)


def _description(scene: Content, image: int) -> tuple[str, tuple[Pointer, ...]]:
    order = sorted(range(len(scene.things)), key=lambda index: scene.things[index].centre)
    answer, pointers = "", []
    for place, index in enumerate(order):
        thing = scene.things[index]
        answer += "" if not place else " and " if place == len(order) - 1 else ", "
        answer += f"{_a(thing.colour)} "
        for word, gap in ((thing.colour, " "), (thing.shape, "")):
            pointers.append(Pointer(len(answer), len(answer) + len(word), image, (index,)))
            answer += word + gap
    return f"{answer[0].upper()}{answer[1:]}.", tuple(pointers)


def _chat(rng: np.random.Generator, scenes: Sequence[Content], split: str) -> Turn:
    if not scenes and rng.random() < 0.25:
        # asked about a picture that nobody has shown
        way = _pick(rng, ("colour", "shape", "count", "describe"))
        phrase = _pick(rng, PHRASINGS[way][split])
        shape, colour = _pick(rng, SHAPES), _pick(rng, tuple(COLOURS))
        it, where = _place(rng, 1, 0, split)
        ref = _reference(rng, (shape, None) if way == "colour" else (None, colour))
        return Turn(
            "chat", phrase.format(ref=ref, where=where or f" in {it}", it=it, plural=f"{shape}s"), NO_PICTURE
        )
    ways, answer = _pick(rng, CHAT)
    return Turn("chat", _pick(rng, ways[split]), answer)


_ASKERS: dict[str, Callable[[np.random.Generator, Sequence[Content], str], Turn]] = {
    "colour": _colour,
    "shape": _shape,
    "which": _which,
    "count": _count,
    "exist": _exist,
    "position": _position,
    "describe": _describe,
    "chat": _chat,
}


def _follow_up(rng: np.random.Generator, scenes: Sequence[Content], split: str, first: Turn) -> Turn | None:
    """ "And in image 2?" or "And the star?", where that has one right answer."""
    if first.kind not in ("colour", "shape", "count", "describe") or first.image < 0:
        return None
    others = [image for image in range(len(scenes)) if image != first.image]
    if others and rng.random() < 0.6:
        image = _pick(rng, others)
        found = [index for index, thing in enumerate(scenes[image].things) if fits(thing, first.asked)]
        it, _ = _place(rng, len(scenes), image, split)
        question = _pick(rng, PHRASINGS["elsewhere"][split]).format(it=it)
        if first.kind == "count":
            turn = _counted(rng, scenes, split, image, first.asked)
        elif first.kind == "describe":
            answer, pointers = _description(scenes[image], image)
            turn = Turn("describe", "", answer, image, (None, None), pointers)
        elif len(found) == 1:
            turn = _about_one(rng, scenes, split, first.kind, image, found[0])
        else:
            return None
        return _casual(rng, replace(turn, question=question, asked=first.asked))
    if first.kind not in ("colour", "shape") or first.asked == (None, None):
        return None
    by = 0 if first.kind == "colour" else 1
    try:
        _, index = _unique(rng, [scenes[first.image]], by)
    except NothingToAsk:
        return None
    turn = _about_one(rng, scenes, split, first.kind, first.image, index)
    thing = scenes[first.image].things[index]
    asked = (thing.shape, None) if by == 0 else (None, thing.colour)
    if asked == first.asked:
        return None
    question = _pick(rng, PHRASINGS["another"][split]).format(ref=_reference(rng, asked))
    return _casual(rng, replace(turn, question=question, asked=asked))


# parts of a question


def _pick(rng: np.random.Generator, options: Sequence):
    if not options:
        raise NothingToAsk("these scenes allow no such question")
    return options[int(rng.integers(len(options)))]


def _a(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _one(rng: np.random.Generator, asked: tuple[str | None, str | None]) -> str:
    """ "a circle", "a red circle", "something red", "a red object"."""
    shape, colour = asked
    if shape is None and rng.random() < 0.4:
        return f"something {colour}"
    noun = shape or _pick(rng, THINGS)[0]
    name = f"{colour} {noun}" if colour else noun
    return name if rng.random() < 0.06 else f"{_a(name)} {name}"


def _reference(rng: np.random.Generator, asked: tuple[str | None, str | None]) -> str:
    """ "the circle", "the red object"; "it" or "the object" where there is only one thing."""
    shape, colour = asked
    if shape is None and colour is None and rng.random() < 0.3:
        return "it"
    noun = shape or _pick(rng, THINGS)[0]
    if colour and shape is None and rng.random() < 0.15:
        noun = "one"
    article = "" if rng.random() < 0.07 else "the "
    return f"{article}{colour} {noun}" if colour else f"{article}{noun}"


def _place(
    rng: np.random.Generator, count: int, image: int, split: str, silent: bool = False
) -> tuple[str, str]:
    """A name for the picture and " in" that picture; the latter may be empty when there is one picture."""
    numbered = count > 1 or rng.random() < 0.3
    names = NUMBERED[split] if numbered else ONLY[split]
    it = _pick(rng, names).format(n=image + 1, ordinal=ORDINALS[image])
    if silent or (count == 1 and rng.random() < 0.45):
        return it, ""
    if count == 1 and rng.random() < 0.08:
        return it, " here"
    return it, f" {'on' if rng.random() < 0.1 else 'in'} {it}"


def _lead(rng: np.random.Generator, question: str, where: str) -> str:
    """Sometimes the place comes first: "In image 2, what colour is the circle?"."""
    if where and question.count(where) == 1 and rng.random() < 0.12:
        rest = question.replace(where, "")
        return f"{where.strip().capitalize()}, {rest[0].lower()}{rest[1:]}"
    return question


def _casual(rng: np.random.Generator, turn: Turn) -> Turn:
    """Vary what does not matter: polite words, American spelling, small letters, a missing mark."""
    question = turn.question[0].upper() + turn.question[1:]
    if turn.kind != "chat" and rng.random() < 0.12:
        if rng.random() < 0.6:
            question = f"{_pick(rng, BEFORE)}{question[0].lower()}{question[1:]}"
        else:
            question = f"{question.rstrip('?.')}{_pick(rng, AFTER)}{question[len(question.rstrip('?.')) :]}"
    if rng.random() < 0.5:
        question = question.replace("colour", "color").replace("Colour", "Color")
    if rng.random() < 0.25:
        question = question.lower()
    if rng.random() < 0.2:
        question = question.rstrip("?.!")
    return replace(turn, question=question)
