"""Pairs that training never shows are neither named nor denied by it."""

import numpy as np
import pytest
import torch

from model.demo.batch import NO_LOSS
from model.demo.drawing import COLOURS
from model.demo.losses import Heads, answer_losses
from model.demo.outlines import SHAPES
from model.demo.packing import Packer
from model.demo.pictures import LABELS, draw_store
from model.demo.questions import ask
from model.demo.scenes import HELD_OUT_PAIRS, Content, Thing
from model.demo.shape import IMAGES
from model.demo.spared import LEFT_OUT, other_answers, speaks_against, without_partners
from model.demo.turns import ANYTHING, Meaning, Turn
from model.llama4 import Llama4

NEVER = sorted(HELD_OUT_PAIRS)[0]  # ("circle", "purple"), say


def thing(shape, colour, box=(0, 0, 10, 10)):
    return Thing(shape, colour, (0, 0, 0), box, 0.5)


def asked(name, image=0, other=None):
    return Turn(Meaning("exist", "exist", "exist_no", image, name, other), "en", "?", "No.")


def test_no_question_names_a_pair_that_is_never_shown_or_denies_one():
    shape, colour = NEVER
    scene = [Content((thing(shape, "white"), thing("star", "black")), (50, 50))]
    assert speaks_against(asked((shape, colour, None)), scene)
    assert speaks_against(asked(("star", None, None), other=(shape, colour, "big")), scene)
    # a circle is there and it is not purple; that it never is, nobody says
    assert speaks_against(asked((None, colour, None)), scene)
    assert not speaks_against(asked((shape, None, None)), scene)
    assert not speaks_against(asked((None, "white", None)), scene)
    assert not speaks_against(asked(ANYTHING), scene)
    elsewhere = [Content((thing("star", "black"),), (50, 50)), *scene]
    assert not speaks_against(asked((None, colour, None), 0), elsewhere)
    assert speaks_against(asked((None, colour, None), -1), elsewhere)


def test_the_other_answers_are_those_of_the_pairs_that_are_never_shown():
    shape, colour = NEVER
    held = dict(HELD_OUT_PAIRS)
    scene = [Content((thing(shape, "white"), thing("star", "black", (30, 30, 40, 40))), (50, 50))]
    rng = np.random.default_rng(0)
    turn = ask(rng, scene, kind="describe", language="en")
    assert turn.answer == f"A white {shape} and a black star."
    assert f"A {colour} {shape} and a black star." in list(other_answers(turn, scene))
    assert f"A white {shape} and a {held['star']} star." in list(other_answers(turn, scene))
    single = scene[0].things[0]
    turn = ask(rng, [Content((single,), (50, 50))], kind="colour", language="de")
    assert "Lila." in list(other_answers(turn, [Content((single,), (50, 50))])) or colour != "purple"
    assert not list(other_answers(ask(rng, scene, kind="count", language="en"), scene))


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


@pytest.fixture(scope="module")
def packed(processor):
    store = draw_store(60, 2, IMAGES, workers=1)
    return store, Packer(processor.tokenizer, store, slots=4).batch(np.random.default_rng(0), 160, 4)


def test_a_word_that_is_left_out_has_no_part_in_the_loss(processor, packed):
    store, batch = packed
    torch.manual_seed(0)
    llama = Llama4(processor.config)
    features = llama.image_features(store.pixels(batch.tiles, torch.float32)).detach()
    heads = Heads.of_width(128)

    def answer() -> float:
        return float(answer_losses(llama, heads, batch, features).answer.detach())

    row, token, spared = batch.spared[0].tolist()
    assert batch.targets[row, token] != NO_LOSS
    with torch.no_grad():
        before = answer()
        llama.unembed.weight[spared] *= 0
        assert answer() != pytest.approx(before)  # elsewhere it is a wrong word like any other
    only = batch.targets.clone()
    only[:] = NO_LOSS
    only[row, token] = batch.targets[row, token]
    question = torch.where(only == NO_LOSS, -1, 0)
    alone = type(batch)(
        **vars(batch)
        | {"targets": only, "question": question, "kinds": batch.kinds[:1], "spared": batch.spared[:1]}
    )
    with torch.no_grad():
        first = answer_losses(llama, heads, alone, features).answer
        llama.unembed.weight[spared] += 5
        second = answer_losses(llama, heads, alone, features).answer
    assert torch.equal(first, second)
