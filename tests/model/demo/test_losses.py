"""What training asks for is what its names say: right answers, a look at the thing, experts that differ."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from model.demo.batch import NO_LOSS
from model.demo.losses import SHORT_ANSWER, CellHead, Heads, PartHead, answer_losses, shared_information
from model.demo.packing import Packer
from model.demo.pictures import LABELS, NOTHING, UNCLEAR, draw_store
from model.demo.shape import IMAGES
from model.llama4 import Llama4


def test_experts_that_each_speak_one_language_share_all_information_and_a_constant_router_none():
    labels = torch.arange(4).repeat(50)
    told_apart = 50.0 * F.one_hot(labels, 4).float()
    assert shared_information(told_apart, labels, 4) == pytest.approx(math.log(4), abs=1e-3)
    assert shared_information(torch.zeros(200, 4), labels, 4) == pytest.approx(0, abs=1e-5)
    # what has no label counts for nothing
    some = torch.where(torch.arange(200) < 100, labels, -1)
    mixed = torch.where(some[:, None] >= 0, told_apart, torch.randn(200, 4))
    assert shared_information(mixed, some, 4) == pytest.approx(math.log(4), abs=1e-3)


def test_the_information_is_that_of_the_table_of_experts_and_labels():
    torch.manual_seed(0)
    logits, labels = torch.randn(300, 5), torch.randint(0, 3, (300,))
    joint = np.zeros((3, 5))
    for row, label in zip(logits.softmax(-1).numpy(), labels.tolist(), strict=True):
        joint[label] += row / 300
    apart = np.outer(joint.sum(1), joint.sum(0))
    assert shared_information(logits, labels, 3) == pytest.approx(
        (joint * np.log(joint / apart)).sum(), abs=1e-5
    )


def test_a_head_that_knows_every_cell_has_hardly_any_loss_and_all_right():
    torch.manual_seed(0)
    labels = torch.full((2, 25, len(LABELS)), NOTHING)
    labels[0, 3] = torch.tensor([1, 2, -1, 0, 4, 5])
    labels[1, 7] = torch.tensor([8, 9, 3, 2, -1, -1])
    labels[1, 8, 0] = UNCLEAR
    head = CellHead(sum(CellHead.parts))
    with torch.no_grad():
        head.weight.copy_(torch.eye(len(head.weight)))
        head.bias.zero_()
    features = torch.full((2, 25, sum(CellHead.parts)), -20.0)
    for tile, cell in ((0, 3), (1, 7)):
        at = 1
        features[tile, cell, 0] = 20.0
        for value, size in zip(labels[tile, cell].tolist(), LABELS.values(), strict=True):
            if value >= 0:
                features[tile, cell, at + value] = 20.0
            at += size
    # nobody asks about a cell whose thing is cut off
    features[1, 8, 0] = 20.0
    loss, right = head.loss(features, labels)
    assert float(loss.detach()) < 1e-3 and right == dict.fromkeys(LABELS, 1.0)
    features[0, 3, 1:4] = torch.tensor([20.0, -20.0, -20.0])
    loss, right = head.loss(features, labels)
    assert float(loss.detach()) > 5 and right["shape"] == 0.5 and right["colour"] == 1.0


def test_who_is_asked_about_is_read_at_the_names_alone():
    head = PartHead(8)
    residual = torch.zeros(2, 4, 8)
    residual[0, 1, 0], residual[1, 2, 1] = 1.0, 1.0
    words, parts = torch.tensor([[0, 1], [1, 2], [1, 3]]), torch.tensor([0, 1, -1])
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        assert float(head.loss(residual, words, parts)) == pytest.approx(math.log(2))
        head.weight[0, 0] = head.weight[1, 1] = 20.0
        assert float(head.loss(residual, words, parts)) < 1e-3
        assert float(head.loss(residual, words, torch.full((3,), -1))) == 0


def packed(processor, pictures, slots, rows):
    """A random model, a packed batch about drawn pictures, and what the tower sees in them."""
    store = draw_store(pictures, 2, IMAGES, workers=1)
    batch = Packer(processor.tokenizer, store, slots=slots).batch(np.random.default_rng(0), 160, rows)
    torch.manual_seed(0)
    llama = Llama4(processor.config)
    return llama, batch, llama.image_features(store.pixels(batch.tiles, torch.float32)).detach()


@pytest.fixture(scope="module")
def went(processor):
    """The same, and what training says of it."""
    llama, batch, features = packed(processor, 12, slots=3, rows=2)
    return llama, batch, features, answer_losses(llama, Heads.of_width(128), batch, features)


def test_an_untrained_model_is_at_chance_in_everything(went):
    llama, batch, _, answered = went
    said = {
        name: float(value.detach())
        for name, value in vars(answered).items()
        if name not in ("right", "spread")
    }
    # three tokens or more of an answer, as many as count, each as hard as any
    size = math.log(llama.config.text.vocab_size)
    assert 1.5 * size < said["answer"] < (SHORT_ANSWER + 0.2) * size
    assert answered.right.shape == batch.kinds.shape and not answered.right.any()
    assert 0 <= -said["tongues"] < 0.2 and answered.spread >= 0
    assert said["placing"] < 4 and said["counting"] > 0 and said["naming"] > 0
    # attention is almost even: of all that a word sees, a thing gets about as much as it has tokens
    shares = batch.boxes.sum(-1) / (batch.positions[tuple(batch.grounded.mT)] + 1)
    assert said["grounding"] == pytest.approx(float(-shares.log().mean()), abs=0.6)


def test_answers_are_weighed_by_question_and_judged_as_a_whole(went):
    llama, batch, features, answered = went
    hidden = llama.hidden(batch.token_ids, positions=batch.positions, image_features=features,
                          attention_mask=sees(batch))  # fmt: skip
    logits = llama.unembed(hidden)
    losses = []
    for question in range(len(batch.kinds)):
        places = batch.question == question
        assert (batch.targets[places] != NO_LOSS).all()
        each = F.cross_entropy(logits[places], batch.targets[places], reduction="none")
        losses.append(each.sum() * min(1.0, SHORT_ANSWER / len(each)))
    assert float(answered.answer.detach()) == pytest.approx(
        float(torch.stack(losses).mean().detach()), rel=1e-3
    )


def sees(batch) -> torch.Tensor:
    query, key = batch.branch[:, :, None], batch.branch[:, None, :]
    return (key == 0) | (key == query)


def test_every_part_of_the_model_learns_from_it(went):
    llama, _, _, answered = went
    total = answered.answer + answered.balance + answered.grounding + answered.mention + answered.counting
    (
        total + answered.reference + answered.tongues + answered.placing + answered.naming + answered.parting
    ).backward()
    still = [
        name for name, p in llama.named_parameters()
        if p.grad is None and not name.startswith(("vision.", "projector."))
    ]  # fmt: skip
    assert not still


def test_feed_forward_parts_are_loud_by_what_they_add_at_patches(processor):
    llama, batch, features = packed(processor, 4, slots=1, rows=1)

    def loudness() -> float:
        return float(answer_losses(llama, Heads.of_width(128), batch, features).loudness.detach())

    first, *others = (
        [block.moe.down_proj, block.moe.shared_expert.down_proj.weight] if block.is_moe
        else [block.mlp.down_proj.weight]
        for block in llama.blocks
    )  # fmt: skip
    with torch.no_grad():
        for weight in (weight for layer in others for weight in layer):
            weight.zero_()
        alone = loudness()
        for weight in first:
            weight.mul_(3)
        assert loudness() == pytest.approx(9 * alone, rel=1e-3) and alone > 0
        for weight in first:
            weight.zero_()
        assert loudness() == 0
