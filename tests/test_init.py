"""Initialisation: moments and bounds of the distributions, fans, seeds."""

import math

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import init

DRAWN = [
    init.normal,
    init.truncated_normal,
    init.uniform,
    init.xavier_normal,
    init.xavier_uniform,
    init.he_normal,
    init.he_uniform,
    init.lecun_normal,
    init.lecun_uniform,
    init.orthogonal,
]


@pytest.mark.parametrize("f", DRAWN)
def test_seed_dtype_and_shape(f):
    a = f((6, 4, 3), rng=7)
    assert (a.dtype, a.shape) == (np.float32, (6, 4, 3))
    np.testing.assert_array_equal(a, f((6, 4, 3), rng=np.random.default_rng(7)))
    np.testing.assert_array_equal(a, f((6, 4, 3), rng=7, dtype=np.float64).astype(np.float32))
    assert (a != f((6, 4, 3), rng=8)).any()
    assert a.flags.c_contiguous
    with pytest.raises(TypeError, match=rf"^{f.__name__}: .*float16"):
        f((2, 2), dtype=np.float16)


def test_one_generator_draws_on():
    rng = np.random.default_rng(0)
    assert (init.normal(5, rng=rng) != init.normal(5, rng=rng)).all()


def test_constants():
    np.testing.assert_array_equal(init.zeros((2, 3)), np.zeros((2, 3), np.float32))
    np.testing.assert_array_equal(init.constant(3, 0.1, dtype=np.float64), [0.1] * 3)


@pytest.mark.parametrize(
    ("shape", "groups", "transposed", "expected"),
    [
        ((5, 3), 1, False, (3, 5)),
        ((8, 4, 3, 3), 1, False, (36, 72)),
        ((8, 2, 3), 2, False, (6, 12)),
        ((8, 1, 5, 5), 8, False, (25, 25)),
        ((4, 8, 3, 3), 1, True, (36, 72)),
        ((8, 2, 3), 4, True, (6, 6)),
    ],
)
def test_fans(shape, groups, transposed, expected):
    assert init.fans(shape, groups, transposed) == expected


def test_fans_count_connections():
    # Impulse responses of a grouped convolution: an output sees fan_in inputs, an inner input reaches fan_out outputs.
    groups, per_group, out, kernel = 2, 3, 8, 3
    weight = np.ones((out, per_group, kernel))
    reached = np.zeros((out, groups * per_group), int)
    for k in range(out):
        for c in range(per_group):
            reached[k, (k // (out // groups)) * per_group + c] = kernel
    fan_in, fan_out = init.fans(weight.shape, groups)
    assert (reached.sum(axis=1) == fan_in).all()
    assert (reached.sum(axis=0) == fan_out).all()


def test_fans_of_a_transposed_convolution_count_connections():
    groups, per_group, out, kernel = 2, 3, 8, 3
    weight = np.ones((groups * per_group, out // groups, kernel))
    x = np.ones((1, groups * per_group, 9))
    fan_in, fan_out = init.fans(weight.shape, groups, transposed=True)
    # An output away from the border is a sum over fan_in inputs, and an input is added to fan_out outputs.
    assert (F.conv_transpose1d(x, weight, groups=groups)[0, :, 2:-2] == fan_in).all()
    dx, _, _ = F.conv_transpose1d_backward(np.ones((1, out, 11)), x, weight, groups=groups)
    assert (dx == fan_out).all()
    # The two are exchanged if the weight is taken for that of a convolution, so what takes both needs no telling.
    assert sum(init.fans(weight.shape, groups)) == fan_in + fan_out


FANS_IN_OUT = (200 * 3, 300 * 3)
VARIANCES = {
    init.xavier_normal: 2 / sum(FANS_IN_OUT),
    init.xavier_uniform: 2 / sum(FANS_IN_OUT),
    init.he_normal: 2 / FANS_IN_OUT[0],
    init.he_uniform: 2 / FANS_IN_OUT[0],
    init.lecun_normal: 1 / FANS_IN_OUT[0],
    init.lecun_uniform: 1 / FANS_IN_OUT[0],
}


@pytest.mark.parametrize(("f", "variance"), VARIANCES.items(), ids=lambda v: getattr(v, "__name__", ""))
def test_variances_and_bounds(f, variance):
    w = f((300, 200, 3), rng=0, dtype=np.float64)
    # The standard deviation of an estimated variance is at most variance·sqrt(2/n); 5 of them.
    assert w.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / w.size))
    assert abs(w.mean()) < 5 * math.sqrt(variance / w.size)
    if f.__name__.endswith("uniform"):
        bound = math.sqrt(3 * variance)
        assert 0.999 * bound < abs(w).max() <= bound


def test_gain_slope_and_groups():
    assert init.xavier_uniform((3, 3), gain=2.0, rng=0) == pytest.approx(2 * init.xavier_uniform((3, 3), rng=0))
    he, leaky = init.he_normal((3, 3), rng=0), init.he_normal((3, 3), negative_slope=1.0, rng=0)
    assert he == pytest.approx(math.sqrt(2) * leaky)
    grouped, whole = init.xavier_normal((4, 2, 3), groups=4, rng=0), init.xavier_normal((4, 2, 3), rng=0)
    assert grouped == pytest.approx(whole * math.sqrt((6 + 12) / (6 + 3)))
    transposed = init.he_normal((4, 2, 3), transposed=True, rng=0)
    assert transposed == pytest.approx(init.he_normal((4, 2, 3), rng=0) * math.sqrt(6 / 12))


def test_normal_and_uniform():
    w = init.normal(100_000, mean=3.0, std=0.5, rng=0, dtype=np.float64)
    assert (w.mean(), w.std()) == pytest.approx((3.0, 0.5), abs=0.01)
    w = init.uniform(100_000, -1.0, 3.0, rng=0)
    assert (float(w.min()), float(w.max())) == pytest.approx((-1.0, 3.0), abs=1e-3)


def test_truncated_normal_is_redrawn_not_clipped():
    w = init.truncated_normal(100_000, mean=1.0, std=0.5, rng=0, dtype=np.float64)
    z = (w - 1.0) / 0.5
    assert abs(z).max() <= 2
    assert np.unique(z).size == z.size
    assert z.std() == pytest.approx(0.8796, abs=0.01)
    assert init.truncated_normal((), rng=0).shape == ()


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5), (4, 3, 2, 2)], ids=str)
def test_orthogonal(shape):
    w = init.orthogonal(shape, gain=2.0, rng=0, dtype=np.float64).reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 4 * np.eye(min(w.shape)), atol=1e-14)


def test_empty_weights():
    for f in (init.he_normal, init.xavier_uniform, init.lecun_normal):
        assert f((3, 0)).shape == (3, 0)


def test_refusals():
    for f in (init.he_uniform, init.xavier_normal, init.lecun_uniform):
        with pytest.raises(ValueError, match=r"shape \(3,\) has no fans"):
            f((3,))
    with pytest.raises(ValueError, match="groups=3 must divide"):
        init.he_normal((4, 2, 3), groups=3)
    with pytest.raises(ValueError, match="std"):
        init.normal(3, std=-1.0)
    with pytest.raises(ValueError, match="low"):
        init.uniform(3, 1.0, 0.0)
    with pytest.raises(ValueError, match="not that of a matrix"):
        init.orthogonal(3)
