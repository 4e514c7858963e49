"""Padding: x (size) -> y (before + size + after), where a negative number is cut off before anything is added."""

from __future__ import annotations

import numpy as np

from ...checks import Pad, padded_shape
from ._common import Array, Index, quiet


def _left(g: Pad) -> list[int]:
    """How many elements of each axis are left where numbers are negative."""
    return [n + min(low, 0) + min(high, 0) for n, low, high in zip(g.size, g.before, g.after, strict=True)]


def _kept(g: Pad) -> Index:
    """Where in x those are."""
    return tuple(slice(max(-low, 0), max(-low, 0) + n) for low, n in zip(g.before, _left(g), strict=True))


def _placed(g: Pad) -> Index:
    """Where in y those are."""
    return tuple(slice(max(low, 0), max(low, 0) + n) for low, n in zip(g.before, _left(g), strict=True))


def _sources(g: Pad) -> list[Array]:
    """For each axis, which of the elements that are left each output is."""
    return [
        _source(g.mode, n, np.arange(-max(low, 0), n + max(high, 0)))
        for n, low, high in zip(_left(g), g.before, g.after, strict=True)
    ]


def _source(mode: str, n: int, i: Array) -> Array:
    """Which of n elements is at place i, which may lie outside of [0, n), as often as there is need."""
    if mode == "replicate":
        return np.asarray(np.clip(i, 0, n - 1))
    if mode == "circular":
        return np.asarray(i % max(n, 1))
    period = max(2 * (n - 1), 1)  # to the end and back, without either end twice
    return np.asarray(np.minimum(i % period, period - i % period))


def pad_forward(g: Pad, x: Array, value: float) -> Array:
    """y[o] = x[source of o], or the value where there is none."""
    x = x[_kept(g)]
    if g.mode == "constant":
        y = np.full(padded_shape(g), value, x.dtype)
        y[_placed(g)] = x
        return y
    for axis, source in enumerate(_sources(g)):
        x = x.take(source, axis)
    return np.ascontiguousarray(x).reshape(padded_shape(g))


@quiet
def pad_backward(g: Pad, dy: Array) -> Array:
    """y[o] = x[source of o], hence dx[i] = sum of dy[o] over the o of which i is the source."""
    dx = np.zeros(g.size, dy.dtype)
    if g.mode == "constant":
        dx[_kept(g)] = dy[_placed(g)]
        return dx
    total = dy.astype(np.float64)
    for axis, (n, source) in enumerate(zip(_left(g), _sources(g), strict=True)):
        sums = np.zeros((n, *np.moveaxis(total, axis, 0).shape[1:]))
        np.add.at(sums, source, np.moveaxis(total, axis, 0))
        total = np.moveaxis(sums, 0, axis)
    dx[_kept(g)] = total
    return dx
