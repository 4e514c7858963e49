"""The spread of numbers, gathered in parts, and the texts of numbers."""

import math

import numpy as np
import pytest

from fastnn.training.layers import by_chance, percent, short
from fastnn.training.spread import BINS, Running, edges_of, spread_of
from layer_networks import drawn


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cuts", [[], [1], [40, 41, 90]])
def test_a_spread_in_parts_is_that_of_the_whole(dtype, cuts):
    values = (3 + 2 * np.random.default_rng(0).normal(size=(120, 5, 7))).astype(dtype)
    values[values > 6] = 0
    gathered = Running((-1.0, 6.0))
    for part in np.split(values, cuts):
        gathered.add(part)
    found, exact = gathered.result(), values.astype(np.float64)
    assert found.count == values.size
    assert found.mean == pytest.approx(exact.mean(), rel=1e-12)
    assert found.std == pytest.approx(exact.std(), rel=1e-12)
    assert found.rms == pytest.approx(np.sqrt((exact**2).mean()), rel=1e-12)
    assert found.over_samples == pytest.approx(exact.std(axis=0).mean(), rel=1e-9)
    assert (found.low, found.high) == (values.min(), values.max())
    assert found.zeros == (values == 0).mean()
    assert found.bins == tuple(np.histogram(exact, BINS, (-1.0, 6.0))[0])
    assert (found.under, found.over) == ((values < -1).sum(), (values > 6).sum())
    assert sum(found.bins) + found.under + found.over == found.count


def test_sequences_of_several_lengths_have_a_spread():
    a, b = drawn((10, 3, 4)), drawn((20, 3, 6), 1)
    gathered = Running()
    gathered.add(a)
    gathered.add(b)
    expected = (a.std(axis=0).mean() * a.size + b.std(axis=0).mean() * b.size) / (a.size + b.size)
    assert gathered.result().over_samples == pytest.approx(expected, rel=1e-6)


def test_numbers_that_are_not_finite_are_counted_and_left_out():
    gathered = Running()
    gathered.add(np.array([[1.0, np.nan], [3.0, np.inf]])[:, :, None])
    gathered.add(np.full((2, 2, 1), np.nan))
    found = gathered.result()
    assert (found.count, found.not_finite, found.mean, found.low, found.high) == (8, 6, 2.0, 1.0, 3.0)
    assert found.over_samples is None
    assert sum(found.bins) == 2


def test_nothing_and_constants_have_a_spread():
    empty = spread_of(np.zeros((0, 3)))
    assert (empty.count, empty.over_samples, sum(empty.bins)) == (0, None, 0)
    assert math.isnan(empty.mean)
    constant = spread_of(np.full((4, 4), 3.0))
    assert (constant.std, constant.edges, max(constant.bins)) == (0.0, (2.5, 3.5), 16)
    assert edges_of(1e9, 1e9)[0] < 1e9 < edges_of(1e9, 1e9)[1]


def test_numbers_far_outside_of_the_range_are_counted():
    gathered = Running((0.0, 1.0))
    gathered.add(np.array([1e300, -1e300, 0.5, 1.0, 0.0]).reshape(-1, 1, 1))
    found = gathered.result()
    assert (found.under, found.over, found.bins[0], found.bins[32], found.bins[-1]) == (1, 1, 1, 1, 1)


def test_a_range_for_later_numbers_is_symmetric_and_wider():
    gathered = Running(symmetric=True)
    gathered.add(np.array([[[0.0]], [[3.0]]]))
    assert gathered.result().edges == (-6.0, 6.0)


def test_of_a_large_array_evenly_spread_values_are_taken():
    values = np.random.default_rng(0).normal(2.0, 1.0, (100, 1000))
    assert spread_of(values, 1600).count == 1600
    assert spread_of(values, 1600).mean == pytest.approx(2, abs=0.1)
    assert spread_of(values[:1], 1600).count == 1000


def test_units_that_are_silent_by_chance():
    rng = np.random.default_rng(0)
    rates = rng.uniform(0, 0.05, 4000)  # none is dead
    active = rng.binomial(60, rates)
    silent = (active == 0).sum()
    assert silent > 800
    assert abs(by_chance(active) - silent) < 0.5 * silent
    assert by_chance(np.array([0, 0, 50, 60])) == 0


def test_texts_of_numbers():
    assert [short(x) for x in (1e-7, -100.0, 99.7, 0.5, math.inf, math.nan)] == [
        "1.0e-7",
        "-100",
        "100",
        "0.5",
        "inf",
        "nan",
    ]
    assert percent(0.41) == "41 %"
