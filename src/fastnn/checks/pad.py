"""The checks of padding: what is put before and after an array along its axes, or cut off."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from . import scalars
from .arrays import Array, Shape, array, limited, operand, shape_of, shown

Sides = tuple[int, int]
MODES = ("constant", "reflect", "replicate", "circular")


class Pad(NamedTuple):
    """x of ``size``, and how many elements come before and after it along each axis; negative numbers are cut off first."""

    mode: str
    size: Shape
    before: Shape
    after: Shape


def padding_mode(op: str, name: str, value: Any, modes: tuple[str, ...] = MODES) -> str:
    """One of the names."""
    if isinstance(value, str) and value in modes:
        return value
    known = ", ".join(repr(m) for m in modes[:-1])
    raise (ValueError if isinstance(value, str) else TypeError)(
        f"{op}: {name} must be {known} or {modes[-1]!r}, got {shown(value)}"
    )


def pad(op: str, x: Any, padding: Any, mode: Any, value: Any) -> tuple[Pad, Array, float]:
    """Of ``pad``."""
    x = array(op, "x", x)
    g = _geometry(op, x.shape, padding, mode)
    return g, x, _filler(op, g, value, x.dtype)


def pad_backward(op: str, dy: Any, x_shape: Any, padding: Any, mode: Any) -> tuple[Pad, Array]:
    """Of ``pad_backward``."""
    dy = array(op, "dy", dy)
    shape = shape_of(op, "x_shape", x_shape)
    limited(op, "the gradient", *shape)
    g = _geometry(op, shape, padding, mode)
    return g, operand(op, "dy", dy, dy.dtype, padded_shape(g))


def padded_shape(g: Pad) -> Shape:
    """The shape of the result."""
    return tuple(n + low + high for n, low, high in zip(g.size, g.before, g.after, strict=True))


def layer_padding(op: str, padding: Any, rank: int) -> Shape:
    """Of a padding layer: two ints for each of its axes, from the last to the first."""
    if not isinstance(padding, (tuple, list)):
        return (scalars.integer(op, "padding", padding),) * (2 * rank)
    if len(padding) != 2 * rank:
        raise ValueError(f"{op}: padding must be an int or {2 * rank} ints, got {len(padding)}: {shown(padding)}")
    return tuple(scalars.integer(op, "padding", n) for n in padding)


def pad_value(op: str, value: Any) -> float:
    """Any number, also an infinite one or NaN."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{op}: value must be a number, got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number) and (isinstance(value, int) or not np.isinf(value)):
        raise ValueError(f"{op}: value must be a number that float64 holds, got {shown(value)}")
    return number


def _geometry(op: str, size: Shape, padding: Any, mode: Any) -> Pad:
    mode = padding_mode(op, "mode", mode)
    sides = _sides(op, padding, len(size))
    g = Pad(mode, size, tuple(low for low, _ in sides), tuple(high for _, high in sides))
    for n, low, high in zip(*g[1:], strict=True):
        left = n + min(low, 0) + min(high, 0)
        if left < 0:
            raise ValueError(f"{op}: padding {shown(padding)} cuts off more than x of shape {size} has")
        if not left and max(low, high) > 0 and mode != "constant":
            raise ValueError(
                f"{op}: mode {mode!r} has no element to copy, x of shape {size} and padding {shown(padding)}"
            )
    limited(op, "the result", *padded_shape(g))
    return g


def _sides(op: str, padding: Any, axes: int) -> list[Sides]:
    """(before, after) of each axis, in order."""
    if not isinstance(padding, (tuple, list)):
        raise TypeError(
            f"{op}: padding must be a sequence of ints, from the last axis to the first (left, right, top, bottom, ...), or "
            f"a pair (before, after) for each axis of x, got {shown(padding)}"
        )
    if any(isinstance(entry, (tuple, list)) for entry in padding):
        return _pairs(op, padding, axes)
    if len(padding) % 2 or len(padding) > 2 * axes:
        raise ValueError(
            f"{op}: padding must have two ints per axis, for at most {axes}, the axes of x; got {len(padding)}: {shown(padding)}"
        )
    flat = [scalars.integer(op, "padding", n) for n in padding]
    given = list(zip(flat[::2], flat[1::2], strict=True))
    return [(0, 0)] * (axes - len(given)) + given[::-1]


def _pairs(op: str, padding: Any, axes: int) -> list[Sides]:
    if len(padding) != axes:
        raise ValueError(
            f"{op}: padding must have a pair (before, after) for each of the {axes} axes of x, got {len(padding)}: "
            f"{shown(padding)}"
        )
    sides = []
    for pair in padding:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"{op}: padding must have pairs (before, after) or ints, not both, got {shown(padding)}")
        low, high = (scalars.integer(op, "padding", n) for n in pair)
        sides.append((low, high))
    return sides


def _filler(op: str, g: Pad, value: Any, dtype: np.dtype[Any]) -> float:
    """What padding holds, which its type must be able to."""
    number = pad_value(op, value)
    if math.isfinite(number) and abs(number) > float(np.finfo(dtype).max):
        raise ValueError(f"{op}: value must be a number that {dtype} holds, got {shown(value)}")
    if g.mode != "constant" and number != 0:
        raise ValueError(
            f"{op}: value is what mode 'constant' puts in, and mode {g.mode!r} takes none, got {shown(value)}"
        )
    return number
