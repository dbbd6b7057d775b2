"""Packed questions are to the model what each is alone."""

import numpy as np
import pytest
import torch

from model.demo.dialogues import converse
from model.demo.losses import plain_attention
from model.demo.packing import NO_LOSS, Packer
from model.demo.pictures import Picture, PictureStore, label_cells
from model.demo.scenes import Content, draw_scene
from model.demo.shape import IMAGES, build_processor
from model.demo.turns import Turn
from model.images import tile_image
from model.llama4 import Llama4

SIZES = [(64, 60), (150, 90), (300, 200), (70, 160)]


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(seed, size) for seed, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def store(scenes):
    pictures, tiles, labels, at = [], [], [], 0
    for scene in scenes:
        cut = tile_image(scene.image, IMAGES)
        named, inside = label_cells(scene.things, cut, IMAGES.tile_size)
        pictures.append(Picture(Content(scene.things, scene.size), at, cut.rows, cut.cols, inside))
        tiles.append(((cut.tiles.float() * 0.5 + 0.5) * 255).round().to(torch.uint8))
        labels.append(torch.from_numpy(named))
        at += len(named)
    return PictureStore(pictures, torch.cat(tiles), torch.cat(labels), torch.arange(at, at), torch.arange(at))


def messages(scenes, turns: list[Turn]) -> list[dict]:
    said = []
    for number, turn in enumerate(turns):
        pictures = [{"type": "image", "image": scene.image} for scene in scenes] if number == 0 else []
        said.append({"role": "user", "content": [*pictures, {"type": "text", "text": turn.question}]})
        said.append({"role": "assistant", "content": [{"type": "text", "text": turn.answer}]})
    return said


def test_a_packed_dialogue_has_the_token_ids_of_the_processor(processor, scenes, store):
    rng = np.random.default_rng(0)
    packer = Packer(processor.tokenizer)
    for count in (1, 2, 3):
        for _ in range(10):
            chosen = rng.integers(len(scenes), size=count)
            turns = converse(rng, [scenes[i] for i in chosen])
            inputs = processor(messages([scenes[i] for i in chosen], turns), add_generation_prompt=False)
            assert packer.dialogue([store.pictures[i] for i in chosen], turns) == inputs.token_ids.tolist()


def test_stored_tiles_are_the_processors_pixels_bit_for_bit(scenes, store):
    expected = torch.cat([tile_image(scene.image, IMAGES).tiles for scene in scenes])
    assert torch.equal(store.pixels(torch.arange(len(store.tiles)), torch.bfloat16), expected)


def test_a_branch_answers_as_if_it_were_alone(processor, store):
    torch.manual_seed(0)
    llama = Llama4(processor.config)
    llama.reset_parameters(0.2)
    packer = Packer(processor.tokenizer)
    batch = packer.batch(np.random.default_rng(1), store, rows=2)
    features = llama.image_features(store.pixels(batch.tiles, torch.float32))
    with torch.no_grad(), plain_attention(llama):
        packed = llama(
            batch.token_ids,
            positions=batch.positions,
            attention_mask=batch.attention_mask(),
            image_features=features,
        )
    row = 0
    tiles = int((batch.token_ids[row] == processor.config.image_token_index).sum()) // 25
    for branch in (1, 2, int(batch.branch[row].max())):
        places = (batch.branch[row] == 0) | (batch.branch[row] == branch)
        with torch.no_grad():
            alone = llama(batch.token_ids[row, places][None], image_features=features[:tiles])
        torch.testing.assert_close(packed[row, places], alone[0], rtol=1e-3, atol=1e-3)


def test_targets_spell_the_answers_and_the_end_of_turn(processor, store):
    batch = Packer(processor.tokenizer).batch(np.random.default_rng(2), store, rows=4)
    for question in range(len(batch.kinds)):
        places = batch.question == question
        text = processor.tokenizer.decode(batch.targets[places].tolist())
        assert text[0].isupper() and text.endswith((".<|eot|>", "!<|eot|>"))
    assert ((batch.question >= 0) == (batch.targets != NO_LOSS)).all()


def test_a_grounded_word_points_at_patches_of_the_thing(processor, store):
    batch = Packer(processor.tokenizer).batch(np.random.default_rng(3), store, rows=4)
    patch = processor.config.image_token_index
    for (row, token), box in zip(batch.grounded.tolist(), batch.boxes, strict=True):
        assert (batch.token_ids[row][box] == patch).all() and box.any()
        assert batch.targets[row, token] != NO_LOSS


def test_what_is_counted_is_marked_thing_by_thing_in_the_whole_picture(processor, store):
    batch = Packer(processor.tokenizer).batch(np.random.default_rng(4), store, rows=6)
    words = ["Zero", "One", "Two", "Three", "Four"]
    assert len(batch.counting) > 10
    for (row, token), each in zip(batch.counting.tolist(), batch.counted, strict=True):
        assert processor.tokenizer.token_text(batch.targets[row, token]) == words[each.any(-1).sum()]
        assert batch.whole[row][each.any(0)].all()
        assert len(batch.image[row][each.any(0)].unique()) <= 1


def test_every_patch_knows_its_picture_and_one_tile_of_each_shows_all_of_it(processor, store):
    batch = Packer(processor.tokenizer).batch(np.random.default_rng(5), store, rows=4)
    patches = batch.token_ids == processor.config.image_token_index
    assert torch.equal(batch.image >= 0, patches)
    for row in range(4):
        for image in range(int(batch.image[row].max()) + 1):
            assert (batch.whole[row] & (batch.image[row] == image)).sum() == 25
