"""Preprocessing as layers: what is done to raw inputs, with statistics that are not trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import functional as F
from .. import init
from ..autograd import raw, record
from ..checks import scalars, unmasked
from .module import Module
from .moments import without_variance

Array = np.ndarray[Any, Any]

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


class _Fixed(Module):
    """A layer that computes in float64 whatever it gets, and rounds once.

    The argument is not called ``dtype`` because that is the one which an architecture takes from a layer's arrays.
    """

    def __init__(self, out_dtype: Any) -> None:
        self.out_dtype = _checked_dtype(type(self).__name__, out_dtype)

    def _convert(self, dtype: np.dtype[Any], converted: Callable[[Array], Array]) -> None:
        if self.out_dtype is not None:
            self.out_dtype = dtype.name

    def forward(self, x: Any) -> Any:
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

    def _recorded(self, x: Any, x_: Array, dtype: np.dtype[Any]) -> Any:
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

    def __init__(self, shape: int | Sequence[int], out_dtype: Any) -> None:
        super().__init__(out_dtype)
        self.shape = _shape(type(self).__name__, shape)

    def _check_shape(self, op: str, shape: tuple[int, ...]) -> None:
        fits = len(shape) == 1 + len(self.shape)
        if not fits or any(own not in (1, n) for own, n in zip(self.shape, shape[1:], strict=True)):
            raise ValueError(f"{op}: expected x of shape (N, {_listed(self.shape)}), got {shape}")

    def _settings(self) -> list[str]:
        return [_listed(self.shape) if len(self.shape) == 1 else repr(self.shape)]

    def _elementwise(
        self, name: str, x: Any, x_: Array, dtype: np.dtype[Any], times: Callable[..., Array], *others: Array
    ) -> Any:
        """The operation on the tape; ``times`` multiplies samples in float64 by its derivative, which ``others`` decide."""

        def vjp(dy: Array, needs: tuple[bool, ...]) -> Any:
            return (in_float64(times, x_.dtype, dy.shape[1:], dy, *others),)

        def jvp(tangents: Any) -> Any:
            return in_float64(times, dtype, x_.shape[1:], tangents[0], *others)

        return record(name, self.compute(x_, dtype), (x,), vjp, jvp)


def _shape(op: str, shape: int | Sequence[int]) -> tuple[int, ...]:
    extents = shape if isinstance(shape, (tuple, list)) else (shape,)
    if not extents:
        raise ValueError(f"{op}: shape must have an axis at least, got {shape!r}")
    return tuple(scalars.integer(op, "shape", n, 1) for n in extents)


def _listed(shape: tuple[int, ...]) -> str:
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

    def __init__(self, shape: int | Sequence[int], *, out_dtype: Any = None) -> None:
        super().__init__(shape, out_dtype)
        self.register_buffer("values", init.zeros(self.shape, dtype=np.float64))

    def _recorded(self, x: Any, x_: Array, dtype: np.dtype[Any]) -> Any:
        def times(d: Array, v: Array) -> Array:
            d[np.isnan(v)] = 0.0
            return d

        return self._elementwise("fill_missing", x, x_, dtype, times, x_)

    def of_block(self, v: Array) -> Array:
        """The output for samples in float64, which are changed in place."""
        np.copyto(v, self.values, where=np.isnan(v))
        return v


class Standardize(_PerFeature):
    """``y = (x - mean) / scale`` with numbers per feature that stay as they are (I2).

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

    def __init__(self, shape: int | Sequence[int], *, inverse: bool = False, out_dtype: Any = np.float32) -> None:
        super().__init__(shape, out_dtype)
        self.inverse = scalars.flag("Standardize", "inverse", inverse)
        self.register_buffer("mean", init.zeros(self.shape, dtype=np.float64))
        self.register_buffer("scale", init.constant(self.shape, 1.0, dtype=np.float64))

    def _recorded(self, x: Any, x_: Array, dtype: np.dtype[Any]) -> Any:
        scale, change = self.scale, np.multiply if self.inverse else np.divide

        def times(d: Array) -> Array:
            return change(d, scale, out=d)

        return self._elementwise("standardize", x, x_, dtype, times)

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
        out_dtype: Any = np.float32,
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

    def _recorded(self, x: Any, x_: Array, dtype: np.dtype[Any]) -> Any:
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


class StandardizeSample(_Fixed):
    """Each sample less its own mean, divided by its own standard deviation, over all its elements.

    Unlike `LayerNorm` it has no parameters and no eps, and a sample without variance becomes 0.

    Parameters
    ----------
    center : bool
        Whether the mean is subtracted.
    scale : bool
        Whether to divide by the standard deviation (of N elements, divided by N), which is always that about the mean.

    out_dtype : dtype or None
        Of the output: float32 or float64; None for that of ``x``, and float64 of integers. Kept as its name.

    Raises
    ------
    TypeError
        If ``center`` or ``scale`` is not a bool, or ``out_dtype`` another dtype.

    Notes
    -----
    Computed in float64, with statistics of float64, and rounded once; so columns far from zero keep their digits until they are
    scaled. The output is of ``out_dtype`` whatever real dtype ``x`` has, float32, float64 or integers such as pixels just read.
    ``astype`` of a model sets ``out_dtype``, and leaves the statistics as they are. ``x`` gets its gradient, in its own dtype.
    A standard deviation within the error of computing it counts as 1, as in `fastnn.data.StandardScaler`. Elements that are NaN are
    left out of the statistics and stay NaN. The gradient goes through the statistics too.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.StandardizeSample()(np.array([[1.0, 3.0], [5.0, 5.0]]))
    array([[-1.,  1.],
           [ 0.,  0.]], dtype=float32)
    """

    def __init__(self, center: bool = True, scale: bool = True, *, out_dtype: Any = np.float32) -> None:
        super().__init__(out_dtype)
        self.center = scalars.flag("StandardizeSample", "center", center)
        self.scale = scalars.flag("StandardizeSample", "scale", scale)

    def _check_shape(self, op: str, shape: tuple[int, ...]) -> None:
        if len(shape) < 2 or 0 in shape[1:]:
            raise ValueError(f"{op}: expected x of shape (N, ...) with elements in each sample, got {shape}")

    def _recorded(self, x: Any, x_: Array, dtype: np.dtype[Any]) -> Any:
        center, scale = self.center, self.scale

        def vjp(dy: Array, needs: tuple[bool, ...]) -> Any:
            def backward(v: Array, d: Array) -> Array:
                shape, v, d = v.shape, _rows(v), _rows(d)
                s = _Sample(v)
                if scale:
                    share = s.mean_of(d, s.deviation if center else v) / s.std**3
                    d /= s.std
                    s.deviation *= share
                    d -= s.deviation
                if center:
                    d -= s.mean_of(d)
                return d.reshape(shape)

            return (in_float64(backward, x_.dtype, dy.shape[1:], x_, dy),)

        def jvp(tangents: Any) -> Any:
            def forward(v: Array, t: Array) -> Array:
                shape, v, t = v.shape, _rows(v), _rows(t)
                s = _Sample(v)
                share = s.mean_of(s.deviation, t) / s.std**3
                if center:
                    t -= s.mean_of(t)
                if scale:
                    t /= s.std
                    t -= (s.deviation if center else v) * share
                return t.reshape(shape)

            return in_float64(forward, dtype, x_.shape[1:], x_, tangents[0])

        return record("standardize_sample", self.compute(x_, dtype), (x,), vjp, jvp)

    def of_block(self, v: Array) -> Array:
        """The output for samples in float64."""
        s = _Sample(_rows(v))
        y = s.deviation if self.center else _rows(v)
        if self.scale:
            y /= s.std
        return y.reshape(v.shape)

    def _settings(self) -> list[str]:
        return [f"center={self.center}", f"scale={self.scale}"]


def _rows(v: Array) -> Array:
    """A row per sample, along which NumPy adds fastest."""
    return v.reshape(len(v), -1)


class _Sample:
    """Deviations from the mean of each sample, a row, and their root mean square; 1 where that is but rounding."""

    def __init__(self, v: Array) -> None:
        self._valid: Array | None = None
        self._count: Any = v.shape[1]
        mean = self.mean_of(v)
        if np.isnan(mean).any():
            self._valid = ~np.isnan(v)
            self._count = np.maximum(self._valid.sum(axis=1, keepdims=True), 1)
            mean = self.mean_of(v)
        self.deviation = v - mean
        left = self.mean_of(self.deviation)  # what rounding left; without it a constant would not become 0
        self.deviation -= left
        variance = self.mean_of(self.deviation, self.deviation)
        constant = without_variance(variance, mean, self._count)
        self.std: Array = np.sqrt(np.where(constant, 1.0, variance))

    def mean_of(self, values: Array, factors: Array | None = None) -> Array:
        """The mean of each row, or of its products with another one, which take no memory."""
        if self._valid is not None:
            values = np.where(self._valid, values if factors is None else values * factors, 0.0)
            factors = None
        total: Array = values.sum(axis=1) if factors is None else np.einsum("ij,ij->i", values, factors)
        mean: Array = total[:, None] / self._count
        return mean


class Whiten(_Fixed):
    """Centres samples and makes their elements uncorrelated with variance 1, by numbers that stay as they are.

    ``z = (x - mean) @ components.T * gains``, and with ``rotate_back`` turned to where it was:
    ``y = z @ components + rest * r``, where r is what of ``x - mean`` lies in no component's direction.
    `fastnn.data.Whitening` makes such a layer of its statistics: ``whitening.as_module()``.

    Parameters
    ----------
    shape : int or sequence of int
        The shape of a sample, of D elements.
    n_components : int
        K, at most D.
    rotate_back : bool
        False for PCA whitening: samples (K,). True for ZCA whitening, whose samples have the shape that they had.
    out_dtype : dtype or None
        Of the output: float32 or float64; None for that of ``x``, and float64 of integers. Kept as its name.

    Attributes
    ----------
    mean : ndarray of float64, shape
    components : ndarray of float64, (K, D)
        Rows of length 1, at right angles to each other. Like the others a buffer: saved with the model, not trained.
    gains : ndarray of float64, (K,)
    rest : ndarray of float64, ()

    Raises
    ------
    TypeError, ValueError
        If ``shape`` is not of integers of at least 1, ``n_components`` is not in 1…D, or ``out_dtype`` is another dtype.

    Notes
    -----
    Computed in float64, with statistics of float64, and rounded once; so columns far from zero keep their digits until they are
    scaled. The output is of ``out_dtype`` whatever real dtype ``x`` has, float32, float64 or integers such as pixels just read.
    ``astype`` of a model sets ``out_dtype``, and leaves the statistics as they are. ``x`` gets its gradient, in its own dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> layer = nn.Whiten(2, 1)
    >>> layer.components, layer.gains = np.array([[0.6, 0.8]]), np.array([0.5])
    >>> layer(np.array([[6.0, 8.0]]))
    array([[5.]], dtype=float32)
    """

    mean: Array
    components: Array
    gains: Array
    rest: Array

    def __init__(
        self,
        shape: int | Sequence[int],
        n_components: int,
        *,
        rotate_back: bool = False,
        out_dtype: Any = np.float32,
    ) -> None:
        super().__init__(out_dtype)
        self.shape = _shape("Whiten", shape)
        size = math.prod(self.shape)
        self.n_components = scalars.integer("Whiten", "n_components", n_components, 1)
        if self.n_components > size:
            raise ValueError(
                f"Whiten: n_components must be at most the {size} elements of a sample, got {n_components}"
            )
        self.rotate_back = scalars.flag("Whiten", "rotate_back", rotate_back)
        components = init.zeros((self.n_components, size), dtype=np.float64)
        np.fill_diagonal(components, 1.0)
        self.register_buffer("mean", init.zeros(self.shape, dtype=np.float64))
        self.register_buffer("components", components)
        self.register_buffer("gains", init.constant(self.n_components, 1.0, dtype=np.float64))
        self.register_buffer("rest", init.zeros((), dtype=np.float64))

    def _check_shape(self, op: str, shape: tuple[int, ...]) -> None:
        if shape[1:] != self.shape or not shape:
            raise ValueError(f"{op}: expected x of shape (N, {_listed(self.shape)}), got {shape}")

    def _recorded(self, x: Any, x_: Array, dtype: np.dtype[Any]) -> Any:
        components, gains, rest, back = self.components, self.gains, self.rest, self.rotate_back

        def backward(d: Array) -> Array:
            if back:  # a symmetric map
                return turned(d.reshape(len(d), -1), components, gains, rest).reshape(d.shape)
            return from_components(d * gains, components).reshape(-1, *self.shape)

        def vjp(dy: Array, needs: tuple[bool, ...]) -> Any:
            return (in_float64(backward, x_.dtype, self.shape, dy),)

        def jvp(tangents: Any) -> Any:
            return in_float64(self._of_deviations, dtype, self._shape_out(), tangents[0])

        return record("whiten", self.compute(x_, dtype), (x,), vjp, jvp)

    def compute(self, x: Array, dtype: np.dtype[Any]) -> Array:
        """The output for an array of any real dtype, as one of ``dtype``, without a tape."""
        return in_float64(self.of_block, dtype, self._shape_out(), x)

    def _shape_out(self) -> tuple[int, ...]:
        return self.shape if self.rotate_back else (self.n_components,)

    def of_block(self, v: Array) -> Array:
        """The output for samples in float64, which are changed in place."""
        v -= self.mean
        return self._of_deviations(v)

    def _of_deviations(self, v: Array) -> Array:
        flat = v.reshape(len(v), -1)
        if self.rotate_back:
            return turned(flat, self.components, self.gains, self.rest).reshape(v.shape)
        return to_components(flat, self.components) * self.gains

    def multiply_adds(self, inputs: tuple[tuple[int, ...], ...], output: tuple[int, ...]) -> int:
        """One product with the components, or one there and one back."""
        return output[0] * self.components.size * (1 + self.rotate_back)

    def _settings(self) -> list[str]:
        shape = _listed(self.shape) if len(self.shape) == 1 else repr(self.shape)
        return [shape, str(self.n_components), *(["rotate_back=True"] if self.rotate_back else [])]


def to_components(x: Array, components: Array) -> Array:
    """Coordinates (N, K) of rows (N, D) along the rows of ``components`` (K, D)."""
    coordinates: Array = F.linear(x, components.astype(np.float64, copy=False))
    return coordinates


def from_components(coordinates: Array, components: Array) -> Array:
    """The rows (N, D) that have these coordinates (N, K)."""
    x: Array = F.matmul(coordinates, components.astype(np.float64, copy=False))
    return x


def turned(x: Array, components: Array, gains: Array, rest: Array) -> Array:
    """Rows (N, D) multiplied by ``gains`` along the components and by ``rest`` at right angles to them all."""
    y: Array = from_components(to_components(x, components) * (gains - rest), components) + rest * x
    return y
