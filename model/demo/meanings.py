"""What can be asked about some scenes so that there is exactly one right answer; no words yet.

A thing that is asked for is the only one in its picture that the name could mean; "which image" has one
picture that fits; nothing is asked about a middle size or a place near the middle line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np

from model.demo.drawing import COLOURS
from model.demo.outlines import SHAPES
from model.demo.scenes import Content, Thing
from model.demo.turns import ANYTHING, Meaning, Name, NothingToAsk, Place

# this far (as a share of the picture) from the middle line, or from another thing, is clearly on one side
_CLEAR = 0.12
_SHAPES, _COLOURS = (*SHAPES, "digit"), tuple(COLOURS)
_COUNTS = (0.16, 0.24, 0.28, 0.20, 0.12)  # how often the right number is 0, 1, 2, 3, 4

Choice = TypeVar("Choice")


def pick(rng: np.random.Generator, options: Sequence[Choice]) -> Choice:
    """One of the options; NothingToAsk if there are none."""
    if not options:
        raise NothingToAsk("these scenes allow no such question")
    return options[int(rng.random() * len(options))]


def fits(thing: Thing, name: Name) -> bool:
    """Whether a thing is what the name says."""
    shape, colour, size = name
    return shape in (None, thing.shape) and colour in (None, thing.colour) and size in (None, thing.size)


def could_fit(thing: Thing, name: Name) -> bool:
    """As `fits`, but a thing of middle size might be called big or small."""
    return fits(thing, name) or (thing.size is None and fits(thing, (*name[:2], None)))


def matching(scenes: Sequence[Content], name: Name) -> tuple[Place, ...]:
    """All things that fit a name, in all the scenes."""
    return tuple(
        (i, n) for i, scene in enumerate(scenes) for n, t in enumerate(scene.things) if fits(t, name)
    )


def unique_names(scene: Content, index: int, shape: bool, colour: bool) -> list[Name]:
    """Names that in this scene can only mean that thing; `shape`, `colour`: whether they may say it."""
    thing = scene.things[index]
    names = [
        (thing.shape if with_shape else None, thing.colour if with_colour else None, size)
        for with_shape in ((True, False) if shape and thing.shape else (False,))
        for with_colour in ((True, False) if colour and thing.colour else (False,))
        for size in ((None, thing.size) if thing.size else (None,))
    ]
    if len(scene.things) == 1:
        return names
    return [name for name in names if sum(could_fit(other, name) for other in scene.things) == 1]


def nameable(scenes: Sequence[Content], shape: bool, colour: bool) -> list[tuple[int, int, list[Name]]]:
    """Picture, thing and its unique names, for each thing that has any."""
    return [
        (image, index, names)
        for image, scene in enumerate(scenes)
        for index in range(len(scene.things))
        if (names := unique_names(scene, index, shape, colour))
    ]


def _one(rng: np.random.Generator, names: list[Name]) -> Name:
    """A name; size words and "the object" are not the rule."""
    plain = [name for name in names if name[2] is None and name != ANYTHING]
    return pick(rng, plain if plain and rng.random() < 0.75 else names)


def _thing(
    rng: np.random.Generator,
    scenes: Sequence[Content],
    shape: bool = True,
    colour: bool = True,
    allowed: Callable[[Thing], bool] = lambda thing: True,
) -> tuple[int, int, Thing, Name]:
    options = nameable(scenes, shape, colour)
    image, index, names = pick(rng, [some for some in options if allowed(scenes[some[0]].things[some[1]])])
    return image, index, scenes[image].things[index], _one(rng, names)


def has_colour(thing: Thing) -> bool:
    """Whether it can be asked for its colour."""
    return thing.colour is not None


def has_shape(thing: Thing) -> bool:
    """Whether it can be asked for its shape; a digit is none."""
    return thing.shape is not None and thing.digit < 0


def _colour(rng: np.random.Generator, scenes: Sequence[Content]) -> Meaning:
    image, index, thing, name = _thing(rng, scenes, colour=False, allowed=has_colour)
    said = (thing.shape, thing.colour, None)
    return Meaning("colour", "colour", "colour", image, name, things=((image, index),), said=said)


def _shape(rng: np.random.Generator, scenes: Sequence[Content]) -> Meaning:
    image, index, thing, name = _thing(rng, scenes, shape=False, allowed=has_shape)
    way = "only_shape" if len(scenes[image].things) == 1 and rng.random() < 0.35 else "shape"
    said = (thing.shape, thing.colour, None)
    asked = ANYTHING if way == "only_shape" else name
    return Meaning("shape", way, "shape", image, asked, things=((image, index),), said=said)


def _size(rng: np.random.Generator, scenes: Sequence[Content]) -> Meaning:
    options = [
        (image, index, plain)
        for image, index, names in nameable(scenes, True, True)
        if scenes[image].things[index].size and (plain := [name for name in names if name[2] is None])
    ]
    image, index, names = pick(rng, options)
    thing, name = scenes[image].things[index], _one(rng, names)
    return Meaning("size", "size", thing.size, image, name, things=((image, index),), said=name)


def _count(rng: np.random.Generator, scenes: Sequence[Content]) -> Meaning:
    image = int(rng.integers(len(scenes)))
    things = scenes[image].things
    by_number: dict[int, list[Name]] = {len(things): [ANYTHING]}
    for thing in things:
        shape, colour = thing.shape, thing.colour
        absent = _absent(rng, scenes[image])
        for name in ((shape, None, None), (None, colour, None), (shape, colour, None), absent):
            if name != ANYTHING:
                number = sum(fits(other, name) for other in things)
                by_number.setdefault(number, []).append(name)
    numbers = sorted(by_number)
    shares = np.asarray([_COUNTS[number] for number in numbers])
    number = int(numbers[np.searchsorted(np.cumsum(shares / shares.sum()), rng.random() * 0.999)])
    name = pick(rng, by_number[number])
    found = tuple((image, index) for index, thing in enumerate(things) if fits(thing, name))
    return Meaning("count", "count", "number", image, name, things=found, number=len(found))


def _absent(rng: np.random.Generator, scene: Content) -> Name:
    """A name that nothing in the scene has, often close to one that is there."""
    for _ in range(50):
        thing = pick(rng, scene.things)
        shape, colour = pick(rng, _SHAPES), pick(rng, _COLOURS)
        draw = rng.random()
        name: Name = (shape, None, None)
        if draw > 0.4:
            name = ((thing.shape, colour), (shape, thing.colour), (None, colour))[int(3 * rng.random())] + (
                None,
            )
        if not any(could_fit(other, name) for other in scene.things):
            return name
    raise NothingToAsk("everything is there")


def _position(rng: np.random.Generator, scenes: Sequence[Content]) -> Meaning:
    image, index, thing, name = _thing(rng, scenes)
    sides = [side for axis in (0, 1) if (side := side_of(thing, scenes[image], axis))]
    way, answer = pick(rng, sides)
    return Meaning("position", way, answer, image, name, things=((image, index),))


def side_of(thing: Thing, scene: Content, axis: int) -> tuple[str, str] | None:
    """How to ask for a thing's side along an axis, and the answer; None near the middle line."""
    share = thing.centre[axis] / scene.size[axis]
    if abs(share - 0.5) < _CLEAR:
        return None
    ends = (("left", "right"), ("top", "bottom"))[axis]
    return "_".join(ends), ends[share > 0.5]


def _relation(rng: np.random.Generator, scenes: Sequence[Content]) -> Meaning:
    # the answer says both names in full
    options = [some for some in nameable(scenes, True, True) if scenes[some[0]].things[some[1]].named]
    pairs = [(a, b) for a in options for b in options if a[0] == b[0] and a[1] != b[1]]
    (image, first, names), (_, second, others) = pick(rng, pairs)
    scene = scenes[image]
    one, two = scene.things[first], scene.things[second]
    apart = [(two.centre[axis] - one.centre[axis]) / scene.size[axis] for axis in (0, 1)]
    axis = pick(rng, [axis for axis in (0, 1) if abs(apart[axis]) > _CLEAR])
    way, before = pick(
        rng, ((("left_of", True), ("right_of", False)), (("above", True), ("below", False)))[axis]
    )
    yes = (apart[axis] > 0) == before
    # the answer names them in the direction that is asked for
    things = ((image, first), (image, second)) if yes else ((image, second), (image, first))
    answer = "relation_yes" if yes else "relation_no"
    return Meaning("relation", way, answer, image, _one(rng, names), _one(rng, others), things)


def _which(rng: np.random.Generator, scenes: Sequence[Content]) -> Meaning:
    options = []
    for image, scene in enumerate(scenes):
        for thing in scene.things:
            shape, colour = thing.shape, thing.colour
            for name in ((shape, colour, None), (shape, None, None), (None, colour, None)):
                if name == ANYTHING:
                    continue
                if not any(fits(t, name) for k, s in enumerate(scenes) if k != image for t in s.things):
                    # a full name is asked most, above all where another picture has half of it
                    options += [(image, name)] * (3 if None not in name[:2] else 1)
    if len(scenes) < 2:
        raise NothingToAsk("'which image' needs at least two pictures")
    image, name = pick(rng, options)
    found = tuple((image, index) for index, thing in enumerate(scenes[image].things) if fits(thing, name))
    return Meaning("which", "which", "image", image, name, things=found, number=image + 1)


def _singles(scenes: Sequence[Content]) -> list[int]:
    return [
        image
        for image, scene in enumerate(scenes)
        if len(scene.things) == 1 and scene.things[0].named and scene.things[0].digit < 0
    ]


def _same(rng: np.random.Generator, scenes: Sequence[Content]) -> Meaning:
    singles = _singles(scenes)
    if len(singles) < 2:
        raise NothingToAsk("'the same' needs two pictures with one thing each")
    pairs = [(a, b) for a in singles for b in singles if a < b]
    attribute = pick(rng, ("shape", "colour"))
    alike = {True: [], False: []}
    for a, b in pairs:
        alike[getattr(scenes[a].things[0], attribute) == getattr(scenes[b].things[0], attribute)].append(
            (a, b)
        )
    yes = bool(rng.random() < 0.5)
    first, second = pick(rng, alike[yes] or alike[not yes])
    answer = "same_yes" if (first, second) in alike[True] else "same_no"
    numbers, things = (first + 1, second + 1), ((first, 0), (second, 0))
    return Meaning("same", f"same_{attribute}", answer, things=things, numbers=numbers)


def _odd(rng: np.random.Generator, scenes: Sequence[Content]) -> Meaning:
    del rng
    if len(scenes) < 3 or len(_singles(scenes)) < len(scenes):
        raise NothingToAsk("'the odd one out' needs three pictures or more with one thing each")
    names = [(scene.things[0].shape, scene.things[0].colour) for scene in scenes]
    odd = [image for image, name in enumerate(names) if names.count(name) == 1]
    if len(odd) != 1 or len(set(names)) != 2:
        raise NothingToAsk("no picture or several are the odd one out")
    # the answer names the two kinds, then the picture
    things = tuple((image, 0) for image in range(len(scenes)))
    return Meaning("odd", "odd", "image", odd[0], things=things, number=odd[0] + 1)


def _digit(rng: np.random.Generator, scenes: Sequence[Content]) -> Meaning:
    written = [(i, n) for i, scene in enumerate(scenes) for n, t in enumerate(scene.things) if t.digit >= 0]
    single = [place for place in written if sum(place[0] == other[0] for other in written) == 1]
    image, index = pick(rng, single)
    value = scenes[image].things[index].digit
    return Meaning("digit", "digit", "number", image, things=((image, index),), number=value)


def _describe(rng: np.random.Generator, scenes: Sequence[Content]) -> Meaning:
    options = []
    for image, scene in enumerate(scenes):
        across = sorted(thing.centre[0] / scene.size[0] for thing in scene.things)
        apart = all(b - a > 0.06 for a, b in pairwise(across))
        said = all(thing.named and thing.digit < 0 for thing in scene.things)
        if apart and said and len(scene.things) <= 3:
            options.append(image)
    image = pick(rng, options)
    order = sorted(range(len(scenes[image].things)), key=lambda index: scenes[image].things[index].centre)
    things = tuple((image, index) for index in order)
    return Meaning("describe", "describe", "describe", image, things=things)


def _exist(rng: np.random.Generator, scenes: Sequence[Content]) -> Meaning:
    image = int(rng.integers(len(scenes)))
    if rng.random() < 0.5:
        return Meaning("exist", "exist", "exist_no", image, _absent(rng, scenes[image]))
    thing = pick(rng, scenes[image].things)
    full = (thing.shape, thing.colour, None)
    names = (full, full, (thing.shape, None, None), (None, thing.colour, None))
    name = pick(rng, [name for name in names if name != ANYTHING])
    found = tuple((image, index) for index, other in enumerate(scenes[image].things) if fits(other, name))
    return Meaning("exist", "exist", "exist_yes", image, name, things=found)


def _none(rng: np.random.Generator, scenes: Sequence[Content]) -> Meaning:
    image = int(rng.integers(len(scenes)))
    shape, colour, _ = _absent(rng, scenes[image])
    ways = ["left_right", "top_bottom"]
    # each way leaves out what it asks for
    ways += ["colour"] * 3 if colour is None else ["shape"] * 3 if shape is None else ["size"]
    return Meaning("none", pick(rng, ways), "none", image, (shape, colour, None))


ASKERS: dict[str, Callable[[np.random.Generator, Sequence[Content]], Meaning]] = {
    "colour": _colour,
    "shape": _shape,
    "size": _size,
    "count": _count,
    "position": _position,
    "relation": _relation,
    "which": _which,
    "same": _same,
    "odd": _odd,
    "digit": _digit,
    "describe": _describe,
    "exist": _exist,
    "none": _none,
}
