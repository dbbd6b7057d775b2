"""Intervals of shares."""

import pytest

from model.demo.intervals import wilson


def test_wilsons_interval_for_eight_of_ten():
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(10, 10)[1] == 1.0 and wilson(0, 10)[0] == 0.0


def test_nothing_counted_says_nothing():
    assert wilson(0, 0) == (0.0, 1.0)
