"""Augmentation of batches: functions of a batch and a generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .._described import described
from ..checks import integer, real
from ..checks.arrays import limited, shown, unmasked
from ..checks.scalars import per_axis

Array = NDArray[Any]
Transform = Callable[[Any, np.random.Generator], Any]


def random_flip(images: Array, rng: np.random.Generator, *, p: float = 0.5, axis: int = -1) -> Array:
    """Mirror images, each with a probability of its own.

    Parameters
    ----------
    images : ndarray, (N, …)
        The batch, of any dtype; it is not changed.
    rng : numpy.random.Generator
        The source of randomness.
    p : float
        The probability of each image to be mirrored.
    axis : int
        The axis to mirror along: -1 swaps left and right, -2 top and bottom.

    Returns
    -------
    ndarray, (N, …)
        A new batch of the same dtype.

    Raises
    ------
    TypeError
        If `rng` is no generator, or `images` masked.
    ValueError
        If `p` is not in [0, 1], or `axis` is none of an image's.

    Notes
    -----
    For both axes, `compose` two flips.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import random_flip
    >>> random_flip(np.arange(6).reshape(2, 3), np.random.default_rng(2))
    array([[2, 1, 0],
           [5, 4, 3]])
    """
    batch = _batch("random_flip", images, rng)
    p = real("random_flip", "p", p, 0, 1)
    along = integer("random_flip", "axis", axis)
    if not 1 <= along % max(batch.ndim, 1) or not -batch.ndim <= along < batch.ndim:
        raise ValueError(f"random_flip: axis must be one of an image's, got {axis} for shape {batch.shape}")
    chosen = rng.random(len(batch)) < p
    flipped = batch.copy()
    flipped[chosen] = np.flip(batch, along)[chosen]
    return flipped


def random_crop(
    images: Array,
    rng: np.random.Generator,
    *,
    padding: int | tuple[int, int] = 4,
    size: int | tuple[int, int] | None = None,
    mode: Literal["zeros", "reflect"] = "zeros",
) -> Array:
    """Pad images on all sides and cut a piece out of each, at a place of its own.

    Parameters
    ----------
    images : ndarray, (N, C, H, W)
        The batch, of any dtype; it is not changed.
    rng : numpy.random.Generator
        The source of randomness.
    padding : int or (int, int)
        Rows and columns added on each side.
    size : int or (int, int), optional
        Rows and columns of the piece; by default (H, W). Each place in the padded image is equally likely.
    mode : {"zeros", "reflect"}
        What is added: zeros, or the image mirrored at its outermost pixels.

    Returns
    -------
    ndarray, (N, C, *size)
        A new batch of the same dtype.

    Raises
    ------
    TypeError
        If `rng` is no generator, a size no integer, or `images` masked.
    ValueError
        For images without four axes, `size` above the padded image's or below 1, `padding` below 0, or another `mode`.

    Notes
    -----
    Signals (N, C, W) are images of one row: ``signals[:, :, None]``, with ``padding=(0, 4)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import random_crop
    >>> images = np.ones((5, 3, 32, 32), np.uint8)
    >>> random_crop(images, np.random.default_rng(0), padding=4, mode="reflect").shape
    (5, 3, 32, 32)
    >>> random_crop(images, np.random.default_rng(0), padding=0, size=24).shape
    (5, 3, 24, 24)
    """
    batch = _images("random_crop", images, rng)
    padding = _pair("random_crop", "padding", padding, 0)
    shape = batch.shape[2:]
    size = shape if size is None else _pair("random_crop", "size", size, 1)
    places = [side + 2 * pad - piece + 1 for side, pad, piece in zip(shape, padding, size, strict=True)]
    if min(places) < 1:
        raise ValueError(f"random_crop: size {size} is larger than images of shape {shape} with padding {padding}")
    if mode not in ("zeros", "reflect"):
        raise ValueError(f"random_crop: mode must be 'zeros' or 'reflect', got {shown(mode)}")
    rows, columns = (rng.integers(0, n, len(batch)) for n in places)
    return _cut("random_crop", batch, rows, columns, size, padding, "constant" if mode == "zeros" else mode)


def random_shift(
    images: Array, rng: np.random.Generator, *, pixels: int | tuple[int, int] = 1, share: float = 1.0
) -> Array:
    """Shift images by a random number of pixels along both axes, filling with zeros.

    Parameters
    ----------
    images : ndarray, (N, C, H, W)
        The batch, of any dtype; it is not changed.
    rng : numpy.random.Generator
        The source of randomness.
    pixels : int or (int, int)
        The largest shift, also by rows and columns; each of -pixels … pixels is equally likely along each axis.
    share : float
        The probability of each image to be shifted at all.

    Returns
    -------
    ndarray, (N, C, H, W)
        A new batch of the same dtype.

    Raises
    ------
    TypeError
        If `rng` is no generator, `pixels` no integer, or `images` masked.
    ValueError
        For images without four axes, `pixels` below 0, or a `share` not in [0, 1].

    Notes
    -----
    With ``share=1`` this is `random_crop` with ``padding=pixels``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import random_shift
    >>> random_shift(np.ones((5, 1, 8, 8)), np.random.default_rng(0), pixels=2).shape
    (5, 1, 8, 8)
    """
    batch = _images("random_shift", images, rng)
    pixels = _pair("random_shift", "pixels", pixels, 0)
    share = real("random_shift", "share", share, 0, 1)
    rows, columns = (rng.integers(-most, most + 1, len(batch)) for most in pixels)
    moved = rng.random(len(batch)) < share
    rows, columns = rows * moved + pixels[0], columns * moved + pixels[1]
    return _cut("random_shift", batch, rows, columns, batch.shape[2:], pixels, "constant")


def random_noise(images: Array, rng: np.random.Generator, *, std: Any) -> Array:
    """Add Gaussian noise.

    Parameters
    ----------
    images : ndarray of float, (N, …)
        The batch; it is not changed.
    rng : numpy.random.Generator
        The source of randomness.
    std : float or array_like
        Standard deviation of the noise, in the units of the values; an array (of the shape of a sample, or one that NumPy
        stretches to it) has one for each value, such as a share of ``x.std(axis=0)`` for columns of different units.

    Returns
    -------
    ndarray, (N, …)
        A new batch of the same dtype.

    Raises
    ------
    TypeError
        If `images` are not of a float dtype, or masked, or `rng` is no generator, or `std` is no number or array of such.
    ValueError
        If `std` is below 0 or not finite, or an array of a shape that doesn't fit.

    Notes
    -----
    Every value gets noise of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import random_noise
    >>> random_noise(np.zeros((2, 1, 8, 8), np.float32), np.random.default_rng(0), std=0.1).dtype
    dtype('float32')
    """
    batch = _floats("random_noise", images, rng, "images")
    spread = per_value("random_noise", "std", std, batch)
    noise = rng.standard_normal(batch.shape, dtype=np.float32).astype(batch.dtype, copy=False)
    noise *= spread
    noise += batch
    return noise


def drop_values(x: Array, rng: np.random.Generator, share: float, fill: Any = "mean") -> Array:
    """Drop values at random, as they are missing in data, and fill the gaps.

    Parameters
    ----------
    x : ndarray of float, (N, …)
        The batch; it is not changed.
    rng : numpy.random.Generator
        The source of randomness.
    share : float
        The probability of each value to be dropped, in 0…1.
    fill : "mean", float or array_like
        What takes the place of a dropped value: the mean of that value over the samples of `x`; a number; or an array (of the
        shape of a sample, or one that NumPy stretches to it), such as the means of the training part. NaN leaves the gap, for
        models that fill it themselves (`fastnn.data.Imputer`).

    Returns
    -------
    ndarray, (N, …)
        A new batch of the same dtype.

    Raises
    ------
    TypeError
        If `x` is not of a float dtype, or masked, `rng` no generator, or `fill` of another kind.
    ValueError
        If `share` is not in [0, 1], or `fill` is infinite or of a shape that doesn't fit.

    Notes
    -----
    Every value is dropped or kept by itself. With a generator of the same state, what a small share drops is
    dropped by a large one too. Means leave out NaN.

    As the ``transform`` of `Batches`, ``functools.partial(drop_values, share=0.2)`` has a network learn to do without.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import drop_values
    >>> x = np.array([[1.0, 10.0], [3.0, 20.0], [5.0, 60.0]])
    >>> drop_values(x, np.random.default_rng(0), 0.5)
    array([[ 1., 10.],
           [ 3., 30.],
           [ 3., 30.]])
    """
    batch = _floats("drop_values", x, rng, "x")
    share = real("drop_values", "share", share, 0, 1)
    filling = _filling(fill, batch)
    remaining = np.array(batch, order="C")
    np.copyto(remaining, filling, where=rng.random(batch.shape, dtype=np.float32) < share)
    return remaining


def compose(*functions: Transform) -> Transform:
    """One function that applies several to a batch, one after the other.

    Parameters
    ----------
    *functions : callable
        Each ``f(batch, rng) -> batch``, such as `random_flip`; settings are given with `functools.partial`. They draw
        from one generator, in their order.

    Returns
    -------
    callable
        ``f(batch, rng) -> batch``, to be used as the ``transform`` of `Batches`; picklable where its functions are.

    Raises
    ------
    TypeError
        If an argument is not callable; when it is called, if a function returns None.

    Notes
    -----
    `Batches` hands over a generator that depends on its key, the pass and the batch; functions should draw
    from it alone, and return a new array.

    Examples
    --------
    >>> from functools import partial
    >>> import numpy as np
    >>> from fastnn.data import Batches, compose, random_crop, random_flip
    >>> augment = compose(random_flip, partial(random_crop, padding=2))
    >>> images, labels = np.ones((6, 3, 8, 8), np.float32), np.arange(6)
    >>> for x, y in Batches(images, labels, batch_size=4, shuffle=True, transform=augment, rng=0):
    ...     print(x.shape)
    (4, 3, 8, 8)
    (2, 3, 8, 8)
    """
    for i, function in enumerate(functions):
        if not callable(function):
            raise TypeError(
                f"compose: function {i} must be callable, got {shown(function)}; give settings as "
                "functools.partial(random_flip, p=0.3)"
            )
    return _Composed(functions)


class _Composed:
    def __init__(self, functions: tuple[Transform, ...]) -> None:
        self._functions = functions

    def __repr__(self) -> str:
        return f"compose({', '.join(map(described, self._functions))})"

    def __call__(self, batch: Any, rng: np.random.Generator) -> Any:
        for function in self._functions:
            batch = function(batch, rng)
            if batch is None:
                raise TypeError(f"compose: {function!r} returned None, expected the batch")
        return batch


def per_value(op: str, name: str, value: Any, batch: Array) -> Array:
    """A finite number of at least 0 for each value of a sample, or one for all, of the dtype of a batch."""
    if np.ndim(value) == 0:
        return np.asarray(real(op, name, value, 0), batch.dtype)
    numbers = _fitting(op, name, value, batch)
    wrong = numbers[~((numbers >= 0) & np.isfinite(numbers))]
    if wrong.size:
        raise ValueError(f"{op}: {name} must be finite and at least 0, got {wrong[0]}")
    return numbers


def _filling(fill: Any, batch: Array) -> Array:
    """What takes the place of dropped values."""
    if isinstance(fill, str):
        if fill != "mean":
            raise ValueError(f"drop_values: fill must be 'mean', a number or an array, got {shown(fill)}")
        return means(batch)
    filling = _fitting("drop_values", "fill", fill, batch)
    if np.isinf(filling).any():
        raise ValueError(f"drop_values: fill must not be infinite, got {shown(fill)}")
    return filling


def means(x: Array) -> Array:
    """The mean of each value over the samples, without NaN; NaN where there is nothing else."""
    there = ~np.isnan(x)
    with np.errstate(invalid="ignore"):
        total = np.where(there, x, 0).sum(axis=0, dtype=np.float64)
        return np.asarray(total / there.sum(axis=0), x.dtype)


def _fitting(op: str, name: str, value: Any, batch: Array) -> Array:
    """Numbers for the values of a sample, of the dtype of a batch."""
    given = np.asarray(unmasked(op, name, value))
    if given.dtype.kind not in "biuf":
        raise TypeError(f"{op}: {name} must be a number or an array of numbers, got {shown(value)}")
    sample = batch.shape[1:]
    try:
        fits = np.broadcast_shapes(given.shape, sample) == sample
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{op}: {name} of shape {given.shape} does not fit samples of shape {sample}")
    return given.astype(batch.dtype)


def _floats(op: str, given: Any, rng: Any, name: str) -> Array:
    batch = _batch(op, given, rng, name)
    if batch.dtype.kind != "f":
        raise TypeError(f"{op}: {name} must be of a float dtype, got {batch.dtype}")
    return batch


def _batch(op: str, images: Any, rng: Any, name: str = "images") -> Array:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{op}: rng must be a numpy.random.Generator, as Batches gives to its transform, got {shown(rng)}; "
            "a seed would draw the same for every batch"
        )
    batch = np.asarray(unmasked(op, name, images))
    if batch.ndim == 0:
        raise ValueError(f"{op}: {name} must have an axis of samples, got a single value")
    return batch


def _images(op: str, images: Any, rng: Any) -> Array:
    batch = _batch(op, images, rng)
    if batch.ndim != 4:
        hint = "; add the axis of channels with images[:, None]" if batch.ndim == 3 else ""
        raise ValueError(f"{op}: images must have shape (N, C, H, W), got {batch.shape}{hint}")
    return batch


def _pair(op: str, name: str, value: Any, low: int) -> tuple[int, int]:
    checked = per_axis(op, name, value, 2, low)
    return (checked, checked) if isinstance(checked, int) else (checked[0], checked[1])


def _cut(
    op: str,
    batch: Array,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    size: tuple[int, ...],
    padding: tuple[int, int],
    mode: Literal["constant", "reflect"],
) -> Array:
    """From each padded image the piece that begins at its row and column."""
    n, channels, height, width = batch.shape
    limited(op, "the padded batch", n, channels, height + 2 * padding[0], width + 2 * padding[1])
    padded = np.pad(batch, ((0, 0), (0, 0), *((pad, pad) for pad in padding)), mode=mode)
    pieces = sliding_window_view(padded, size, axis=(2, 3))
    return pieces[np.arange(n), :, rows, columns]
