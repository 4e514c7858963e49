"""What the tests against definitions share."""

from __future__ import annotations

import numpy as np

ALL = (True, True, True)
ROOT_2_PI = np.sqrt(2 * np.longdouble("3.14159265358979323846264338327950288"))


def close(actual, expected, dtype=np.float64):
    assert actual.shape == np.shape(expected)
    assert actual.dtype == dtype
    assert actual.flags.c_contiguous
    np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-12)


def linear_adjoint(function, x, dy):
    """The gradient of a linear function: dx[i] = sum of dy * f(e_i)."""
    dx = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        unit = np.zeros_like(x)
        unit[i] = 1
        dx[i] = (dy * function(unit)).sum()
    return dx


def central_differences(function, x, dy, h=1e-6):
    dx = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[i] = h
        dx[i] = (dy * (function(x + step) - function(x - step))).sum() / (2 * h)
    return dx


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def normal_cdf(x):
    """In the precision of x: the series of Phi(x) - 1/2 near 0, and beyond 2.6 the continued fraction of the tail."""
    a = np.abs(x)
    near, far = np.where(a < 2.6, a, 0), np.where(a < 2.6, 2.6, a).astype(x.dtype)
    term = total = near
    for n in range(1, 60):
        term = term * near * near / (2 * n + 1)
        total = total + term
    fraction = far
    for n in range(300, 0, -1):
        fraction = far + n / fraction
    root = ROOT_2_PI.astype(x.dtype)
    tail = np.where(a < 2.6, 0.5 - total * np.exp(-near * near / 2) / root, np.exp(-far * far / 2) / root / fraction)
    return np.where(x < 0, tail, 1 - tail)
