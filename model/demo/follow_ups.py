"""Questions that lean on the one before: "And in image 3?", "And the star?"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.demo.meanings import ASKERS, could_fit, fits, has_colour, has_shape, pick, side_of
from model.demo.scenes import Content
from model.demo.turns import ANYTHING, Meaning, NothingToAsk


def elsewhere(rng: np.random.Generator, scenes: Sequence[Content], first: Meaning) -> Meaning:
    """ "And in image 3?": the same question about another picture."""
    image = pick(rng, [image for image in range(len(scenes)) if image != first.image])
    scene, here = scenes[image], [scenes[image]]
    if first.kind in ("digit", "describe"):
        found = ASKERS[first.kind](rng, here)
        things = tuple((image, index) for _, index in found.things)
        return Meaning(first.kind, "elsewhere", found.answer, image, things=things, number=found.number)
    name = first.asked
    found = tuple((image, index) for index, thing in enumerate(scene.things) if fits(thing, name))
    if first.kind == "count":
        return Meaning("count", "elsewhere", "number", image, name, things=found, number=len(found))
    if first.kind == "exist":
        answer = "exist_yes" if found else "exist_no"
        return Meaning("exist", "elsewhere", answer, image, name, things=found)
    likely = [index for index, thing in enumerate(scene.things) if could_fit(thing, name)]
    if not likely:
        return Meaning("none", "elsewhere", "none", image, name)
    if len(likely) > 1 or not found:
        raise NothingToAsk("the name means several things there")
    thing = scene.things[likely[0]]
    said = (thing.shape, thing.colour, None)
    if first.kind == "position":
        axis = 0 if first.way == "left_right" else 1
        side = side_of(thing, scene, axis)
        if side is None:
            raise NothingToAsk("the thing is near the middle line")
        return Meaning("position", "elsewhere", side[1], image, name, things=found)
    if first.kind == "size":
        if thing.size is None:
            raise NothingToAsk("the thing is of middle size")
        return Meaning("size", "elsewhere", thing.size, image, name, things=found, said=name)
    if not {"shape": has_shape, "colour": has_colour}[first.kind](thing):
        raise NothingToAsk("what is asked for has no name, or is a digit")
    return Meaning(first.kind, "elsewhere", first.answer, image, name, things=found, said=said)


def another(rng: np.random.Generator, scenes: Sequence[Content], first: Meaning) -> Meaning:
    """ "And the star?": the same question about another thing of the same picture."""
    scene = [scenes[first.image]]
    asker = ASKERS[first.kind]
    for _ in range(8):
        found = asker(rng, scene)
        if (
            found.asked not in (first.asked, ANYTHING)
            and (first.image, found.things[0][1]) != first.things[0]
        ):
            things = ((first.image, found.things[0][1]),)
            return Meaning(
                first.kind, "another", found.answer, first.image, found.asked, things=things, said=found.said
            )
    raise NothingToAsk("there is no other thing to ask about")
