"""Planted truth: one head looks at one patch by construction, and every tool must say exactly that."""

import numpy as np
import pytest

from tests.workbench.grounding.planted import CELL, CELLS, HEAD, LAYER, WRONG, box, planted, scene, told
from workbench import grounding
from workbench.grounding import Case, GroundingError, PatchMap, Question, Truth

RED, GREEN, BLUE = (1, 2), (3, 0), (0, 1)


@pytest.fixture(scope="module")
def session():
    return planted()


@pytest.fixture(scope="module")
def case(session) -> Case:
    """Two pictures; what is red stands in the second, something green in both."""
    first, second = scene(green=RED, blue=(0, 0)), scene(red=RED, green=GREEN, blue=BLUE)
    return Case.of(session, told(first, second))


TRUTH = Truth({1: [box(RED)]})


def values(found: PatchMap) -> dict[str, float]:
    scores = grounding.score([found], [TRUTH])
    return {metric: one.value for metric, one in scores.scores.items()}


PERFECT = dict.fromkeys(("pointing", "energy", "rank_accuracy", "auroc", "iou", "image_selection"), 1.0)


def test_the_head_that_looks_there_scores_exactly_one_in_everything(session, case):
    found = grounding.attention_again(session, case, "r").mean(LAYER, HEAD)
    assert values(found) == PERFECT
    assert found.scores.sum() == 1.0 and (found.on_pixels(1)[14:28, 28:42] == 1).all()
    assert found.on_pixels(1).sum() == CELL**2 and not found.on_pixels(0).any()


def test_the_head_that_looks_elsewhere_scores_nothing(session, case):
    scores = values(grounding.attention_again(session, case, "r").mean(LAYER, WRONG))
    assert scores["pointing"] == scores["energy"] == scores["rank_accuracy"] == scores["iou"] == 0
    assert scores["auroc"] < 0.5


def test_an_even_layer_scores_exactly_chance(session, case):
    even = grounding.attention_again(session, case, "r").mean(0, 0)
    scores = grounding.score([even], [TRUTH])
    for metric in ("pointing", "energy", "rank_accuracy", "auroc", "image_selection"):
        assert scores[metric].value == pytest.approx(scores[metric].chance, abs=1e-6)
    assert scores["pointing"].value == pytest.approx(1 / 32) and scores["auroc"].value == 0.5


def test_the_trace_of_an_answer_says_the_same(session, case):
    reply = session.chat(told(scene(red=RED, green=GREEN))[:1], max_tokens=1)
    assert reply.text == "r", "the model says what its red patch makes it say"
    found = grounding.attention_map(reply.trace, "r", LAYER, HEAD)
    scores = grounding.score([found], [Truth({0: [box(RED)]})])
    assert all(one.value == 1.0 for one in scores.scores.values())


def test_relevancy_finds_the_patch_and_no_other(session, case):
    assert values(grounding.relevancy(session, case, "r")) == PERFECT


def test_the_lens_reads_the_word_at_its_patch(session, case):
    read = grounding.lens(session, case, "r")
    for layer in (0, 1):
        found = read.maps.mean(layer)
        assert values(found)["pointing"] == values(found)["auroc"] == 1.0
        at = int(found.scores.argmax())
        assert read.top[layer][at][0] == "r" and read.top_probs[layer, at, 0] == pytest.approx(
            found.scores[at]
        )


@pytest.mark.parametrize("where", ["pixels", "tokens"])
def test_hiding_the_patch_is_all_that_matters(session, case, where):
    found = grounding.occlusion(session, case, "r", where)
    scores = values(found.map)
    assert (
        scores["pointing"] == scores["rank_accuracy"] == scores["auroc"] == scores["image_selection"] == 1.0
    )
    assert scores["energy"] == pytest.approx(1, abs=1e-4)
    most = found.map.scores.max()
    assert most > 1 and found.over_control.max() == pytest.approx(most, abs=1e-4)


@pytest.mark.parametrize("where", ["pixels", "tokens"])
@pytest.mark.parametrize("fill", ["background", "mean", "blur"])
def test_hiding_its_box_does_what_no_other_box_does(session, case, where, fill):
    hidden = grounding.hide(session, case, {1: [box(RED)]}, "r", where, fill, controls=10)
    assert hidden.effect > 1 and hidden.low > 1 and hidden.p[0] == 1 / 11
    assert hidden.drop[0] > hidden.control.max()


def test_a_single_box_is_hidden_like_a_list_of_one(session, case):
    several = grounding.hide(session, case, {1: [box(RED)]}, "r", controls=3)
    one = grounding.hide(session, case, {1: box(RED)}, "r", controls=3)
    assert np.array_equal(one.boxes, several.boxes) and np.array_equal(one.control, several.control)
    for strange in ((1, 2, 3), [(1, 2, 3, 4), (5, 6)], ["box"]):
        with pytest.raises(GroundingError, match="expected x0, y0, x1, y1 in pixels, or several"):
            grounding.hide(session, case, {1: strange}, "r")


@pytest.mark.parametrize("where", ["pixels", "tokens"])
def test_deleting_by_a_true_map_beats_every_random_order(session, where):
    case = Case.of(session, told(scene(red=RED, green=GREEN)))
    true = grounding.attention_again(session, case, "r").mean(LAYER, HEAD)
    found = grounding.faithfulness(session, case, true, where, steps=16, orders=9)
    assert found.deletes.p == found.inserts.p == 1 / 10
    assert found.deletes.low > 0 and found.inserts.low > 0
    # with the first of the places, all that counted is gone, or there again
    assert found.deletion[1] == pytest.approx(found.deletion[-1], rel=1e-3) and found.deletion[0] > 0.9
    assert found.insertion[1] == pytest.approx(found.insertion[-1], rel=1e-3) and found.insertion[0] < 0.1


def test_deleting_by_a_wrong_map_gains_nothing(session, case):
    wrong = grounding.attention_again(session, case, "r").mean(LAYER, WRONG)
    found = grounding.faithfulness(session, case, wrong, "tokens", orders=19)
    assert found.deletes.p > 0.05 and found.inserts.p > 0.05


def test_randomised_weights_take_the_map_with_them(session, case):
    found = grounding.randomised(
        session, case, lambda case: grounding.attention_again(case.session, case, "r").mean(LAYER, HEAD)
    )
    assert found.stages == ("unembed", "blocks.1", "blocks.0", "projector", "vision")
    assert found.correlation[0] == pytest.approx(1), "nothing that the head reads was touched"
    assert abs(found.correlation[-1]) < 0.5 and found.chance == pytest.approx(1.96 / np.sqrt(31))


def test_randomising_leaves_the_session_as_it_was(session, case):
    before = {name: value.clone() for name, value in session.llama.state_dict().items()}
    grounding.randomised(session, case, lambda case: grounding.rollout(case.session, case, "r"))
    assert all((before[name] == value).all() for name, value in session.llama.state_dict().items())


def test_the_tower_looks_at_its_blue_patch(session, case):
    second = int(case.patches.token[case.patches.image == 1][0])
    found = grounding.vision_attention(session, case, second + 9).mean(0, 0)
    assert found.scores.sum() == pytest.approx(1) and found.on_grid(1)[BLUE] == pytest.approx(1)
    assert not found.of_images()[0]


def test_a_map_carried_through_the_tower_ends_half_there_and_half_at_its_source(session, case):
    found = grounding.attention_again(session, case, "r").mean(LAYER, HEAD)
    carried = grounding.through_vision(session, case, found).on_grid(1)
    assert carried[RED] == pytest.approx(0.5) and carried[BLUE] == pytest.approx(0.5)
    assert carried.sum() == pytest.approx(1)


def test_the_right_head_is_found_on_one_half_and_confirmed_on_the_other(session):
    rng = np.random.default_rng(0)
    questions = []
    for _ in range(16):
        red, green = ((int(n) // CELLS, int(n) % CELLS) for n in rng.choice(CELLS**2, 2, replace=False))
        questions.append(Question(told(scene(red=red, green=green)), Truth({0: [box(red)]}), "r"))
    found = grounding.find_grounding_heads(session, questions)
    assert found.heads == ((LAYER, HEAD),) and found.chosen_at == 1
    assert not set(found.chosen_on) & set(found.reported_on) and len(found.reported_on) == 8
    assert found.tried == 4 + 2 + 3, "heads alone, layers, and the best few; none counted twice"
    pointing = found.scores["pointing"]
    assert pointing.value == pointing.low == 1 and found.by_head[LAYER, WRONG] == 0
    assert all(pointing.baselines[name] < 0.8 for name in ("centre", "mean_map", "untrained"))
    again = grounding.attention_again(session, questions[0].asked, "r")
    assert found.map(again).scores.max() == 1


def test_a_question_without_a_group_may_fall_into_the_other_half_of_a_numbered_one(session):
    asked = told(scene(red=RED, green=GREEN))
    questions = [Question(asked, Truth({0: [box(RED)]}, group=group), "r") for group in (None, 0)]
    found = grounding.find_grounding_heads(session, questions)
    assert {*found.chosen_on, *found.reported_on} == {0, 1}
