"""Preprocessing as layers: what is done to raw inputs, with statistics that are not trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import init
from .._types import Array, DTypeLike, Value
from ..autograd import raw, record
from ..checks import scalars, unmasked
from .kinds import WithoutParameters

__all__ = ["FillMissing", "Rescale", "Standardize"]

BLOCK = 1 << 16  # numbers that are computed in float64 at a time: half a MiB, so that they stay in the cache


def rows_at_a_time(shape: tuple[int, ...]) -> int:
    """How many samples of an array (N, ...) make a block."""
    return max(1, BLOCK // max(1, math.prod(shape[1:])))


def in_float64(function: Callable[..., Array], dtype: Any, shape: tuple[int, ...], *arrays: Array) -> Array:
    """``function`` of samples in float64, as an array (N, *shape) of ``dtype``.

    It gets fresh copies of blocks of samples, which it may change.
    """
    n = len(arrays[0])
    step = rows_at_a_time(arrays[0].shape)
    y = np.empty((n, *shape), dtype)
    for i in range(0, n, step):
        y[i : i + step] = function(*(a[i : i + step].astype(np.float64) for a in arrays))
    return y


class _Fixed(WithoutParameters):
    """A layer that computes in float64 whatever it gets, and rounds once.

    The argument is not called ``dtype`` because that is the one which an architecture takes from a layer's arrays.
    """

    def __init__(self, out_dtype: DTypeLike | None) -> None:
        self.out_dtype = _checked_dtype(type(self).__name__, out_dtype)

    def _convert(self, dtype: np.dtype[Any], converted: Callable[[Array], Array]) -> None:
        if self.out_dtype is not None:
            self.out_dtype = dtype.name

    def forward(self, x: Value) -> Value:
        """x (N, ...), float32, float64 or integers."""
        op = type(self).__name__
        given = raw(x)
        x_: Array = np.asarray(unmasked(op, "x", given))
        if x_.dtype.kind not in "biuf" or (x_.dtype.kind == "f" and x_.dtype.itemsize not in (4, 8)):
            raise TypeError(f"{op}: x must be float32, float64 or integers, got dtype {x_.dtype} and shape {x_.shape}")
        self._check_shape(op, x_.shape)
        own = "float32" if x_.dtype.kind == "f" and x_.dtype.itemsize == 4 else "float64"
        return self._recorded(x, x_, np.dtype(self.out_dtype or own))

    def _check_shape(self, op: str, shape: tuple[int, ...]) -> None:
        raise NotImplementedError

    def _recorded(self, x: Value, x_: Array, dtype: np.dtype[Any]) -> Value:
        raise NotImplementedError

    def compute(self, x: Array, dtype: np.dtype[Any]) -> Array:
        """The output for an array of any real dtype, as one of ``dtype``, without a tape."""
        return in_float64(self.of_block, dtype, x.shape[1:], x)

    def of_block(self, v: Array) -> Array:
        """The output for samples in float64, which may be changed in place."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return ", ".join([*self._settings(), *(["out_dtype='float64'"] if self.out_dtype == "float64" else [])])

    def _settings(self) -> list[str]:
        """What ``repr`` shows, beside the dtype."""
        raise NotImplementedError


def _checked_dtype(op: str, dtype: Any) -> str | None:
    """The name of a dtype, which is a plain setting."""
    try:
        name = None if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = "?"
    if name not in (None, "float32", "float64"):
        raise TypeError(f"{op}: out_dtype must be float32 or float64, or None for that of x, got {dtype!r}")
    return name


class _PerFeature(_Fixed):
    """Each element by the numbers of its feature."""

    def __init__(self, shape: int | Sequence[int], out_dtype: DTypeLike | None) -> None:
        super().__init__(out_dtype)
        self.shape = checked_shape(type(self).__name__, shape)

    def _check_shape(self, op: str, shape: tuple[int, ...]) -> None:
        fits = len(shape) == 1 + len(self.shape)
        if not fits or any(own not in (1, n) for own, n in zip(self.shape, shape[1:], strict=True)):
            raise ValueError(f"{op}: expected x of shape (N, {listed(self.shape)}), got {shape}")

    def _settings(self) -> list[str]:
        return [listed(self.shape) if len(self.shape) == 1 else repr(self.shape)]

    def _elementwise(
        self, name: str, x: Value, x_: Array, dtype: np.dtype[Any], times: Callable[..., Array], *others: Array
    ) -> Value:
        """The operation on the tape; ``times`` multiplies samples in float64 by its derivative, which ``others`` decide."""

        def vjp(dy: Array, needs: tuple[bool, ...]) -> Any:
            return (in_float64(times, x_.dtype, dy.shape[1:], dy, *others),)

        def jvp(tangents: Any) -> Any:
            return in_float64(times, dtype, x_.shape[1:], tangents[0], *others)

        return record(name, self.compute(x_, dtype), (x,), vjp, jvp, self._fixed())

    def _fixed(self) -> tuple[Any, ...]:
        """What decides the output beside x."""
        raise NotImplementedError


def checked_shape(op: str, shape: int | Sequence[int]) -> tuple[int, ...]:
    extents = shape if isinstance(shape, (tuple, list)) else (shape,)
    if not extents:
        raise ValueError(f"{op}: shape must have an axis at least, got {shape!r}")
    return tuple(scalars.integer(op, "shape", n, 1) for n in extents)


def listed(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


class FillMissing(_PerFeature):
    """Puts numbers per feature in the place of NaN, which stands for what is missing.

    `fastnn.data.Imputer` makes such a layer of what it learnt: ``imputer.as_module()``.

    Parameters
    ----------
    shape : int or sequence of int
        The shape of a sample, with 1 along axes that share a number.
    out_dtype : dtype or None
        Of the output: float32 or float64; None for that of ``x``, and float64 of integers, so that a layer that scales can
        follow without a loss of digits.

    Attributes
    ----------
    values : ndarray of float64, shape
        What takes the place of NaN, such as the medians of the training part. A buffer: saved with the model, and not
        trained. At first 0.

    Raises
    ------
    TypeError, ValueError
        If ``shape`` is not of integers of at least 1, or ``out_dtype`` another dtype.

    Notes
    -----
    ``x`` may be float32, float64 or integers, of which none is missing. It gets its gradient, which is 0 where it was NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> layer = nn.FillMissing(2)
    >>> layer.values = np.array([0.5, 7.0])
    >>> layer(np.array([[np.nan, 1.0], [2.0, np.nan]]))
    array([[0.5, 1. ],
           [2. , 7. ]])
    """

    values: Array

    def __init__(self, shape: int | Sequence[int], *, out_dtype: DTypeLike | None = None) -> None:
        super().__init__(shape, out_dtype)
        self.register_buffer("values", init.zeros(self.shape, dtype=np.float64))

    def _recorded(self, x: Value, x_: Array, dtype: np.dtype[Any]) -> Value:
        def times(d: Array, v: Array) -> Array:
            d[np.isnan(v)] = 0.0
            return d

        return self._elementwise("fill_missing", x, x_, dtype, times, x_)

    def _fixed(self) -> tuple[Any, ...]:
        return (self.values,)

    def of_block(self, v: Array) -> Array:
        """The output for samples in float64, which are changed in place."""
        np.copyto(v, self.values, where=np.isnan(v))
        return v


class Standardize(_PerFeature):
    """``y = (x - mean) / scale`` with numbers per feature that stay as they are.

    `fastnn.data.StandardScaler` and `ImageScaler` make such a layer of their statistics: ``scaler.as_module()``.

    Parameters
    ----------
    shape : int or sequence of int
        The shape of a sample, with 1 along axes that share a number: ``(C, 1, 1)`` for images (N, C, H, W) with numbers
        per channel.
    inverse : bool
        Whether to compute ``y = x * scale + mean``: the way back, for outputs of a network whose targets were scaled.
    out_dtype : dtype or None
        Of the output: float32 or float64; None for that of ``x``, and float64 of integers. Kept as its name.

    Attributes
    ----------
    mean, scale : ndarray of float64, shape
        Buffers: saved with the model, and not trained. At first 0 and 1.

    Raises
    ------
    TypeError, ValueError
        If ``shape`` is not of integers of at least 1, ``inverse`` not a bool, or ``out_dtype`` another dtype.

    Notes
    -----
    Computed in float64, with statistics of float64, and rounded once; so columns far from zero keep their digits until they are
    scaled. The output is of ``out_dtype`` whatever real dtype ``x`` has, float32, float64 or integers such as pixels just read.
    ``astype`` of a model sets ``out_dtype``, and leaves the statistics as they are. ``x`` gets its gradient, in its own dtype.
    With ``inverse`` a constant feature, which is divided by 1, gets its mean back.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> layer = nn.Standardize((3, 1, 1))
    >>> layer.mean, layer.scale = np.full((3, 1, 1), 127.5), np.full((3, 1, 1), 127.5)
    >>> layer(np.full((1, 3, 2, 2), 255, np.uint8))[0, 0, 0]
    array([1., 1.], dtype=float32)
    """

    mean: Array
    scale: Array

    def __init__(
        self, shape: int | Sequence[int], *, inverse: bool = False, out_dtype: DTypeLike | None = np.float32
    ) -> None:
        super().__init__(shape, out_dtype)
        self.inverse = scalars.flag("Standardize", "inverse", inverse)
        self.register_buffer("mean", init.zeros(self.shape, dtype=np.float64))
        self.register_buffer("scale", init.constant(self.shape, 1.0, dtype=np.float64))

    def _recorded(self, x: Value, x_: Array, dtype: np.dtype[Any]) -> Value:
        scale, change = self.scale, np.multiply if self.inverse else np.divide

        def times(d: Array) -> Array:
            return change(d, scale, out=d)

        return self._elementwise("standardize", x, x_, dtype, times)

    def _fixed(self) -> tuple[Any, ...]:
        return self.mean, self.scale, self.inverse

    def of_block(self, v: Array) -> Array:
        """The output for samples in float64, which are changed in place."""
        if self.inverse:
            v *= self.scale
            v += self.mean
        else:
            v -= self.mean
            v /= self.scale
        return v

    def _settings(self) -> list[str]:
        return [*super()._settings(), *(["inverse=True"] if self.inverse else [])]


class Rescale(_PerFeature):
    """``y = (x - minimum) / extent · (high - low) + low`` with numbers per feature that stay as they are.

    `fastnn.data.MinMaxScaler` makes such a layer of its statistics: ``scaler.as_module()``.

    Parameters
    ----------
    shape : int or sequence of int
        The shape of a sample, with 1 along axes that share a number.
    low, high : float
        What ``minimum`` and ``minimum + extent`` become.
    clip : bool
        Whether results beyond ``low`` and ``high`` become these; the gradient is 0 there.
    inverse : bool
        Whether to compute ``y = (x - low) / (high - low) · extent + minimum``: the way back, for outputs of a network whose
        targets were scaled.
    out_dtype : dtype or None
        Of the output: float32 or float64; None for that of ``x``, and float64 of integers. Kept as its name.

    Attributes
    ----------
    minimum, extent : ndarray of float64, shape
        Buffers: saved with the model, and not trained. At first 0 and 1.

    Raises
    ------
    TypeError, ValueError
        If ``shape`` is not of integers of at least 1, ``low`` is not below ``high``, ``out_dtype`` is another dtype, or
        ``clip`` and ``inverse`` are both set.

    Notes
    -----
    Computed in float64, with statistics of float64, and rounded once; so columns far from zero keep their digits until they are
    scaled. The output is of ``out_dtype`` whatever real dtype ``x`` has, float32, float64 or integers such as pixels just read.
    ``astype`` of a model sets ``out_dtype``, and leaves the statistics as they are. ``x`` gets its gradient, in its own dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> layer = nn.Rescale(2, -1.0, 1.0)
    >>> layer.extent = np.array([255.0, 10.0])
    >>> layer(np.array([[255, 5]], np.uint8))
    array([[1., 0.]], dtype=float32)
    """

    minimum: Array
    extent: Array

    def __init__(
        self,
        shape: int | Sequence[int],
        low: float = 0.0,
        high: float = 1.0,
        *,
        clip: bool = False,
        inverse: bool = False,
        out_dtype: DTypeLike | None = np.float32,
    ) -> None:
        super().__init__(shape, out_dtype)
        self.low, self.high = scalars.real("Rescale", "low", low), scalars.real("Rescale", "high", high)
        if self.low >= self.high:
            raise ValueError(f"Rescale: low must be below high, got {self.low} and {self.high}")
        self.clip, self.inverse = scalars.flag("Rescale", "clip", clip), scalars.flag("Rescale", "inverse", inverse)
        if self.clip and self.inverse:
            raise ValueError("Rescale: clip=True has no inverse; pass clip=False with inverse=True")
        self.register_buffer("minimum", init.zeros(self.shape, dtype=np.float64))
        self.register_buffer("extent", init.constant(self.shape, 1.0, dtype=np.float64))

    def _recorded(self, x: Value, x_: Array, dtype: np.dtype[Any]) -> Value:
        minimum, extent, high_low = self.minimum, self.extent, self.high - self.low

        def enlarged(d: Array) -> Array:
            d /= high_low
            d *= extent
            return d

        def reduced(d: Array) -> Array:
            d *= high_low
            d /= extent
            return d

        def within(d: Array, v: Array) -> Array:
            share = (v - minimum) / extent
            d[(share < 0) | (share > 1)] = 0.0
            return reduced(d)

        if self.clip:
            return self._elementwise("rescale", x, x_, dtype, within, x_)
        return self._elementwise("rescale", x, x_, dtype, enlarged if self.inverse else reduced)

    def _fixed(self) -> tuple[Any, ...]:
        return self.minimum, self.extent, self.low, self.high, self.clip, self.inverse

    def of_block(self, v: Array) -> Array:
        """The output for samples in float64, which are changed in place."""
        if self.inverse:
            v -= self.low
            v /= self.high - self.low
            v *= self.extent
            v += self.minimum
            return v
        v -= self.minimum
        v /= self.extent
        v *= self.high - self.low
        v += self.low
        return np.clip(v, self.low, self.high, out=v) if self.clip else v

    def _settings(self) -> list[str]:
        flags = [f"{name}=True" for name in ("clip", "inverse") if getattr(self, name)]
        return [*super()._settings(), f"{self.low:g}", f"{self.high:g}", *flags]
