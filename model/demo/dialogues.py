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
from dataclasses import replace

import numpy as np

from model.demo.phrasings import PHRASINGS, PICTURES, THINGS
from model.demo.scenes import COLOURS, SHAPES, Content, Thing
from model.demo.small_talk import CHAT, NO_PICTURE
from model.demo.turns import NothingToAsk, Pointer, Turn
from model.demo.wording import NUMBERS, article, casual, lead, one, pick, place, reference

KINDS = ("colour", "shape", "which", "count", "exist", "position", "describe", "chat")
MANDATORY_KINDS = KINDS[:4]

# how often training asks each kind (in the order of KINDS), about one picture and about several
_SHARES_ONE = (0.23, 0.25, 0.0, 0.30, 0.07, 0.04, 0.08, 0.03)
_SHARES_MANY = (0.16, 0.19, 0.27, 0.24, 0.05, 0.03, 0.05, 0.01)


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
        return casual(rng, _chat(rng, scenes, split))
    while True:
        drawn = kind or str(rng.choice(KINDS, p=_SHARES_ONE if len(scenes) == 1 else _SHARES_MANY))
        try:
            return casual(rng, _ASKERS[drawn](rng, scenes, split))
        except NothingToAsk:
            if kind is not None:
                raise


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
    return pick(rng, found)


def _about_one(
    rng: np.random.Generator, scenes: Sequence[Content], split: str, kind: str, image: int, index: int
) -> Turn:
    """Ask the colour of a thing named by its shape, or the shape of a thing named by its colour."""
    thing = scenes[image].things[index]
    asked = (thing.shape, None) if kind == "colour" else (None, thing.colour)
    alone = len(scenes[image].things) == 1
    matches = sum(fits(other, asked) for scene in scenes for other in scene.things)
    numbered = len(scenes) > 1 and not (matches == 1 and rng.random() < 0.3)
    it, where = place(rng, len(scenes), image, split, silent=not numbered)
    way = kind
    if kind == "shape" and rng.random() < 0.25:
        way = "shape by colour"
    if alone and rng.random() < 0.45 and (numbered or len(scenes) == 1):
        asked = (None, None)
        if kind == "shape" and rng.random() < 0.7:
            way = "the only shape"
            where = where or f" in {it}"
    ref = reference(rng, asked)
    phrase = pick(rng, PHRASINGS[way][split])
    question = phrase.format(ref=ref, where=where, it=it, colour=thing.colour)
    word = thing.colour if kind == "colour" else thing.shape
    pointer = Pointer(0, len(word), image, (index,))
    return Turn(kind, lead(rng, question, where), f"{word.capitalize()}.", image, asked, (pointer,))


def _count(rng: np.random.Generator, scenes: Sequence[Content], split: str) -> Turn:
    if rng.random() < 0.04:
        phrase = pick(rng, PHRASINGS["pictures"][split])
        return Turn("count", phrase.format(nouns=pick(rng, PICTURES)[1]), f"{NUMBERS[len(scenes)]}.")
    image = int(rng.integers(len(scenes)))
    return _counted(rng, scenes, split, image, _wanted(rng, scenes, image))


def _wanted(rng: np.random.Generator, scenes: Sequence[Content], image: int) -> tuple[str | None, str | None]:
    """What to count or look for: mostly something that is there, sometimes something close to it."""
    thing = pick(rng, scenes[image].things)
    shape, colour = thing.shape, thing.colour
    if rng.random() < 0.18:
        shape = pick(rng, SHAPES)
    elif rng.random() < 0.12:
        colour = pick(rng, tuple(COLOURS))
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
    it, where = place(rng, len(scenes), image, split)
    phrase = pick(rng, PHRASINGS["count"][split])
    if phrase.endswith("are{where}?"):
        where = where or f" in {it}"
    noun = f"{asked[0]}s" if asked[0] else pick(rng, THINGS)[1]
    plural = f"{asked[1]} {noun}" if asked[1] else noun
    question = lead(rng, phrase.format(plural=plural.replace("crosss", "crosses"), where=where, it=it), where)
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
    image, asked = pick(rng, options)
    found = tuple(index for index, thing in enumerate(scenes[image].things) if fits(thing, asked))
    noun, nouns = pick(rng, PICTURES)
    question = pick(rng, PHRASINGS["which"][split]).format(noun=noun, nouns=nouns, a=one(rng, asked))
    return Turn("which", question, f"Image {image + 1}.", image, asked, (Pointer(6, 7, image, found),))


def _exist(rng: np.random.Generator, scenes: Sequence[Content], split: str) -> Turn:
    image = int(rng.integers(len(scenes)))
    want = rng.random() < 0.5
    for _ in range(20):
        asked = _wanted(rng, scenes, image)
        if not want and rng.random() < 0.5:  # half of it from one thing, half from elsewhere
            other = pick(rng, pick(rng, scenes).things)
            asked = (asked[0] or other.shape, other.colour)
        found = tuple(index for index, thing in enumerate(scenes[image].things) if fits(thing, asked))
        if asked != (None, None) and bool(found) == want:
            break
    else:
        raise NothingToAsk("every name drawn was there, or none was")
    it, where = place(rng, len(scenes), image, split)
    question = pick(rng, PHRASINGS["exist"][split]).format(a=one(rng, asked), where=where, it=it)
    pointers = (Pointer(0, 3, image, found),) if found else ()
    return Turn("exist", lead(rng, question, where), "Yes." if found else "No.", image, asked, pointers)


def _position(rng: np.random.Generator, scenes: Sequence[Content], split: str) -> Turn:
    image, index = _unique(rng, scenes, by=int(rng.integers(2)))
    scene = scenes[image]
    thing = scene.things[index]
    across, down = (middle / length for middle, length in zip(thing.centre, scene.size, strict=True))
    # nothing near the middle line
    sides = [("position left", "Left" if across < 0.5 else "Right")] if abs(across - 0.5) > 0.12 else []
    sides += [("position top", "Top" if down < 0.5 else "Bottom")] if abs(down - 0.5) > 0.12 else []
    way, word = pick(rng, sides)
    names = [(thing.shape, None), (None, thing.colour), (thing.shape, thing.colour)]
    asked = pick(rng, [name for name in names if sum(fits(other, name) for other in scene.things) == 1])
    it, where = place(rng, len(scenes), image, split)
    question = pick(rng, PHRASINGS[way][split]).format(ref=reference(rng, asked), where=where, it=it)
    pointer = Pointer(0, len(word), image, (index,))
    return Turn("position", lead(rng, question, where), f"{word}.", image, asked, (pointer,))


def _describe(rng: np.random.Generator, scenes: Sequence[Content], split: str) -> Turn:
    image = int(rng.integers(len(scenes)))
    it, where = place(rng, len(scenes), image, split)
    phrase = pick(rng, PHRASINGS["describe"][split])
    if "is{where}" in phrase:
        where = where or f" in {it}"
    answer, pointers = _description(scenes[image], image)
    return Turn("describe", phrase.format(where=where, it=it), answer, image, (None, None), pointers)


def _description(scene: Content, image: int) -> tuple[str, tuple[Pointer, ...]]:
    order = sorted(range(len(scene.things)), key=lambda index: scene.things[index].centre)
    answer, pointers = "", []
    for nth, index in enumerate(order):
        thing = scene.things[index]
        answer += "" if not nth else " and " if nth == len(order) - 1 else ", "
        answer += f"{article(thing.colour)} "
        for word, gap in ((thing.colour, " "), (thing.shape, "")):
            pointers.append(Pointer(len(answer), len(answer) + len(word), image, (index,)))
            answer += word + gap
    return f"{answer[0].upper()}{answer[1:]}.", tuple(pointers)


def _chat(rng: np.random.Generator, scenes: Sequence[Content], split: str) -> Turn:
    if not scenes and rng.random() < 0.25:
        # asked about a picture that nobody has shown
        way = pick(rng, ("colour", "shape", "count", "describe"))
        phrase = pick(rng, PHRASINGS[way][split])
        shape, colour = pick(rng, SHAPES), pick(rng, tuple(COLOURS))
        it, where = place(rng, 1, 0, split)
        ref = reference(rng, (shape, None) if way == "colour" else (None, colour))
        return Turn(
            "chat", phrase.format(ref=ref, where=where or f" in {it}", it=it, plural=f"{shape}s"), NO_PICTURE
        )
    ways, answer = pick(rng, CHAT)
    return Turn("chat", pick(rng, ways[split]), answer)


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
        image = pick(rng, others)
        found = [index for index, thing in enumerate(scenes[image].things) if fits(thing, first.asked)]
        it, _ = place(rng, len(scenes), image, split)
        question = pick(rng, PHRASINGS["elsewhere"][split]).format(it=it)
        if first.kind == "count":
            turn = _counted(rng, scenes, split, image, first.asked)
        elif first.kind == "describe":
            answer, pointers = _description(scenes[image], image)
            turn = Turn("describe", "", answer, image, (None, None), pointers)
        elif len(found) == 1:
            turn = _about_one(rng, scenes, split, first.kind, image, found[0])
        else:
            return None
        return casual(rng, replace(turn, question=question, asked=first.asked))
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
    question = pick(rng, PHRASINGS["another"][split]).format(ref=reference(rng, asked))
    return casual(rng, replace(turn, question=question, asked=asked))
