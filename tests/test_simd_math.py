"""Accuracy of the compiled exp, expm1, log1p, tanh, sigmoid and normal distribution over the whole range, through the public functions.

Truth is the same function in a wider type. The unit is the spacing of results at the truth; a result below the smallest
normal number may be flushed, so that much is allowed on top.
"""

from functools import cache

import numpy as np
import pytest

import fastnn.functional as F
from definitions import normal_cdf, sigmoid
from harness import DTYPES, ISAS

WIDER = {np.float32: np.float64, np.float64: np.longdouble}

pytestmark = [
    pytest.mark.parametrize("isa", ISAS or ["none"]),
    pytest.mark.parametrize("dtype", DTYPES, ids=["f32", "f64"]),
]


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def gelu(x):
    """In the widest type there is: near 0 the tail is a difference."""
    w = x.astype(np.longdouble)
    # Beyond 200 the tail is 0 in every type.
    return (w * normal_cdf(np.clip(w, -200, 200))).astype(x.dtype)


# name: (as computed by a public function, truth, domain, largest error in units of the last place)
FUNCTIONS = {
    "exp": (lambda x: F.elu_backward(np.ones_like(x), x), np.exp, (-np.inf, 0.0), 1.5),
    "expm1": (F.elu, np.expm1, (-np.inf, 0.0), 2.5),
    "tanh": (F.tanh, np.tanh, (-np.inf, np.inf), 3.0),
    "sigmoid": (F.sigmoid, sigmoid, (-np.inf, np.inf), 3.0),
    "log1p": (lambda x: F.softplus(x, threshold=1e308), softplus, (-np.inf, np.inf), 2.5),
    "normal": (F.gelu, gelu, (-np.inf, np.inf), 6.5),
}
by_function = pytest.mark.parametrize("name", FUNCTIONS)


def normal(x):
    return x[np.isfinite(x) & (np.abs(x) >= np.finfo(x.dtype).tiny)]


@cache
def values(dtype, low, high):
    """Numbers spread evenly over all bit patterns, and evenly over the range where the functions change."""
    if dtype == np.float32:
        x = np.arange(0, 2**32, 16381, dtype=np.uint64).astype(np.uint32).view(np.float32)
    else:
        x = np.random.default_rng(0).integers(0, 2**64, 2**17, dtype=np.uint64).view(np.float64)
    edge = 110.0 if dtype == np.float32 else 720.0
    x = np.concatenate(
        [normal(x), np.linspace(-edge, edge, 2**16 + 1).astype(dtype), normal(np.linspace(-2, 2, 2**16).astype(dtype))]
    )
    return x[(x >= low) & (x <= high)]


@cache
def exact_values(name, dtype, numbers):
    """The truth of numbers that are given as bytes, once for all instruction sets."""
    with np.errstate(all="ignore"):
        return FUNCTIONS[name][1](np.frombuffer(numbers, dtype).astype(WIDER[dtype]))


def errors(name, x):
    actual = FUNCTIONS[name][0](x)
    assert actual.dtype == x.dtype
    exact = exact_values(name, x.dtype.type, x.tobytes())
    with np.errstate(all="ignore"):
        rounded = exact.astype(x.dtype)
        spacing = np.spacing(np.maximum(np.abs(rounded), np.finfo(x.dtype).tiny))
        off = np.abs(actual.astype(exact.dtype) - exact)
        return np.where(off <= np.finfo(x.dtype).tiny, off * 0, off) / spacing


@by_function
def test_error_in_units_of_the_last_place(name, isa, dtype, native):
    native.set_isa(isa)
    _, _, domain, allowed = FUNCTIONS[name]
    if np.finfo(WIDER[dtype]).eps == np.finfo(dtype).eps:
        allowed += 1  # the truth is no more precise
    x = values(dtype, *domain)
    off = errors(name, x)
    worst = int(np.argmax(off))
    assert off[worst] <= allowed, f"{name}({x[worst]!r}) is off by {float(off[worst]):.3f} units"


@by_function
def test_relative_accuracy_near_zero(name, isa, dtype, native):
    """Down to the smallest normal number, where exp(x) - 1 would be all rounding error."""
    native.set_isa(isa)
    info = np.finfo(dtype)
    x = np.maximum(np.geomspace(info.tiny, 0.5, 20001).astype(dtype), info.tiny)
    _, _, (_, high), allowed = FUNCTIONS[name]
    assert errors(name, -x).max() <= allowed
    if high > 0:
        assert errors(name, x).max() <= allowed
    if name in ("expm1", "tanh"):
        small = -np.geomspace(info.tiny, info.eps / 8, 1001).astype(dtype)
        small = np.minimum(small, -info.tiny)
        np.testing.assert_array_equal(FUNCTIONS[name][0](small), small)


def test_special_values(isa, dtype, native):
    native.set_isa(isa)
    big = np.finfo(dtype).max
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, big, -big, 1e4, -1e4], dtype)
    expected = {
        F.tanh: [0.0, -0.0, 1, -1, np.nan, 1, -1, 1, -1],
        F.sigmoid: [0.5, 0.5, 1, 0, np.nan, 1, 0, 1, 0],
        F.elu: [0.0, -0.0, np.inf, -1, np.nan, big, -1, 1e4, -1],
    }
    for function, row in expected.items():
        # Every place in a vector and in the tail after it, at every alignment.
        for shift in range(70):
            y = function(np.concatenate([np.zeros(shift, dtype), x]))[shift:]
            np.testing.assert_array_equal(y, np.array(row, dtype))
    zeros = np.array([0.0, -0.0], dtype)
    np.testing.assert_array_equal(np.signbit(F.tanh(zeros)), [False, True])


def test_exp_at_the_ends(isa, dtype, native):
    """The last result above the smallest normal number is kept; a little further the result is 0."""
    native.set_isa(isa)
    info = np.finfo(dtype)
    first = np.log(np.longdouble(info.tiny))
    x = np.array([first * (1 - 2 * np.longdouble(info.eps)), first * (1 + 4 * np.longdouble(info.eps))], dtype)
    y = F.elu_backward(np.ones_like(x), x)
    assert info.tiny <= y[0] <= info.tiny * (1 + 2000 * info.eps)
    assert y[1] == 0


def test_saturation_is_exact(isa, dtype, native):
    """tanh and sigmoid reach 1 where the rounded result is 1, and stay within [-1, 1] and [0, 1]."""
    native.set_isa(isa)
    x = np.linspace(-50, 50, 40001).astype(dtype)
    t, s = F.tanh(x), F.sigmoid(x)
    assert np.abs(t).max() == 1
    assert s.max() == 1
    assert s.min() > 0
    beyond = np.longdouble(0.5) * (np.log(np.longdouble(2)) - np.log(np.longdouble(np.finfo(dtype).epsneg) / 2)) + 0.01
    assert np.all(t[x > beyond] == 1)


def test_body_and_tail_of_a_loop_agree(isa, dtype, native):
    """A value gives the same bits wherever it lies in the array."""
    native.set_isa(isa)
    x = np.random.default_rng(1).normal(0, 3, 67).astype(dtype)
    for function in (F.elu, F.sigmoid, F.tanh):
        alone = np.concatenate([function(x[i : i + 1]) for i in range(x.size)])
        for size in range(1, x.size + 1):
            np.testing.assert_array_equal(function(x[:size]), alone[:size])


def test_long_double_arithmetic_survives(isa, dtype, native):
    """Kernels leave the x87 registers alone: code that touches an MMX register breaks the next long double."""
    native.set_isa(isa)
    native.set_num_threads(1)
    x = np.linspace(-3, 3, 12).reshape(3, 4).astype(dtype)
    target = np.array([0, 3, 1])
    numbers = np.linspace(np.longdouble(0), np.longdouble(1), 9)
    expected = np.exp(numbers)
    for call in (
        lambda: F.cross_entropy(x, target),
        lambda: F.cross_entropy_backward(x, target, label_smoothing=0.1),
        lambda: F.cross_entropy(np.tile(x, (1, 40)), target, label_smoothing=0.1),
        lambda: F.cross_entropy_backward(np.tile(x, (1, 40)), target),
        lambda: F.softmax(x, axis=0),
        lambda: F.log_softmax(x),
        lambda: F.dropout(x, 0.5, rng=0),
        lambda: F.tanh(x),
    ):
        call()
        np.testing.assert_array_equal(np.exp(numbers), expected)
