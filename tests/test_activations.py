"""Activations far out and at their special points, and against PyTorch's own formulas where those cancel."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from definitions import ROOT_2_PI, normal_cdf, sigmoid
from harness import DTYPES, ISAS

INF, NAN = np.inf, np.nan
BACKENDS = fnn.backend.available_backends()
X = [0.0, INF, -INF, NAN, 1e4, -1e4]

# name: y and dy/dx at X
LIMITS = {
    F.selu: ([0, INF, -1.7580993408473769, NAN, 10507.009873554805, -1.7580993408473769], None),
    F.softplus: ([np.log(2), INF, 0, NAN, 1e4, 0], [0.5, 1, 0, NAN, 1, 0]),
    F.gelu: ([0, INF, 0, NAN, 1e4, 0], [0.5, 1, 0, NAN, 1, 0]),
    F.silu: ([0, INF, 0, NAN, 1e4, 0], [0.5, 1, 0, NAN, 1, 0]),
    F.hardsigmoid: ([0.5, 1, 0, NAN, 1, 0], [1 / 6, 0, 0, NAN, 0, 0]),
    F.hardswish: ([0, INF, 0, NAN, 1e4, 0], [0.5, 1, 0, NAN, 1, 0]),
    F.relu6: ([0, 6, 0, NAN, 6, 0], [0, 0, 0, NAN, 0, 0]),
    F.thresholded_relu: ([0, INF, 0, NAN, 1e4, 0], [0, 1, 0, NAN, 1, 0]),
    F.celu: ([0, INF, -1, NAN, 1e4, -1], [1, 1, 0, NAN, 1, 0]),
    F.mish: ([0, INF, 0, NAN, 1e4, 0], None),
    F.logsigmoid: ([-np.log(2), 0, -INF, NAN, 0, -1e4], [0.5, 0, 1, NAN, 0, 1]),
    F.softsign: ([0, 1, -1, NAN, 1e4 / 10001, -1e4 / 10001], None),
    F.elu: ([0, INF, -1, NAN, 1e4, -1], None),
    F.sigmoid: ([0.5, 1, 0, NAN, 1, 0], [0.25, 0, 0, NAN, 0, 0]),
    F.tanh: ([0, 1, -1, NAN, 1, -1], [1, 0, 0, NAN, 0, 0]),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=["f32", "f64"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("f", LIMITS, ids=lambda f: f.__name__)
def test_limits(f, backend, dtype):
    values, slopes = LIMITS[f]
    with fnn.use_backend(backend):
        x = fnn.tensor(np.array(X, dtype), requires_grad=True)
        y = f(x)
        y.backward(np.ones(len(X), dtype))
    np.testing.assert_allclose(y.data, np.array(values, dtype), rtol=4 * np.finfo(dtype).eps)
    if slopes is not None:
        np.testing.assert_array_equal(x.grad, np.array(slopes, dtype))


TORCH = ["gelu", "gelu tanh", "silu", "hardsigmoid", "selu", "softplus", "hardswish", "mish", "logsigmoid", "softsign"]


@pytest.mark.parametrize("name", TORCH)
def test_torch_s_own_formulas(name):
    """To the absolute accuracy that 1 + erf(x), 1 + tanh(x) and 1 - sigmoid(x) have."""
    torch = pytest.importorskip("torch")
    name, *how = name.split()
    options = {"approximate": how[0]} if how else {}
    x = np.linspace(-30, 30, 5001)
    ours, theirs = fnn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = getattr(F, name)(ours, **options), getattr(torch.nn.functional, name)(theirs, **options)
    y.sum().backward()
    z.sum().backward()
    atol = 8 * np.finfo(np.float64).eps * (1 + np.abs(x))
    assert (np.abs(y.data - z.detach().numpy()) <= atol).all()
    # PyTorch's gradient of hardsigmoid has 1/6 in float32.
    slope = np.finfo(np.float32).eps if name == "hardsigmoid" else 4 * atol
    assert (np.abs(ours.grad - theirs.grad.numpy()) <= slope).all()


def test_the_gradient_of_a_slope_has_the_same_bits_on_any_layout_of_threads():
    """A slope per channel is the single slope of that channel alone, whatever the neighbours."""
    rng = np.random.default_rng(0)
    x, dy, w = rng.normal(size=(3, 4, 50)), rng.normal(size=(3, 4, 50)), np.array([0.25, 0.5, -1.0, 0.0])
    _, dw = F.prelu_backward(dy, x, w)
    for c in range(4):
        _, alone = F.prelu_backward(dy[:, c], x[:, c], w[c : c + 1])
        np.testing.assert_allclose(dw[c], alone[0], rtol=1e-13)


def test_maxout_of_nan_and_ties():
    x = np.array([[1.0, NAN, NAN, 3.0], [2.0, 2.0, -INF, -INF]])
    for backend in BACKENDS:
        with fnn.use_backend(backend):
            np.testing.assert_array_equal(F.maxout(x, 2), [[NAN, NAN], [2.0, -INF]])
            dx = F.maxout_backward(np.ones((2, 2)), x, 2)
            np.testing.assert_array_equal(dx, [[0, 1, 1, 0], [1, 0, 1, 0]])


# ---- values, gradients and tangents at special points, and where e^x or Phi(x) is below the smallest normal number ----

WIDE = np.longdouble
GELU_RATE, CUBIC = 4 / ROOT_2_PI, WIDE("0.044715")
SELU_SCALE, SELU_ALPHA = WIDE("1.0507009873554804934193349852946"), WIDE("1.6732632423543772848170429916717")


def _gate(x):
    return GELU_RATE * (x + CUBIC * x**3), GELU_RATE * (1 + 3 * CUBIC * x**2)


def _gated(x, u, slope):
    s, t = sigmoid(u), sigmoid(-u)
    return s + x * s * t * slope


def _elu(alpha):
    return (
        lambda x: F.elu(x, alpha),
        lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))),
        (-alpha, INF, 0, 1),
        16,
    )


def _softplus(beta, threshold=20.0):
    def value(x):
        z = beta * x
        return np.where(z > threshold, x, (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta)

    return (
        lambda x: F.softplus(x, beta, threshold),
        value,
        lambda x: np.where(beta * x > threshold, 1, sigmoid(beta * x)),
        (0, INF, 0, 1),
        lambda x: 16 + 2 * np.minimum(np.abs(beta * x), 1e4),
    )


def _celu(alpha):
    return (
        lambda x: F.celu(x, alpha),
        lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x / WIDE(alpha), 0))),
        lambda x: np.where(x > 0, 1, np.exp(np.minimum(x / WIDE(alpha), 0))),
        (-alpha, INF, 0, 1),
        lambda x: 16 + 2 * np.minimum(np.abs(x / alpha), 1e4),
    )


def _mish_ratio(x):
    n = np.exp(np.clip(x, -WIDE(5000), 100))
    return n, n * (n + 2) + 2


def _mish(x):
    n, q = _mish_ratio(x)
    return x * (n * (n + 2) / q)


def _mish_slope(x):
    n, q = _mish_ratio(x)
    return n * (n + 2 + 4 * np.clip(x, -5000, 100) * (n + 1) / q) / q


def _leaky(f, slope):
    return (
        f,
        lambda x: np.where(x > 0, x, slope * x),
        lambda x: np.where(x > 0, 1, slope),
        (-slope * INF, INF, slope, 1),
        4,
    )


# name: (function, its value and derivative in a wide type, their limits at -inf and inf, roundings allowed at x)
EDGES = {
    "relu": (F.relu, lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1.0, 0), (0, INF, 0, 1), 0),
    "leaky_relu": _leaky(lambda x: F.leaky_relu(x, 0.25), 0.25),
    "leaky_relu, falling": _leaky(lambda x: F.leaky_relu(x, -2), -2),
    "prelu": _leaky(lambda x: F.prelu(x, np.array(0.25, x.dtype)), 0.25),
    "rrelu": _leaky(lambda x: F.rrelu(x, 0.25, 0.75), 0.5),
    "rrelu, training": _leaky(lambda x: F.rrelu(x, 0.25, 0.25, True, rng=0), 0.25),
    "elu": _elu(1.0),
    "elu, large": _elu(2.0**30),
    "elu, small": _elu(2.0**-30),
    "selu": (
        F.selu,
        lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
        lambda x: SELU_SCALE * np.where(x > 0, 1, SELU_ALPHA * np.exp(np.minimum(x, 0))),
        (-SELU_SCALE * SELU_ALPHA, INF, 0, SELU_SCALE),
        16,
    ),
    "softplus": _softplus(1.0),
    "softplus, steep": _softplus(1000.0),
    "softplus, flat": _softplus(2.0**-10),
    "softplus, never straight": _softplus(1.0, 1e30),
    "gelu": (
        F.gelu,
        lambda x: x * normal_cdf(x),
        lambda x: normal_cdf(x) + x * np.exp(-x * x / 2) / ROOT_2_PI,
        (0, INF, 0, 1),
        # The NumPy backend rounds x / sqrt(2) in float64, which moves the exponent.
        lambda x: 16 + np.minimum(x * x, 1600) * (2.0**-29 if x.dtype == np.float32 else 1),
    ),
    "gelu, tanh": (
        lambda x: F.gelu(x, "tanh"),
        lambda x: x * sigmoid(_gate(x)[0]),
        lambda x: _gated(x, *_gate(x)),
        (0, INF, 0, 1),
        lambda x: 16 + 8 * np.minimum(np.abs(_gate(x.astype(WIDE))[0]), 2000),
    ),
    "silu": (F.silu, lambda x: x * sigmoid(x), lambda x: _gated(x, x, 1), (0, INF, 0, 1), 16),
    "hardsigmoid": (
        F.hardsigmoid,
        lambda x: np.clip(x + 3, 0, 6) / 6,
        lambda x: np.where(np.abs(x) < 3, 1 / WIDE(6), 0),
        (0, 1, 0, 0),
        4,
    ),
    "hardswish": (
        F.hardswish,
        lambda x: x * np.clip(x + 3, 0, 6) / 6,
        lambda x: np.where(np.abs(x) < 3, (2 * x + 3) / 6, x >= 3),
        (0, INF, 0, 1),
        4,
    ),
    "relu6": (F.relu6, lambda x: np.clip(x, 0, 6), lambda x: np.where((x > 0) & (x < 6), 1, 0), (0, 6, 0, 0), 0),
    "thresholded_relu": (
        F.thresholded_relu,
        lambda x: np.where(x > 1, x, 0),
        lambda x: np.where(x > 1, 1, 0),
        (0, INF, 0, 1),
        0,
    ),
    "celu": _celu(1.0),
    "celu, large": _celu(2.0**100),
    "celu, small": _celu(2.0**-100),
    "mish": (F.mish, _mish, _mish_slope, (0, INF, 0, 1), 16),
    "logsigmoid": (
        F.logsigmoid,
        lambda x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))),
        lambda x: sigmoid(-x),
        (-INF, 0, 1, 0),
        16,
    ),
    "softsign": (F.softsign, lambda x: x / (1 + np.abs(x)), lambda x: (1 + np.abs(x)) ** -2, (-1, 1, 0, 0), 4),
    "sigmoid": (F.sigmoid, sigmoid, lambda x: sigmoid(x) * sigmoid(-x), (0, 1, 0, 0), 16),
    "tanh": (F.tanh, np.tanh, lambda x: 1 - np.tanh(x) ** 2, (-1, 1, 0, 0), 16),
}
# Derivatives of these are computed from the output: to absolute accuracy where it is near 1, and only of a normal number.
OF_OUTPUT = ("sigmoid", "tanh")


def _points(dtype):
    """Special values, and the ranges in which e^x, e^(-x^2/2), and their products with x fall below the normal numbers."""
    info = np.finfo(dtype)
    first = -np.log(float(info.tiny))
    falls = np.linspace(first - 4, first + 12, 97)
    far = np.linspace(2 * first - 9, 2 * first + 9, 31)
    bell = np.linspace(np.sqrt(2 * first) - 0.5, np.sqrt(2 * first) + 0.6, 97)
    gate = np.linspace(0.6, 1.2, 61) * np.cbrt(first / (1.6 * 0.0447))
    ends = [0.0, info.tiny, info.max, info.max / 4, INF, 1e4, 1.0, 3.0, 40.0, 2.0**-20]
    x = np.concatenate([falls, falls / 2, far, bell, bell * np.sqrt(2), gate, falls / 1000, ends]).astype(dtype)
    return np.concatenate([x, -x, [dtype(NAN)]])


def _expected(truth, limits, x):
    w = np.where(np.isfinite(x), x, 0).astype(WIDE)
    low, high = limits
    return np.where(np.isnan(x), WIDE(NAN), np.where(x == INF, WIDE(high), np.where(x == -INF, WIDE(low), truth(w))))


def _wrong(actual, truth, slack, size, dtype):
    """Where not within ``slack`` roundings of ``size``; a truth below the normal numbers may be 0."""
    info = np.finfo(dtype)
    off = np.abs(actual.astype(WIDE) - truth)
    below = np.abs(truth) < info.tiny * (1 + slack * info.eps)
    near = (off <= slack * info.eps * size) | (below & (np.abs(actual) <= info.tiny * (1 + 2 * slack * info.eps)))
    high = info.max * (1 - slack * info.eps)  # from here on the result may be infinite
    same = (np.isnan(truth) & np.isnan(actual)) | ((np.abs(truth) > high) & (actual * np.sign(truth) >= high))
    return ~(near & np.isfinite(actual) | same)


@pytest.mark.parametrize("dtype", DTYPES, ids=["f32", "f64"])
@pytest.mark.parametrize("where", ["numpy", *ISAS])
@pytest.mark.parametrize("name", EDGES)
def test_special_points(name, where, dtype, request):
    if where != "numpy":
        request.getfixturevalue("native").set_isa(where)
    function, value, slope, limits, allowed = EDGES[name]
    info = np.finfo(dtype)
    x = _points(dtype)
    with fnn.use_backend("numpy" if where == "numpy" else "native"), np.errstate(all="ignore"):
        slack = (allowed(x) if callable(allowed) else np.full(x.shape, allowed)).astype(WIDE)
        slack = np.where(np.isfinite(slack), slack, 16)
        y = np.asarray(function(x))
        expected = _expected(value, limits[:2], x)
        wrong = _wrong(y, expected, slack, np.abs(expected), dtype)
        assert not wrong.any(), f"y({x[wrong][:3]}) = {y[wrong][:3]}, expected {expected[wrong][:3]}"
        slopes = _expected(slope, limits[2:], x)
        if name == "relu":
            slopes[np.isnan(x)] = 1  # the gradient of the output, which is NaN there by itself
        # The terms of a derivative may cancel.
        terms = np.maximum(np.abs(slopes), np.abs(np.where(np.isfinite(x) & (np.abs(x) < 3), 1, 0)))
        if name in OF_OUTPUT:
            terms = np.maximum(terms, 1.0 * ((x > 0) | (name == "tanh")))
        # The NumPy backend has Phi in float64, with fewer digits where it is below the normal numbers.
        one = name in OF_OUTPUT or (name == "gelu" and where == "numpy" and dtype == np.float64)
        for dy in (1.0,) if one else (1.0, float(info.max) ** 0.7, float(info.tiny) ** 0.3):
            t, upstream = fnn.tensor(x, requires_grad=True), np.full(x.shape, dy, dtype)
            function(t).backward(upstream)
            _, tangent = fnn.jvp(function, (x,), (upstream,))
            for dx in (t.grad, np.asarray(tangent)):
                expected = slopes * upstream.astype(WIDE)
                wrong = _wrong(dx, expected, slack, terms * dy, dtype)
                assert not wrong.any(), (
                    f"dx({x[wrong][:3]}) for dy = {dy} is {dx[wrong][:3]}, not {expected[wrong][:3]}"
                )


@pytest.mark.parametrize("backend", BACKENDS)
def test_infinity_times_a_slope_of_zero(backend):
    """As the formula says, NaN; on the other side the slope does not matter."""
    x = np.array([-INF, INF, -1.0, 2.0])
    with fnn.use_backend(backend):
        for y in (F.prelu(x, np.zeros(1)), F.rrelu(x, 0.0, 0.0), F.rrelu(x, 0, 0, True, rng=0), F.leaky_relu(x, 0.0)):
            np.testing.assert_array_equal(y, [NAN, INF, 0, 2])
        dx, dw = F.prelu_backward(np.array([0.0, 1, 1, 1]), x, np.zeros(1))
        np.testing.assert_array_equal(dx, [0, 1, 0, 1])
        np.testing.assert_array_equal(dw, [NAN])


@pytest.mark.parametrize("dtype", DTYPES, ids=["f32", "f64"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_one_slope_of_shape_nothing(backend, dtype):
    rng = np.random.default_rng(0)
    x, dy, w = rng.normal(size=(3, 4)).astype(dtype), rng.normal(size=(3, 4)).astype(dtype), np.array(0.25, dtype)
    with fnn.use_backend(backend):
        np.testing.assert_array_equal(F.prelu(x, w), F.prelu(x, w.reshape(1)))
        dx, dw = F.prelu_backward(dy, x, w)
        one_dx, one_dw = F.prelu_backward(dy, x, w.reshape(1))
        np.testing.assert_array_equal(dx, one_dx)
        assert dw.shape == ()
        assert dw == one_dw[0]
        t = fnn.tensor(w, requires_grad=True)
        F.prelu(x, t).backward(dy)
        assert t.grad.shape == ()
        assert t.grad == dw
        _, tangent = fnn.jvp(lambda slope: F.prelu(x, slope), (w,), (np.ones((), dtype),))
        np.testing.assert_array_equal(tangent, np.minimum(x, 0))


@pytest.mark.parametrize("backend", BACKENDS)
def test_numbers_that_the_dtype_does_not_hold(backend):
    """They would be 0 or infinity in a kernel: refused, before anything is computed."""
    x = np.array([-1.0, 1.0], np.float32)
    calls = [
        lambda x, v: F.leaky_relu(x, v),
        lambda x, v: F.leaky_relu_backward(x, x, v),
        lambda x, v: F.elu(x, v),
        lambda x, v: F.elu_backward(x, x, v),
        lambda x, v: F.thresholded_relu(x, v),
        lambda x, v: F.thresholded_relu_backward(x, x, v),
        lambda x, v: F.celu(x, v),
        lambda x, v: F.celu_backward(x, x, v),
        lambda x, v: F.softplus(x, v),
        lambda x, v: F.softplus_backward(x, x, v),
        lambda x, v: F.rrelu(x, -v, v),
    ]
    with fnn.use_backend(backend):
        for call in calls:
            for v in (1e39, 1e-39):
                with pytest.raises(ValueError, match=r"must be 0 or of a size in \[1.17549\d*e-38, 3.402\d*e\+38\]"):
                    call(x, v)
                with pytest.raises(ValueError, match="float32"):
                    call(fnn.tensor(x, requires_grad=True), v)
                assert np.isfinite(call(x.astype(np.float64), v)).all()
            assert np.isfinite(call(x, 1e-30)).all()
        with pytest.raises(ValueError, match="1 / beta"):
            F.softplus(x, 3e38)
        with pytest.raises(ValueError, match="celu: 1 / alpha must be"):
            F.celu(x, 3e38)
        big = float(np.finfo(np.float32).max)
        assert np.isfinite(F.rrelu(x, -big, big, True, rng=0)).all()
