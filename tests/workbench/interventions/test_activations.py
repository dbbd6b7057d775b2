"""Zeros and other runs' values at hook points: every token's own, during generation too."""

import pytest
import torch

from model import recorded
from tests.workbench.interventions.runs import (
    PLAIN,
    PLANTED,
    PLANTED_LAYER,
    answer,
    picture,
    question,
    same,
    spelled,
)
from workbench.interventions import EditError, ImagePatches, NothingChangedError, PatchFrom, ZeroAt, edited

OUT = f"blocks.{PLANTED_LAYER}.moe.hook_routed_out"


def carried(llama, inputs, names, edits=()):
    """What flows through hook points in one pass over the prompt."""
    points = [llama.hook_point(name) for name in names]
    with edited(llama, inputs, edits), recorded(points) as kept, torch.no_grad():
        kept["logits"] = llama(inputs.token_ids[None], inputs.pixel_values)
    return kept


def test_zeros_stand_where_they_were_asked_for_and_nowhere_else(loaded):
    llama, processor = loaded
    inputs = question(processor, picture(), text="Hi")
    layer = llama.config.text.moe_layers[0]
    axes = {
        f"blocks.{layer}.hook_resid_mid": 1,
        f"blocks.{layer}.attn.hook_z": 1,
        f"blocks.{layer}.attn.hook_pattern": 2,
        f"blocks.{layer}.moe.hook_routed_out": 0,
        "unembed.hook_logits": 1,
    }
    plain = carried(llama, inputs, axes)
    for name, axis in axes.items():
        after = carried(llama, inputs, [name], [ZeroAt(name, tokens=[2, 5])])[name].movedim(axis, 0)
        before = plain[name].movedim(axis, 0)
        assert not after[[2, 5]].any() and before[[2, 5]].any(), name
        others = [row for row in range(len(before)) if row not in (2, 5)]
        torch.testing.assert_close(after[others], before[others]), name


def test_silencing_by_zeros_removes_the_planted_word_row_by_row(plant):
    llama, processor = plant
    inputs = question(processor)
    assert spelled(answer(llama, processor, inputs, [ZeroAt(OUT, "answering")]).tokens) == 6 * PLAIN
    last = [len(inputs.token_ids) - 1]
    assert spelled(answer(llama, processor, inputs, [ZeroAt(OUT, last)]).tokens) == 6 * PLAIN


def test_the_logits_of_a_prompt_are_its_last_row(plant):
    llama, processor = plant
    inputs = question(processor)
    last = [len(inputs.token_ids) - 1]
    said = answer(llama, processor, inputs, [ZeroAt("unembed.hook_logits", last)])
    assert not said.logits[0].any() and said.logits[1:].any(1).all()


def test_patched_with_its_own_values_a_run_does_not_change(loaded):
    llama, processor = loaded
    inputs = question(processor, picture(), text="Hi")
    layer = llama.config.text.moe_layers[0]
    names = [
        f"blocks.{layer}.hook_resid_post", f"blocks.{layer}.moe.hook_expert_indices", "hook_image_embed",
        f"blocks.{layer}.attn.hook_v", "vision.blocks.0.hook_resid_post",
    ]  # fmt: skip
    source = carried(llama, inputs, names)
    plain = answer(llama, processor, inputs)
    for name in names:
        tokens = "all" if name.startswith("vision") else "prompt"
        assert same(answer(llama, processor, inputs, [PatchFrom(name, source, tokens)]), plain), name


def test_a_state_from_another_run_brings_its_logits_along(loaded):
    llama, processor = loaded
    one, other = (question(processor, picture(seed), text="Hi") for seed in (0, 5))
    point = "blocks.7.hook_resid_post"
    source = carried(llama, other, [point])
    patched = carried(llama, one, [], [PatchFrom(point, source, tokens=[3, 40])])["logits"][0]
    plain = carried(llama, one, [])["logits"][0]
    torch.testing.assert_close(patched[40], source["logits"][0, 40])
    assert torch.equal(patched[41], plain[41])
    moved = PatchFrom(point, source[point], tokens=[3], source_tokens=[40])
    torch.testing.assert_close(carried(llama, one, [], [moved])["logits"][0, 3], source["logits"][0, 40])


def test_the_vectors_of_a_picture_can_be_anothers(loaded):
    llama, processor = loaded
    one, other = (question(processor, picture(seed), text="Hi") for seed in (0, 5))
    source = carried(llama, other, ["hook_image_embed"])
    patched = carried(llama, one, [], [PatchFrom("hook_image_embed", source, ImagePatches(0))])
    assert torch.equal(patched["logits"], source["logits"]), "the pictures were all that differed"


def test_what_cannot_be_put_there_is_refused(plant):
    llama, processor = plant
    inputs = question(processor, picture(), text="Hi")
    rows = torch.ones(3, 64)
    post = "blocks.1.hook_resid_post"
    wrong = {
        "no hook point 'blocks.1.resid'; nearest": ZeroAt("blocks.1.resid"),
        "zero would force expert 0": ZeroAt("blocks.1.moe.hook_expert_indices"),
        "has tiles and patches of its own": ZeroAt("vision.blocks.0.hook_resid_post", tokens="prompt"),
        "are no patches of a picture": ZeroAt("hook_image_embed", tokens=[0]),
        "the source has 3 rows, token 5 is not among them": PatchFrom(OUT, rows, tokens=[5]),
        r"the source has no blocks.1.moe.hook_routed_out; it has x": PatchFrom(OUT, {"x": rows}),
        r"the source is \(3, 64\); blocks.1.hook_resid_post has the axes BTM": PatchFrom(post, rows),
        "a batch of 2": PatchFrom(post, torch.ones(2, 3, 64)),
        r"carries rows of \(64,\); the source has \(65,\)": PatchFrom(OUT, torch.ones(9, 65), tokens=[5]),
        "goes with tokens given as distinct positions": PatchFrom(OUT, rows, "prompt", [1]),
        "expected 2 positions": PatchFrom(OUT, rows, [1, 2], [1]),
        "the source has 2 patches": PatchFrom("hook_image_embed", torch.ones(1, 2, 64)),
    }
    for sentence, edit in wrong.items():
        with pytest.raises(EditError, match=sentence):
            carried(llama, inputs, [], [edit])
    with pytest.raises(NothingChangedError, match="it was zero already"):
        carried(llama, inputs, [], [ZeroAt("blocks.2.mlp.hook_out")])


def test_a_hook_point_that_carries_nothing_raises(plant):
    llama, processor = plant
    with pytest.raises(EditError, match="never reached at hook_image_embed"):
        carried(llama, question(processor), [], [ZeroAt("hook_image_embed")])


def test_generated_rows_can_be_patched_from_one_pass_over_the_whole(plant):
    llama, processor = plant
    inputs = question(processor)
    length = len(inputs.token_ids)
    source = torch.zeros(length + 6, llama.config.text.hidden_size)
    source[:, 2] = 50
    said = answer(llama, processor, inputs, [PatchFrom(OUT, source, "generated")])
    assert spelled(said.tokens) == 6 * PLANTED


def test_a_patch_says_where_its_values_are_from():
    one, other = (PatchFrom(OUT, torch.full((3, 4), value)).to_json() for value in (1.0, 2.0))
    assert one["source"]["shape"] == [3, 4] and one["source"] != other["source"]
    assert repr(ZeroAt(OUT, [1])) == f"ZeroAt(hook_point='{OUT}', tokens=[1])"
