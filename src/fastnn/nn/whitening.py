"""`Whiten`: a layer that makes the elements of samples uncorrelated, and the products that it is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import functional as F
from .. import init
from .._types import Array, DTypeLike, Value
from ..autograd import record
from ..checks import scalars
from .scaling import _Fixed, checked_shape, in_float64, listed

__all__ = ["Whiten"]


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
        out_dtype: DTypeLike | None = np.float32,
    ) -> None:
        super().__init__(out_dtype)
        self.shape = checked_shape("Whiten", shape)
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
            raise ValueError(f"{op}: expected x of shape (N, {listed(self.shape)}), got {shape}")

    def _recorded(self, x: Value, x_: Array, dtype: np.dtype[Any]) -> Value:
        components, gains, rest, back = self.components, self.gains, self.rest, self.rotate_back

        def backward(d: Array) -> Array:
            if back:  # then the map is symmetric, so that of the gradient is the same
                return turned(d.reshape(len(d), -1), components, gains, rest).reshape(d.shape)
            return from_components(d * gains, components).reshape(-1, *self.shape)

        def vjp(dy: Array, needs: tuple[bool, ...]) -> Any:
            return (in_float64(backward, x_.dtype, self.shape, dy),)

        def jvp(tangents: Any) -> Any:
            return in_float64(self._of_deviations, dtype, self._shape_out(), tangents[0])

        fixed = self.mean, components, gains, rest, back
        return record("whiten", self.compute(x_, dtype), (x,), vjp, jvp, fixed)

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
        shape = listed(self.shape) if len(self.shape) == 1 else repr(self.shape)
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
