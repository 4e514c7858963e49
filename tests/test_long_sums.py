"""Products and gradients whose sums have millions of terms: their errors don't grow with the number of terms."""

import numpy as np
import pytest

import fastnn as fnn
import harness
from fastnn import functional as F

TENTH = float(np.float32(0.1))
N = 1_500_000


@pytest.fixture(params=[*(harness.ISAS or []), "numpy"])
def anywhere(request):
    """Every instruction set, and the NumPy backend."""
    if request.param == "numpy":
        fnn.use_backend("numpy")
    else:
        request.getfixturevalue("native").set_isa(request.param)


def tenths(*shape):
    return np.full(shape, 0.1, np.float32)


def close(actual, n, term=TENTH):
    np.testing.assert_allclose(actual, n * term, rtol=4e-5)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (3, 2), (20, 40)])
def test_products_of_great_depth(m, n, anywhere):
    depth = N if m * n < 10 else 20_003
    a, b = tenths(m, depth), tenths(n, depth)
    close(F.linear(a, b), depth, TENTH**2)
    np.testing.assert_allclose(F.linear(a, b, tenths(n)), TENTH + depth * TENTH**2, rtol=4e-5)
    close(F.matmul(a, np.ascontiguousarray(b.T)), depth, TENTH**2)
    close(F.matmul(np.stack([a[:, :20_000]] * 2), np.stack([b[:, :20_000].T] * 2)), 20_000, TENTH**2)


def test_gradients_of_linear_over_many_rows(anywhere):
    _, dweight, dbias = F.linear_backward(tenths(N, 2), np.ones((N, 3), np.float32), np.ones((2, 3), np.float32))
    close(dweight, N)
    close(dbias, N)


@pytest.mark.parametrize("width", [1, 19])
def test_gradient_of_a_row_that_is_taken_often(width, anywhere):
    n = N // width
    index = np.zeros(n, int)
    index[::5] = 3
    index[7] = 1
    dweight = F.embedding_backward(tenths(n, width), index, 5, padding_idx=4)
    counts = np.bincount(index, minlength=5)
    np.testing.assert_allclose(dweight, (counts * TENTH)[:, None].repeat(width, 1), rtol=4e-5)
    assert (F.embedding_backward(tenths(n, width), index, 5, padding_idx=0)[0] == 0).all()


@pytest.mark.parametrize(
    ("x", "weight", "padding"),
    [((1, 16, 300_000), (8, 16, 3), 1), ((1, 3, 500_000), (4, 3, 3), 1), ((1, 16, 4, 100_000), (8, 16, 3, 3), 1)],
)
def test_gradients_of_convolutions_over_many_positions(x, weight, padding, anywhere):
    x, weight = np.ones(x, np.float32), tenths(*weight)
    dy = tenths(1, len(weight), *x.shape[2:])
    conv = F.conv1d_backward if x.ndim == 3 else F.conv2d_backward
    _, dweight, dbias = conv(dy, x, weight, padding=padding)
    width, rows = x.shape[-1], 1 if x.ndim == 3 else x.shape[2]
    close(dweight[..., 1] if x.ndim == 3 else dweight[..., 1, 1], width * rows)
    close(dweight[..., 0] if x.ndim == 3 else dweight[..., 0, 0], (width - 1) * (rows if x.ndim == 3 else rows - 1))
    close(dbias, width * rows)


@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_with_very_many_taps(groups, anywhere):
    taps = 17_000
    x, weight = tenths(1, groups, taps + 3), tenths(groups, 1, taps)
    close(F.conv1d(x, weight, groups=groups), taps, TENTH**2)
    y = F.conv_transpose1d(x[:, :, : taps + 1], weight, groups=groups)
    close(y[:, :, taps - 1 : taps + 1], taps, TENTH**2)


def test_gradients_of_a_recurrent_layer_over_many_steps(anywhere):
    steps, batch = 200, 400
    x, dy = np.ones((steps, batch, 2), np.float32), tenths(steps, batch, 3)
    zero = np.zeros((3, 3), np.float32)  # each step is by itself
    gradients = F.rnn_backward(dy, x, None, np.ones((3, 2), np.float32), zero, nonlinearity="relu")
    close(gradients[2], steps * batch)
