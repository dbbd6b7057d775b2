"""Scores of maps whose value can be worked out by hand, and the baselines beside them."""

from dataclasses import replace

import numpy as np
import pytest

from workbench import grounding
from workbench.grounding import GroundingError, Patches, PatchMap, Truth
from workbench.grounding.scores import METRICS, otsu, pointing_at
from workbench.ranks import auroc, ranks, spearman

CELLS = Patches.cells([(40, 40)], 4, 4)
CORNER = Truth({0: [(0, 0, 20, 10)]})  # the first two cells


def found(scores, patches: Patches = CELLS) -> PatchMap:
    return PatchMap(patches, np.asarray(scores, float), "word", 0, "by hand")


def values(one: PatchMap, truth: Truth = CORNER) -> dict[str, float]:
    return {name: score.value for name, score in grounding.score([one], [truth]).scores.items()}


def test_every_score_is_the_one_of_its_definition():
    scores = np.zeros(16)
    scores[[0, 1, 5]] = 0.5, 0.1, 0.4
    got = values(found(scores))
    assert got["pointing"] == 1
    assert got["energy"] == pytest.approx(0.6)
    assert got["rank_accuracy"] == 0.5, "of the two highest one is on it"
    assert got["auroc"] == pytest.approx((14 + 13) / 28)
    assert got["iou"] == pytest.approx(1 / 3), "0.5 and 0.4 are lit, the first two are on it"
    assert "image_selection" not in got, "one picture only"


def test_a_tie_counts_in_part():
    scores = np.zeros(16)
    scores[[0, 5, 6]] = 1.0
    got = values(found(scores))
    assert got["pointing"] == pytest.approx(1 / 3)
    assert got["rank_accuracy"] == pytest.approx(2 * (1 / 3) / 2)
    empty = values(found(np.zeros(16)))
    assert empty["pointing"] == empty["rank_accuracy"] == empty["energy"] == pytest.approx(2 / 16)
    assert empty["auroc"] == 0.5 and empty["iou"] == 0


def test_energy_counts_what_lies_half_inside_in_half():
    truth = Truth({0: [(0, 0, 5, 10)]})
    assert values(found(np.arange(16) == 0), truth)["energy"] == 0.5
    assert values(found(np.arange(16) == 0), Truth({0: [(0, 0, 1, 1)]}))["pointing"] == 1, (
        "most of a small thing"
    )


def test_energy_of_a_signed_map_counts_from_zero_up():
    scores = np.zeros(16)
    scores[[0, 9]] = 0.5, -0.5
    assert values(found(scores))["energy"] == 1


def test_the_picture_with_the_most_is_selected_and_chance_knows_the_sizes():
    patches = Patches.cells([(40, 40)] * 3, 2, 2)
    scores = np.zeros(12)
    scores[[0, 4, 5]] = 1.0, 0.6, 0.6
    picked = grounding.score([found(scores, patches)] * 2, [Truth({1: [(0, 0, 20, 20)]})] * 2)[
        "image_selection"
    ]
    assert picked.value == 1 and 0.1 < picked.chance < 0.6
    assert values(found(scores, patches), Truth({0: [(0, 0, 20, 20)]}))["image_selection"] == 0


def test_masked_and_padding_patches_do_not_compete():
    scores = np.zeros(16)
    scores[[0, 7]] = 0.5, 1.0
    assert values(found(scores))["pointing"] == 0
    masked = values(found(scores).masking(np.arange(16) == 7))
    assert masked["pointing"] == masked["energy"] == 1 and masked["iou"] == 0.5


def test_a_word_whose_every_patch_on_the_thing_is_masked_is_not_asked():
    patches = Patches.cells([(20, 20)], 2, 2)
    truth = Truth({0: [(0, 0, 11, 10)]})  # one cell, and a tenth of the next
    one = found([0.9, 0.5, 0.1, 0.2], patches)
    masked = one.masking(np.array([True, False, False, False]))
    assert grounding.score([one, masked], [truth] * 2)["pointing"].words == 1
    with pytest.raises(GroundingError, match="none of 1 words"):
        grounding.score([masked], [truth])
    measure = pointing_at(patches, truth)
    assert measure(one) == 1 and np.isnan(measure(masked))


def test_random_maps_score_chance():
    rng = np.random.default_rng(0)
    maps, truths = [], []
    for _ in range(150):
        x, y = rng.integers(0, 30, 2)
        maps.append(found(rng.random(16)))
        truths.append(Truth({0: [(x, y, x + 10, y + 10)]}))
    scores = grounding.score(maps, truths)
    for name in ("pointing", "energy", "rank_accuracy", "auroc", "iou"):
        one = scores[name]
        assert one.low <= one.chance <= one.high, f"{name}: {one}"


def test_a_blob_in_the_middle_is_good_at_things_in_the_middle():
    rng = np.random.default_rng(0)
    maps = [found(rng.random(16)) for _ in range(4)]
    middle = [Truth({0: [(10, 10, 30, 30)]})] * 4
    pointing = grounding.score(maps, middle)["pointing"]
    assert pointing.baselines["centre"] == 1 > pointing.chance


def test_the_mean_of_other_maps_finds_what_always_stands_in_the_same_place():
    maps = [found(np.arange(16) == 0)] * 5
    pointing = grounding.score(maps, [CORNER] * 5)["pointing"]
    assert pointing.baselines["mean_map"] == 1
    together = [replace(CORNER, group="one dialogue")] * 5
    assert grounding.score(maps, together)["pointing"].baselines["mean_map"] == pytest.approx(2 / 16), (
        "no others"
    )


def test_an_interval_is_about_groups_and_the_whole_range_for_one():
    rng = np.random.default_rng(0)
    maps = [found(rng.random(16)) for _ in range(40)]
    apart = grounding.score(maps, [CORNER] * 40)["energy"]
    pairs = grounding.score(maps, [replace(CORNER, group=number // 20) for number in range(40)])["energy"]
    alone = grounding.score(maps, [replace(CORNER, group=0)] * 40)["energy"]
    assert apart.groups == 40 and pairs.groups == 2 and alone.groups == 1
    assert apart.low < apart.value < apart.high and pairs.high - pairs.low > apart.high - apart.low
    assert (alone.low, alone.high) == (0, 1)


def test_a_word_without_a_group_is_of_none_that_has_a_number():
    maps = [found(np.arange(16) == 0)] * 2
    pair = [CORNER, replace(CORNER, group=0)]
    pointing = grounding.score(maps, pair)["pointing"]
    assert pointing.groups == 2 and pointing.baselines["mean_map"] == 1, "the other map is another group's"
    numbered = [replace(CORNER, group=np.int64(1)), CORNER]
    assert grounding.score(maps, numbered)["pointing"].groups == 2


def test_tiles_and_thumbnail_are_scored_apart():
    one, other = Patches.cells([(40, 40)], 4, 4), Patches.cells([(40, 40)], 2, 2)
    names = ("token", "image", "tile", "row", "col", "thumbnail", "box")
    both = Patches(*(np.concatenate([getattr(p, n) for p in (one, other)]) for n in names), one.sizes)
    both.thumbnail[16:] = True
    scores = np.zeros(20)
    scores[[0, 19]] = 0.4, 0.6
    truth, maps = [Truth({0: [(0, 0, 10, 10)]})], [found(scores, both)]
    assert grounding.score(maps, truth, "tiles")["pointing"].value == 1
    assert grounding.score(maps, truth, "thumbnail")["pointing"].value == 0
    assert grounding.score(maps, truth)["pointing"].value == 0
    with pytest.raises(GroundingError, match="none of 1 words"):
        grounding.score([found(np.ones(16))], [CORNER], "thumbnail")


def test_a_mask_does_as_well_as_a_box():
    mask = np.zeros((40, 40), bool)
    mask[:10, :20] = True
    one = found(np.random.default_rng(0).random(16))
    assert values(one, Truth(masks={0: mask})) == pytest.approx(values(one))


def test_a_table_has_a_row_for_every_score():
    pytest.importorskip("pandas")
    table = grounding.score(
        [found(np.ones(16))] * 2, [CORNER] * 2, others={"blind": [found(np.ones(16))] * 2}
    )
    assert list(table.to_pandas().metric) == [name for name in METRICS if name != "image_selection"]
    assert "blind" in table.to_pandas() and "pointing 0.125" in repr(table)


def test_ranks_and_their_statistics_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 9, 50), rng.integers(0, 9, 50)
    assert np.array_equal(ranks(one), stats.rankdata(one))
    assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
    assert auroc(one, other > 4) == pytest.approx(metrics.roc_auc_score(other > 4, one))
    assert np.isnan(auroc(one, other > 9)) and np.isnan(spearman(one, np.ones(50)))


def test_otsu_parts_two_heaps():
    low, high = np.linspace(0, 1, 30), np.linspace(5, 6, 4)
    assert 1 <= otsu(np.concatenate([low, high])) < 5
    assert (np.full(4, 2.0) > otsu(np.full(4, 2.0))).sum() == 0, "an even map lights nothing"


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: grounding.score([found(np.ones(16))], []), "1 maps and 0 truths"),
        (lambda: grounding.score([found(np.ones(16))], [CORNER], "edges"), "region is 'edges'"),
        (lambda: Truth(), "one picture at least"),
        (lambda: Truth({0: [(0, 0, 1, 1)]}, {0: np.ones((4, 4))}), "one or the other"),
        (lambda: grounding.score([found(np.ones(16))], [Truth({2: [(0, 0, 1, 1)]})]), "image is 2"),
    ],
)
def test_what_cannot_be_scored_is_refused(ask, message):
    with pytest.raises(GroundingError, match=message):
        ask()


def test_a_score_that_is_not_there_names_those_that_are():
    with pytest.raises(KeyError, match="pointing, energy"):
        grounding.score([found(np.ones(16))], [CORNER])["accuracy"]
