"""What the tests against definitions share."""

from __future__ import annotations

import numpy as np

ALL = (True, True, True)


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
