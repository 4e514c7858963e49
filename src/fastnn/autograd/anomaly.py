"""`detect_anomaly`: find the operation that a NaN comes from, and values that were changed behind the tape's back."""

from __future__ import annotations

import traceback
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .modes import Observer, Setting, Vjp

if TYPE_CHECKING:
    from .core import TensorBase


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(array.tobytes())


def _arrays(inputs: Sequence[Any]) -> list[np.ndarray]:
    values = (getattr(x, "data", x) if not isinstance(x, np.ndarray) else x for x in inputs)
    return [v for v in values if isinstance(v, np.ndarray)]


def _watch(name: str, output: np.ndarray, inputs: Sequence[Any], vjp: Vjp, result: TensorBase) -> Vjp:
    """The vjp, which first looks whether what it may have saved is unchanged, and then at its gradients."""
    saved = [(array, _checksum(array)) for array in (*_arrays(inputs), output)]
    # The last two frames are left out: those of record and of this function.
    where = "".join(traceback.format_stack(limit=8)[:-2])

    def watched(dy: np.ndarray, needs: tuple[bool, ...]) -> Sequence[Any]:
        for array, checksum in saved:
            if _checksum(array) != checksum:
                raise RuntimeError(
                    f"backward: an array of shape {array.shape} that {name} was computed from, or its result, was changed "
                    f"in place since. {name} was called here:\n{where}"
                )
        gradients = vjp(dy, needs)
        for gradient in gradients:
            if gradient is not None and np.isnan(gradient).any() and not np.isnan(dy).any():
                raise RuntimeError(f"backward: the gradient of {name} is NaN. {name} was called here:\n{where}")
        return gradients

    return watched


class detect_anomaly(Setting):
    """Watch every operation recorded inside, to say which one a wrong gradient comes from.

    The reverse pass then raises an error that names the operation and shows the lines which called it, when

    * an array that it was computed from, or its result, was changed in place after the operation (also through NumPy,
      which nothing else notices), or
    * its gradient is NaN though the gradient that came in is not.

    Checksums of all arrays make everything slower: it is for finding a mistake. A context manager, and a decorator.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.tensor([1.0, 2.0], requires_grad=True)
    >>> with fnn.detect_anomaly():
    ...     y = (x * x).sum()
    >>> x.data[0] = 5.0
    >>> try:
    ...     y.backward()
    ... except RuntimeError as error:
    ...     print(str(error)[:62])
    backward: an array of shape (2,) that multiply was computed fr
    """

    _attribute = "observers"

    def _inside(self, outside: tuple[Observer, ...]) -> tuple[Observer, ...]:
        return (*outside, _watch)
