"""What lies on a thing, what a map says, and the choice of heads."""

from dataclasses import replace

import numpy as np
import pytest

from model.demo.gaze import (
    REGIONS,
    averages,
    choose_heads,
    hits,
    looks,
    mean_map_of,
    middle_blob,
    most_on_asked,
    shares,
)
from model.demo.samples import Sample
from model.demo.scenes import draw_scene
from model.demo.turns import Meaning, Pointer, Turn
from model.demo.watching import watch
from tests.model.demo.held_out import fresh, watched_afresh


@pytest.fixture(scope="module")
def many(processor):
    return [look for watched in watched_afresh(processor) for look in looks(watched)]


@pytest.fixture(scope="module")
def single(processor):
    """One word about one square in a picture of one tile."""
    scene = draw_scene(3, (80, 80), [("square", "red")])
    meaning = Meaning("shape", "shape", "shape", 0, things=((0, 0),))
    turn = Turn(meaning, "en", "What is it?", "A square.", (Pointer(2, 8, ((0, 0),)),))
    return watch(fresh(processor), processor, [Sample((scene,), (turn,), "en", "train")])[0]


def test_the_highest_candidate_decides_and_ties_count_in_part():
    maps = np.asarray([[0.1, 0.5, 0.4, 0.9], [0.5, 0.5, 0.0, 0.9], [0.0, 0.0, 0.0, 0.0]])
    right = np.asarray([True, False, False, True])
    candidates = np.asarray([True, True, True, False])
    assert hits(maps, right, candidates).tolist() == pytest.approx([0, 1 / 2, 1 / 3])


def test_a_share_is_of_the_candidates_mass_and_an_empty_map_is_even():
    maps = np.asarray([[0.1, 0.3, 0.0, 9.0], [0.0, 0.0, 0.0, 9.0]])
    part = np.asarray([1.0, 0.5, 0.0, 1.0])
    candidates = np.asarray([True, True, True, False])
    assert shares(maps, part, candidates).tolist() == pytest.approx([0.25 / 0.4, 0.5])


def boxed(single, box):
    """The same dialogue with the thing's box elsewhere."""
    thing = replace(single.scenes[0].things[0], box=box)
    (look,) = looks(replace(single, scenes=(replace(single.scenes[0], things=(thing,)),)))
    return look


def test_patches_on_a_thing_are_those_that_it_covers_or_that_hold_its_middle(single):
    # 80 pixels, 5 x 5 patches of 16
    half = boxed(single, (0, 0, 24, 16))
    assert np.flatnonzero(half.on).tolist() == [0, 1]
    assert half.inside[:3].tolist() == [1.0, 0.5, 0.0] and half.middle.sum() == 1
    little_of_the_second = boxed(single, (0, 0, 19, 16))
    assert np.flatnonzero(little_of_the_second.on).tolist() == [0]
    where_four_meet = boxed(single, (14, 14, 19, 19))
    assert np.flatnonzero(where_four_meet.on).tolist() == [6] and not where_four_meet.middle.any()


def test_padding_and_other_pictures_never_show_the_thing(many):
    for look in many:
        assert not look.on[~look.of_asked()].any() and not look.inside[~look.of_asked()].any()
        assert not look.on[np.isnan(look.patches.box[:, 0])].any()
        assert bool(look.word.things) == bool(look.on.any())


def test_every_word_about_a_thing_has_a_place_in_the_regions_of_its_picture(many):
    for look in many:
        if not look.word.things:
            assert all(look.candidates(region) is None for region in REGIONS)
            continue
        cut = look.patches.cut[look.of_asked()].all()
        for region in REGIONS:
            candidates = look.candidates(region)
            assert (candidates is not None) == (cut or region not in ("tiles_of_cut", "thumbnail"))
            if candidates is not None:
                assert (candidates & look.on).any()
    assert any(look.candidates("thumbnail") is not None for look in many)


def test_the_blob_is_highest_in_the_middle_of_every_picture(single, many):
    (look,) = looks(single)
    assert middle_blob(look).argmax() == 12 and np.sum(middle_blob(look) == middle_blob(look).max()) == 1
    for look in many:
        blob = middle_blob(look)
        thumbnails = look.patches.thumbnail
        if thumbnails.any():
            assert blob[thumbnails].max() == blob.max()


def test_the_mean_map_knows_places_but_no_questions(many):
    heads = averages([(0,)], len(many[0].word.weights))
    asked = [look for look in many if look.word.things]
    mean_map = mean_map_of(asked, heads)
    by_dialogue = {}
    for look in asked:
        by_dialogue.setdefault(id(look.patches), []).append(mean_map(look))
    assert all(np.array_equal(maps[0], other) for maps in by_dialogue.values() for other in maps)
    total = sum((heads @ look.word.weights).sum() for look in asked)
    assert sum(mean_map(look).sum() for look in asked) == pytest.approx(total, rel=1e-4)


def test_the_picture_with_most_attention(many):
    look = next(look for look in many if look.pictures > 2 and len(look.word.asked) == 1)
    on_asked = look.of_asked().astype(float)
    assert most_on_asked(on_asked, look) == 1 and most_on_asked(1 - on_asked, look) == 0
    assert most_on_asked(np.zeros(len(on_asked)), look) == pytest.approx(1 / look.pictures)


def test_the_best_heads_may_be_one_a_layers_or_a_few():
    heads = tuple((layer, number) for layer in range(3) for number in range(4))

    def choose(truth):
        truth = averages([truth], len(heads))[0]
        # the nearer the average is to the truth, the better
        return choose_heads(lambda sets: 1 - np.abs(sets - truth).sum(1)[None], heads)

    assert choose((6,)) == ((6,), 1.0)
    assert choose((4, 5, 6, 7))[0] == (4, 5, 6, 7)
    assert choose((2, 9)) == ((2, 9), 1.0)
