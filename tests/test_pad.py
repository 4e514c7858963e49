"""Padding against NumPy's, in both forms; what the op table's tests have not."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from harness import by_dtype

NUMPY = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
by_mode = pytest.mark.parametrize("mode", NUMPY)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.usefixtures("backend")
@by_mode
@pytest.mark.parametrize("most", [1, 3, 12])
def test_pairs_are_those_of_numpy(mode, most, rng):
    """Of any amounts: where they are larger than the axis, elements repeat."""
    for shape in ((1,), (2,), (5,), (3, 1, 4), (2, 3, 2, 3), (17, 33)):
        x = rng.standard_normal(shape)
        padding = [tuple(rng.integers(0, most + 1, 2).tolist()) for _ in shape]
        y = F.pad(x, padding, mode)
        np.testing.assert_array_equal(y, np.pad(x, padding, NUMPY[mode]), f"{shape} {padding}")
        assert y.flags.c_contiguous
        assert y.flags.writeable


@pytest.mark.usefixtures("backend")
@by_mode
def test_ints_count_from_the_last_axis(mode, rng):
    x = rng.standard_normal((2, 3, 4, 5))
    for ints, pairs in (
        ((), [(0, 0)] * 4),
        ((1, 2), [(0, 0), (0, 0), (0, 0), (1, 2)]),
        ([1, 2, 3, 0], [(0, 0), (0, 0), (3, 0), (1, 2)]),
        ((0, 1, 0, 2, 1, 0, 0, 3), ((0, 3), (1, 0), (0, 2), (0, 1))),
        ((np.int64(1), np.int8(2)), [[0, 0], [0, 0], [0, 0], [1, 2]]),
    ):
        np.testing.assert_array_equal(F.pad(x, ints, mode), F.pad(x, pairs, mode))


@pytest.mark.usefixtures("backend")
@by_mode
def test_negative_amounts_cut_off_first(mode, rng):
    x = rng.standard_normal((6, 9))
    y = F.pad(x, ((-2, 3), (4, -5)), mode)
    np.testing.assert_array_equal(y, np.pad(x[2:, :4], ((0, 3), (4, 0)), NUMPY[mode]))
    np.testing.assert_array_equal(F.pad(x, ((-6, 0), (0, 0)), mode), np.empty((0, 9)))
    dx = F.pad_backward(np.ones_like(y), x.shape, ((-2, 3), (4, -5)), mode)
    assert not dx[:2].any()
    assert not dx[:, 4:].any()
    assert dx.sum() == (y.size if mode != "constant" else 16)


@pytest.mark.usefixtures("backend")
@by_dtype
def test_the_value_is_any_number(dtype):
    x = np.ones(2, dtype)
    for value in (np.inf, -np.inf, np.nan, 1, np.float64(0.25), float(np.finfo(dtype).max)):
        expected = np.array([value, 1, 1], dtype)
        np.testing.assert_array_equal(F.pad(x, (1, 0), value=value), expected)
    np.testing.assert_array_equal(F.pad(np.empty((0, 1), dtype), ((1, 1), (0, 1)), value=3), np.full((2, 2), 3, dtype))


@pytest.mark.usefixtures("backend")
def test_nothing_is_added(rng):
    """The result is an array of its own all the same."""
    for x in (rng.standard_normal((3, 4)), np.array(2.0), rng.standard_normal((1,) * 64)):
        for padding in ((), ((0, 0),) * x.ndim):
            y = F.pad(x, padding, "reflect")
            np.testing.assert_array_equal(y, x)
            assert y.shape == x.shape
            assert not np.may_share_memory(x, y)


@pytest.mark.usefixtures("backend")
@by_dtype
def test_many_copies_of_one_element(dtype):
    """Added one by one, a float32 would stop at 2**24."""
    n = 2**21
    dy = np.full(n + 1, 1 / 3, dtype)
    dx = F.pad_backward(dy, (1,), (n, 0), "replicate")
    np.testing.assert_allclose(dx, [float(dy[0]) * (n + 1)], rtol=3e-7 if dtype == np.float32 else 1e-9)
    dx = F.pad_backward(dy, (2,), (n - 1, 0), "circular")
    np.testing.assert_allclose(dx.sum(dtype=np.float64), float(dy[0]) * (n + 1), rtol=3e-7)


@by_mode
def test_layouts_of_the_input(mode, rng):
    x = rng.standard_normal((4, 6, 5))
    expected = F.pad(x, (2, 1, 1, 0), mode)
    frozen = x.copy()
    frozen.flags.writeable = False
    doubled = np.repeat(x, 2, axis=1)[:, ::2]
    for same in (frozen, doubled, np.asfortranarray(x), x.astype(">f8"), x[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(F.pad(same, (2, 1, 1, 0), mode), expected)


def test_a_shape_or_the_array_itself(rng):
    x = rng.standard_normal((3, 4))
    dy = rng.standard_normal((3, 6))
    expected = F.pad_backward(dy, (3, 4), (1, 1), "circular")
    for of in (x, [3, 4], fnn.tensor(x, requires_grad=True)):
        np.testing.assert_array_equal(F.pad_backward(dy, of, (1, 1), "circular"), expected)
