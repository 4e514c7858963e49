"""Layers that are computed together give what they give one by one, and are seen one by one by who looks."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn
from fastnn.checks import Norm
from fastnn.nn.intercept import intercepted

# Columns of a block and beyond it, planes of several blocks, several planes to a block
SHAPES = [(33, 17), (70, 5, 4, 4), (6, 50, 5, 5), (37, 2, 300), (2, 3, 67, 129)]


def _arrays(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x, residual, dy = (rng.standard_normal(shape).astype(dtype) for _ in range(3))
    weight, bias = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(2))
    return x, weight, bias, residual, dy


def _results(function, arrays, dy, training):
    tensors = [fnn.Tensor(a, requires_grad=True) for a in arrays]
    channels, dtype = arrays[1].shape[0], arrays[0].dtype
    mean, var = np.full(channels, 0.1, dtype), np.full(channels, 0.9, dtype)
    y = function(*tensors, mean, var, training)
    y.backward(dy)
    return [y.data, mean, var, *(t.grad for t in tensors)]


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("with_residual", [True, False], ids=["residual", "plain"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm_relu_is_what_its_parts_are(shape, dtype, with_residual, training, backend):
    x, weight, bias, residual, dy = _arrays(shape, dtype)

    def parts(x, weight, bias, *rest):
        mean, var, training = rest[-3:]
        y = F.batch_norm(x, mean, var, weight, bias, training)
        return F.relu(y + rest[0] if with_residual else y)

    def together(x, weight, bias, *rest):
        mean, var, training = rest[-3:]
        return F.batch_norm_relu(x, mean, var, weight, bias, rest[0] if with_residual else None, training)

    arrays = (x, weight, bias, residual)[: 3 + with_residual]
    for a, b in zip(*(_results(f, arrays, dy, training) for f in (parts, together)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_variance_far_from_zero_and_with_an_outlier(backend):
    """One pass over the values, whose pivot is the mean of the first plane at first."""
    x = np.random.default_rng(1).standard_normal((40, 2, 17, 19)).astype(np.float32)
    x[0] += 1000
    x[7:, 1] -= 3000
    x[3, 0, 2, 1] = 3e4
    g = Norm(40, 2, 17 * 19)
    _, mean, rstd = fnn.backend.current().batch_norm_train_forward(g, x, None, None, None, None, 0.0, 1e-5)
    exact = x.astype(np.float64)
    assert (np.abs(mean - exact.mean((0, 2, 3))) < 1e-6 * exact.std((0, 2, 3))).all()
    np.testing.assert_allclose(rstd, 1 / np.sqrt(exact.var((0, 2, 3)) + 1e-5), rtol=1e-6)


def _net():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, rng=0), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1, rng=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        nn.ResidualBlock(6, 6, rng=2), nn.ResidualBlock(6, 8, 2, rng=3), nn.Flatten(), nn.Linear(8, 3, rng=4),
    )  # fmt: skip


def _step(net, look=None):
    x = np.random.default_rng(5).standard_normal((4, 1, 8, 8)).astype(np.float32)
    logits = net(x) if look is None else look(lambda: net(x))
    F.cross_entropy(logits, np.array([0, 1, 2, 0])).backward()
    return [logits.data, *(p.grad for p in net.parameters()), *net.buffers()]


def _intercepted(net, calls):
    def look(call):
        def around(name, module, forward, args, kwargs):
            calls.append(type(module).__name__)
            return forward(*args, **kwargs)

        with intercepted(net, around):
            return call()

    return look


def test_networks_and_who_sees_each_layer(backend):
    net, calls = _net(), []
    one_by_one = _step(net, _intercepted(net, calls))
    assert [calls.count(name) for name in ("ReLU", "BatchNorm2d", "MaxPool2d")] == [6, 6, 2]
    together = _step(_net())
    for a, b in zip(together, one_by_one, strict=True):
        np.testing.assert_array_equal(a, b)


def test_operations_are_recorded_together_unless_observed():
    net, x = _net(), np.ones((2, 1, 8, 8), np.float32)
    assert _operations(net(x)).count("batch_norm_relu") == 5
    with fnn.detect_anomaly():
        operations = _operations(net(x))
    assert "batch_norm_relu" not in operations
    assert operations.count("relu") == 6


def _operations(y):
    names, seen, stack = [], set(), [y._node]
    while stack:
        node = stack.pop()
        if node is None or id(node) in seen or isinstance(node, fnn.Tensor):
            continue
        seen.add(id(node))
        names.append(node.name)
        stack += node.parents
    return names


def test_subclasses_are_left_alone():
    class Shifted(nn.ReLU):
        def forward(self, x):
            return super().forward(x - 1)

    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    norm = nn.BatchNorm1d(3)
    np.testing.assert_array_equal(nn.Sequential(norm, Shifted())(x).data, np.maximum(norm(x).data - 1, 0))


def test_relu_before_and_after_max_pooling(backend):
    """Ties, NaN, windows of negative numbers, windows that overlap."""
    rng = np.random.default_rng(3)
    x = rng.integers(-3, 3, (3, 4, 9, 9)).astype(np.float32)
    x[0, 0] = -1
    x[1, 1, 2:4, 2:6] = np.nan
    for pool in (nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(3, 1)):
        a, b = (fnn.Tensor(x, requires_grad=True) for _ in range(2))
        before, after = pool(nn.ReLU()(a)), nn.Sequential(nn.ReLU(), pool)(b)
        dy = rng.standard_normal(before.shape).astype(np.float32)
        before.backward(dy)
        after.backward(dy)
        np.testing.assert_array_equal(before.data, after.data)
        np.testing.assert_array_equal(a.grad, b.grad)
