"""ONNX's ops that move values: other shapes, other orders, parts and joins, borders, other dtypes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import concatenate, differentiable, raw, where
from ..autograd import shaping as tape
from .conventions import PAD_MODES
from .read_call import HALVES, refuse_type
from .read_table import F, axes_of, axis_of, choice, integers, is_float, op, summed


@op("Reshape")
def _reshape(x: Any, shape: Any, /, *, allowzero: int = 0) -> Any:
    wanted = list(integers(shape))
    if not allowzero:
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    if any(n < -1 for n in wanted) or wanted.count(-1) > 1:
        raise ValueError(f"no shape: {wanted}")
    return tape.reshape(x, tuple(wanted))


@op("Flatten")
def _flatten(x: Any, /, *, axis: int = 1) -> Any:
    if not -x.ndim <= axis <= x.ndim:
        raise ValueError(f"axis {axis} is out of range for {x.ndim} axes")
    axis += x.ndim if axis < 0 else 0
    return tape.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@op("Transpose")
def _transpose(x: Any, /, *, perm: Sequence[int] | None = None) -> Any:
    return tape.transpose(x, None if perm is None else tuple(perm))


@op("Squeeze")
def _squeeze(x: Any, axes: Any = None, /) -> Any:
    return tape.squeeze(x, None if axes is None else axes_of(integers(axes), x.ndim))


@op("Unsqueeze")
def _unsqueeze(x: Any, axes: Any, /) -> Any:
    return tape.expand_dims(x, axes_of(integers(axes), x.ndim + np.size(raw(axes))))


@op("Concat")
def _concat(*xs: Any, axis: int) -> Any:
    return concatenate(xs, axis_of(axis, xs[0].ndim)) if is_float(xs[0]) else np.concatenate(xs, axis)


@op("Slice")
def _slice(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None, /) -> Any:
    begin, end = integers(starts), integers(ends)
    along = axes_of(range(len(begin)) if axes is None else integers(axes), x.ndim)
    by = (1,) * len(begin) if steps is None else integers(steps)
    index = [slice(None)] * x.ndim
    for axis, first, last, step in zip(along, begin, end, by, strict=True):
        index[axis] = _range(first, last, step, x.shape[axis])
    return tape.getitem(x, tuple(index))


def _range(first: int, last: int, step: int, extent: int) -> slice:
    """Python's slice; below 0 an end is counted from the end once, and what is still below lies before the start."""
    if step == 0:
        raise ValueError("a step of 0")
    first, last = (n + extent if n < 0 else n for n in (first, last))
    if step > 0:
        return slice(max(first, 0), max(last, 0), step)
    first = min(first, extent - 1)
    return slice(0, 0, 1) if first < 0 else slice(first, None if last < 0 else last, step)


@op("Split", outputs=None)
def _split(x: Any, split: Any = None, /, *, count: int, axis: int = 0, num_outputs: int | None = None) -> Any:
    axis = axis_of(axis, x.ndim)
    extent = x.shape[axis]
    if split is None:
        share = -(-extent // (num_outputs or count))
        sizes = tuple(max(min(share, extent - i * share), 0) for i in range(count))
    else:
        sizes = integers(split)
    if len(sizes) != count or sum(sizes) != extent or min(sizes, default=0) < 0:
        raise ValueError(f"{extent} elements cannot be split into {count} parts of {sizes}")
    ends = np.cumsum(sizes).tolist()
    before = (slice(None),) * axis
    return tuple(tape.getitem(x, (*before, slice(end - n, end))) for n, end in zip(sizes, ends, strict=True))


_BROADCAST = differentiable(
    lambda x, *, shape: (np.broadcast_to(x, shape).copy(), (x.shape, shape)),
    lambda shapes, dy: summed(dy, shapes[0]),
    lambda shapes, t: np.broadcast_to(t, shapes[1]),
    name="Expand",
)


@op("Expand")
def _expand(x: Any, shape: Any, /, *, run: Any) -> Any:
    whole = _broadcast(x.shape, integers(shape))
    run.room(whole, raw(x).dtype)
    return x if whole == x.shape else _BROADCAST(x, shape=whole)


def _broadcast(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    """As `numpy.broadcast_shapes`, which refuses extents that no array has."""
    ndim = max(len(first), len(second))
    pairs = zip((1,) * (ndim - len(first)) + first, (1,) * (ndim - len(second)) + second, strict=True)
    whole = []
    for a, b in pairs:
        if a != b and 1 not in (a, b):
            raise ValueError(f"shapes {first} and {second} do not broadcast")
        whole.append(b if a == 1 else a)
    return tuple(whole)


@op("Tile")
def _tile(x: Any, repeats: Any, /, *, run: Any) -> Any:
    times = integers(repeats)
    if len(times) != x.ndim:
        raise ValueError(f"{len(times)} repeats for {x.ndim} axes")
    run.room([n * k for n, k in zip(x.shape, times, strict=True)], raw(x).dtype)
    for axis, (n, k) in enumerate(zip(x.shape, times, strict=True)):
        if k != 1:
            x = tape.getitem(x, (*[slice(None)] * axis, np.tile(np.arange(n), k)))
    return x


@op("DepthToSpace")
def _depth_to_space(x: Any, /, *, blocksize: int, mode: Any = "DCR") -> Any:
    n, c, h, w = x.shape
    b = blocksize
    if b < 1 or c % (b * b):
        raise ValueError(f"{c} channels are no multiple of blocksize² = {b * b}")
    if choice("mode", mode, "DCR", "CRD") == "DCR":
        y = tape.transpose(tape.reshape(x, (n, b, b, c // (b * b), h, w)), (0, 3, 4, 1, 5, 2))
    else:
        y = tape.transpose(tape.reshape(x, (n, c // (b * b), b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return tape.reshape(y, (n, c // (b * b), h * b, w * b))


@op("SpaceToDepth")
def _space_to_depth(x: Any, /, *, blocksize: int, mode: Any = "DCR") -> Any:
    n, c, h, w = x.shape
    b = blocksize
    if b < 1 or h % b or w % b:
        raise ValueError(f"images of {h}×{w} are no multiple of blocksize = {b}")
    order = (0, 3, 5, 1, 2, 4) if choice("mode", mode, "DCR", "CRD") == "DCR" else (0, 1, 3, 5, 2, 4)
    y = tape.transpose(tape.reshape(x, (n, c, h // b, b, w // b, b)), order)
    return tape.reshape(y, (n, c * b * b, h // b, w // b))


_MODES = {theirs: ours for ours, theirs in PAD_MODES.items()}


@op("Pad")
def _pad(x: Any, pads: Any, value: Any = None, axes: Any = None, /, *, run: Any, mode: Any = "constant") -> Any:
    widths = integers(pads)
    along = axes_of(range(x.ndim) if axes is None else integers(axes), x.ndim)
    if len(widths) != 2 * len(along):
        raise ValueError(f"{len(widths)} pads for {len(along)} axes")
    pairs = [(0, 0)] * x.ndim
    for axis, low, high in zip(along, widths[: len(along)], widths[len(along) :], strict=True):
        pairs[axis] = low, high
    if any(n + low + high < 0 for n, (low, high) in zip(x.shape, pairs, strict=True)):
        raise ValueError(f"pads {widths} cut off more than there is of shape {x.shape}")
    run.room([n + max(low, 0) + max(high, 0) for n, (low, high) in zip(x.shape, pairs, strict=True)], raw(x).dtype)
    return padded(x, pairs, choice("mode", mode, *_MODES), value)


def padded(x: Any, pairs: Sequence[tuple[int, int]], mode: str, value: Any = None) -> Any:
    """x with a border; negative widths cut off."""
    fill = 0 if value is None or mode != "constant" else np.asarray(raw(value)).item()
    if is_float(x):
        return F.pad(x, tuple(pairs), _MODES[mode], float(fill))
    cut = tuple(slice(max(-low, 0), n - max(-high, 0)) for n, (low, high) in zip(x.shape, pairs, strict=True))
    widths = [(max(low, 0), max(high, 0)) for low, high in pairs]
    options = {"constant_values": fill} if mode == "constant" else {}
    return np.pad(x[cut], widths, mode, **options)  # type: ignore[call-overload]


@op("Cast", refuse=refuse_type("to"))
def _cast(x: Any, /, *, run: Any, to: int, saturate: int = 1, round_mode: Any = "up") -> Any:
    if to in HALVES:
        x = _rounded(x if is_float(x) else converted(x, np.dtype(np.float64)), to=to)
    return converted(x, run.dtype(to))


def converted(x: Any, dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f" and is_float(x):
        return x if raw(x).dtype == dtype else tape.astype(x, dtype)
    return raw(x).astype(dtype)


@op("CastLike")
def _cast_like(x: Any, like: Any, /, *, saturate: int = 1, round_mode: Any = "up") -> Any:
    return converted(x, raw(like).dtype)


def _halved(x: np.ndarray, to: int) -> np.ndarray:
    """The values that 16 bits have, in the dtype of x: float16's or, by rounding off the last 16 bits, bfloat16's."""
    if to == 10:
        return x.astype(np.float16).astype(x.dtype)
    bits = x.astype(np.float32).view(np.uint32).astype(np.uint64)
    even = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return np.where(np.isnan(x), x, even.astype(np.uint32).view(np.float32)).astype(x.dtype)


_rounded = differentiable(
    lambda x, *, to: (_halved(x, to), None), lambda saved, dy: dy, lambda saved, t: t, name="Cast"
)


@op("Trilu")
def _trilu(x: Any, k: Any = None, /, *, upper: int = 1) -> Any:
    diagonal = 0 if k is None else integers(k)[0]
    rows, columns = (np.arange(n) for n in x.shape[-2:])
    distance = columns - rows[:, None]
    kept = distance >= diagonal if upper else distance <= diagonal
    zero = np.zeros((), raw(x).dtype)
    return where(kept, x, zero) if is_float(x) else np.where(kept, x, zero)


@op("ReverseSequence")
def _reverse_sequence(x: Any, lengths: Any, /, *, batch_axis: int = 1, time_axis: int = 0) -> Any:
    batch, time = axis_of(batch_axis, x.ndim), axis_of(time_axis, x.ndim)
    steps, ends = np.arange(x.shape[time])[:, None], np.asarray(raw(lengths))
    index = np.where(steps < ends, ends - 1 - steps, steps)  # (time, batch)
    back = np.argsort((time, batch, *(i for i in range(x.ndim) if i not in (time, batch)))).tolist()
    order = [time, batch, *(i for i in range(x.ndim) if i not in (time, batch))]
    return tape.transpose(tape.getitem(tape.transpose(x, order), (index, np.arange(x.shape[batch]))), back)
