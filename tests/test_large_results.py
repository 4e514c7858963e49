"""Results beyond the last-level cache are stored past it, and long runs of one value are filled: the same bits."""

from functools import partial

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from harness import needs_native

pytestmark = needs_native

# Rows of whole vectors; rows that begin and end anywhere.
SHAPES = [(3, 6, 24, 24), (3, 6, 19, 23), (2, 6, 1, 3)]


def batch_norm(x, relu=False, residual=False):
    w, b = np.linspace(0.5, 1.5, 6).astype(x.dtype), np.linspace(-1, 1, 6).astype(x.dtype)
    if relu:
        return F.batch_norm_relu(x, None, None, w, b, x * 0.5 if residual else None, True)
    return F.batch_norm(x, None, None, w, b, True)


def evaluated(x):
    mean, var = np.linspace(-1, 1, 6).astype(x.dtype), np.linspace(0.5, 2, 6).astype(x.dtype)
    return F.batch_norm(x, mean, var)


def over_all(norm, x):
    w = np.linspace(0.5, 1.5, x.size // x.shape[0]).reshape(x.shape[1:]).astype(x.dtype)
    return norm(x, x.shape[1:], w)


CALLS = {
    "relu": F.relu,
    "sigmoid": F.sigmoid,
    "add": lambda x: F.add(x, x),
    "prelu": lambda x: F.prelu(x, np.linspace(0.1, 0.5, 6).astype(x.dtype)),
    "rrelu": lambda x: F.rrelu(x, training=True, rng=3),
    "dropout": lambda x: F.dropout(x, 0.4, True, rng=3),
    "dropout2d": lambda x: F.dropout2d(x, 0.4, True, rng=3),
    "batch_norm": batch_norm,
    "batch_norm_relu": partial(batch_norm, relu=True),
    "batch_norm_relu, residual": partial(batch_norm, relu=True, residual=True),
    "batch_norm, given statistics": evaluated,
    "instance_norm": F.instance_norm,
    "group_norm": lambda x: F.group_norm(x, 2),
    "layer_norm": partial(over_all, F.layer_norm),
    "rms_norm": partial(over_all, F.rms_norm),
    "softmax": lambda x: F.softmax(x.reshape(x.shape[0], -1), -1),
    "log_softmax": lambda x: F.log_softmax(x.reshape(x.shape[0], -1), -1),
}


def results(call, x):
    t = fnn.Tensor(x, requires_grad=True)
    y = call(t)
    y.backward(np.linspace(-1, 1, y.size).reshape(y.shape).astype(x.dtype))
    return y.numpy().tobytes(), t.grad.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_past_the_caches(native, name, shape, dtype):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    for isa in native.usable_isas():
        native.set_isa(isa)
        native.set_last_level_cache(1 << 40)
        near = results(CALLS[name], x)
        native.set_last_level_cache(0)
        for threads in (1, 3):
            fnn.set_num_threads(threads)
            assert results(CALLS[name], x) == near


def test_the_cache_is_known(native):
    assert native.last_level_cache() >= 1 << 18


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_fills(native, dtype):
    x = np.random.default_rng(0).standard_normal((3, 16, 20011)).astype(dtype)
    for isa in native.usable_isas():
        native.set_isa(isa)
        t = fnn.Tensor(x, requires_grad=True)
        F.adaptive_avg_pool1d(t, 1).backward(x[:, :, :1])
        assert (t.grad == x[:, :, :1] / dtype(20011)).all()
        t = fnn.Tensor(x, requires_grad=True)
        F.adaptive_max_pool1d(t, 1).backward(x[:, :, :1])
        at = x.argmax(axis=2, keepdims=True)
        assert np.count_nonzero(t.grad) == 48
        assert (np.take_along_axis(t.grad, at, 2) == x[:, :, :1]).all()
        y = F.dropout1d(x, 0.5, True, rng=1)
        assert ((y == 0).all(axis=2) | (y == 2 * x).all(axis=2)).all()
