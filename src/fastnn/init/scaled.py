"""First values whose variance follows from how many inputs and outputs a weight connects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .limits import Shape, rounded, spread, within_limits


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


def _scaled(op: str, distribution: str, variance: float, shape: Shape, rng: Any, dtype: Any) -> np.ndarray:
    generator = np.random.default_rng(rng)
    if distribution == "normal":
        return rounded(generator.normal(0.0, math.sqrt(variance), shape), dtype, op)
    bound = math.sqrt(3 * variance)  # a uniform distribution on ±b has the variance b²/3
    return rounded(generator.uniform(-bound, bound, shape), dtype, op)


def _xavier(op: str, distribution: str, shape: Shape, gain: float, groups: int, rng: Any, dtype: Any) -> np.ndarray:
    fan_in, fan_out = fans(shape, groups)
    variance = spread(op, "gain", gain) ** 2 * 2 / max(fan_in + fan_out, 1)
    return _scaled(op, distribution, variance, shape, rng, dtype)


@within_limits
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


@within_limits
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


@within_limits
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


@within_limits
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


@within_limits
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


@within_limits
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
