"""First values that do not depend on how many inputs and outputs a weight connects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .limits import Shape, rounded, spread, within_limits


@within_limits
def zeros(shape: Shape, *, dtype: Any = np.float32) -> np.ndarray:
    """All zeros.

    Parameters
    ----------
    shape : int or tuple of int
        The shape.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    ndarray, shape ``shape``
        A fresh array.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        For an extent below 0.

    Examples
    --------
    >>> from fastnn import init
    >>> init.zeros(2)
    array([0., 0.], dtype=float32)
    """
    return rounded(np.zeros(shape), dtype, "zeros")


@within_limits
def constant(shape: Shape, value: float, *, dtype: Any = np.float32) -> np.ndarray:
    """One value everywhere, as 0.1 for biases.

    Parameters
    ----------
    shape : int or tuple of int
        The shape.
    value : float
        The value.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    ndarray, shape ``shape``
        A fresh array.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        For an extent below 0.

    Examples
    --------
    >>> from fastnn import init
    >>> init.constant(2, 0.1, dtype=float)
    array([0.1, 0.1])
    """
    return rounded(np.full(shape, value, np.float64), dtype, "constant")


@within_limits
def normal(
    shape: Shape, mean: float = 0.0, std: float = 1.0, *, rng: Any = None, dtype: Any = np.float32
) -> np.ndarray:
    """Normally distributed.

    Parameters
    ----------
    shape : int or tuple of int
        The shape.
    mean, std : float
        Mean and standard deviation.
    rng : optional
        Anything `numpy.random.default_rng` takes: a seed, or a Generator, whose numbers go on.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    ndarray, shape ``shape``
        Values drawn in float64 and rounded.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        For an extent below 0, or a ``std`` below 0 or not finite.

    Examples
    --------
    >>> from fastnn import init
    >>> init.normal((2, 3), std=0.01, rng=0).shape
    (2, 3)
    """
    values = np.random.default_rng(rng).normal(mean, spread("normal", "std", std), shape)
    return rounded(values, dtype, "normal")


@within_limits
def truncated_normal(
    shape: Shape, mean: float = 0.0, std: float = 1.0, *, rng: Any = None, dtype: Any = np.float32
) -> np.ndarray:
    """Normally distributed, values further than two standard deviations from the mean drawn anew.

    ``std`` is that of the distribution before it is cut; 0.88 of it remain.

    Parameters
    ----------
    shape : int or tuple of int
        The shape.
    mean, std : float
        Mean and standard deviation.
    rng : optional
        Anything `numpy.random.default_rng` takes: a seed, or a Generator, whose numbers go on.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    ndarray, shape ``shape``
        Values drawn in float64 and rounded.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        For an extent below 0, or a ``std`` below 0 or not finite.

    Examples
    --------
    >>> from fastnn import init
    >>> bool(abs(init.truncated_normal(1000, rng=0)).max() <= 2)
    True
    """
    generator = np.random.default_rng(rng)
    values = np.atleast_1d(generator.standard_normal(shape))
    outside = np.abs(values) > 2
    while outside.any():
        values[outside] = generator.standard_normal(int(outside.sum()))
        outside = np.abs(values) > 2
    values = mean + spread("truncated_normal", "std", std) * values
    return rounded(values.reshape(shape), dtype, "truncated_normal")


@within_limits
def uniform(
    shape: Shape, low: float = 0.0, high: float = 1.0, *, rng: Any = None, dtype: Any = np.float32
) -> np.ndarray:
    """Uniformly distributed between ``low`` and ``high``.

    Parameters
    ----------
    shape : int or tuple of int
        The shape.
    low, high : float
        The bounds; before rounding ``low`` can be drawn, ``high`` cannot.
    rng : optional
        Anything `numpy.random.default_rng` takes: a seed, or a Generator, whose numbers go on.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    ndarray, shape ``shape``
        Values drawn in float64 and rounded.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        For an extent below 0, a ``low`` above ``high``, or NaN.
    OverflowError
        If their difference is not finite.

    Examples
    --------
    >>> from fastnn import init
    >>> init.uniform((2, 3), -0.1, 0.1, rng=0).shape
    (2, 3)
    """
    if not low <= high:
        raise ValueError(f"uniform: low={low!r} must not be above high={high!r}")
    return rounded(np.random.default_rng(rng).uniform(low, high, shape), dtype, "uniform")


@within_limits
def orthogonal(shape: Shape, gain: float = 1.0, *, rng: Any = None, dtype: Any = np.float32) -> np.ndarray:
    """Rows (or columns, where there are fewer) orthogonal to each other and of length ``gain``.

    The distribution over such matrices is uniform. Source: Saxe et al. 2014.

    Parameters
    ----------
    shape : tuple of int
        At least two axes; those after the first count as one.
    gain : float
        Length of the rows or columns.
    rng : optional
        Anything `numpy.random.default_rng` takes: a seed, or a Generator, whose numbers go on.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    ndarray, shape ``shape``
        Values drawn in float64 and rounded.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        For fewer than two axes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import init
    >>> w = init.orthogonal((2, 5), rng=0, dtype=np.float64)
    >>> bool(np.allclose(w @ w.T, np.eye(2)))
    True
    """
    extents = tuple(int(n) for n in shape) if isinstance(shape, Sequence) else (int(shape),)
    if len(extents) < 2:
        raise ValueError(f"orthogonal: shape {extents} is not that of a matrix, expected at least two axes")
    rows, columns = extents[0], math.prod(extents[1:])
    drawn = np.random.default_rng(rng).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    # With r's diagonal made positive the distribution is uniform over the orthogonal matrices.
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    values = np.ascontiguousarray(q if rows >= columns else q.T).reshape(extents)
    return rounded(gain * values, dtype, "orthogonal")
