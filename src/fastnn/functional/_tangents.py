"""What the forward mode of several operations is made of: a tangent of None is zero."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._types import Array
from ..backend.reference._common import energy, pairs, windows
from ..checks import Norm, Pool

Tangents = Sequence[Array | None]

# The Jacobian of the normalised x by x is symmetric, so that a norm's backward, asked for the gradient of x alone, takes the
# tangent of x to that of the normalised x.
OF_X = (True, False, False)


def total(*terms: Array | None) -> Any:
    """The sum of the terms that are not None, of which there is at least one."""
    return functools.reduce(operator.add, (term for term in terms if term is not None))


def axes_of(normalized_shape: Any) -> int:
    """How many axes a normalized_shape has."""
    return len(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else 1


def in_shape(gradients: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """The gradient of x, and those of weight and bias in ``shape``: backends give these with one axis."""
    dx, *others = gradients
    return dx, *(None if d is None else d.reshape(shape) for d in others)


def of_products(
    product: Callable[[Array, Array], Array], tangents: Tangents, x: Array, weight: Array, y: Array
) -> Array:
    """``y = product(x, weight) + bias``, which is linear in each: from the tangents of x, weight and bias, one per channel.

    y, of which the shape counts, is (n, k, spatial axes).
    """
    tx, tw, tb = tangents
    terms = None if tx is None else product(tx, weight), None if tw is None else product(x, tw), per_channel(tb, y)
    return np.broadcast_to(total(*terms), y.shape)


def of_affine(tangents: Tangents, normalised: Callable[[Array], Array], xhat: Callable[[], Array], weight: Any) -> Any:
    """``y = xhat * weight + bias``: from the tangents of x, weight and, if there is one, bias, in shapes that broadcast.

    ``normalised`` maps the tangent of x to that of xhat; ``weight`` may be None.
    """
    tx, tw, tb = (*tangents, None)[:3]
    moved = None if tx is None else normalised(tx)
    if moved is not None and weight is not None:
        moved = moved * weight
    return total(moved, None if tw is None else xhat() * tw, tb)


def at(tangent: Array, positions: Array) -> Array:
    """The elements of a tangent at the positions, which count through each plane; both are (n, c, spatial axes)."""
    planes = tangent.shape[:2]
    flat = tangent.reshape(*planes, math.prod(tangent.shape[2:]))
    taken = np.take_along_axis(flat, positions.reshape(*planes, math.prod(positions.shape[2:])), 2)
    return taken.reshape(positions.shape)


def of_lp_pool(g: Pool, tangent: Array, x: Array, y: Array, p: float) -> Array:
    """y = (sum of |x|^p)^(1/p), hence dy = sum of dx * sign(x) * (|x| / y)^(p - 1), and 0 where y or x is 0."""
    x5, t5 = (v.reshape(g.n, g.c, *g.size) for v in (x, tangent))
    y5 = y.reshape(g.n, g.c, *g.out)
    dy = np.zeros_like(y5)
    with np.errstate(all="ignore"):
        for _, outputs, inputs in windows(g):
            v = x5[inputs]
            share = t5[inputs] * np.sign(v) * (np.abs(v) / y5[outputs]) ** (p - 1)
            dy[outputs] += np.where((y5[outputs] == 0) | (v == 0), 0, share)
    return dy.reshape(y.shape)


def of_local_response_norm(g: Norm, tangent: Array, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """y = x * s^-beta, hence dy = s^-beta * (dx - beta * x * ds / s) with ds from the window of x * dx."""
    x3, t3 = (v.reshape(g).astype(np.float64) for v in (x, tangent))
    with np.errstate(all="ignore"):
        unit, t = energy(x3, size, alpha, k)
        along = np.zeros_like(x3)
        for c, j in pairs(g.channels, size // 2, (size - 1) // 2):
            along[c] += x3[j] / unit[c] * t3[j]
        dy = (t3 - 2 * alpha / size * beta * (x3 / unit) * along / t) * t**-beta * unit ** (-2 * beta)
    return dy.astype(x.dtype).reshape(x.shape)


def per_channel(v: Array | None, x: Array) -> Any:
    """One value per channel, in a shape that broadcasts with x (n, c, ...)."""
    return None if v is None else v.reshape(-1, *(1,) * (x.ndim - 2))


def over_channels(tangents: Any, x: Array) -> Any:
    """Tangents of x, weight and bias, those of weight and bias in a shape that broadcasts with x."""
    return tangents[0], per_channel(tangents[1], x), per_channel(tangents[2], x)
