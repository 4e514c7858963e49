"""The checks of activations with parameters of their own, and of spatial dropout."""

from __future__ import annotations

import math
from typing import Any

from . import scalars
from .arrays import Array, Shape, array, operand, shown
from .geometry import require_rank, spatial_axes
from .loss import Softmax, softmax
from .norm import Norm


def with_inverse(op: str, name: str, value: Any, x: Any = None) -> float:
    """A number above 0 which the type of x holds, as it does 1 by the number."""
    if type(value) is float and scalars.FLOAT32_SMALLEST <= value <= 1 / scalars.FLOAT32_SMALLEST:
        return value
    value = scalars.normal(op, name, scalars.real(op, name, value, 0.0, open_low=True), x)
    scalars.normal(op, f"1 / {name}", 1 / value if value > 1 else 1.0, x)
    return float(value)


def softplus(op: str, beta: Any, threshold: Any, x: Any = None) -> tuple[float, float]:
    """beta above 0, which the type of x holds as it does 1 / beta, and a finite threshold."""
    return with_inverse(op, "beta", beta, x), scalars.real(op, "threshold", threshold)


def gelu_tanh(op: str, approximate: Any) -> bool:
    """Whether GELU is to be computed with tanh."""
    if not isinstance(approximate, str) or approximate not in ("none", "tanh"):
        raise ValueError(f"{op}: approximate must be 'none' or 'tanh', got {shown(approximate)}")
    return approximate == "tanh"


def interval(op: str, low_name: str, low: Any, high_name: str, high: Any, x: Any = None) -> tuple[float, float]:
    """Two finite numbers, the first not above the second, which the type of x holds."""
    if (
        type(low) is float
        and type(high) is float
        and scalars.FLOAT32_SMALLEST <= low <= high <= scalars.FLOAT32_LARGEST
    ):
        return low, high
    low, high = scalars.coefficient(op, low_name, low, x), scalars.coefficient(op, high_name, high, x)
    if low > high:
        raise ValueError(f"{op}: {low_name}={low} must not be above {high_name}={high}")
    return low, high


def prelu(op: str, x: Any, weight: Any) -> tuple[Norm, Array, Array]:
    """x (n, channels, ...) as (outer, channels, inner), and a weight of one slope or one per channel."""
    x = array(op, "x", x)
    weight = operand(op, "weight", weight, x.dtype)
    if weight.shape in ((), (1,)):
        return Norm(1, 1, x.size), x, weight
    if x.ndim < 2 or weight.shape != x.shape[1:2]:
        raise ValueError(
            f"{op}: weight must have shape (), (1,) or one slope per channel of x of shape {x.shape}, got {weight.shape}"
        )
    return Norm(x.shape[0], x.shape[1], math.prod(x.shape[2:])), x, weight


def maxout(op: str, x: Any, k: Any, axis: Any) -> tuple[Softmax, Array, Shape]:
    """x seen as (outer, k, inner), and the shape of the output."""
    g, x = softmax(op, x, axis)
    k = scalars.integer(op, "k", k, 1)
    if x.ndim == 0:
        raise ValueError(f"{op}: x must have an axis to take the largest along, got shape ()")
    if g.n % k:
        raise ValueError(f"{op}: k={k} must divide axis {axis} of x of shape {x.shape}")
    at = axis % x.ndim
    pieces = k if g.n else 1  # an empty axis can be cut into pieces of any size
    return Softmax(g.outer * (g.n // k), pieces, g.inner), x, (*x.shape[:at], g.n // k, *x.shape[at + 1 :])


def planes(op: str, rank: int, x: Array, name: str = "x") -> int:
    """How many planes x (n, channels, *space) has."""
    require_rank(op, name, x.shape, ("n", "c", *spatial_axes(rank)))
    return int(x.shape[0] * x.shape[1])
