"""Pictures hidden and blurred: the pixels that are meant, in every copy, and no others."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from model import recorded
from tests.workbench.interventions.runs import answer, picture, question
from workbench.interventions import (
    BlurPatches,
    EditError,
    HidePatches,
    ImagePatches,
    NothingChangedError,
    edited,
)
from workbench.interventions.tokens import mask_of


@pytest.fixture(scope="module")
def inputs(plant):
    return question(plant[1], picture(1, 28, 20), picture())


def pixels_under(llama, inputs, *edits):
    point = llama.hook_point("vision.hook_pixels")
    with edited(llama, inputs, edits), recorded(point) as kept, torch.no_grad():
        llama(inputs.token_ids[None], inputs.pixel_values)
    return kept[point.name]


def test_a_box_is_hidden_in_every_copy_and_nothing_beside_it(loaded):
    llama, processor = loaded
    # white on black; 56 x 28 pixels are two tiles and a thumbnail, pixel for pixel
    canvas = np.zeros((28, 56, 3), np.uint8)
    canvas[4:10, 20:40] = 255
    inputs = question(processor, Image.fromarray(canvas))
    before = inputs.pixel_values.to(llama.dtype)
    after = pixels_under(llama, inputs, HidePatches(0, boxes=(20, 4, 40, 10)))
    assert len(before) == 3 and (before[:2] > 0).any() and (before[2] > 0).any()
    assert torch.equal(after[:2], torch.full_like(after[:2], float(before.min()))), "all of the white"
    inside = after[2] != before[2]
    rows, cols = inside.any(0).nonzero(as_tuple=True)
    # squeezed to half its width
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (4, 9, 10, 19)


def test_pixels_outside_the_box_and_other_pictures_keep_their_bits(loaded, inputs):
    llama, _ = loaded
    before = inputs.pixel_values.to(llama.dtype)
    after = pixels_under(llama, inputs, HidePatches(1, boxes=(10, 5, 30, 20)))
    assert torch.equal(after[0], before[0]), "the other picture"
    changed = (after != before).any(1)  # [tiles, S, S]
    assert changed[1:].any() and not changed[1:].all()
    filled = after[1:].permute(0, 2, 3, 1)[changed[1:]]
    assert (filled == filled[0]).all(), "one colour"


def test_every_patch_of_a_box_is_reached_and_only_those(loaded, inputs):
    llama, _ = loaded
    box = (10, 5, 30, 20)
    before = inputs.pixel_values.to(llama.dtype)
    changed = (pixels_under(llama, inputs, HidePatches(1, boxes=box)) != before).any(1)
    spans, side = inputs.spans, llama.config.vision.image_size // llama.config.vision.tokens_per_side
    touched = mask_of(ImagePatches(1, box=box), inputs, len(inputs.token_ids))
    for token in np.flatnonzero(spans.image_index == 1):
        if spans.patch_row[token] < 0:
            continue
        y, x = spans.patch_row[token] * side, spans.patch_col[token] * side
        square = changed[1 + spans.tile_index[token], y : y + side, x : x + side]
        assert bool(square.any()) == touched[token], token


def test_patches_are_hidden_where_they_are_and_in_no_other_copy(loaded, inputs):
    llama, _ = loaded
    token = int(np.flatnonzero(inputs.spans.is_thumbnail)[0])
    before = inputs.pixel_values.to(llama.dtype)
    changed = (pixels_under(llama, inputs, HidePatches(1, patches=[token])) != before).any(1)
    assert not changed[:-1].any()
    assert changed[-1, :14, :14].all() and changed[-1].sum() == 14 * 14


def test_the_background_is_the_middle_colour_around_the_box_and_the_mean_that_of_all(loaded):
    llama, processor = loaded
    canvas = np.full((28, 28, 3), 255, np.uint8)
    canvas[7:21, 7:21] = 0
    canvas[:3], canvas[-3:] = 90, 90  # far from the box
    inputs = question(processor, Image.fromarray(canvas))
    before = inputs.pixel_values.to(llama.dtype)
    hidden = pixels_under(llama, inputs, HidePatches(0, boxes=(7, 7, 21, 21)))
    assert (hidden[..., 3:-3, :] == before.max()).all()
    mean = pixels_under(llama, inputs, HidePatches(0, boxes=(7, 7, 21, 21), fill="mean"))
    assert mean[0, 0, 14, 14].item() == pytest.approx(float(before.float().mean()), abs=1e-2)


def test_every_box_has_the_background_of_its_own_place_in_tiles_and_thumbnail(loaded):
    llama, processor = loaded
    canvas = np.zeros((28, 56, 3), np.uint8)
    canvas[:, 28:] = 255
    canvas[8:16, 8:16], canvas[8:16, 40:48] = 128, 128
    inputs = question(processor, Image.fromarray(canvas))
    before = inputs.pixel_values.to(llama.dtype)
    hidden = pixels_under(llama, inputs, HidePatches(0, boxes=[(8, 8, 16, 16), (40, 8, 48, 16)]))
    assert (hidden[0] == before.min()).all() and (hidden[1] == before.max()).all()
    assert (hidden[2][..., 4:8] == before.min()).all() and (hidden[2][..., 20:24] == before.max()).all()


def test_padding_around_a_picture_is_not_painted(loaded):
    llama, processor = loaded
    inputs = question(processor, picture(2, 28, 20))  # in a tile of 28 x 28
    before = inputs.pixel_values.to(llama.dtype)
    after = pixels_under(llama, inputs, HidePatches(0, fill="mean"))
    assert torch.equal(after[..., 20:], before[..., 20:])
    assert (after[..., :20] == after[..., :1, :1]).all()


def test_blurring_takes_the_detail_and_leaves_the_mean(loaded, inputs):
    llama, _ = loaded
    before = inputs.pixel_values.to(llama.dtype)
    after = pixels_under(llama, inputs, BlurPatches(1, sigma=4))
    assert after[-1].std() < 0.3 * before[-1].std()
    assert after[-1].mean().item() == pytest.approx(before[-1].mean().item(), abs=0.05)
    assert torch.equal(after[0], before[0])
    flat = of_one_colour(inputs)
    with pytest.raises(NothingChangedError, match="looks like what was put there"):
        pixels_under(llama, flat, BlurPatches(0))


def of_one_colour(inputs):
    return replace(inputs, pixel_values=torch.full_like(inputs.pixel_values, 0.5))


@pytest.mark.parametrize("fill", ["mean", "zero"])
def test_hidden_in_tokens_the_vectors_behind_the_tower_change_and_no_others(loaded, inputs, fill):
    llama, _ = loaded
    box = (10, 5, 30, 20)
    point = llama.hook_point("hook_image_embed")
    with recorded(point) as plain, torch.no_grad():
        llama(inputs.token_ids[None], inputs.pixel_values)
    with (
        edited(llama, inputs, [HidePatches(1, boxes=box, where="tokens", fill=fill)]),
        recorded(point) as kept,
        torch.no_grad(),
    ):
        llama(inputs.token_ids[None], inputs.pixel_values)
    before, after = plain[point.name].flatten(0, 1), kept[point.name].flatten(0, 1)
    patches = np.flatnonzero(inputs.spans.patch_row >= 0)
    hidden = torch.from_numpy(mask_of(ImagePatches(1, box=box), inputs, len(inputs.token_ids))[patches])
    assert torch.equal((before != after).any(1), hidden)
    others = torch.from_numpy(inputs.spans.image_index[patches] == 1) & ~hidden
    expected = before[others].mean(0) if fill == "mean" else torch.zeros(before.shape[1])
    torch.testing.assert_close(after[hidden], expected.expand(int(hidden.sum()), -1))


def test_hiding_changes_the_answer_from_its_first_token(loaded, inputs):
    llama, processor = loaded
    plain = answer(llama, processor, inputs, tokens=2)
    for where in ("pixels", "tokens"):
        hidden = answer(llama, processor, inputs, [HidePatches(1, where=where)], tokens=2)
        assert not torch.equal(hidden.logits, plain.logits), where


def test_what_cannot_be_hidden_is_refused(loaded, inputs):
    llama, processor = loaded
    wrong = {
        "image is 2; this prompt has pictures 0 to 1": HidePatches(2),
        "lies outside picture 0": HidePatches(0, boxes=(100, 100, 120, 120)),
        "expected x0, y0, x1, y1": HidePatches(0, boxes=(1, 2, 3)),
        "give boxes or patches, not both": HidePatches(0, boxes=(1, 2, 3, 4), patches=[5]),
        r"patches \[0\] are no patch tokens of picture 0": HidePatches(0, patches=[0]),
        "where is 'eyes'": HidePatches(0, where="eyes"),
        "fill is 'zero'; in pixels": HidePatches(0, fill="zero"),
        "sigma is -1": BlurPatches(0, sigma=-1),
    }
    for sentence, edit in wrong.items():
        with pytest.raises(EditError, match=sentence):
            edit.applied(llama, inputs)
    with pytest.raises(EditError, match="text only"):
        HidePatches(0).applied(llama, question(processor))
    with (
        pytest.raises(EditError, match="no picture went through the tower"),
        edited(llama, inputs, [HidePatches(0)]),
    ):
        pass
    assert not any(p.watched for p in llama.hook_points.values())


def test_a_picture_edit_says_what_it_is():
    told = json.loads(json.dumps(HidePatches(1, boxes=(1, 2, 3, 4)).to_json()))
    assert told == {
        "edit": "HidePatches", "image": 1, "boxes": [[1, 2, 3, 4]], "patches": None, "where": "pixels",
        "fill": "background",
    }  # fmt: skip
    assert repr(HidePatches(1, boxes=(1, 2, 3, 4))) == "HidePatches(image=1, boxes=(1, 2, 3, 4))"
