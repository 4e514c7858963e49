"""Norms of constants, of large means, and of magnitudes whose squares no number of the type can hold."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
import harness

BACKENDS = [*((isa, "native") for isa in harness.ISAS), ("", "numpy")]


@pytest.fixture(params=BACKENDS, ids=[isa or name for isa, name in BACKENDS], autouse=True)
def _backend(request, native):
    isa, name = request.param
    fnn.use_backend(name)
    if isa:
        native.set_isa(isa)


# Each takes rows of values that share their statistics, and gives rows. Those of batch norm are short planes, long ones, and
# columns of a matrix.
NORMS = {
    "layer": lambda x, eps: F.layer_norm(x, x.shape[1], eps=eps),
    "group": lambda x, eps: F.group_norm(x[:, None], 1, eps=eps)[:, 0],
    "instance": lambda x, eps: F.instance_norm(x[None], eps=eps)[0],
    "batch": lambda x, eps: F.batch_norm(x[None], None, None, training=True, eps=eps)[0],
    "columns": lambda x, eps: F.batch_norm(np.ascontiguousarray(x.T), None, None, training=True, eps=eps).T,
}
BACKWARDS = {
    "layer": lambda dy, x: F.layer_norm_backward(dy, x, x.shape[1], eps=0.0)[0],
    "group": lambda dy, x: F.group_norm_backward(dy[:, None], x[:, None], 1, eps=0.0)[0][:, 0],
    "instance": lambda dy, x: F.instance_norm_backward(dy[None], x[None], eps=0.0)[0][0],
    "batch": lambda dy, x: F.batch_norm_backward(dy[None], x[None], eps=0.0)[0][0],
    "columns": lambda dy, x: F.batch_norm_backward(*(np.ascontiguousarray(a.T) for a in (dy, x)), eps=0.0)[0].T,
}
BOTH = {"float32": 1e-6, "float64": 1e-14}


@pytest.mark.parametrize("dtype", BOTH)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [2, 7, 257, 5000])
def test_a_constant_becomes_zero(norm, n, dtype):
    x = np.repeat(np.array([[1234.567], [100.3], [-14.3], [3e30], [1e-30]], dtype), n, 1)
    for eps in (1e-5, 1e-50, 1e-100):
        np.testing.assert_array_equal(NORMS[norm](x, eps), np.zeros_like(x))


def _standardised(x):
    wide = x.astype(np.longdouble)
    d = wide - wide.mean(1, keepdims=True)
    return d / np.sqrt(np.square(d).mean(1, keepdims=True))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [9, 300, 20000])
def test_a_large_mean_costs_no_digits(norm, n):
    rng = np.random.default_rng(n)
    x = np.float32(1) * (1e4 + 0.02 * rng.standard_normal((3, n)))
    x = np.concatenate([x, 1e4 + rng.standard_normal((1, n)), rng.standard_normal((1, n))]).astype(np.float32)
    x[4, 0] = 1e5  # far from all others, which it must not take digits from
    np.testing.assert_allclose(NORMS[norm](x, 0.0), _standardised(x), rtol=3e-6, atol=3e-6 / np.sqrt(n))


@pytest.mark.parametrize("dtype", BOTH)
@pytest.mark.parametrize("norm", NORMS)
def test_any_magnitude(norm, dtype):
    """y stays, and dx changes inversely, where x is multiplied by a power of two."""
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((2, 300)).clip(-3.9, 3.9).astype(dtype) for _ in range(2))
    y, dx = NORMS[norm](x, 0.0), BACKWARDS[norm](dy, x)
    for exponent in (-95, -64, 64, 100, 125) if dtype == "float32" else (-1000, -600, 600, 1000, 1019):
        scaled = np.ldexp(x, exponent)
        assert np.isfinite(scaled).all()
        np.testing.assert_allclose(NORMS[norm](scaled, 0.0), y, rtol=BOTH[dtype] * 4, atol=BOTH[dtype])
        if exponent < 120 or (dtype == "float64" and exponent < 1000):
            back = np.ldexp(BACKWARDS[norm](dy, scaled), exponent)
            np.testing.assert_allclose(back, dx, rtol=BOTH[dtype] * 10, atol=BOTH[dtype] * 4)


@pytest.mark.parametrize("dtype", BOTH)
def test_any_magnitude_of_rms_norm(dtype):
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((2, 300)).clip(-3.9, 3.9).astype(dtype) for _ in range(2))
    w = np.ones(300, dtype)
    y, (dx, dw) = F.rms_norm(x, 300, eps=0.0), F.rms_norm_backward(dy, x, 300, w, eps=0.0)
    for exponent in (-95, -64, 64, 95) if dtype == "float32" else (-900, -600, 600, 900):
        scaled = np.ldexp(x, exponent)
        np.testing.assert_allclose(F.rms_norm(scaled, 300, eps=0.0), y, rtol=BOTH[dtype] * 4)
        got_dx, got_dw = F.rms_norm_backward(dy, scaled, 300, w, eps=0.0)
        np.testing.assert_allclose(np.ldexp(got_dx, exponent), dx, rtol=BOTH[dtype] * 10, atol=BOTH[dtype] * 4)
        np.testing.assert_allclose(got_dw, dw, rtol=BOTH[dtype] * 10, atol=BOTH[dtype] * 4)


@pytest.mark.parametrize("dtype", BOTH)
def test_any_magnitude_of_local_response_norm(dtype):
    """Without k, y goes with the power 1 - 2 beta of a factor; so do its derivatives, with -2 beta."""
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((2, 5, 20)).astype(dtype) for _ in range(2))
    y = F.local_response_norm(x, 3, 1.0, 0.75, 0.0)
    dx = F.local_response_norm_backward(dy, x, 3, 1.0, 0.75, 0.0)
    for exponent in (-60, 60) if dtype == "float32" else (-600, 600):
        scaled = np.ldexp(x, exponent)
        got = np.ldexp(F.local_response_norm(scaled, 3, 1.0, 0.75, 0.0), exponent // 2)
        np.testing.assert_allclose(got, y, rtol=BOTH[dtype] * 10)
        got = F.local_response_norm_backward(dy, scaled, 3, 1.0, 0.75, 0.0)
        np.testing.assert_allclose(np.ldexp(got, exponent * 3 // 2), dx, rtol=BOTH[dtype] * 10, atol=BOTH[dtype] * 10)


def test_running_statistics_of_large_values():
    mean, var = np.zeros(1, np.float32), np.ones(1, np.float32)
    F.batch_norm(np.array([[3e19], [-3e19]], np.float32), mean, var, training=True, momentum=0.9)
    np.testing.assert_allclose(var, 1.8e38, rtol=1e-6)
    F.batch_norm(np.array([[3e30], [-3e30]], np.float32), mean, var, training=True, momentum=0.9)
    assert var == np.inf  # 1.8e60 is no float32
    assert F.batch_norm(np.array([[5.0]], np.float32), mean, var) == 0


def test_evaluation_at_a_large_mean():
    mean, var = np.array([-3e38], np.float32), np.array([3e38], np.float32)
    y = F.batch_norm(np.array([[3e38], [-3e38]], np.float32), mean, var)
    np.testing.assert_allclose(y, [[6e38 / 3e38**0.5], [0]], rtol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_what_is_not_finite_stays_in_its_row(norm):
    x = np.random.default_rng(0).standard_normal((4, 50)).astype(np.float32)
    clean, dy = NORMS[norm](x, 1e-5), x[::-1].copy()
    clean_dx = BACKWARDS[norm](dy, x)
    x[1, 7], x[2, 0] = np.nan, np.inf
    y, dx = NORMS[norm](x, 1e-5), BACKWARDS[norm](dy, x)
    assert np.isnan(y[1:3]).all()
    assert np.isnan(dx[1:3]).all()
    np.testing.assert_array_equal(y[::3], clean[::3])
    np.testing.assert_array_equal(dx[::3], clean_dx[::3])


@pytest.mark.parametrize("shape", [(200_000, 3), (2, 3, 300_000)])
def test_long_sums_keep_their_digits(shape):
    dy = np.full(shape, 0.1, np.float32)
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    wanted = np.full(3, np.float64(np.float32(0.1)) * dy.size / 3)
    np.testing.assert_allclose(F.batch_norm_backward(dy, x)[2], wanted, rtol=1e-6)
    if len(shape) == 2:
        np.testing.assert_allclose(F.layer_norm_backward(dy, x, 3)[2], wanted, rtol=1e-6)
        dw = F.rms_norm_backward(dy, np.abs(x), 3, eps=0.0)[1]
        exact = F.rms_norm_backward(dy.astype(float), np.abs(x).astype(float), 3, eps=0.0)[1]
        np.testing.assert_allclose(dw, exact, rtol=1e-6)
