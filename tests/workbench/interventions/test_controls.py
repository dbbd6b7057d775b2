"""Controls: like the edit in what is said, and never the edit itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import workbench as wb
from tests.workbench.interventions.runs import PLANTED_EXPERT, PLANTED_LAYER, picture, question
from workbench.interventions import (
    BlurPatches,
    EditError,
    EditRouterLogits,
    ForceExpert,
    HidePatches,
    ImagePatches,
    ReplayRouting,
    ScaleExpert,
    Setting,
    SilenceExpert,
    SteerAttention,
    ZeroAt,
    controls,
)
from workbench.interventions.controls import expert_load
from workbench.trace import replace as with_changes


@pytest.fixture(scope="module")
def setting(maverick):
    session = wb.load(maverick)
    shown = [{"type": "image", "image": picture()}, {"type": "text", "text": "Why?"}]
    trace = session.chat([{"role": "user", "content": shown}], max_tokens=4).trace
    return Setting(session.llama, question(session.processor, picture(), text="Why?"), trace)


def made(edits, setting, draws=20):
    drawn, how = controls(edits if isinstance(edits, list) else [edits], setting, draws)
    keys = {str([edit.to_json() for edit in one]) for one in drawn}
    assert len(keys) == len(drawn), "none is drawn twice"
    assert str([edit.to_json() for edit in (edits if isinstance(edits, list) else [edits])]) not in keys
    return drawn, how


@pytest.mark.parametrize("edit", [ForceExpert(3, 2), SilenceExpert(3, 2), ScaleExpert(3, 2, 2.0)])
def test_other_experts_of_the_same_layer_stand_in_the_nearest_in_load_first(setting, edit):
    drawn, how = made(edit, setting)
    load = expert_load(setting, 3, "all")
    busy = [e for e in (0, 1, 3, 4, 5, 6, 7) if load[e] or isinstance(edit, ForceExpert)]
    assert sorted(one.expert for (one,) in drawn) == busy, "all others that have a token, each once"
    assert load.sum() == len(setting.trace)
    gaps = [abs(load[one.expert] - load[2]) for (one,) in drawn]
    assert gaps == sorted(gaps)
    three, _ = made(edit, setting, draws=3)
    assert [abs(load[one.expert] - load[2]) for (one,) in three] == gaps[:3]
    assert "whose load on these tokens is nearest" in how


def test_who_has_none_of_the_tokens_is_no_peer_of_an_expert_that_has(setting):
    trace = setting.trace
    experts = trace.routed_experts.copy()
    third, fifth = (trace.moe_layers.tolist().index(n) for n in (3, 5))
    experts[:, third, 0], experts[:, fifth, 0] = np.arange(len(trace)) % 3, np.arange(len(trace)) % 8
    three = replace(setting, trace=with_changes(trace, routed_experts=experts, router_logits=None))
    drawn, how = made(SilenceExpert(3, 2), three)
    assert {one.expert for (one,) in drawn} == {0, 1}
    assert how.endswith("the 2 other experts of layer 3 whose load on these tokens is nearest, without those "
                        "that have none of them")  # fmt: skip
    assert len(made(ForceExpert(3, 2), three)[0]) == 7, "anybody can be forced"
    drawn, how = made(SilenceExpert(3, 2, tokens=[2]), three)
    assert len(drawn) == 7 and "in layer 3 no other has any, so there they change nothing" in how
    drawn, _ = made(SilenceExpert([3, 5], 7), three)
    assert {tuple(edit.layers for edit in one) for one in drawn} == {(5,)}, "in layer 3 nothing goes to it"


def test_load_is_counted_on_the_edits_own_tokens(setting):
    trace = setting.trace
    column = trace.moe_layers.tolist().index(5)
    expected = np.bincount(trace.routed_experts[[3, 9, 20], column, 0], minlength=8)
    assert expert_load(setting, 5, [3, 9, 20]).tolist() == expected.tolist()


def test_in_several_layers_each_has_its_own_other_expert(setting):
    drawn, how = made(SilenceExpert("all", 2), setting)
    assert len(drawn) == 20
    for one in drawn:
        assert [edit.layers for edit in one] == [1, 3, 5, 7]
        assert all(edit.expert != 2 for edit in one)
    assert "in each layer" in how


def test_biases_move_to_other_experts_and_functions_see_relabelled_ones(setting):
    for (one,) in made(EditRouterLogits(1, {2: 3.0, 5: -1.0}), setting, 8)[0]:
        assert sorted(one.change.values()) == [-1.0, 3.0] and not {2, 5} & set(one.change)
    edit = EditRouterLogits(1, lambda logits, layer: logits * (torch.arange(8) == 2))
    drawn, how = made(edit, setting, 4)
    assert "relabelled" in how
    rows = torch.arange(16.0).view(2, 8) + 1
    for (one,) in drawn:
        new = one.change(rows, 1)
        kept = new.nonzero()[:, 1].unique()
        assert len(kept) == 1 and torch.equal(new[:, kept], rows[:, kept])


def test_replayed_tokens_that_changed_expert_change_to_random_others(setting):
    trace = setting.trace
    experts = trace.routed_experts.copy()
    experts[[4, 8], 2, 0] = (experts[[4, 8], 2, 0] + 1) % 8
    for (one,) in made(ReplayRouting(with_changes(trace, routed_experts=experts)), setting, 6)[0]:
        changed = np.argwhere(one.trace.routed_experts != trace.routed_experts)[:, :2].tolist()
        assert changed == [[4, 2], [8, 2]]
        assert not (one.trace.routed_experts[[4, 8], 2] == experts[[4, 8], 2]).any()
    with pytest.raises(EditError, match="the model's own on these tokens"):
        controls([ReplayRouting(trace)], setting, 5)


def test_boxes_move_within_the_picture_and_keep_their_size(setting):
    box = (10, 5, 30, 15)
    for edit in (HidePatches(0, boxes=box), BlurPatches(0, boxes=box)):
        for (one,) in made(edit, setting, 12)[0]:
            ((x0, y0, x1, y1),) = one.boxes
            assert (x1 - x0, y1 - y0) == pytest.approx((20, 10))
            assert x0 >= 0 and x1 <= 70 and y0 >= 0 and y1 <= 30
            shared = max(0, min(x1, 30) - max(x0, 10)) * max(0, min(y1, 15) - max(y0, 5))
            assert shared <= 0.5 * 200
            assert type(one) is type(edit)


def test_patches_are_exchanged_for_as_many_others_of_the_same_copy(setting):
    spans = setting.inputs.spans
    tiles = np.flatnonzero((spans.patch_row >= 0) & ~spans.is_thumbnail)
    small = np.flatnonzero(spans.is_thumbnail)
    meant = [int(tiles[0]), int(tiles[1]), int(small[0])]
    for (one,) in made(HidePatches(0, patches=meant), setting, 5)[0]:
        assert len(one.patches) == 3 and not set(meant) & set(one.patches)
        assert spans.is_thumbnail[one.patches].sum() == 1
    mask = np.isin(np.arange(len(spans.modality)), meant)
    assert made(HidePatches(0, patches=mask), setting, 5) == made(HidePatches(0, patches=meant), setting, 5)
    with pytest.raises(EditError, match=r"patches \[0, 9999\] are no patch tokens of picture 0"):
        controls([HidePatches(0, patches=[0, 9999])], setting, 5)
    with pytest.raises(EditError, match="the whole picture is edited"):
        controls([HidePatches(0)], setting, 5)


def test_other_heads_stand_in_for_steered_ones_and_other_tokens_for_all_heads(setting):
    for (one,) in made(SteerAttention(3, ImagePatches(0, part="thumbnail"), 2.0, heads=[1, 4]), setting, 9)[
        0
    ]:
        assert len(one.heads) == 2 and not {1, 4} & set(one.heads)
    for (one,) in made(SteerAttention(3, ImagePatches(0, part="thumbnail"), 2.0), setting, 9)[0]:
        assert len(one.to) == 4 and not setting.inputs.spans.is_thumbnail[one.to].any()
        assert (setting.inputs.spans.patch_row[one.to] >= 0).all(), "patches for patches"


def test_other_tokens_of_the_same_kind_stand_in_at_a_hook_point(setting):
    spans = setting.inputs.spans
    meant = np.flatnonzero(spans.patch_row >= 0)[:3].tolist()
    for (one,) in made(ZeroAt("blocks.2.hook_resid_mid", meant), setting, 5)[0]:
        assert len(one.tokens) == 3 and not set(meant) & set(one.tokens)
        assert (spans.patch_row[one.tokens] >= 0).all()
    with pytest.raises(EditError, match=r"no other tokens can stand in for those of .* give control="):
        controls([ZeroAt("blocks.2.hook_resid_mid", "generated")], setting, 5)
    with pytest.raises(EditError, match="there is no other; give control="):
        controls([ZeroAt("blocks.2.hook_resid_mid", "prompt")], setting, 5)


def test_several_edits_are_exchanged_together_and_repeatably(setting):
    edits = [SilenceExpert(PLANTED_LAYER, PLANTED_EXPERT), ForceExpert(5, 1)]
    drawn, _ = made(edits, setting, 6)
    assert all([type(edit) for edit in one] == [SilenceExpert, ForceExpert] for one in drawn)
    again, _ = made(edits, setting, 6)
    assert drawn == again


def test_an_edit_of_another_kind_needs_given_controls(setting):
    class Own:
        def applied(self, llama, inputs):
            raise NotImplementedError

        def to_json(self):
            return {}

    with pytest.raises(EditError, match="no control is known"):
        controls([Own()], setting, 3)
