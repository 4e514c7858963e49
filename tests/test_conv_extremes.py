"""Convolutions of values that aren't finite, of values near the smallest normal numbers, and of large beside small ones."""

from functools import cache

import numpy as np
import pytest

import fastnn as fnn
import harness
from fastnn import checks
from fastnn import functional as F
from harness import needs_native

BACKENDS = fnn.backend.available_backends()
every_isa = pytest.mark.parametrize("isa", harness.ISAS or ["none"])

# x, weight, options; with the ways that the data gradient goes
SHAPES = [
    ((1, 3, 4, 4), (3, 2, 3, 3), {}),
    ((1, 3, 4, 4), (3, 2, 3, 3), {"padding": 1}),
    ((2, 3, 9, 17), (4, 3, 5, 3), {"padding": (2, 1), "stride": (2, 3)}),
    ((1, 16, 7, 7), (40, 16, 3, 3), {"padding": 1, "stride": 2}),
    ((2, 40, 12, 12), (36, 40, 3, 3), {"padding": 1}),
    ((1, 24, 6, 70), (12, 24, 3, 3), {"padding": 1, "dilation": 2}),
    ((16, 8, 4, 4), (16, 8, 3, 3), {"padding": 1}),
    ((2, 6, 9, 20), (6, 1, 3, 3), {"padding": 1, "groups": 6}),
    ((2, 6, 9, 20), (6, 1, 5, 5), {"padding": 2, "groups": 6, "stride": 2}),
    ((2, 8, 6, 6), (8, 4, 2, 2), {"stride": 2, "groups": 2}),
    ((1, 4, 8, 8), (8, 4, 1, 1), {"stride": 3}),
]


def dx_and_transposed(x_shape, w_shape, value, options, dtype):
    """The data gradient with one weight changed, and the same as a transposed convolution with a bias."""
    rng = np.random.default_rng(0)
    c = w_shape[1] * options.get("groups", 1)
    x = np.ones((x_shape[0], c, *x_shape[2:]), dtype)
    weight = rng.standard_normal(w_shape).astype(dtype)
    weight.flat[0] = value
    g = checks.conv(
        "conv2d",
        2,
        x,
        weight,
        None,
        *(options.get(k, d) for k, d in (("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1))),
    )[0]
    dy = rng.standard_normal((x_shape[0], w_shape[0], *g.out[1:])).astype(dtype)
    with np.errstate(all="ignore"):
        dx = F.conv2d_backward(dy, x, weight, **options)[0]
        y = F.conv_transpose2d(dy, weight, rng.standard_normal(c).astype(dtype), **options)
    return dx, y


@needs_native
@every_isa
@pytest.mark.parametrize("dtype", harness.DTYPES, ids=["f32", "f64"])
@pytest.mark.parametrize(("x_shape", "w_shape", "options"), SHAPES)
def test_a_weight_that_is_not_finite_reaches_only_what_its_tap_meets(isa, dtype, x_shape, w_shape, options, native):
    native.set_isa(isa)
    for value in (np.inf, np.nan):
        actual = dx_and_transposed(x_shape, w_shape, value, options, dtype)
        with fnn.use_backend("numpy"):
            expected = dx_and_transposed(x_shape, w_shape, value, options, dtype)
        for a, e in zip(actual, expected, strict=True):
            assert not np.isfinite(e).all()
            assert np.isfinite(e).any()
            np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_gaps_of_a_stride_are_no_zeros_to_multiply(backend):
    fnn.use_backend(backend)
    weight = np.array([np.inf, 1.0, 1.0]).reshape(1, 1, 3)
    y = F.conv_transpose1d(np.ones((1, 1, 3)), weight, stride=2, padding=1)
    np.testing.assert_array_equal(y, [[[1, np.inf, 1, np.inf, 1]]])


def exact(x, weight):
    """In float64, padding 1."""
    with fnn.use_backend("numpy"):
        return F.conv2d(x.astype(np.float64), weight.astype(np.float64), padding=1)


@every_isa
@needs_native
@pytest.mark.parametrize(("c", "k", "size"), [(32, 40, 28), (192, 170, 12), (3, 5, 9)])
def test_outputs_beside_much_larger_ones_keep_their_digits(isa, c, k, size, native):
    native.set_isa(isa)
    rng = np.random.default_rng(c)
    x, weight = rng.standard_normal((2, c, size, size), np.float32), rng.standard_normal((k, c, 3, 3), np.float32)
    far = np.ones((size, size), bool)
    far[5:8, 5:8] = False
    for large in (1e2, 1e3, 1e4, 1e6, 1e8, 1e20):
        x[1, :, 6, 6] = large
        y, truth = F.conv2d(x, weight, padding=1), exact(x, weight)
        norm = np.abs(truth[:, :, far]).max()
        assert np.abs(y - truth)[:, :, far].max() <= 4e-4 * norm, large
        np.testing.assert_allclose(y[:, :, ~far], truth[:, :, ~far], atol=1e-5 * np.abs(truth).max())


@cache
def scaled(c, k, size, scale):
    """Input and weight, and in float64 their convolution and its gradients by weight and input."""
    rng = np.random.default_rng(c)
    x = (rng.standard_normal((1, c, size, size)) * scale).astype(np.float32)
    weight = (rng.standard_normal((k, c, 3, 3)) * 0.5).astype(np.float32)
    with fnn.use_backend("numpy"):
        gradients = F.conv2d_backward(
            x[:, :1].repeat(k, 1).astype(float), np.ones(x.shape), weight.astype(float), padding=1
        )[1::-1]
    return x, weight, exact(x, weight), gradients


@every_isa
@needs_native
@pytest.mark.parametrize(("c", "k", "size"), [(32, 40, 28), (192, 170, 12), (3, 5, 9)])
@pytest.mark.parametrize("scale", [1e-30, 1e-35, 1e-37, 1e-40, 1e35])
def test_very_small_and_very_large_inputs_are_as_accurate_as_others(isa, c, k, size, scale, native):
    native.set_isa(isa)
    x, weight, truth, expected = scaled(c, k, size, scale)
    bound = 1e-5 * np.abs(truth).max() + 1e-44
    assert np.abs(F.conv2d(x, weight, padding=1) - truth).max() <= bound
    assert (
        np.abs(F.conv2d(x.astype(np.float64) * 1e-200, weight.astype(np.float64), padding=1) - truth * 1e-200).max()
        <= bound * 1e-200
    )
    actual = F.conv2d_backward(x[:, :1].repeat(k, 1), np.ones_like(x), weight, padding=1)[1::-1]
    for a, e in zip(actual, expected, strict=True):
        assert np.abs(a - e).max() <= 1e-5 * np.abs(e).max() + 1e-43


@pytest.mark.parametrize("backend", BACKENDS)
def test_products_of_a_denormal_and_a_large_number(backend):
    fnn.use_backend(backend)
    tiny, large = np.full((1, 1), 1e-40, np.float32), np.full((1, 1), 1e38, np.float32)
    np.testing.assert_allclose(F.linear(tiny, large), [[1e-2]], rtol=1e-4)
    np.testing.assert_allclose(
        F.matmul(np.full((2, 3), 1e-310), np.full((3, 2), 1e300)), np.full((2, 2), 3e-10), rtol=1e-9
    )
    np.testing.assert_allclose(
        F.matmul(np.full((2, 300), 1e-37, np.float32), np.full((300, 2), 0.05, np.float32)),
        np.full((2, 2), 1.5e-36),
        rtol=1e-5,
    )
    np.testing.assert_array_equal(F.matmul(np.zeros((2, 3)), np.full((3, 2), 1e-310)), np.zeros((2, 2)))


@needs_native
@every_isa
def test_depthwise_taps_that_reach_far_are_read_where_they_are(isa, native):
    """A padded copy of what one position sees would have 50001² values."""
    x, weight = np.full((1, 2, 1, 1), 3, np.float32), np.arange(18, dtype=np.float32).reshape(2, 1, 3, 3)
    far = {"padding": 25000, "dilation": 25000, "groups": 2}
    native.set_isa(isa)
    y = F.conv2d(x, weight, **far)
    dx, dweight, _ = F.conv2d_backward(y, x, weight, **far)
    np.testing.assert_array_equal(y.ravel(), 3 * weight[:, 0, 1, 1])
    np.testing.assert_array_equal(dx.ravel(), y.ravel() * weight[:, 0, 1, 1])
    expected = np.zeros_like(weight)
    expected[:, 0, 1, 1] = 3 * y.ravel()
    np.testing.assert_array_equal(dweight, expected)
