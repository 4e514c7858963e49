"""`StandardizeSample`: a layer that scales each sample by its own statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Array, DTypeLike, Value
from ..autograd import record
from ..checks import scalars
from .moments import without_variance
from .scaling import _Fixed, in_float64

__all__ = ["StandardizeSample"]


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

    def __init__(self, center: bool = True, scale: bool = True, *, out_dtype: DTypeLike | None = np.float32) -> None:
        super().__init__(out_dtype)
        self.center = scalars.flag("StandardizeSample", "center", center)
        self.scale = scalars.flag("StandardizeSample", "scale", scale)

    def _check_shape(self, op: str, shape: tuple[int, ...]) -> None:
        if len(shape) < 2 or 0 in shape[1:]:
            raise ValueError(f"{op}: expected x of shape (N, ...) with elements in each sample, got {shape}")

    def _recorded(self, x: Value, x_: Array, dtype: np.dtype[Any]) -> Value:
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

        return record("standardize_sample", self.compute(x_, dtype), (x,), vjp, jvp, (center, scale))

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
        left = self.mean_of(self.deviation)  # a rounding error; unless it is subtracted, constants don't become 0
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
