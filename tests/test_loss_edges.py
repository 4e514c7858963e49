"""Losses and softmax where numbers end: sums that overflow, infinite logits, NaN, long rows, arrays without axes."""

import itertools

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn.testing import gradcheck
from harness import DTYPES, ISAS

if ISAS:
    from fastnn import _core

inf, nan = np.inf, np.nan


@pytest.fixture(params=["numpy", *ISAS], autouse=True)
def where(request):
    """The NumPy backend, and the compiled one with each instruction set."""
    fnn.use_backend("numpy" if request.param == "numpy" else "native")
    if request.param != "numpy":
        _core.set_isa(request.param)


def value_and_gradient(f, x):
    t = fnn.tensor(x, requires_grad=True)
    y = f(t)
    y.backward(np.ones(y.shape, y.dtype))
    return y.data, t.grad


# ---- sums ---------------------------------------------------------------------------------------------------------

FIRST = np.zeros(1000, int)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_mean_is_a_number_where_the_sum_is_not(dtype):
    n, large = 1000, np.finfo(dtype).max / 4
    x, zeros, ones = np.full(n, large, dtype), np.zeros(n, dtype), np.ones(n, dtype)
    rows = np.stack([x, zeros], axis=1)
    half = np.full((n, 2), 0.5, dtype)
    means = [
        F.l1_loss(x, zeros),
        F.huber_loss(x, zeros),
        F.hinge_loss(-x, ones),
        F.kl_div(-x, ones),
        F.binary_cross_entropy_with_logits(x, zeros),
        F.binary_cross_entropy_with_logits(x, zeros, ones, pos_weight=ones),
        F.nll_loss(-rows, FIRST),
        F.nll_loss(-rows, FIRST, np.array([0.5, 1], dtype)),
        F.cross_entropy(rows, FIRST + 1),
        F.cross_entropy(rows, half) * 2,
        F.multi_margin_loss(-rows, FIRST) * 2,
        F.mse_loss(np.full(n, np.sqrt(large), dtype), zeros),
    ]
    for mean in means:
        np.testing.assert_allclose(mean, large, rtol=1e-6)
    # The hinges of a row, too.
    wide = np.full((2, 8), large * 2, dtype)
    wide[:, 0] = 0
    np.testing.assert_allclose(F.multi_margin_loss(wide, FIRST[:2]), large * 2 / 8 * 7, rtol=1e-6)
    assert F.l1_loss(x, zeros, "sum") == inf
    x[3] = inf
    assert F.l1_loss(x, zeros) == inf
    x[4] = nan
    assert np.isnan(F.l1_loss(x, zeros))


@pytest.mark.parametrize("inner", [1, 2])
def test_sums_over_long_rows_keep_their_digits(inner):
    """In one float32 accumulator per lane they would be off by 1e-5 to 1e-3."""
    n = 1_000_000
    x = np.full((1, n, inner), np.float32(-2.3))
    x[:, 0] = 0
    total = 1 + (n - 1) * np.exp(np.float64(x[0, 1, 0]))
    first = np.zeros((1, inner), int)
    np.testing.assert_allclose(F.cross_entropy(x, first), np.log(total), rtol=2e-7)
    np.testing.assert_allclose(F.softmax(x, 1)[0, 0], 1 / total, rtol=1e-6)
    y, dy = np.full((1, n, inner), np.float32(0.1)), np.ones((1, n, inner), np.float32)
    np.testing.assert_allclose(1 - F.softmax_backward(dy, y, 1)[0, 0] / y[0, 0], np.float64(y[0, 0, 0]) * n, rtol=1e-6)
    p = np.full((1, n, inner), np.float32(1e-6))
    dx = F.cross_entropy_backward(np.zeros_like(p), p, reduction="sum") + p
    np.testing.assert_allclose(dx[0, 0], np.float64(p[0, 0, 0]) * n / n, rtol=1e-6)


def test_hinges_of_long_rows_keep_their_digits():
    x = np.full((1, 1_000_000), np.float32(0.1))
    loss = F.multi_margin_loss(x, [0], margin=0.3)
    np.testing.assert_allclose(loss, np.float64(np.float32(0.3)) * 0.999999, rtol=2e-6)


def test_means_of_many_float64_keep_their_digits():
    x = np.full(2_000_001, 0.1)
    np.testing.assert_allclose(F.l1_loss(x, np.zeros_like(x)), 0.1, rtol=1e-13)
    np.testing.assert_allclose(F.nll_loss(-x[:, None], np.zeros(len(x), int)), 0.1, rtol=1e-14)


# ---- no share of an infinite loss ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [3, 200])  # in blocks, and in rows
def test_masked_classes(dtype, classes):
    x = np.zeros((4, classes), dtype)
    x[:, 0] = -inf
    x[:, -1] = 1
    rest = x[:, 1:]
    p = np.zeros_like(x)
    p[:, 1], p[:, -1] = 0.25, 0.75
    last = np.full(4, classes - 1)
    np.testing.assert_allclose(F.cross_entropy(x, p), F.cross_entropy(rest, p[:, 1:]), rtol=1e-6)
    np.testing.assert_allclose(F.cross_entropy(x, last), F.cross_entropy(rest, last - 1), rtol=1e-6)
    np.testing.assert_allclose(
        F.cross_entropy_backward(x, p)[:, 1:], F.cross_entropy_backward(rest, p[:, 1:]), rtol=2e-6, atol=1e-7
    )
    # Smoothing gives every class a share, unless its weight is 0.
    weight = np.ones(classes, dtype)
    weight[0] = 0
    for target in (p, last):
        assert F.cross_entropy(x, target, label_smoothing=0.1) == inf
        loss, dx = value_and_gradient(lambda t, y=target: F.cross_entropy(t, y, weight, label_smoothing=0.1), x)
        assert 0 < loss < 10
        assert np.isfinite(dx).all()
        assert not dx[:, 0].any()
    # A class of weight 0 as target, and one of probability 0 that counts.
    none = F.cross_entropy(x, last * 0, weight, reduction="none"), F.nll_loss(x, last * 0, weight, reduction="none")
    np.testing.assert_array_equal(none, np.zeros((2, 4)))
    assert F.cross_entropy(x, last * 0) == F.cross_entropy(x, 1 - p) == inf
    assert np.isnan(F.cross_entropy(np.where(x == 1, nan, x).astype(dtype), p))


@pytest.mark.parametrize("dtype", DTYPES)
def test_divergence_of_nothing_is_nothing(dtype):
    x, t = np.array([-inf, -inf, 0, nan, -1], dtype), np.array([0, 0.5, 0, 0, 0.5], dtype)
    loss, dx = value_and_gradient(lambda v: F.kl_div(v, t, "none"), x)
    np.testing.assert_allclose(loss, [0, inf, 0, nan, 0.5 * np.log(0.5) + 0.5], rtol=1e-6)
    np.testing.assert_array_equal(dx, -t)
    with np.errstate(divide="ignore"):
        logs = np.log(t)
    loss, dx = value_and_gradient(lambda v: F.kl_div(v, logs, "none", log_target=True), x)
    np.testing.assert_allclose(loss, [0, inf, 0, nan, 0.5 * np.log(0.5) + 0.5], rtol=1e-6)
    np.testing.assert_allclose(dx, -t, rtol=1e-6)


def test_divergence_of_tiny_probabilities():
    """The probability alone is denormal, what it contributes is not."""
    x, t = np.full(4, -500, np.float32), np.array([-88, -89, -90, -90.5], np.float32)
    expected = np.exp(t.astype(np.float64)) * (t + 500)
    np.testing.assert_allclose(F.kl_div(x, t, "none", log_target=True), expected, rtol=2e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_binary_cross_entropy_of_infinite_logits(dtype, weighted):
    x, t = np.array([-inf, inf, -inf, inf, -inf, inf], dtype), np.array([0, 1, 1, 0, 0.5, 0.5], dtype)
    one = np.ones(6, dtype) if weighted else None
    loss, dx = value_and_gradient(lambda v: F.binary_cross_entropy_with_logits(v, t, one, "none", one), x)
    np.testing.assert_array_equal(loss, [0, 0, inf, inf, inf, inf])
    np.testing.assert_array_equal(dx, [0, 0, -1, 1, -0.5, 0.5])
    nothing = F.binary_cross_entropy_with_logits(x, t, np.zeros(6, dtype), "none")
    np.testing.assert_array_equal(nothing, np.zeros(6))
    only_zeros = F.binary_cross_entropy_with_logits(x, t, None, "none", np.zeros(6, dtype))
    np.testing.assert_array_equal(only_zeros, [0, 0, 0, inf, 0, inf])


# ---- hinges -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_hinges_of_infinite_scores(dtype, p):
    x = np.array([[inf, 0, 3], [-inf, 0, 3], [0, -inf, -5], [0, inf, 0]], dtype)
    loss, dx = value_and_gradient(lambda v: F.multi_margin_loss(v, [0, 0, 0, 0], p, reduction="none"), x)
    np.testing.assert_allclose(loss, [0, inf, 0, inf])
    np.testing.assert_array_equal(dx[[0, 2]], np.zeros((2, 3)))
    nothing = F.multi_margin_loss(x, [0, 0, 0, 0], p, weight=np.array([0, 1, 1], dtype), reduction="none")
    np.testing.assert_array_equal(nothing, np.zeros(4))


def test_a_margin_beside_large_scores():
    for score, margin in ((1e8, 1.0), (3e6, 0.1), (1e5, 1e-3)):
        loss = F.multi_margin_loss(np.full((1, 2), score, np.float32), [0], margin=margin, reduction="none")
        np.testing.assert_allclose(loss, margin / 2, rtol=1e-6)


@pytest.mark.parametrize(
    "call", [F.hinge_loss, lambda x, t, **o: F.multi_margin_loss(x[:, None], t.astype(int) - 1, **o)]
)
def test_margins_that_float32_does_not_hold(call):
    x = np.ones(2, np.float32)
    with pytest.raises(ValueError, match=r"_loss: margin must be in \[-3.40282\d*e\+38, 3.40282\d*e\+38\], got 1e\+39"):
        call(x, x, margin=1e39)
    call(x.astype(np.float64), x.astype(np.float64), margin=1e39)


# ---- NaN ----------------------------------------------------------------------------------------------------------

ELEMENTWISE = {
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "huber": F.huber_loss,
    "hinge": F.hinge_loss,
    "binary": F.binary_cross_entropy_with_logits,
}


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_goes_on_in_value_and_gradient(name, dtype):
    x = np.linspace(-3, 3, 37).astype(dtype)
    x[[0, 20, 36]] = nan
    loss, dx = value_and_gradient(lambda v: ELEMENTWISE[name](v, np.ones_like(x), reduction="none"), x)
    np.testing.assert_array_equal(np.isnan(loss), np.isnan(x))
    np.testing.assert_array_equal(np.isnan(dx), np.isnan(x))


@pytest.mark.parametrize(("p", "place"), list(itertools.product([1, 2], [0, 1, 30])))
def test_nan_goes_on_in_multi_margin(p, place):
    x = np.zeros((2, 31), np.float32)
    x[0, place] = nan
    loss, dx = value_and_gradient(lambda v: F.multi_margin_loss(v, [0, 0], p, reduction="none"), x)
    np.testing.assert_array_equal(np.isnan(loss), [True, False])
    assert np.isnan(dx[0, [0, place]]).all()
    assert np.isfinite(dx[1]).all()


# ---- softmax ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_one_value_without_axes(axis, dtype):
    for f, value in ((F.softmax, 1), (F.log_softmax, 0)):
        y, dx = value_and_gradient(lambda v, f=f: f(v, axis), np.array(2.5, dtype))
        assert y.shape == dx.shape == ()
        assert y.dtype == dtype
        assert (float(y), float(dx)) == (value, 0)
        assert float(fnn.jvp(lambda v, f=f: f(v, axis), (np.array(2.5, dtype),), (np.array(1, dtype),))[1]) == 0
        assert f(np.array(-1.0, dtype)).shape == ()
    with pytest.raises(ValueError, match=r"softmax: axis 1 is not an axis of x of shape \(\)"):
        F.softmax(np.array(1.0), 1)


@pytest.mark.parametrize("n", [1, 2, 3, 17, 200])
@pytest.mark.parametrize("inner", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_without_a_largest_finite_value(n, inner, dtype):
    x = np.zeros((3, n, inner), dtype)
    x[0], x[1, 0] = -inf, inf
    for f in (F.softmax, F.log_softmax):
        np.testing.assert_array_equal(np.isnan(f(x, 1)), np.broadcast_to([[[True]], [[True]], [[False]]], x.shape))


# ---- derivatives by the target ------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
X, P = RNG.normal(size=(4, 3)), RNG.dirichlet(np.ones(3), 4) * 0.9 + 0.01
W, DIRECTIONS = RNG.uniform(0.5, 2, 3), RNG.normal(size=(2, 4, 3))
BY_TARGET = {
    "cross_entropy": lambda x, t, r: F.cross_entropy(x, t, reduction=r),
    "weighted cross_entropy": lambda x, t, r: F.cross_entropy(x, t, W, reduction=r, label_smoothing=0.2),
    "binary": lambda x, t, r: F.binary_cross_entropy_with_logits(x, t, reduction=r),
    "weighted binary": lambda x, t, r: F.binary_cross_entropy_with_logits(x, t, W, r, W[::-1]),
    "kl_div": lambda x, t, r: F.kl_div(x, t, r),
    "kl_div of logarithms": lambda x, t, r: F.kl_div(x, t, r, log_target=True),
    "huber": lambda x, t, r: F.huber_loss(x, t, 0.3, r),
    "mse": F.mse_loss,
    "l1": F.l1_loss,
}


@pytest.mark.parametrize("name", BY_TARGET)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_derivatives_by_the_target(name, reduction):
    def f(x, t):
        return BY_TARGET[name](x, t, reduction)

    assert gradcheck(f, X, P)
    assert gradcheck(lambda t: f(X, t), P)
    tx, tt = DIRECTIONS
    _, tangent = fnn.jvp(f, (X, P), (tx, tt))
    step = 1e-6
    slope = (f(X + step * tx, P + step * tt) - f(X - step * tx, P - step * tt)) / (2 * step)
    np.testing.assert_allclose(tangent, slope, rtol=1e-6, atol=1e-8)
    _, by_target = fnn.jvp(lambda t: f(X, t), (P,), (tt,))
    _, by_x = fnn.jvp(lambda x: f(x, P), (X,), (tx,))
    np.testing.assert_allclose(by_target + by_x, tangent, rtol=1e-12, atol=1e-13)


def test_derivatives_by_probabilities_of_0():
    """The limits: infinite where the loss has an infinite slope, and never NaN."""
    t = np.array([0.0, 0.0, 0.5])
    _, dt = value_and_gradient(lambda v: F.kl_div(np.array([-1.0, -inf, -inf]), v, "sum"), t)
    np.testing.assert_array_equal(dt, [-inf, inf, inf])
    _, dt = value_and_gradient(lambda v: F.cross_entropy(np.array([[-inf, 0.0]]), v), np.array([[0.0, 1.0]]))
    np.testing.assert_array_equal(dt, [[inf, 0]])
    _, dt = value_and_gradient(
        lambda v: F.binary_cross_entropy_with_logits(np.array([inf, -inf]), v, None, "sum"), t[:2]
    )
    np.testing.assert_array_equal(dt, [-inf, inf])


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinite_gradients_of_losses(dtype):
    dx = F.cross_entropy_backward(np.zeros((2, 3), dtype), np.array([0, 1]), dloss=dtype(np.inf))
    wrong_classes = dx[[0, 0, 1, 1], [1, 2, 0, 2]]
    np.testing.assert_array_equal(wrong_classes, np.inf)  # of the right ones p - 1 may be taken apart
    x = fnn.Tensor(np.array([[0.5, 0.25, 9]], dtype), requires_grad=True)
    F.multi_margin_loss(x, np.array([0]), p=2, weight=np.full(3, np.inf, dtype)).backward()
    np.testing.assert_array_equal(x.grad, [[-np.inf, np.inf, np.inf]])
