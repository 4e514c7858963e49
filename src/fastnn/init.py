"""First values of parameters: functions of a shape that return an array.

``layer.weight.data[...] = init.he_normal(layer.weight.shape, rng=0)`` gives an existing layer new weights.

Values are drawn in float64 and rounded to ``dtype``, so that one seed gives the same network in float32 and
float64. ``rng`` is anything `numpy.random.default_rng` takes; to initialise several arrays hand on one Generator,
since equal seeds draw equal numbers.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import numpy as np

Shape = int | Sequence[int]
Drawing = TypeVar("Drawing", bound=Callable[..., np.ndarray])

__all__ = [
    "constant",
    "fans",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]


class _Limits(threading.local):
    """What the functions below may still make in this thread: any number of elements, unless a limit is set."""

    left: int | None = None
    blank = False


_limits = _Limits()


@contextmanager
def limited(elements: int, *, blank: bool) -> Iterator[None]:
    """Inside, first values of more elements than these together are a `ValueError`, before memory is taken.

    For layers whose settings come from a file that nobody vouches for. ``blank`` saves drawing what will be replaced: values
    are 0 then.

    Examples
    --------
    >>> from fastnn import init
    >>> with init.limited(6, blank=True):
    ...     init.he_normal((2, 3))
    array([[0., 0., 0.],
           [0., 0., 0.]], dtype=float32)
    """
    before = _limits.left, _limits.blank
    _limits.left, _limits.blank = elements, blank
    try:
        yield
    finally:
        _limits.left, _limits.blank = before


def _within_limits(draw: Drawing) -> Drawing:
    @functools.wraps(draw)
    def drawn(shape: Shape, *args: Any, **kwargs: Any) -> np.ndarray:
        if _limits.left is None:
            return draw(shape, *args, **kwargs)
        size = math.prod(shape) if isinstance(shape, Sequence) else shape
        if size > _limits.left:
            raise ValueError(
                f"{draw.__name__}: shape {shape} has more than the {_limits.left} elements that there may be"
            )
        _limits.left -= size
        if _limits.blank:
            dtype = kwargs.get("dtype", np.float32)
            return _cast(np.zeros(shape, dtype), dtype, draw.__name__)
        return draw(shape, *args, **kwargs)

    return cast(Drawing, drawn)


def _cast(values: np.ndarray, dtype: Any, op: str) -> np.ndarray:
    kind = np.dtype(dtype)
    if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"{op}: dtype must be float32 or float64, got {kind}")
    return values.astype(kind, copy=False)


def _spread(op: str, name: str, value: float) -> float:
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{op}: {name} must be a number not below 0, got {value!r}")
    return value


@_within_limits
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
    return _cast(np.zeros(shape), dtype, "zeros")


@_within_limits
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
    return _cast(np.full(shape, value, np.float64), dtype, "constant")


@_within_limits
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
    values = np.random.default_rng(rng).normal(mean, _spread("normal", "std", std), shape)
    return _cast(values, dtype, "normal")


@_within_limits
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
    values = mean + _spread("truncated_normal", "std", std) * values
    return _cast(values.reshape(shape), dtype, "truncated_normal")


@_within_limits
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
    return _cast(np.random.default_rng(rng).uniform(low, high, shape), dtype, "uniform")


def fans(shape: Shape, groups: int = 1, transposed: bool = False) -> tuple[int, int]:
    """How many inputs each output has, and how many outputs each input reaches.

    Parameters
    ----------
    shape : tuple of int
        Of the weight: (out, in), or (out, in/groups, *kernel), or, transposed, (in, out/groups, *kernel).
    groups : int
        Groups of the convolution.
    transposed : bool
        Whether the weight is that of a transposed convolution.

    Returns
    -------
    fan_in, fan_out : int
        Stride is not considered, as usual.

    Raises
    ------
    ValueError
        For fewer than two axes, or groups that don't divide the first extent.

    Notes
    -----
    PyTorch takes ``fan_out`` of a grouped convolution to be ``groups`` times as large as it is, and exchanges
    the two fans of a transposed one.

    Examples
    --------
    >>> from fastnn import init
    >>> init.fans((64, 32, 3, 3)), init.fans((64, 1, 3, 3), groups=64)
    ((288, 576), (9, 9))
    """
    extents = tuple(int(n) for n in shape) if isinstance(shape, Sequence) else (int(shape),)
    if len(extents) < 2:
        raise ValueError(f"fans: shape {extents} has no fans, expected at least two axes")
    if groups < 1 or extents[0] % groups:
        raise ValueError(f"fans: groups={groups} must divide the first extent of shape {extents}")
    kernel = math.prod(extents[2:])
    first, second = extents[0] // groups * kernel, extents[1] * kernel
    return (first, second) if transposed else (second, first)


def _scaled(
    op: str,
    distribution: str,
    variance: float,
    shape: Shape,
    rng: Any,
    dtype: Any,
) -> np.ndarray:
    generator = np.random.default_rng(rng)
    if distribution == "normal":
        return _cast(generator.normal(0.0, math.sqrt(variance), shape), dtype, op)
    bound = math.sqrt(3 * variance)  # a uniform distribution on ±b has the variance b²/3
    return _cast(generator.uniform(-bound, bound, shape), dtype, op)


def _xavier(op: str, distribution: str, shape: Shape, gain: float, groups: int, rng: Any, dtype: Any) -> np.ndarray:
    fan_in, fan_out = fans(shape, groups)
    variance = _spread(op, "gain", gain) ** 2 * 2 / max(fan_in + fan_out, 1)
    return _scaled(op, distribution, variance, shape, rng, dtype)


@_within_limits
def xavier_normal(
    shape: Shape, gain: float = 1.0, *, groups: int = 1, rng: Any = None, dtype: Any = np.float32
) -> np.ndarray:
    """Xavier (Glorot): normal with variance ``gain² · 2/(fan_in + fan_out)``; for tanh and sigmoid.

    Source: Glorot and Bengio 2010.

    Parameters
    ----------
    shape : tuple of int
        Of the weight; see `fans`. A transposed convolution, which exchanges the two fans, gets the same values.
    gain : float
        Factor of the standard deviation.
    groups : int
        Groups of the convolution.
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
        For a ``gain`` below 0 or not finite, and as `fans`.

    Examples
    --------
    >>> from fastnn import init
    >>> init.xavier_normal((4, 3), rng=0).shape
    (4, 3)
    """
    return _xavier("xavier_normal", "normal", shape, gain, groups, rng, dtype)


@_within_limits
def xavier_uniform(
    shape: Shape, gain: float = 1.0, *, groups: int = 1, rng: Any = None, dtype: Any = np.float32
) -> np.ndarray:
    """Xavier (Glorot): uniform on ``± gain · sqrt(6/(fan_in + fan_out))``; for tanh and sigmoid.

    Source: Glorot and Bengio 2010.

    Parameters
    ----------
    shape : tuple of int
        Of the weight; see `fans`. A transposed convolution, which exchanges the two fans, gets the same values.
    gain : float
        Factor of the standard deviation.
    groups : int
        Groups of the convolution.
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
        For a ``gain`` below 0 or not finite, and as `fans`.

    Examples
    --------
    >>> from fastnn import init
    >>> bool(abs(init.xavier_uniform((4, 2), rng=0)).max() <= 1.0)
    True
    """
    return _xavier("xavier_uniform", "uniform", shape, gain, groups, rng, dtype)


def _by_fan_in(
    op: str, distribution: str, factor: float, shape: Shape, groups: int, transposed: bool, rng: Any, dtype: Any
) -> np.ndarray:
    fan_in, _ = fans(shape, groups, transposed)
    return _scaled(op, distribution, factor / max(fan_in, 1), shape, rng, dtype)


@_within_limits
def he_normal(
    shape: Shape,
    negative_slope: float = 0.0,
    *,
    groups: int = 1,
    transposed: bool = False,
    rng: Any = None,
    dtype: Any = np.float32,
) -> np.ndarray:
    """He (Kaiming): normal with variance ``2/fan_in``; for ReLU and its kin.

    Source: He et al. 2015.

    Parameters
    ----------
    shape : tuple of int
        Of the weight; see `fans`.
    negative_slope : float
        Of a leaky ReLU: the variance is ``2/((1 + negative_slope²) · fan_in)``.
    groups : int
        Groups of the convolution.
    transposed : bool
        Whether the weight is that of a transposed convolution.
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
        As `fans`.

    Examples
    --------
    >>> from fastnn import init
    >>> init.he_normal((16, 3, 3, 3), rng=0).shape
    (16, 3, 3, 3)
    """
    factor = 2 / (1 + negative_slope**2)
    return _by_fan_in("he_normal", "normal", factor, shape, groups, transposed, rng, dtype)


@_within_limits
def he_uniform(
    shape: Shape,
    negative_slope: float = 0.0,
    *,
    groups: int = 1,
    transposed: bool = False,
    rng: Any = None,
    dtype: Any = np.float32,
) -> np.ndarray:
    """He (Kaiming): uniform on ``± sqrt(6/fan_in)``; for ReLU and its kin.

    Source: He et al. 2015.

    Parameters
    ----------
    shape : tuple of int
        Of the weight; see `fans`.
    negative_slope : float
        Of a leaky ReLU: the variance is ``2/((1 + negative_slope²) · fan_in)``.
    groups : int
        Groups of the convolution.
    transposed : bool
        Whether the weight is that of a transposed convolution.
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
        As `fans`.

    Examples
    --------
    >>> from fastnn import init
    >>> bool(abs(init.he_uniform((4, 6), rng=0)).max() <= 1.0)
    True
    """
    factor = 2 / (1 + negative_slope**2)
    return _by_fan_in("he_uniform", "uniform", factor, shape, groups, transposed, rng, dtype)


@_within_limits
def lecun_normal(
    shape: Shape, *, groups: int = 1, transposed: bool = False, rng: Any = None, dtype: Any = np.float32
) -> np.ndarray:
    """LeCun: normal with variance ``1/fan_in``; for SELU and linear layers.

    Source: LeCun et al. 1998.

    Parameters
    ----------
    shape : tuple of int
        Of the weight; see `fans`.
    groups : int
        Groups of the convolution.
    transposed : bool
        Whether the weight is that of a transposed convolution.
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
        As `fans`.

    Examples
    --------
    >>> from fastnn import init
    >>> init.lecun_normal((4, 3), rng=0).shape
    (4, 3)
    """
    return _by_fan_in("lecun_normal", "normal", 1.0, shape, groups, transposed, rng, dtype)


@_within_limits
def lecun_uniform(
    shape: Shape, *, groups: int = 1, transposed: bool = False, rng: Any = None, dtype: Any = np.float32
) -> np.ndarray:
    """LeCun: uniform on ``± sqrt(3/fan_in)``; for SELU and linear layers.

    Source: LeCun et al. 1998.

    Parameters
    ----------
    shape : tuple of int
        Of the weight; see `fans`.
    groups : int
        Groups of the convolution.
    transposed : bool
        Whether the weight is that of a transposed convolution.
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
        As `fans`.

    Examples
    --------
    >>> from fastnn import init
    >>> bool(abs(init.lecun_uniform((4, 3), rng=0)).max() <= 1.0)
    True
    """
    return _by_fan_in("lecun_uniform", "uniform", 1.0, shape, groups, transposed, rng, dtype)


@_within_limits
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
    return _cast(gain * values, dtype, "orthogonal")
