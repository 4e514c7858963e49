"""Activations far out and at their special points, and against PyTorch's own formulas where those cancel."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from harness import DTYPES

INF, NAN = np.inf, np.nan
BACKENDS = fnn.backend.available_backends()
X = [0.0, INF, -INF, NAN, 1e4, -1e4]

# name: y and dy/dx at X; NaN where PyTorch has it too
LIMITS = {
    F.selu: ([0, INF, -1.7580993408473769, NAN, 10507.009873554805, -1.7580993408473769], None),
    F.softplus: ([np.log(2), INF, 0, NAN, 1e4, 0], [0.5, 1, 0, NAN, 1, 0]),
    F.gelu: ([0, INF, NAN, NAN, 1e4, 0], [0.5, NAN, NAN, NAN, 1, 0]),
    F.silu: ([0, INF, NAN, NAN, 1e4, 0], [0.5, NAN, NAN, NAN, 1, 0]),
    F.hardsigmoid: ([0.5, 1, 0, NAN, 1, 0], None),
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


@pytest.mark.parametrize("name", ["gelu", "gelu tanh", "silu", "hardsigmoid", "selu", "softplus"])
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
