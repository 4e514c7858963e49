"""What first values may be made: how many, of which dtype and spread."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import numpy as np

Shape = int | Sequence[int]
Drawing = TypeVar("Drawing", bound=Callable[..., np.ndarray])


class _Limits(threading.local):
    """What the functions below may still make in this thread: any number of elements, unless a limit is set."""

    left: int | None = None
    blank = False


_limits = _Limits()


@contextmanager
def limited(elements: int, *, blank: bool) -> Iterator[None]:
    """Inside, first values of more elements than these together are a `ValueError`, before memory is taken.

    For layers whose settings come from a file that nobody vouches for. ``blank`` saves drawing what will be replaced: values
    are 0 then.

    Examples
    --------
    >>> from fastnn import init
    >>> from fastnn.init.limits import limited
    >>> with limited(6, blank=True):
    ...     init.he_normal((2, 3))
    array([[0., 0., 0.],
           [0., 0., 0.]], dtype=float32)
    """
    before = _limits.left, _limits.blank
    _limits.left, _limits.blank = elements, blank
    try:
        yield
    finally:
        _limits.left, _limits.blank = before


def within_limits(draw: Drawing) -> Drawing:
    """Have a function of a shape keep to what `limited` allows."""

    @functools.wraps(draw)
    def drawn(shape: Shape, *args: Any, **kwargs: Any) -> np.ndarray:
        if _limits.left is None:
            return draw(shape, *args, **kwargs)
        size = math.prod(shape) if isinstance(shape, Sequence) else shape
        if size > _limits.left:
            raise ValueError(
                f"{draw.__name__}: shape {shape} has more than the {_limits.left} elements that there may be"
            )
        _limits.left -= size
        if _limits.blank:
            dtype = kwargs.get("dtype", np.float32)
            return rounded(np.zeros(shape, dtype), dtype, draw.__name__)
        return draw(shape, *args, **kwargs)

    return cast(Drawing, drawn)


def rounded(values: np.ndarray, dtype: Any, op: str) -> np.ndarray:
    """Values in float32 or float64; other dtypes are refused."""
    kind = np.dtype(dtype)
    if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"{op}: dtype must be float32 or float64, got {kind}")
    return values.astype(kind, copy=False)


def spread(op: str, name: str, value: float) -> float:
    """A standard deviation or a gain."""
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{op}: {name} must be a number not below 0, got {value!r}")
    return value
