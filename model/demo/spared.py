"""What training must not hold against pairs of shape and colour that it never shows.

HELD_OUT_PAIRS measure whether names combine. That a pair is missing would teach the model that there is none:
a star is never blue, so a star speaks against "blue", and after "a blue" never comes "star". Three things
keep training from saying so. Questions that name such a pair are not asked, nor "blue" alone where a star is
among what is asked about. Where the answer's next word could be that of a never shown pair, the loss leaves
that word out (a class without examples does not enter the softmax: the logit adjustment of Menon et al. 2020,
2007.07314, with a prior of zero). So do the heads that read a thing's shape and colour. Nothing shows or
names such a pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from model.demo.drawing import COLOURS
from model.demo.languages import language
from model.demo.outlines import SHAPES
from model.demo.pictures import LABELS
from model.demo.scenes import HELD_OUT_PAIRS, Content, Thing
from model.demo.turns import ANYTHING, Turn
from model.demo.wording import answer_in_words

LEFT_OUT = -1e4  # a logit that no softmax sees
_COLOUR_OF = dict(HELD_OUT_PAIRS)
_SHAPE_OF = {colour: shape for shape, colour in HELD_OUT_PAIRS}
# for each shape the number of its colour and the other way round, -1 for none
_PARTNERS = {
    "colour": torch.tensor(
        [tuple(COLOURS).index(_COLOUR_OF[s]) for s in SHAPES] + [-1] * (LABELS["shape"] - len(SHAPES))
    ),
    "shape": torch.tensor(
        [SHAPES.index(_SHAPE_OF[c]) if c in _SHAPE_OF else -1 for c in COLOURS]
        + [-1] * (LABELS["colour"] - len(COLOURS))
    ),
}


def speaks_against(turn: Turn, contents: Sequence[Content]) -> bool:
    """Whether a question about these pictures names a pair that is never shown, or denies one."""
    meaning = turn.meaning
    asked_about = contents if meaning.image < 0 else [contents[meaning.image]]
    for shape, colour, _ in (meaning.asked, meaning.other or ANYTHING):
        if (shape, colour) in HELD_OUT_PAIRS:
            return True
        if (shape is None) != (colour is None):
            things = (thing for content in asked_about for thing in content.things)
            if any(
                (thing.shape, colour) in HELD_OUT_PAIRS or (shape, thing.colour) in HELD_OUT_PAIRS
                for thing in things
            ):
                return True
    return False


def other_answers(turn: Turn, contents: Sequence[Content]) -> Iterator[str]:
    """What the answer would be if one of its things were of a pair that is never shown."""
    meaning = turn.meaning
    if turn.kind not in ("colour", "shape", "describe", "relation", "same", "odd"):
        return
    for image, number in meaning.things:
        for other in _never_shown(contents[image].things[number]):
            scenes = [*contents]
            things = [*scenes[image].things]
            things[number] = other
            scenes[image] = replace(scenes[image], things=tuple(things))
            said = (other.shape, other.colour, None) if turn.kind in ("colour", "shape") else meaning.said
            yield answer_in_words(replace(meaning, said=said), scenes, language(turn.language))[0]


def _never_shown(thing: Thing) -> Iterator[Thing]:
    """The thing in the colour that its shape never has, and in the shape that its colour never has."""
    if thing.named and thing.shape in _COLOUR_OF:
        yield replace(thing, colour=_COLOUR_OF[thing.shape])
        if thing.colour in _SHAPE_OF:
            yield replace(thing, shape=_SHAPE_OF[thing.colour])


def without_partners(name: str, logits: Tensor, labels: Tensor) -> Tensor:
    """Logits [K, values] of a label of LABELS for things with `labels` [K, 6], less what is never shown."""
    if name not in _PARTNERS:
        return logits
    other = labels[:, list(LABELS).index("shape" if name == "colour" else "colour")]
    # an unknown one (-1) finds the last entry, which has no partner
    partners = _PARTNERS[name].to(logits.device)[other]
    rows = (partners >= 0).nonzero()[:, 0]
    return logits.index_put((rows, partners[rows]), logits.new_tensor(LEFT_OUT))
