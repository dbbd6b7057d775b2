"""The reading head does not hold it against a pair that training never shows it."""

import torch

from model.demo.drawing import COLOURS
from model.demo.outlines import SHAPES
from model.demo.pictures import LABELS
from model.demo.scenes import HELD_OUT_PAIRS
from model.demo.spared import LEFT_OUT, without_partners


def test_heads_leave_out_what_a_thing_never_is_and_nothing_else():
    colours, shapes = [*COLOURS, None], [*SHAPES, "digit", None]
    for shape in shapes:
        labels = torch.full((1, len(LABELS)), -1)
        labels[0, 0] = shapes.index(shape)
        left_out = without_partners("colour", torch.zeros(1, len(colours)), labels)[0] == LEFT_OUT
        assert {(shape, colours[n]) for n in left_out.nonzero()[:, 0].tolist()} == {
            pair for pair in HELD_OUT_PAIRS if pair[0] == shape
        }
    unknown = torch.full((2, len(LABELS)), -1)
    for name, size in LABELS.items():
        assert not without_partners(name, torch.zeros(2, size), unknown).any()
