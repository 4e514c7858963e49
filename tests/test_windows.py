"""Windows over a series: what they hold, that they are views, and that a split in time does not leak."""

import numpy as np
import pytest

from fastnn.data import split, windows


@pytest.mark.parametrize("features", [(), (1,), (3,), (2, 3)])
@pytest.mark.parametrize(
    ("length", "horizon", "stride"), [(1, 1, 1), (5, 1, 1), (4, 3, 1), (3, 2, 2), (2, 5, 7), (19, 1, 1), (10, 10, 3)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_by_definition(features, length, horizon, stride, dtype):
    series = np.random.default_rng(0).integers(0, 100, (20, *features)).astype(dtype)
    x, y = windows(series, length, horizon, stride)
    starts = range(0, 20 - length - horizon + 1, stride)
    assert x.shape == (len(starts), length, *features)
    assert y.shape == (len(starts), horizon, *features)
    for one, target, start in zip(x, y, starts, strict=True):
        assert (one == series[start : start + length]).all()
        assert (target == series[start + length : start + length + horizon]).all()
    assert x.dtype == y.dtype == dtype


def test_they_are_read_only_views(tmp_path):
    mapped = np.memmap(tmp_path / "series", np.float32, "w+", shape=(1000, 2))
    for series in (np.zeros((1000, 2)), np.zeros((2000, 4))[::2, ::2], mapped):
        for part in windows(series, 100, 5):
            assert np.shares_memory(part, series)
            assert not part.flags.writeable


def test_lists():
    x, y = windows([1, 2, 3, 4], length=2)
    assert x.tolist() == [[1, 2], [2, 3]]
    assert y.tolist() == [[3], [4]]


@pytest.mark.parametrize("horizon", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_gap_that_the_docstring_names_is_the_smallest_without_a_leak(horizon, stride):
    x, y = windows(np.arange(100), length=5, horizon=horizon, stride=stride)
    gap = (horizon - 1) // stride
    train, test = split(x, y, fractions=[0.7], in_order=True, gap=gap)
    assert train[1].max() < test[1].min()
    assert (test[0][:, -1] < test[1][:, 0]).all()
    if gap:
        train, test = split(x, y, fractions=[0.7], in_order=True, gap=gap - 1)
        assert train[1].max() >= test[1].min()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1, 2, 3], 3), ValueError, r"length=3 and horizon=1 needs 4 points, got a series of shape \(3,\)"),
        (([], 1), ValueError, "needs 2 points"),
        ((5.0, 1), ValueError, r"got a series of shape \(\)"),
        (([1, 2, 3], 0), ValueError, "length must be at least 1, got 0"),
        (([1, 2, 3], 1, 0), ValueError, "horizon must be at least 1, got 0"),
        (([1, 2, 3], 1, 1, 0), ValueError, "stride must be at least 1, got 0"),
        (([1, 2, 3], 1.0), TypeError, "length must be an int, got 1.0"),
    ],
)
def test_refused(arguments, error, message):
    with pytest.raises(error, match=f"^windows: .*{message}"):
        windows(*arguments)
