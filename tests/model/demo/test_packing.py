"""Packed questions are to the model what each is alone."""

import numpy as np
import pytest
import torch

from model.demo.batch import MOST_THINGS, NO_LOSS
from model.demo.batched import branch_attention
from model.demo.languages import CODES
from model.demo.packing import PREFIXES, Packer
from model.demo.pictures import LABELS, Picture, PictureStore, label_cells
from model.demo.questions import KINDS, converse
from model.demo.scenes import Content, draw_scene
from model.demo.shape import IMAGES
from model.images import tile_image
from model.llama4 import Llama4

SIZES = [(64, 60), (150, 90), (300, 200), (70, 160), (60, 60), (60, 64), (64, 64), (62, 60)]
ALIKE = {4: [("star", "red")], 5: [("star", "red")], 6: [("star", "blue")], 7: [("7", "green")]}


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene((6, seed), size, ALIKE.get(seed)) for seed, size in enumerate(SIZES)]


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


@pytest.fixture(scope="module")
def packer(processor, store):
    return Packer(processor.tokenizer, store)


@pytest.fixture(scope="module")
def batch(packer):
    return packer.batch(np.random.default_rng(2), 320, 6)


def messages(scenes, turns) -> list[dict]:
    said = []
    for number, turn in enumerate(turns):
        pictures = [{"type": "image", "image": scene.image} for scene in scenes] if number == 0 else []
        said.append({"role": "user", "content": [*pictures, {"type": "text", "text": turn.question}]})
        said.append({"role": "assistant", "content": [{"type": "text", "text": turn.answer}]})
    return said


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_a_packed_dialogue_has_the_token_ids_of_the_processor(count, processor, packer, scenes, store):
    rng = np.random.default_rng(count)
    for _ in range(5):
        chosen = rng.integers(len(scenes), size=count)
        shown = [scenes[i] for i in chosen]
        turns = converse(rng, shown)
        inputs = processor(messages(shown, turns), add_generation_prompt=False)
        assert packer.dialogue([store.pictures[i] for i in chosen], turns) == inputs.token_ids.tolist()


def test_a_branch_answers_as_if_it_were_alone(processor, store):
    torch.manual_seed(0)
    llama = Llama4(processor.config)
    llama.reset_parameters(0.2)
    batch = Packer(processor.tokenizer, store, slots=3).batch(np.random.default_rng(1), 320, 2)
    # across a border of the chunks
    assert batch.positions.max() > processor.config.text.attention_chunk_size
    with torch.no_grad():
        features = llama.image_features(store.pixels(batch.tiles, torch.float32))
        with branch_attention(llama, batch, (5,)):
            packed = llama(batch.token_ids, positions=batch.positions, image_features=features)
    at = 0
    for row in range(2):
        tiles = int((batch.token_ids[row] == processor.config.image_token_index).sum()) // 25
        mine, at = features[at : at + tiles], at + tiles
        for branch in (1, int(batch.branch[row].max())):
            places = (batch.branch[row] == 0) | (batch.branch[row] == branch)
            with torch.no_grad():
                alone = llama(batch.token_ids[row, places][None], image_features=mine)
            torch.testing.assert_close(packed[row, places], alone[0], rtol=1e-3, atol=1e-3)


def test_branches_lie_each_in_one_slot_and_go_on_from_the_prefix(batch):
    for row in range(len(batch.branch)):
        size = int((batch.branch[row] == 0).sum())
        assert batch.positions[row, :size].tolist() == list(range(size)) and size <= batch.prefix
        for branch in range(1, int(batch.branch[row].max()) + 1):
            places = (batch.branch[row] == branch).nonzero()[:, 0]
            assert len({int(place - batch.prefix) // batch.slot for place in places}) == 1
            assert batch.positions[row, places].tolist() == list(range(size, size + len(places)))
    assert ((batch.branch < 0) == (batch.positions < 0)).all()


def test_targets_spell_the_answers_and_the_end_of_turn(processor, batch):
    assert len(batch.kinds) == len(batch.languages) > 40
    for question, code in enumerate(batch.languages.tolist()):
        places = batch.question == question
        row, token = places.nonzero()[0].tolist()
        text = processor.tokenizer.decode(batch.targets[places].tolist())
        assert text.endswith("<|eot|>") and len(text) > len("<|eot|>")
        # the row before a token predicts it
        assert batch.token_ids[row, token + 1] == batch.targets[row, token]
        assert batch.language[row, token + 1] == code
    assert ((batch.question >= 0) == (batch.targets != NO_LOSS)).all()
    assert batch.language.max() < len(CODES) and batch.kinds.max() < len(KINDS)


def test_words_about_things_and_questions_that_name_them_point_at_patches(processor, batch):
    patch = processor.config.image_token_index
    assert len(batch.grounded) > 20 and len(batch.mentions) > 20
    pairs = (
        (batch.grounded, batch.boxes),
        (batch.mentions, batch.mentioned),
        (batch.references, batch.referred.any(1)),
    )
    for places, boxes in pairs:
        for (row, token), box in zip(places.tolist(), boxes, strict=True):
            assert box.any() and (batch.token_ids[row, : batch.prefix][box] == patch).all()
            assert token >= batch.prefix and batch.branch[row, token] > 0
    for row, token in batch.grounded.tolist():
        assert batch.targets[row, token] != NO_LOSS
    for row, token in [*batch.mentions.tolist(), *batch.references.tolist()]:
        assert batch.targets[row, token] == NO_LOSS and batch.language[row, token] >= 0

    assert batch.mention_labels.shape == (len(batch.mentions), len(LABELS))
    assert (batch.mention_labels[:, 0] >= 0).any() and (batch.mention_labels[:, 0] < 0).any()
    assert batch.mention_parts.shape == batch.mentions.shape[:1] and set(batch.mention_parts.tolist()) == {
        -1,
        0,
        1,
    }
    compared = batch.mentions[batch.mention_parts >= 0]
    asked_in = {
        int(batch.question[row][batch.branch[row] == batch.branch[row, token]].max())
        for row, token in compared
    }
    assert {KINDS[batch.kinds[question]] for question in asked_in} >= {"relation"}


def test_where_only_the_whole_picture_tells_the_look_at_its_tiles_is_kept_apart(batch):
    assert batch.spots.shape == batch.boxes.shape and not (batch.boxes & ~batch.spots).any()
    kept_apart = (batch.spots & ~batch.boxes).any(-1)
    assert kept_apart.any() and not kept_apart.all()
    for (row, _), box in zip(batch.grounded[kept_apart].tolist(), batch.boxes[kept_apart], strict=True):
        assert batch.whole[row][box].all()


def test_a_pictures_number_points_into_that_picture(batch):
    assert len(batch.references) > 5
    for (row, _), box, label in zip(
        batch.references.tolist(), batch.referred, batch.reference_labels, strict=True
    ):
        for number, some in enumerate(box):
            assert set(batch.image[row][some].tolist()) <= {number}
        pictures = set(batch.image[row][box.any(0)].tolist())
        # the odd one out is looked for in all of them
        assert len(pictures) == 1 or pictures == set(range(int(batch.image[row].max()) + 1))
        # told apart by shape and colour
        assert len(pictures) == 1 or set(label[2:].tolist()) == {-1}


def test_what_is_counted_is_marked_thing_by_thing_in_the_whole_picture(processor, batch):
    assert len(batch.counting) > 3 and batch.counted.shape[1] == MOST_THINGS
    for (row, token), each in zip(batch.counting.tolist(), batch.counted, strict=True):
        number = str(int(each.any(-1).sum()))
        said = processor.tokenizer.decode(batch.targets[row, token : token + 2].tolist())
        assert number in said
        assert batch.whole[row][each.any(0)].all()
        assert len(batch.image[row][each.any(0)].unique()) <= 1


def test_every_patch_knows_its_picture_and_one_tile_of_each_shows_all_of_it(processor, batch):
    patches = batch.token_ids[:, : batch.prefix] == processor.config.image_token_index
    assert torch.equal(batch.image >= 0, patches) and int(patches.sum()) == 25 * len(batch.tiles)
    for row in range(len(batch.image)):
        for image in range(int(batch.image[row].max()) + 1):
            assert (batch.whole[row] & (batch.image[row] == image)).sum() == 25
    assert not batch.whole[batch.image < 0].any()


def test_rows_hold_up_to_five_pictures_and_every_length_of_prefix_is_kept(packer):
    rng, most = np.random.default_rng(7), 0
    for prefix, _, _ in PREFIXES:
        made = packer.batch(rng, prefix, 5)
        assert made.token_ids.shape == (5, prefix + 8 * 64) and made.image.shape == (5, prefix)
        most = max(most, int(made.image.max()) + 1)
    assert most == 5


def test_the_same_generator_state_packs_the_same_batch(packer):
    first, again = (packer.batch(np.random.default_rng(5), 64, 2) for _ in range(2))
    for name, value in vars(first).items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(getattr(again, name))), name
