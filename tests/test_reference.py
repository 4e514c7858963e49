"""The NumPy backend against definitions written as loops over single elements, in float64 and on small shapes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from definitions import ALL, central_differences, close, linear_adjoint
from fastnn import checks
from fastnn.backend import reference
from fastnn.backend.reference._philox import _philox


@pytest.fixture
def rng():
    return np.random.default_rng(5)


# ---- normalisation --------------------------------------------------------------------------------------------------


def standardised(values, eps):
    mean = sum(values) / len(values)
    var = sum((v - mean) ** 2 for v in values) / len(values)
    return [(v - mean) / math.sqrt(var + eps) for v in values], mean, 1 / math.sqrt(var + eps)


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize(("outer", "channels", "inner"), [(3, 2, 4), (5, 3, 1), (1, 1, 2)])
def test_batch_norm_training(outer, channels, inner, affine, unbiased, rng):
    g, eps = checks.Norm(outer, channels, inner), 1e-3
    x, dy = rng.standard_normal(g) + 2, rng.standard_normal(g)
    weight, bias = (rng.standard_normal(channels), rng.standard_normal(channels)) if affine else (None, None)
    means, variances = rng.standard_normal(channels), rng.random(channels)
    expected, m = np.empty(g), outer * inner
    after = [means.copy(), variances.copy()]
    statistics = []
    for c in range(channels):
        xhat, mean, rstd = standardised(list(x[:, c].ravel()), eps)
        expected[:, c] = np.reshape(xhat, (outer, inner)) * (weight[c] if affine else 1) + (bias[c] if affine else 0)
        after[0][c] = 0.9 * means[c] + 0.1 * mean
        after[1][c] = 0.9 * variances[c] + 0.1 * (1 / rstd**2 - eps) * (m / (m - 1) if unbiased else 1)
        statistics.append((mean, rstd))
    y, mean, rstd = reference.batch_norm_train_forward(
        g, x, weight, bias, means, variances, 0.9, eps, unbiased=unbiased
    )
    close(y, expected)
    close(np.stack([mean, rstd], 1), statistics)
    close(means, after[0])
    close(variances, after[1])

    dx, dweight, dbias = reference.batch_norm_backward(g, dy, x, weight, mean, rstd, ALL)
    xhat = (x - mean[:, None]) * rstd[:, None]
    close(dweight, (dy * xhat).sum((0, 2)))
    close(dbias, dy.sum((0, 2)))

    def forward(x):
        return reference.batch_norm_train_forward(g, x, weight, bias, None, None, 0.9, eps)[0]

    np.testing.assert_allclose(dx, central_differences(forward, x, dy), rtol=1e-6, atol=1e-8)
    assert reference.batch_norm_backward(g, dy, x, weight, mean, rstd, (False,) * 3) == (None, None, None)


@pytest.mark.parametrize("outer", [0, 1, 3])
def test_batch_norm_evaluation(outer, rng):
    g, eps = checks.Norm(outer, 2, 3), 1e-3
    x, dy = rng.standard_normal(g), rng.standard_normal(g)
    mean, var, weight, bias = rng.standard_normal(2), rng.random(2), rng.standard_normal(2), rng.standard_normal(2)
    xhat = (x - mean[:, None]) / np.sqrt(var[:, None] + eps)
    close(reference.batch_norm_eval_forward(g, x, mean, var, weight, bias, eps), xhat * weight[:, None] + bias[:, None])
    close(reference.batch_norm_eval_forward(g, x, mean, var, None, None, eps), xhat)
    dx, dweight, dbias = reference.batch_norm_eval_backward(g, dy, x, weight, mean, var, eps, ALL)
    close(dx, dy * (weight / np.sqrt(var + eps))[:, None])
    close(dweight, (dy * xhat).sum((0, 2)))
    close(dbias, dy.sum((0, 2)))


@pytest.mark.parametrize("affine", [False, True])
def test_layer_and_group_norm(affine, rng):
    eps = 1e-3
    groups = checks.GroupNorm(2, 3, 2, 4)
    x, dy = rng.standard_normal((2, 6, 4)), rng.standard_normal((2, 6, 4))
    w, b = (rng.standard_normal(6), rng.standard_normal(6)) if affine else (np.ones(6), np.zeros(6))
    expected = np.empty_like(x)
    for n, i in itertools.product(range(2), range(3)):
        block = standardised(list(x[n, 2 * i : 2 * i + 2].ravel()), eps)[0]
        expected[n, 2 * i : 2 * i + 2] = np.reshape(block, (2, 4))
    weight, bias = (w, b) if affine else (None, None)
    y, mean, rstd = reference.group_norm_forward(groups, x, weight, bias, eps)
    assert mean.shape == rstd.shape == (2, 3)
    close(y, expected * w[:, None] + b[:, None])
    dx, dweight, dbias = reference.group_norm_backward(groups, dy, x, weight, mean, rstd, ALL)
    np.testing.assert_allclose(
        dx, central_differences(lambda x: reference.group_norm_forward(groups, x, weight, bias, eps)[0], x, dy),
        rtol=1e-6, atol=1e-8,
    )  # fmt: skip
    close(dweight, (dy * expected).sum((0, 2)))
    close(dbias, dy.sum((0, 2)))

    rows = checks.Norm(2, 1, 24)
    w, b = (rng.standard_normal(24), rng.standard_normal(24)) if affine else (np.ones(24), np.zeros(24))
    weight, bias = (w, b) if affine else (None, None)
    xhat = np.array([standardised(list(row.ravel()), eps)[0] for row in x])
    y, mean, rstd = reference.layer_norm_forward(rows, x, weight, bias, eps)
    assert mean.shape == rstd.shape == (2,)
    close(y, (xhat * w + b).reshape(x.shape))
    dx, dweight, dbias = reference.layer_norm_backward(rows, dy, x, weight, mean, rstd, ALL)
    np.testing.assert_allclose(
        dx, central_differences(lambda x: reference.layer_norm_forward(rows, x, weight, bias, eps)[0], x, dy),
        rtol=1e-6, atol=1e-8,
    )  # fmt: skip
    close(dweight, (dy.reshape(2, 24) * xhat).sum(0))
    close(dbias, dy.reshape(2, 24).sum(0))


@pytest.mark.parametrize("affine", [False, True])
def test_rms_norm(affine, rng):
    g, eps = checks.Norm(3, 1, 5), 1e-3
    x, dy, weight = rng.standard_normal((3, 5)), rng.standard_normal((3, 5)), rng.standard_normal(5)
    w = weight if affine else None
    roots = [math.sqrt(sum(v * v for v in row) / 5 + eps) for row in x]
    xhat = np.array([[v / root for v in row] for row, root in zip(x, roots, strict=True)])
    y, rstd = reference.rms_norm_forward(g, x, w, eps)
    close(y, xhat * (weight if affine else 1))
    close(rstd, [1 / root for root in roots])
    dx, dweight = reference.rms_norm_backward(g, dy, x, w, rstd, ALL)
    numeric = central_differences(lambda x: reference.rms_norm_forward(g, x, w, eps)[0], x, dy)
    np.testing.assert_allclose(dx, numeric, rtol=1e-6, atol=1e-8)
    close(dweight, (dy * xhat).sum(0))
    assert reference.rms_norm_backward(g, dy, x, w, rstd, (False, False)) == (None, None)


@pytest.mark.parametrize(("size", "alpha", "beta", "k"), [(1, 1.0, 0.75, 1.0), (2, 0.5, 1.3, 0.1), (5, 2.0, 0.5, 3.0)])
def test_local_response_norm(size, alpha, beta, k, rng):
    g = checks.Norm(2, 4, 3)
    x, dy = rng.standard_normal(g), rng.standard_normal(g)
    expected = np.empty(g)
    for n, c, p in np.ndindex(*g):
        window = [j for j in range(c - size // 2, c + (size - 1) // 2 + 1) if 0 <= j < 4]
        expected[n, c, p] = x[n, c, p] / (k + alpha / size * sum(x[n, j, p] ** 2 for j in window)) ** beta
    close(reference.local_response_norm_forward(g, x, size, alpha, beta, k), expected)
    dx = reference.local_response_norm_backward(g, dy, x, size, alpha, beta, k)
    numeric = central_differences(lambda x: reference.local_response_norm_forward(g, x, size, alpha, beta, k), x, dy)
    np.testing.assert_allclose(dx, numeric, rtol=1e-6, atol=1e-8)


# ---- softmax and cross-entropy --------------------------------------------------------------------------------------


def softmax(row):
    top = max(row)
    e = [math.exp(v - top) for v in row]
    return [v / sum(e) for v in e]


def test_softmax(rng):
    g = checks.Softmax(2, 4, 3)
    x, dy = rng.standard_normal(g) * 3, rng.standard_normal(g)
    y, log_y = reference.softmax_forward(g, x), reference.log_softmax_forward(g, x)
    dx, dlog = reference.softmax_backward(g, dy, y), reference.log_softmax_backward(g, dy, log_y)
    for n, i in itertools.product(range(2), range(3)):
        p = np.array(softmax(list(x[n, :, i])))
        close(y[n, :, i].copy(), p)
        close(log_y[n, :, i].copy(), np.log(p))
        jacobian = np.diag(p) - np.outer(p, p)
        close(dx[n, :, i].copy(), jacobian @ dy[n, :, i])
        close(dlog[n, :, i].copy(), jacobian / p[None, :] @ dy[n, :, i])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_extremes(dtype):
    g = checks.Softmax(5, 3, 1)
    big, inf, nan = 1e4, np.inf, np.nan
    x = np.array([[big, big, -big], [-big, -big, -big], [inf, 0, 0], [-inf, 0, 0], [-inf, -inf, -inf]], dtype)
    third, half = 1 / 3, 0.5
    expected = [[half, half, 0], [third] * 3, [nan] * 3, [0, half, half], [nan] * 3]
    np.testing.assert_allclose(reference.softmax_forward(g, x), expected, rtol=1e-6)
    y = reference.log_softmax_forward(g, x)
    logs = [[np.log(half), np.log(half), np.log(half) - 2 * big], [np.log(third)] * 3, [nan] * 3]
    np.testing.assert_allclose(y, [*logs, [-inf, np.log(half), np.log(half)], [nan] * 3], rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy(smoothing, weighted, rng):
    g = checks.Softmax(3, 4, 2)
    x, target = rng.standard_normal(g), rng.integers(0, 4, 6)
    target[2] = -7
    weight = rng.random(4) if weighted else None
    w = weight if weighted else np.ones(4)
    dloss = rng.standard_normal(6)
    expected, dlogits, lse = np.zeros(6), np.zeros(g), np.zeros(6)
    for i, t in enumerate(target):
        row = x[i // 2, :, i % 2]
        lse[i] = math.log(sum(math.exp(v) for v in row))
        if t == -7:
            continue
        q = [(smoothing / 4 + (1 - smoothing) * (c == t)) * w[c] for c in range(4)]
        expected[i] = sum(q[c] * (lse[i] - row[c]) for c in range(4))
        for c, j in itertools.product(range(4), range(4)):
            dlogits[i // 2, j, i % 2] += dloss[i] * q[c] * (math.exp(row[j] - lse[i]) - (j == c))
    loss, actual_lse = reference.cross_entropy_forward(g, x, target, weight, -7, smoothing)
    close(loss, expected.reshape(3, 2))
    close(actual_lse, lse)
    close(reference.cross_entropy_backward(g, dloss, x, target, weight, -7, smoothing, actual_lse), dlogits)


def test_cross_entropy_keeps_its_digits_far_from_zero():
    g = checks.Softmax(1, 3, 1)
    x, target, one = np.array([[1.0, 2.0, 4.0]], np.float32), np.array([1]), np.ones(1, np.float32)

    def run(x):
        loss, lse = reference.cross_entropy_forward(g, x, target, None, -100, 0.0)
        return loss, reference.cross_entropy_backward(g, one, x, target, None, -100, 0.0, lse)

    for near, far in zip(run(x), run(x + np.float32(8192)), strict=True):
        np.testing.assert_allclose(near, far, rtol=4e-7)


# ---- products, activations ------------------------------------------------------------------------------------------


def test_products(rng):
    a, b = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 4, 5))
    expected = np.zeros((2, 3, 5))
    for n, i, j, k in itertools.product(range(2), range(3), range(5), range(4)):
        expected[n, i, j] += a[n, i, k] * b[n, k, j]
    at, bt = a.swapaxes(1, 2).copy(), b.swapaxes(1, 2).copy()
    close(reference.matmul(a, b), expected)
    close(reference.matmul(at, b, trans_a=True), expected)
    close(reference.matmul(a, bt, trans_b=True), expected)
    close(reference.matmul(at[0], bt[0], trans_a=True, trans_b=True), expected[0])
    close(reference.matmul(np.ones((3, 0)), np.ones((0, 2))), np.zeros((3, 2)))

    x, weight, bias, dy = a[0], bt[0], rng.standard_normal(5), rng.standard_normal((3, 5))
    close(reference.linear_forward(x, weight, bias), expected[0] + bias)
    dx, dweight, dbias = reference.linear_backward(dy, x, weight, ALL)
    close(dx, linear_adjoint(lambda e: reference.linear_forward(e, weight, None), x, dy))
    close(dweight, linear_adjoint(lambda e: reference.linear_forward(x, e, None), weight, dy))
    close(dbias, dy.sum(0))


ACTIVATIONS = {
    "relu": ((), lambda v: max(v, 0.0), lambda v: float(v > 0)),
    "leaky_relu": ((0.1,), lambda v: v if v > 0 else 0.1 * v, lambda v: 1.0 if v > 0 else 0.1),
    "elu": ((0.7,), lambda v: v if v > 0 else 0.7 * math.expm1(v), lambda v: 1.0 if v > 0 else 0.7 * math.exp(v)),
    "sigmoid": ((), lambda v: 1 / (1 + math.exp(-v)), lambda v: math.exp(-v) / (1 + math.exp(-v)) ** 2),
    "tanh": ((), math.tanh, lambda v: 1 / math.cosh(v) ** 2),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    options, function, derivative = ACTIVATIONS[name]
    x = np.array([-30.0, -2.0, -1e-3, 0.0, 1e-3, 0.5, 30.0])
    forward, backward = getattr(reference, name + "_forward"), getattr(reference, name + "_backward")
    y = forward(x, *options)
    close(y, [function(v) for v in x])
    close(backward(np.full(7, 3.0), y if name in ("sigmoid", "tanh") else x, *options), [3 * derivative(v) for v in x])
    assert np.isnan(forward(np.array(np.nan), *options))
    low, high = forward(np.array([-np.inf, np.inf]), *options)
    assert high == {"sigmoid": 1, "tanh": 1}.get(name, np.inf)
    assert low == {"relu": 0, "leaky_relu": -np.inf, "elu": -0.7, "sigmoid": 0, "tanh": -1}[name]


# ---- dropout --------------------------------------------------------------------------------------------------------


def philox_by_definition(counter, key):
    """Philox4x32-10 with Python's integers."""
    mask = 2**32 - 1
    for _ in range(10):
        p0, p1 = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        counter = ((p1 >> 32) ^ counter[1] ^ key[0], p1 & mask, (p0 >> 32) ^ counter[3] ^ key[1], p0 & mask)
        key = ((key[0] + 0x9E3779B9) & mask, (key[1] + 0xBB67AE85) & mask)
    return counter


def test_philox():
    # The first known answer of the authors' Random123.
    assert philox_by_definition((0,) * 4, (0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    blocks = [0, 1, 2**32 - 1, 2**32, 2**61]
    key = 0x0123456789ABCDEF
    words = _philox(np.array(blocks, np.uint64), key)
    for block, four in zip(blocks, words, strict=True):
        counter = (block & (2**32 - 1), block >> 32, 0, 0)
        assert tuple(map(int, four)) == philox_by_definition(counter, (0x89ABCDEF, 0x01234567))


@pytest.mark.parametrize("p", [0.0, 0.3, 1 - 2**-40, 1.0])
def test_dropout(p):
    key = 2**64 - 3
    x = np.linspace(1, 2, 21, dtype=np.float32).reshape(3, 7)
    threshold = min(math.floor(p * 2**32), 2**32 - 1)
    expected = np.zeros(21, np.float32)
    for i, v in enumerate(x.flat):
        if p < 1 and philox_by_definition((i // 4, 0, 0, 0), (key & (2**32 - 1), key >> 32))[i % 4] >= threshold:
            expected[i] = v * np.float32(1 / (1 - p))
    y = reference.dropout_forward(x, p, key)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, expected.reshape(x.shape))


# ---- optimiser steps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_sgd_steps(decay, rng):
    grads = rng.standard_normal((4, 3))
    for momentum, nesterov in ((None, False), (0.9, False), (0.9, True)):
        param = rng.standard_normal(3)
        x, d = list(param), [0.0] * 3
        buffer = None if momentum is None else np.zeros(3)
        for grad in grads:
            for i in range(3):
                g = grad[i] + decay * x[i] + math.copysign(0.05, x[i])
                d[i] = (momentum or 0) * d[i] - 0.1 * g
                x[i] += momentum * d[i] - 0.1 * g if nesterov else d[i]
            reference.sgd_step(param, grad, buffer, 0.1, momentum or 0.0, nesterov, decay, 0.05)
        close(param, x)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_steps(decay, decoupled, rng):
    param, m, v = rng.standard_normal(3), np.zeros(3), np.zeros(3)
    x, ms, vs = list(param), [0.0] * 3, [0.0] * 3
    for step, grad in enumerate(rng.standard_normal((4, 3)), 1):
        for i in range(3):
            if decoupled:
                x[i] -= 0.1 * decay * x[i]
            g = grad[i] + (0 if decoupled else decay * x[i])
            ms[i] = 0.8 * ms[i] + 0.2 * g
            vs[i] = 0.95 * vs[i] + 0.05 * g**2
            x[i] -= 0.1 * (ms[i] / (1 - 0.8**step)) / (math.sqrt(vs[i] / (1 - 0.95**step)) + 1e-3)
        reference.adam_step(param, grad, m, v, None, step, 0.1, 0.8, 0.95, 1e-3, decay, 0.0, decoupled)
    close(param, x)
    close(m, ms)
    close(v, vs)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("inside", [False, True])
def test_rmsprop_steps(decay, inside, rng):
    param, s = rng.standard_normal(3), np.zeros(3)
    x, ss = list(param), [0.0] * 3
    for grad in rng.standard_normal((4, 3)):
        for i in range(3):
            g = grad[i] + decay * x[i]
            ss[i] = 0.9 * ss[i] + 0.1 * g**2
            x[i] -= 0.1 * g / (math.sqrt(ss[i] + 1e-3) if inside else math.sqrt(ss[i]) + 1e-3)
        reference.rmsprop_step(param, grad, s, 0.1, 0.9, 1e-3, decay, 0.0, inside)
    close(param, x)
    close(s, ss)
