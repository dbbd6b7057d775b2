"""What the vision tower's reading head must not hold against pairs of shape and colour never shown.

A star is never blue in training's pictures, so a head that reads a star's colour would learn that blue is out
of the question: the shape speaks against it, and the tower's vectors with it. Where a label could be that of
a never shown pair, the loss leaves it out (a class without examples does not enter the softmax: the logit
adjustment of Menon et al. 2020, 2007.07314, with a prior of zero). The text part meets such pairs another
way: see `imagined`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.demo.drawing import COLOURS
from model.demo.outlines import SHAPES
from model.demo.pictures import LABELS
from model.demo.scenes import HELD_OUT_PAIRS

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


def without_partners(name: str, logits: Tensor, labels: Tensor) -> Tensor:
    """Logits [K, values] of a label of LABELS for things with `labels` [K, 6], less what is never shown."""
    if name not in _PARTNERS:
        return logits
    other = labels[:, list(LABELS).index("shape" if name == "colour" else "colour")]
    # an unknown one (-1) finds the last entry, which has no partner
    partners = _PARTNERS[name].to(logits.device)[other]
    rows = (partners >= 0).nonzero()[:, 0]
    return logits.index_put((rows, partners[rows]), logits.new_tensor(LEFT_OUT))
