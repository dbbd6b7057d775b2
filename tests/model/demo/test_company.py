"""Which pictures are shown together, and how often the odd one out can be asked for."""

from collections import Counter

import numpy as np

from model.demo.company import MOST_PICTURES, Finder, company, names_alike
from model.demo.drawing import COLOURS
from model.demo.outlines import SHAPES
from model.demo.questions import KINDS
from model.demo.scenes import HELD_OUT_PAIRS, Content, Thing


def anything(name):
    return True


def training(name):
    return name not in HELD_OUT_PAIRS


def test_alike_pictures_are_two_to_five_and_half_of_the_time_one_is_the_odd_one_out():
    rng = np.random.default_rng(0)
    drawn = [names_alike(rng, anything) for _ in range(2000)]
    assert {len(names) for names in drawn} == {2, 3, 4, 5}
    assert all(shape in SHAPES and colour in COLOURS for names in drawn for shape, colour in names)
    odd = [
        names for names in drawn if len(names) > 2 and sorted(Counter(names).values()) == [1, len(names) - 1]
    ]
    assert 0.4 < len(odd) / len(drawn) < 0.7
    places = Counter(names.index(min(names, key=names.count)) for names in odd if len(names) == 5)
    assert places.keys() == set(range(5)) and max(places.values()) < 2 * min(places.values())


def test_an_odd_one_differs_in_shape_or_in_colour_and_both_happen():
    rng, ways = np.random.default_rng(1), Counter()
    for _ in range(500):
        names = names_alike(rng, anything)
        if len(set(names)) == 2 and len(names) > 2:
            one, other = set(names)
            ways[one[0] == other[0], one[1] == other[1]] += 1
    assert ways[True, False] > 50 and ways[False, True] > 50


def test_pairs_that_are_not_allowed_are_never_named():
    rng = np.random.default_rng(2)
    named = {name for _ in range(2000) for name in names_alike(rng, training)}
    assert not named & HELD_OUT_PAIRS and len(named) == len(SHAPES) * len(COLOURS) - len(HELD_OUT_PAIRS)
    tests = {name for _ in range(2000) for name in names_alike(rng, anything)}
    assert tests >= HELD_OUT_PAIRS


def test_company_is_none_to_five_pictures_with_the_shares_of_every_kind():
    rng = np.random.default_rng(3)
    drawn = [company(rng, training) for _ in range(3000)]
    counts = Counter(len(names) for names, _ in drawn)
    assert counts.keys() == set(range(MOST_PICTURES + 1)) and counts[0] < 0.05 * 3000
    assert min(counts[number] for number in range(1, 6)) > 0.08 * 3000
    for names, shares in drawn:
        assert set(shares) == set(KINDS)
        alike = bool(names) and names[0] is not None
        # where pictures are alike, that is what is asked about
        assert (shares["odd"] > 1) == alike


def test_a_finder_gives_a_picture_that_shows_the_name_alone():
    def showing(*names):
        return Content(tuple(Thing(*name, (0, 0, 0), (0, 0, 9, 9), 0.5) for name in names), (50, 50))

    star, moon = ("star", "red"), ("moon", "blue")
    find = Finder([showing(star, moon), showing(star), showing(moon), showing(star)])
    rng = np.random.default_rng(4)
    assert {find(rng, star) for _ in range(50)} == {1, 3}
    assert {find(rng, moon) for _ in range(20)} == {2}
    assert (
        {find(rng, None) for _ in range(100)}
        == {find(rng, ("cross", "red")) for _ in range(100)}
        == {0, 1, 2, 3}
    )
