"""Types that the modules share, and where gradients of parameters go."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ..._core import empty

__all__ = ["Array", "Gradients", "Needs", "room"]

Array = NDArray[Any]
Needs = tuple[Any, Any, Any]
Gradients = tuple[Array | None, Array | None, Array | None]


def room(need: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """An array for the gradient of a parameter: the one that ``need`` brings along (a `Target`), or a new one."""
    array: Array | None = getattr(need, "array", None)
    return empty(shape, dtype) if array is None else array
